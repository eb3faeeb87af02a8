"""The HTTP client to the slow service: opened once for the app's life, pooled, kept alive."""

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
    """Calls the slow service; `bound` holds down the calls that all fan-outs have in flight."""

    def __init__(self, client: httpx.Client, bound: ThreadPoolExecutor) -> None:
        self.client = client
        self.bound = bound

    def call(self, delay: float) -> str:
        """What the slow service answers after about `delay` seconds; 502 when it does not."""
        try:
            response = self.client.get(f"?delay={delay}")
            response.raise_for_status()
        except httpx.HTTPError:
            raise UpstreamFailed from None
        return response.text

    def call_many(self, calls: int, delay: float) -> list[str]:
        """`calls` answers, asked for at once."""
        return list(self.bound.map(self.call, [delay] * calls))


def pool_limits(settings: Settings) -> httpx.Limits:
    """One connection for each call in flight, all kept alive."""
    connections = settings.upstream_connections
    return httpx.Limits(max_connections=connections, max_keepalive_connections=connections)


def scaling_transport(settings: Settings) -> httpx.BaseTransport:
    """httpx's own transport, which serves threads well."""
    return httpx.HTTPTransport(limits=pool_limits(settings))


@contextmanager
def open_upstream(settings: Settings, transport: httpx.BaseTransport | None = None) -> Iterator[Upstream]:
    """An Upstream on `transport`; without one on httpx as it comes, as the tutorials show it."""
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


# `async def` in both apps: they wait for nothing, and as `def` each would cost a thread hop.
async def get_upstream(request: Request) -> Upstream:
    return request.state.upstream  # type: ignore[no-any-return]  # lifespan state is untyped


async def get_plain_upstream(request: Request) -> Upstream:
    return request.state.plain_upstream  # type: ignore[no-any-return]  # lifespan state is untyped


SlowService = Annotated[Upstream, Depends(get_upstream)]
PlainSlowService = Annotated[Upstream, Depends(get_plain_upstream)]
