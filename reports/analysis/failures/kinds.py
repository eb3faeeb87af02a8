"""The kinds of failed requests, per cell, arm and endpoint: what to look at first where requests fail."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.records import Cell, Run, Trial
from reports.analysis.names.endpoints import ALL
from reports.analysis.readings import Readings

MOST_KINDS = 50
"""Kinds of one arm in a cell; of more, as with a path per item, endpoints are not distinguished."""


@dataclass(frozen=True)
class FailureKind:
    """Requests of one arm that failed alike, in every trial of a cell, those that do not count and those on
    CPUs that the cell has left included: what an arm answers does not depend on who is to blame for a lost
    round."""

    cell: Cell
    arm: str
    endpoint: str
    status: int | None
    """HTTP status; None where there was no answer."""
    exception: str | None
    """Its name; None for arrivals that were never sent, since all users were still waiting."""
    example: str
    """The message of the most frequent exception of this name."""
    count: int
    requests: int
    """All requests of the endpoint, whether or not they failed."""


def failure_kinds(run: Run, readings: Readings) -> tuple[FailureKind, ...]:
    """In the plan's order of cells and arms, per arm the most frequent kinds first. Raises RecordError."""
    return tuple(
        kind
        for cell in run.plan.cells
        for arm in run.plan.arms
        for kind in of_arm(cell, arm.name, run.every(cell, arm.name), readings)
    )


def of_arm(cell: Cell, arm: str, trials: Sequence[Trial], readings: Readings) -> list[FailureKind]:
    """One arm's kinds in a cell. Raises RecordError."""
    requests: Counter[str] = Counter()
    alike: defaultdict[tuple[str, int, str], Counter[str]] = defaultdict(Counter)
    for trial in trials:
        requests[ALL] += readings.whole(trial).requests
        requests.update({name: one.requests for name, one in readings.of(trial).items() if name != ALL})
        for (endpoint, status, error), count in readings.failed(trial).items():
            exception, _, message = error.partition(": ")
            alike[endpoint, status, exception][message] += count
    if len(alike) > MOST_KINDS:
        whole: defaultdict[tuple[str, int, str], Counter[str]] = defaultdict(Counter)
        for (_, status, exception), messages in alike.items():
            whole[ALL, status, exception].update(messages)
        alike = whole
    found = [
        FailureKind(
            cell=cell,
            arm=arm,
            endpoint=endpoint,
            status=status or None,
            exception=exception or None,
            example=messages.most_common(1)[0][0],
            count=messages.total(),
            requests=requests[endpoint],
        )
        for (endpoint, status, exception), messages in alike.items()
    ]
    return sorted(found, key=lambda kind: (-kind.count, kind.endpoint, kind.status or 0))
