"""How the answers of two arms differ, as data: `reports/wording` makes the sentences.

Arms that do different work cannot be compared: an app that answers `{"error": …}` is fast. Before load, the
generator asks both arms the same; during load, the samples hold the status and the size of every answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.records import SIZE_FACTOR, SIZE_SLACK, AnswerDifference, Cell, Run
from reports.analysis.estimates import Pairs
from reports.analysis.names.endpoints import TOGETHER, endpoint_name
from reports.analysis.readings import Answers, Readings

MOST_APART = 0.01
"""Fraction of the successful requests that may be of another kind: as many as may fail."""

LEAST = 30
"""Answers of each arm from which on they are compared."""

SIGMAS = 4.0
"""Standard errors by which a difference must exceed that: a distribution is compared at many points."""


@dataclass(frozen=True)
class AnswersDiffer:
    """The arms answered the same request differently, before load."""

    difference: AnswerDifference


@dataclass(frozen=True)
class StatusesDiffer:
    """Under load, a status is more frequent among the successful requests of one arm."""

    endpoint: str
    status: int
    reference: str
    arm: str
    reference_part: float
    """Fraction of the reference's successful requests."""
    arm_part: float


@dataclass(frozen=True)
class SizesDiffer:
    """Under load, answers of one arm are of a size that the other's are not."""

    endpoint: str
    reference: str
    arm: str
    reference_size: float
    """Median in bytes."""
    arm_size: float
    part: float
    """Fraction of the answers that would have to be of another size."""


Unlike = AnswersDiffer | StatusesDiffer | SizesDiffer


def unlike(run: Run, readings: Readings, cell: Cell, pairs: Pairs, rival: str) -> list[Unlike]:
    """How the answers of an arm in a cell differ from its opponent's: first what was seen before load. Raises
    RecordError."""
    reference = run.plan.opponent(rival).name
    asked = answered_apart(run, cell.scenario, reference, rival)
    known = {endpoint_name(one.difference.endpoint) for one in asked}
    ours, theirs = (
        by_endpoint([readings.answers(trial) for trial in side]) for side in (pairs.reference, pairs.rival)
    )
    return [*asked, *under_load(reference, rival, ours, theirs, known)]


def answered_apart(run: Run, scenario: str, reference: str, rival: str) -> list[AnswersDiffer]:
    """How the answers of two arms to a scenario's requests differed before load."""
    return [
        AnswersDiffer(one)
        for one in (run.answers.differences if run.answers else ())
        if (one.scenario, one.reference, one.arm) == (scenario, reference, rival)
    ]


def by_endpoint(trials: Sequence[Mapping[str, Answers]]) -> dict[str, Answers]:
    """The answers of several trials together."""
    names = dict.fromkeys(name for trial in trials for name in trial)
    return {name: Answers.of([trial[name] for trial in trials if name in trial]) for name in names}


def under_load(
    reference: str, arm: str, ours: Mapping[str, Answers], theirs: Mapping[str, Answers], known: set[str]
) -> Iterator[Unlike]:
    """Differences in the samples, of endpoints that are not `known` to differ."""
    both = [name for name in ours if name in theirs and min(len(ours[name]), len(theirs[name])) >= LEAST]
    if ours and theirs and not both:
        # Each name is requested a few times only, as the paths of an app are.
        ours, theirs = ({TOGETHER: Answers.of(list(side.values()))} for side in (ours, theirs))
        both = [TOGETHER] if min(len(ours[TOGETHER]), len(theirs[TOGETHER])) >= LEAST else []
    for endpoint in both:
        if endpoint in known or (endpoint == TOGETHER and known):
            continue
        mine, others = ours[endpoint], theirs[endpoint]
        status, part = other_status(mine, others), other_sizes(mine, others)
        if status is not None:
            parts = mine.part(status), others.part(status)
            yield StatusesDiffer(endpoint, status, reference, arm, *parts)
        elif part is not None:
            yield SizesDiffer(endpoint, reference, arm, mine.median, others.median, part)


def other_status(ours: Answers, theirs: Answers) -> int | None:
    """The status whose share differs most; None where none differs."""
    statuses = sorted({*ours.statuses, *theirs.statuses})
    mine, others = (np.array([one.part(status) for status in statuses]) for one in (ours, theirs))
    found = excess(mine, others, len(ours), len(theirs))
    return statuses[found[0]] if found else None


def other_sizes(ours: Answers, theirs: Answers) -> float | None:
    """The fraction of answers of a size that the other arm's do not have; None where the sizes are alike.

    The Lévy distance on a scale of factors: for every size x, the fraction of one arm's answers up to x may
    exceed the other's up to SIZE_FACTOR·x + SIZE_SLACK by no more than `MOST_APART`.
    """
    found = []
    for one, other in ((ours, theirs), (theirs, ours)):
        sizes = one.sizes.astype(np.float64)
        wide = other.up_to(sizes * SIZE_FACTOR + SIZE_SLACK)
        found.append(excess(np.maximum(one.up_to(sizes), wide), wide, len(one), len(other)))
    return max((gap for _, gap in filter(None, found)), default=None)


def excess(
    one: NDArray[np.float64], other: NDArray[np.float64], ones: int, others: int
) -> tuple[int, float] | None:
    """Where shares of `ones` and of `others` answers differ most, and by how much; None where no difference
    is both large and more than chance."""
    pooled = (one * ones + other * others) / (ones + others)
    error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / ones + 1.0 / others))
    gap = np.abs(one - other)
    large = np.where(gap > MOST_APART + SIGMAS * error, gap, 0.0)
    most = int(np.argmax(large))
    return (most, float(large[most])) if large[most] > 0.0 else None


def explained(found: Sequence[Unlike], failing: Sequence[str]) -> bool:
    """Whether arms that fail differ only in that: where an answer is an error, so is what is in it."""
    errors = {
        one.difference.endpoint
        for one in found
        if isinstance(one, AnswersDiffer) and failed(one.difference, failing)
    }
    return all(isinstance(one, AnswersDiffer) and one.difference.endpoint in errors for one in found)


def failed(difference: AnswerDifference, failing: Sequence[str]) -> bool:
    """Whether a failing arm answers with an error, and the other one does not."""
    if difference.kind != "status":
        return False
    sides = ((difference.reference, difference.reference_has), (difference.arm, difference.arm_has))
    bad = [name for name, statuses in sides if any(int(one) >= 400 or int(one) == 0 for one in statuses)]
    return len(bad) == 1 and bad[0] in failing
