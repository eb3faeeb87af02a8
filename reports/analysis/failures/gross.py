"""Arms that fail whatever else is true: that most of an arm's requests fail, no busy generator and no other
guest of the host explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtests.records import FaultKind, Trial
from reports.analysis.readings import Readings
from reports.analysis.reservations import (
    GROSS,
    Failure,
    RequestsFailed,
    RequestsUnanswered,
    failure_rate,
    left_waiting,
)

OWN: frozenset[FaultKind] = frozenset({"generators-lost", "no-sockets"})
"""Faults by which requests fail that never reached the arm."""


def gross_failures(trials: Mapping[str, Sequence[Trial]], readings: Readings) -> dict[str, Failure]:
    """The arms that failed most of their requests, or left their users waiting in vain for most of the time:
    those that answered nothing right, and those that stalled. `trials`: by arm, the last attempt of every
    round, those that do not count included. Raises RecordError."""
    found: dict[str, Failure] = {}
    for arm, several in trials.items():
        seen = [readings.whole(trial) for trial in several if not {one.kind for one in trial.faults} & OWN]
        rate, waited = failure_rate(seen), left_waiting(seen)
        if rate is not None and rate > GROSS:
            found[arm] = RequestsFailed(arm, rate)
        elif waited is not None and waited > GROSS:
            found[arm] = RequestsUnanswered(arm, waited)
    return found


def failing_most(failing: Mapping[str, Failure]) -> list[str]:
    """The arms that fail most of their requests, or leave most of their users' time unanswered. `failing`: by
    arm, how."""
    by_part = (RequestsFailed, RequestsUnanswered)
    return [arm for arm, how in failing.items() if isinstance(how, by_part) and how.part > GROSS]
