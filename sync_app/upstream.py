"""The HTTP client of the slow service: opened once per app, pooled, with keep-alive."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated

import httpx
from fastapi import Depends, Request

from shared_models.errors import UpstreamFailed
from shared_models.settings import Settings


class Upstream:
    """Calls the slow service; `bound` limits the concurrent calls of all fan-outs together."""

    def __init__(self, client: httpx.Client, bound: ThreadPoolExecutor) -> None:
        self.client = client
        self.bound = bound

    def call(self, delay: float) -> str:
        """The slow service's response after about `delay` seconds, or UpstreamFailed (502) on any error."""
        try:
            response = self.client.get(f"?delay={delay}")
            response.raise_for_status()
        except httpx.HTTPError:
            raise UpstreamFailed from None
        return response.text

    def call_many(self, calls: int, delay: float) -> list[str]:
        """The responses of `calls` concurrent calls."""
        return list(self.bound.map(self.call, [delay] * calls))


def pool_limits(settings: Settings) -> httpx.Limits:
    """A connection for every concurrent call, all kept alive."""
    connections = settings.upstream_connections
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections)


def scaling_transport(settings: Settings) -> httpx.BaseTransport:
    """httpx's default transport, which scales well with threads."""
    return httpx.HTTPTransport(limits=pool_limits(settings))


@contextmanager
def open_upstream(settings: Settings, transport: httpx.BaseTransport | None = None) -> Iterator[Upstream]:
    """An Upstream on `transport`; by default on httpx's own transport, as tutorials show it."""
    with (
        httpx.Client(
            base_url=settings.upstream,
            timeout=settings.upstream_timeout,
            limits=pool_limits(settings),
            transport=transport,
        ) as client,
        ThreadPoolExecutor(settings.fan_out_limit, "fan-out") as bound,
    ):
        yield Upstream(client, bound)


# `async def` in both apps: they never wait, and as `def` each would cost a thread hop.
async def get_upstream(request: Request) -> Upstream:
    return request.state.upstream  # type: ignore[no-any-return]  # lifespan state is untyped


async def get_plain_upstream(request: Request) -> Upstream:
    return request.state.plain_upstream  # type: ignore[no-any-return]  # lifespan state is untyped


SlowService = Annotated[Upstream, Depends(get_upstream)]
PlainSlowService = Annotated[Upstream, Depends(get_plain_upstream)]
