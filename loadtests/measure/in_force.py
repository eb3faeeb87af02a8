"""What is in force on a running server, and whether its arm asked for that."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from loadtests.errors import PlanError
from loadtests.plan.arms import Arm, Serving
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.in_force import InForce
from loadtests.serving.server import Target

FIRST_BEAT = 0.5
"""Seconds to wait for the heartbeats of a server that has just started."""

POLL = 0.02


def in_force(server: Target) -> InForce | None:
    """By the last heartbeat of each worker, and what they say of themselves; None where a server has none."""
    if server.arm.url is not None or server.arm.serving.heartbeats == "off":
        return None
    deadline = time.monotonic() + FIRST_BEAT
    while True:
        now = time.perf_counter()
        workers = server.heartbeats(now)
        if workers and all(workers):
            found = reported(Heartbeats.of([rows[-1:] for rows in workers], now))
            return found.model_copy(update=next(iter(server.served()), {}))
        if time.monotonic() > deadline or server.ended() is not None:
            return None
        time.sleep(POLL)


def reported(last: Heartbeats) -> InForce:
    """From one heartbeat of each worker."""
    return InForce(
        workers=len(last), threads=limit(float(last.tokens.min())), pool=limit(float(last.pool.max()))
    )


def limit(value: float) -> int | None:
    """A number of tokens or connections; None where it is not known, or infinite."""
    return round(value) if math.isfinite(value) else None


def check_in_force(arms: Sequence[Arm], served: Arm, found: InForce | None) -> None:
    """Raises PlanError where `served` runs with another number of threads than it asks for, and it or another
    of the `arms` of the same app asks for one that is not the default: it has no effect, and arms that differ
    in nothing else are the same. Who asks for nothing gets a warning in the report."""
    if found is None or found.threads == served.serving.threads:
        return
    for arm in arms:
        asked = arm.serving.threads
        if same_app(arm, served) and asked not in (found.threads, Serving().threads):
            has = "no limit" if found.threads is None else f"{found.threads}"
            raise PlanError(
                f"arm {arm.name!r} asks for threads={asked}, and its app runs with {has}",
                cause="the app sets AnyIO's thread limit itself, which overrules threads=",
                hint="have the app read its limit from a variable and sweep that (--sweep env.KEY=5,40), or "
                "leave threads= out",
            )


def same_app(arm: Arm, other: Arm) -> bool:
    """Whether two arms differ in how they are served only, which an app does not see."""
    return arm.model_copy(update={"name": other.name, "serving": other.serving}) == other
