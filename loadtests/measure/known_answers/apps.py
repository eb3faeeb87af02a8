"""Apps whose throughput is known before they are measured.

Forty threads that each wait 50 ms serve 800 requests per second; a loop that is blocked for 20 ms serves 50;
an app against itself shows no difference; and one that computes 30% longer is found slower. A gate that lets
one request through every 5 ms is a queue whose waiting times are known at every rate of arrivals (M/D/1).
"""

from __future__ import annotations

import asyncio
import time

from fastapi import FastAPI

WAIT = 0.05
"""Seconds that a request waits on a thread."""

BLOCK = 0.02
"""Seconds for which a request blocks the loop."""

THREADS = 40

COMPUTE = 40_000
"""Iterations: about 2 ms."""

LONGER = 1.3


GATE = 200.0
"""Requests per second that a gate lets through."""

BEHIND_GATE = 0.02
"""Seconds that a request takes once it is let through."""


def gate(per_second: float = GATE) -> FastAPI:
    """`/ping` waits for its turn at a gate, and then for BEHIND_GATE."""
    app = FastAPI()
    free = time.perf_counter()

    @app.get("/ping")
    async def ping() -> str:
        nonlocal free
        now = time.perf_counter()
        turn = max(now, free)
        free = turn + 1.0 / per_second
        await asyncio.sleep(turn - now + BEHIND_GATE)
        return "pong"

    return app


def wide_gate() -> FastAPI:
    return gate(2.0 * GATE)


def threads() -> FastAPI:
    """`/ping` waits on a thread, and `/light` needs one."""
    app = FastAPI()

    @app.get("/ping")
    def ping() -> str:
        time.sleep(WAIT)
        return "pong"

    @app.get("/light")
    def light() -> str:
        return "light"

    return app


def blocked() -> FastAPI:
    """`/ping` blocks the event loop."""
    app = FastAPI()

    @app.get("/ping")
    async def ping() -> str:
        time.sleep(BLOCK)  # the point
        return "pong"

    return app


def compute(iterations: int) -> int:
    """Pure Python, which holds the GIL."""
    value = 1
    for _ in range(iterations):
        value = value * 1_103_515_245 + 12_345 & 0x7FFFFFFF
    return value


def computing(iterations: int) -> FastAPI:
    """`/ping` computes."""
    app = FastAPI()

    @app.get("/ping")
    async def ping() -> str:
        compute(iterations)
        # Not the value: arms that compute longer must answer alike.
        return "pong"

    return app


def short() -> FastAPI:
    return computing(COMPUTE)


def long() -> FastAPI:
    return computing(round(COMPUTE * LONGER))


def tenth_longer() -> FastAPI:
    return computing(round(COMPUTE * 1.1))


def double() -> FastAPI:
    return computing(COMPUTE * 2)
