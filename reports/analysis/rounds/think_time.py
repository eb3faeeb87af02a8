"""Whether the users of a closed loop wait between their requests, so that the throughput is theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from loadtests.records import Trial
from reports.analysis.readings import Reading

NOTICED = 0.05
"""Fraction of the users' time that they think from which on the throughput is not the server's alone."""


@dataclass(frozen=True)
class UsersThink:
    """Users wait between requests, so that the throughput is theirs and no capacity."""

    parts: tuple[tuple[str, float], ...]
    """By arm, the fraction of the users' time in which they do."""

    @property
    def mostly(self) -> bool:
        """Whether they do so for half of their time or more, with any arm."""
        return max(part for _, part in self.parts) >= 0.5


def users_think(
    trials: Mapping[str, Sequence[Trial]], readings: Mapping[str, Sequence[Reading]]
) -> list[UsersThink]:
    """Whether the users of a closed loop think for a part of their time that matters."""
    several = [trial for mine in trials.values() for trial in mine]
    users = several[0].cell.load.users if several else None
    if users is None or not any(trial.thinks for trial in several):
        return []
    parts = tuple(
        (arm, max(0.0, 1.0 - fmean(reading.in_flight or 0.0 for reading in seen) / users))
        for arm, seen in readings.items()
    )
    return [UsersThink(parts)] if max(part for _, part in parts) >= NOTICED else []
