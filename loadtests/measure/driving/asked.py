"""A route that was asked, and what held the event loop meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtests.measure.driving.beside import LightWaits
from loadtests.records import LoopHolds
from loadtests.serving.server import Target

AFTER = 0.02
"""Seconds for what an app does after its answer, such as background tasks."""


@dataclass
class DrivenRoute:
    """A route with its answers, as `reports.advice.driven` reads it."""

    name: str
    """As `GET /items/{item_id}`."""
    request: str
    """As it was sent."""
    status: int = 0
    """Of the last answer; 0 where none came in time."""
    cpu: float | None = None
    """CPU seconds of the server for a request, beyond those of an empty one; None where not known."""
    beside: LightWaits | None = None
    """What a light request waits beside it, where it computes in a thread."""
    visits: list[LoopHolds] = field(default_factory=list)
    """What held the loops during each request but the first."""

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "visits": [one.model_dump(mode="json") for one in self.visits]}


def held_during(server: Target, ask: Callable[[], None]) -> LoopHolds | None:
    """What held the server's loops while it was asked; None where the server does not tell. Raises what `ask`
    raises."""
    since = time.perf_counter()
    ask()
    time.sleep(AFTER)
    return LoopHolds.of(server.held(since, time.perf_counter()))
