"""The HTTP client of the slow service: opened once per app, pooled, with keep-alive."""

from __future__ import annotations

from asyncio import Semaphore, gather
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import Annotated, Any

import aiohttp
import httpx
from fastapi import Depends, Request
from httpx_aiohttp import AiohttpTransport

from shared_models.errors import UpstreamFailed
from shared_models.settings import Settings

Get = Callable[[str], Awaitable[str]]
"""A client's GET of a query of the slow service: the text of the response."""

# httpx's own transport slows down as concurrent calls grow.
USUAL = "httpx-aiohttp"
"""The client where none is asked for: one that scales in this style."""


class Upstream:
    """Calls the slow service; `bound` limits the concurrent calls of all fan-outs together."""

    def __init__(self, client: str, get: Get, bound: Semaphore) -> None:
        self.client = client
        self.get = get
        self.bound = bound

    async def call(self, delay: float) -> str:
        """The slow service's response after about `delay` seconds, or UpstreamFailed (502) on any error."""
        return await self.get(f"?delay={delay}")

    async def call_many(self, calls: int, delay: float) -> list[str]:
        """The responses of `calls` concurrent calls."""

        async def bounded_call() -> str:
            async with self.bound:
                return await self.call(delay)

        return await gather(*(bounded_call() for _ in range(calls)))


@asynccontextmanager
async def open_httpx(settings: Settings, library: Any, transport: Any = None) -> AsyncIterator[Get]:
    """A client of httpx or of a library with its interface; without `transport` with the library's own.
    It connects directly: with a transport that it is given, a client ignores the proxies that the environment
    names, as aiohttp does, and arms with different clients stay comparable."""
    connections = settings.upstream_connections
    limits = library.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with library.AsyncClient(
        base_url=settings.upstream,
        timeout=settings.upstream_timeout,
        transport=transport or library.AsyncHTTPTransport(limits=limits),
    ) as client:

        async def get(query: str) -> str:
            try:
                response = await client.get(query)
                response.raise_for_status()
            except library.HTTPError:
                raise UpstreamFailed from None
            text: str = response.text
            return text

        yield get


@asynccontextmanager
async def open_aiohttp(settings: Settings) -> AsyncIterator[Get]:
    """aiohttp's own client."""
    connector = aiohttp.TCPConnector(limit=settings.upstream_connections)
    timeout = aiohttp.ClientTimeout(total=settings.upstream_timeout)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:

        async def get(query: str) -> str:
            try:
                async with client.get(settings.upstream + query) as response:
                    response.raise_for_status()
                    return await response.text()
            except (aiohttp.ClientError, TimeoutError):
                raise UpstreamFailed from None

        yield get


def opening(settings: Settings, client: str) -> AbstractAsyncContextManager[Get]:
    """What opens a client. Raises ValueError for one that this style does not have, ModuleNotFoundError for
    one that is not installed."""
    match client:
        case "httpx":
            return open_httpx(settings, httpx)
        case "httpx2":
            return open_httpx(settings, import_module("httpx2"))
        case "httpx-aiohttp":
            connections = settings.upstream_connections
            limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
            return open_httpx(settings, httpx, AiohttpTransport(limits=limits))
        case "aiohttp":
            return open_aiohttp(settings)
    raise ValueError(f"DUEL_APP_CLIENT={client!r} is none of httpx, httpx2, httpx-aiohttp, aiohttp")


@asynccontextmanager
async def open_upstream(settings: Settings, client: str) -> AsyncIterator[Upstream]:
    """An Upstream on a client, which is named as in `opening`."""
    async with opening(settings, client) as get:
        yield Upstream(client, get, Semaphore(settings.fan_out_limit))


# `async def` in both apps: they never wait, and as `def` each would cost a thread hop.
async def get_upstream(request: Request) -> Upstream:
    return request.state.upstream  # type: ignore[no-any-return]  # lifespan state is untyped


async def get_plain_upstream(request: Request) -> Upstream:
    return request.state.plain_upstream  # type: ignore[no-any-return]  # lifespan state is untyped


SlowService = Annotated[Upstream, Depends(get_upstream)]
PlainSlowService = Annotated[Upstream, Depends(get_plain_upstream)]
