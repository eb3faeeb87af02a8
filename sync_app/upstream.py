"""The HTTP client of the slow service: opened once per app, pooled, with keep-alive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Annotated, Any

import httpx
from fastapi import Depends, Request

from shared_models.errors import UpstreamFailed
from shared_models.settings import Settings

Get = Callable[[str], str]
"""A client's GET of a query of the slow service: the text of the response."""

# httpx's own transport scales well with threads.
USUAL = "httpx"
"""The client where none is asked for: one that scales in this style."""


class Upstream:
    """Calls the slow service; `bound` limits the concurrent calls of all fan-outs together."""

    def __init__(self, client: str, get: Get, bound: ThreadPoolExecutor) -> None:
        self.client = client
        self.get = get
        self.bound = bound

    def call(self, delay: float) -> str:
        """The slow service's response after about `delay` seconds, or UpstreamFailed (502) on any error."""
        return self.get(f"?delay={delay}")

    def call_many(self, calls: int, delay: float) -> list[str]:
        """The responses of `calls` concurrent calls."""
        return list(self.bound.map(self.call, [delay] * calls))


@contextmanager
def open_httpx(settings: Settings, library: Any, transport: Any = None) -> Iterator[Get]:
    """A client of httpx or of a library with its interface; without `transport` with the library's own.
    It connects directly: with a transport that it is given, a client ignores the proxies that the environment
    names, as aiohttp does, and arms with different clients stay comparable."""
    connections = settings.upstream_connections
    limits = library.Limits(max_connections=connections, max_keepalive_connections=connections)
    with library.Client(
        base_url=settings.upstream,
        timeout=settings.upstream_timeout,
        transport=transport or library.HTTPTransport(limits=limits),
    ) as client:

        def get(query: str) -> str:
            try:
                response = client.get(query)
                response.raise_for_status()
            except library.HTTPError:
                raise UpstreamFailed from None
            text: str = response.text
            return text

        yield get


def opening(settings: Settings, client: str) -> AbstractContextManager[Get]:
    """What opens a client. Raises ValueError for one that this style does not have, ModuleNotFoundError for
    one that is not installed."""
    match client:
        case "httpx":
            return open_httpx(settings, httpx)
        case "httpx2":
            return open_httpx(settings, import_module("httpx2"))
    raise ValueError(f"DUEL_APP_CLIENT={client!r} is none of httpx, httpx2")


@contextmanager
def open_upstream(settings: Settings, client: str) -> Iterator[Upstream]:
    """An Upstream on a client, which is named as in `opening`."""
    with opening(settings, client) as get, ThreadPoolExecutor(settings.fan_out_limit, "fan-out") as bound:
        yield Upstream(client, get, bound)


# `async def` in both apps: they never wait, and as `def` each would cost a thread hop.
async def get_upstream(request: Request) -> Upstream:
    return request.state.upstream  # type: ignore[no-any-return]  # lifespan state is untyped


async def get_plain_upstream(request: Request) -> Upstream:
    return request.state.plain_upstream  # type: ignore[no-any-return]  # lifespan state is untyped


SlowService = Annotated[Upstream, Depends(get_upstream)]
PlainSlowService = Annotated[Upstream, Depends(get_plain_upstream)]
