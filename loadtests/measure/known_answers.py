"""Apps whose answer is known before they are measured, and the plans of `duel selftest` that measure them.

Forty threads that each wait 50 ms serve 800 requests per second; a loop that is blocked for 20 ms serves 50;
an app against itself shows no difference; and one that computes 30 % longer is found slower.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from fastapi import FastAPI

from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import Plan

WAIT = 0.05
"""Seconds that a request waits on a thread."""

BLOCK = 0.02
"""Seconds for which a request blocks the loop."""

THREADS = 40

COMPUTE = 40_000
"""Iterations: about 2 ms."""

LONGER = 1.3

USERS = 48


def threads() -> FastAPI:
    """`/ping` waits on a thread."""
    app = FastAPI()

    @app.get("/ping")
    def ping() -> str:
        time.sleep(WAIT)
        return "pong"

    return app


def blocked() -> FastAPI:
    """`/ping` blocks the event loop."""
    app = FastAPI()

    @app.get("/ping")
    async def ping() -> str:
        time.sleep(BLOCK)  # the point
        return "pong"

    return app


def computing(iterations: int) -> FastAPI:
    """`/ping` computes."""
    app = FastAPI()

    @app.get("/ping")
    async def ping() -> str:
        value = 1
        for _ in range(iterations):
            value = value * 1_103_515_245 + 12_345 & 0x7FFFFFFF
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


def plans(seed: int) -> Mapping[str, Plan]:
    """What `duel selftest` measures: `ceilings`, `same` and `planted`."""
    twins = {name: Arm(name=name, app=BUILT_IN["async"].app) for name in ("one", "other")}
    return {
        "ceilings": plan(seed, ("threads", "blocked"), "ping", USERS, 1, 2.0),
        "same": Plan(
            profile="selftest", seed=seed, arms=tuple(twins.values()),
            cells=(Cell(scenario="posts.read", load=Load(users=16)),), canary="/ping", warmup=0.5,
            window=1.2, min_rounds=4, max_rounds=8,
        ),
        "planted": plan(seed, ("short", "long"), "ping", 16, 4, 1.2, most=8),
    }  # fmt: skip


def plan(
    seed: int, apps: tuple[str, ...], scenario: str, users: int, rounds: int, window: float, most: int = 0
) -> Plan:
    """A plan whose arms are the apps of this module."""
    return Plan(
        profile="selftest",
        seed=seed,
        arms=tuple(Arm(name=name, app=f"loadtests.measure.known_answers:{name}") for name in apps),
        cells=(Cell(scenario=scenario, load=Load(users=users)),),
        warmup=0.5,
        window=window,
        min_rounds=rounds,
        max_rounds=max(rounds, most),
    )
