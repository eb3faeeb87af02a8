"""Servers whose throughput is known: requests pass a rate limiter one by one, at planted gaps.

The gaps are drawn around their mean, so that windows differ as real ones do; the limiter's clock does
not depend on the machine's speed, so the mean rate is exact.
"""

import asyncio
import os
from random import Random
from time import perf_counter
from typing import Any


class Limiter:
    """`/ping` responds once per `gap` seconds on average, over all users."""

    def __init__(self, gap: float, scatter: float = 0.5) -> None:
        self.gap = gap
        self.scatter = scatter
        self.random = Random(os.getpid())
        self.next = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        now = perf_counter()
        # More than a second behind schedule: a pause without requests, which is not caught up on.
        self.next = (self.next if self.next > now - 1.0 else now) + self.gap * self.random.uniform(
            1.0 - self.scatter, 1.0 + self.scatter
        )
        await asyncio.sleep(max(0.0, self.next - now))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


def fast() -> Limiter:
    """400 requests per second."""
    return Limiter(0.0025)


def slow() -> Limiter:
    """200 requests per second: half of `fast`."""
    return Limiter(0.005)


def even() -> Limiter:
    """200 requests per second at even gaps."""
    return Limiter(0.005, scatter=0.0)
