"""The clocks of two hosts: how far apart they are, as far as messages between them can tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class RoundTrip:
    """A message that was answered at once; seconds on `perf_counter`'s clocks."""

    sent: float
    """By our clock."""
    at: float
    """By the other one, when it was answered."""
    back: float
    """By our clock."""

    @property
    def seconds(self) -> float:
        return self.back - self.sent


@dataclass(frozen=True)
class ClockOffset:
    """What the other clock shows, less what ours shows."""

    seconds: float
    error: float
    """Bound of what it may be off by, in seconds: half of the round trip."""

    @classmethod
    def of(cls, pings: Iterable[RoundTrip]) -> ClockOffset:
        """By the ping with the shortest round trip, which waited least on its ways (Cristian's algorithm,
        1989). Clocks that agree within the error are one: processes of a host share theirs, and two hosts
        start theirs at different moments."""
        best = min(pings, key=lambda ping: ping.seconds)
        error = best.seconds / 2
        seconds = best.at - (best.sent + error)
        return cls(0.0 if abs(seconds) <= error else seconds, error)
