"""Windows in which users made no request: they say nothing of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.analysis.readings import Reading


@dataclass(frozen=True)
class NoRequestMade:
    """Users made no request at all in some windows of an arm."""

    arm: str
    windows: int
    """Those without a request."""
    rounds: int


def idle_windows(readings: Mapping[str, Sequence[Reading]]) -> list[NoRequestMade]:
    """The arms in some of whose windows no request was made."""
    empty = {arm: sum(not one.requests for one in seen) for arm, seen in readings.items()}
    return [NoRequestMade(arm, n, len(readings[arm])) for arm, n in empty.items() if n]
