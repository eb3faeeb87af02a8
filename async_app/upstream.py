"""The HTTP client of the slow service: opened once per app, pooled, with keep-alive."""

from __future__ import annotations

from asyncio import Semaphore, gather
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
from fastapi import Depends, Request
from httpx_aiohttp import AiohttpTransport

from shared_models.errors import UpstreamFailed
from shared_models.settings import Settings


class Upstream:
    """Calls the slow service; `bound` limits the concurrent calls of all fan-outs together."""

    def __init__(self, client: httpx.AsyncClient, bound: Semaphore) -> None:
        self.client = client
        self.bound = bound

    async def call(self, delay: float) -> str:
        """The slow service's response after about `delay` seconds, or UpstreamFailed (502) on any error."""
        try:
            response = await self.client.get(f"?delay={delay}")
            response.raise_for_status()
        except httpx.HTTPError:
            raise UpstreamFailed from None
        return response.text

    async def call_many(self, calls: int, delay: float) -> list[str]:
        """The responses of `calls` concurrent calls."""

        async def bounded_call() -> str:
            async with self.bound:
                return await self.call(delay)

        return await gather(*(bounded_call() for _ in range(calls)))


def pool_limits(settings: Settings) -> httpx.Limits:
    """A connection for every concurrent call, all kept alive."""
    connections = settings.upstream_connections
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections)


def scaling_transport(settings: Settings) -> httpx.AsyncBaseTransport:
    """aiohttp's connector under httpx, whose default slows down as concurrent calls grow."""
    return AiohttpTransport(limits=pool_limits(settings))


@asynccontextmanager
async def open_upstream(
    settings: Settings, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[Upstream]:
    """An Upstream on `transport`; by default on httpx's own transport, as tutorials show it."""
    async with httpx.AsyncClient(
        base_url=settings.upstream,
        timeout=settings.upstream_timeout,
        limits=pool_limits(settings),
        transport=transport,
    ) as client:
        yield Upstream(client, Semaphore(settings.fan_out_limit))


# `async def` in both apps: they never wait, and as `def` each would cost a thread hop.
async def get_upstream(request: Request) -> Upstream:
    return request.state.upstream  # type: ignore[no-any-return]  # lifespan state is untyped


async def get_plain_upstream(request: Request) -> Upstream:
    return request.state.plain_upstream  # type: ignore[no-any-return]  # lifespan state is untyped


SlowService = Annotated[Upstream, Depends(get_upstream)]
PlainSlowService = Annotated[Upstream, Depends(get_plain_upstream)]
