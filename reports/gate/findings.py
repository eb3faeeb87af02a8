"""What a gate finds of one property of a cell, and what follows for the cell: reliability, and the fit into
the available time. Speed is judged where its interval comes from: outcomes.py, comparison.py.

Degrees are compared, not only whether an arm is `failing`: a head is worse if its share of failed requests
rose by more than a tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loadtests.records import MUCH_SLOWER, Frozen, Metric, Refusal
from reports.analysis.backlogs.judgement import MOST_BEHIND, Backlog, BacklogPossible
from reports.analysis.estimates import PARTS
from reports.analysis.reservations import (
    GROSS,
    MOST_FAILURES,
    MOST_RESENT,
    NOTICED_FAILURES,
    RequestsFailed,
    RequestsUnanswered,
)
from reports.analysis.statistics import FIRST_LOOK, holm, least_variance, repeated_p, shift
from reports.analysis.verdicts import Degrees, Outcome, Verdict

WORST_FIRST: Sequence[Outcome] = ("regression", "invalid", "inconclusive", "pass")
"""The order of severity."""

BY_DEGREE = (RequestsFailed, RequestsUnanswered, Backlog)

Counted = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Amount = Annotated[float, Field(ge=0.0, le=1e12)]


Degree = Literal["failed", "unanswered", "behind", "resent"]
"""How much an arm fails: the share of its requests that failed; that of the users' time that went into
requests without any answer; pieces of work left unfinished per response; the share of its requests that were
sent twice, since it dropped their connection."""

LIMITS: Mapping[Degree, tuple[float, float]] = {
    "failed": (NOTICED_FAILURES, MOST_FAILURES),
    "unanswered": (NOTICED_FAILURES, MOST_FAILURES),
    "behind": (MOST_BEHIND, MOST_BEHIND),
    "resent": (MOST_RESENT, MOST_RESENT),
}
"""A rise from which on a degree matters, and the degree above which an arm is `failing`, or drops
connections."""


@dataclass(frozen=True)
class FailsBy:
    """How much an arm fails on both sides: the mean over the rounds, of `behind` the median."""

    arm: str
    degree: Degree
    base: float
    head: float


@dataclass(frozen=True)
class BeganToFail:
    """An arm is failing now, and was not before, for a reason of which no degree is recorded."""

    arm: str


@dataclass(frozen=True)
class FailedBefore:
    """An arm is failing on both sides, for a reason of which no degree is recorded."""

    arm: str


@dataclass(frozen=True)
class MayPileUp:
    """An arm may respond faster than it does the work now, which its base does not."""

    arm: str


@dataclass(frozen=True)
class AnsweredNothing:
    """An arm of the base has no figure in any round, since its requests failed: no head is worse."""

    arm: str


@dataclass(frozen=True)
class Unfit:
    """The head's cell was refused: each user's requests need a longer window than is available."""

    arm: str
    needed: float
    """Seconds of a window."""
    limit: float
    base: float | None
    """What the base needs at most; None where that is not known."""


@dataclass(frozen=True)
class FitsNow:
    """The base's cell was refused, since it did not fit the available time, and the head's was measured."""


@dataclass(frozen=True)
class SideInvalid:
    """The measurement failed."""

    sides: tuple[Literal["base", "head"], ...]


@dataclass(frozen=True)
class RatioMissing:
    """A side lacks a ratio in some rounds."""


@dataclass(frozen=True)
class ArmsUnlike:
    """The arms answer differently, so that no ratio compares them."""

    sides: tuple[Literal["base", "head"], ...]


@dataclass(frozen=True)
class NearMaximum:
    """An arm came near the generator's maximum rate, so that the change is known from one side at most."""


@dataclass(frozen=True)
class NotAmongAll:
    """A regression that is not significant after Holm correction over all cells."""

    cells: int


GateNote = (
    FailsBy | BeganToFail | FailedBefore | MayPileUp | AnsweredNothing | Unfit | FitsNow | SideInvalid
    | RatioMissing | ArmsUnlike | NearMaximum | NotAmongAll
)  # fmt: skip


@dataclass(frozen=True)
class GateFinding:
    """One property of one cell."""

    about: Literal["speed", "reliability", "fit", "measurement"]
    outcome: Outcome
    p: float | None = None
    """Small if a regression is proven; None: not a matter of probability."""
    note: GateNote | None = None


@dataclass(frozen=True)
class Decision:
    """What the findings of a cell mean together."""

    findings: tuple[GateFinding, ...]
    cells: int | None = None
    """Of this many cells together, a regression here is not significant; None: it is, or there is none."""

    @property
    def outcome(self) -> Outcome:
        """The worst of all findings: nothing makes up for a regression."""
        return worst([one.outcome for one in self.findings])

    @property
    def speed(self) -> Outcome | None:
        """The finding on speed alone; None where there is none."""
        return next((one.outcome for one in self.findings if one.about == "speed"), None)

    @property
    def notes(self) -> tuple[GateNote, ...]:
        """The notes, the worst finding's first."""
        ordered = sorted(self.findings, key=lambda one: WORST_FIRST.index(one.outcome))
        noted = tuple(one.note for one in ordered if one.note is not None)
        return noted if self.cells is None else (NotAmongAll(self.cells), *noted)


def worst(words: Collection[Outcome]) -> Outcome:
    """The worst of all; invalid if nothing was judged."""
    return next((word for word in WORST_FIRST if word in words), "invalid")


def together(cells: Sequence[Sequence[GateFinding]], alpha: float) -> list[Decision]:
    """The decision on every cell by its findings; regressions that are not significant after Holm correction
    over all findings with a p-value at error rate `alpha` become inconclusive."""
    family = [one for findings in cells for one in findings if one.p is not None]
    # A finding that is no regression counts with p = 1, regardless of its own.
    p = [one.p if one.outcome == "regression" and one.p is not None else 1.0 for one in family]
    significant = {id(one) for one, sure in zip(family, holm(p, alpha), strict=True) if sure}
    decisions = []
    for findings in cells:
        demoted = [
            replace(one, outcome="inconclusive")
            if one.outcome == "regression" and one.p is not None and id(one) not in significant
            else one
            for one in findings
        ]
        lost = any(now is not before for now, before in zip(demoted, findings, strict=True))
        decisions.append(Decision(tuple(demoted), len(family) if lost else None))
    return decisions


@dataclass(frozen=True)
class Series:
    """One degree of one arm, round by round."""

    values: Sequence[float]
    least: float = 0.0
    """The mean variance that a round has at least: a share of few requests is uncertain by itself."""

    @classmethod
    def shares(cls, counts: Sequence[tuple[int, int]]) -> Self:
        """Of counts of how many of how many. Rounds are the unit, since requests of one round fail together;
        but the variance of a binomial share is the least that a share can have."""
        return cls([part / of for part, of in counts], fmean(least_variance(*one) for one in counts))

    @property
    def mean(self) -> float:
        return fmean(self.values)

    @property
    def median(self) -> float:
        return median(self.values)


Test = Callable[[Series, Series, float], float | None]
"""The p-value against a rise, from the base to the head, of exactly a bound; None for too few rounds."""


def paired(base: Series, head: Series, bound: float) -> float | None:
    """For two arms of the same rounds: the repeated t-interval of the differences, valid at every look."""
    rises = [after - before for before, after in zip(base.values, head.values, strict=True)]
    return repeated_p(rises, bound, math.sqrt(base.least + head.least))


def unpaired(base: Series, head: Series, bound: float) -> float | None:
    """For two runs: Welch's t-test, one-sided."""
    error = math.sqrt((base.least / len(base.values) + head.least / len(head.values)) / 2.0)
    moved = shift(base.values, head.values, error)
    if moved is None:
        return None if min(len(base.values), len(head.values)) < FIRST_LOOK else 0.0
    below = moved.p_below(bound)
    return min(below, 1.0 - below)


class Health(Frozen):
    """How reliably an arm answered, round by round; an unknown degree is empty."""

    failed: tuple[Counted, ...] = ()
    """Failed requests, and all."""
    unanswered: tuple[Share, ...] = ()
    behind: tuple[Amount, ...] = ()
    resent: tuple[Counted, ...] = ()
    """Requests that were sent twice, and all."""
    may_pile_up: bool = False
    """Whether it cannot be excluded that work piles up."""
    failing: Literal["by degree", "otherwise"] | None = None
    """Whether its verdict says so: by one of these degrees, or for another reason."""

    @model_validator(mode="after")
    def parts_of_a_whole(self) -> Self:
        if any(part > of for part, of in (*self.failed, *self.resent)):
            raise ValueError("more requests failed, or were sent twice, than there were")
        return self

    def rounds(self, degree: Degree) -> Series | None:
        """None where the degree is unknown."""
        if not getattr(self, degree):
            return None
        counted = {"failed": self.failed, "resent": self.resent}
        return Series.shares(counted[degree]) if degree in counted else Series(getattr(self, degree))


def health(verdict: Verdict, arm: str) -> Health:
    """How reliably one of a verdict's arms answered."""
    told = [one for one in verdict.reservations if isinstance(one, BY_DEGREE)]
    by_degree = verdict.verdict == "invalid" or arm in [one.arm for one in told]
    failing = None if arm not in verdict.failing else "by degree" if by_degree else "otherwise"
    doubts = [one.arm for one in verdict.reservations if isinstance(one, BacklogPossible)]
    degrees = vars(verdict.degrees.get(arm, Degrees()))
    return Health.model_construct(**degrees, failing=failing, may_pile_up=arm in doubts)


def reliability(
    arm: str, base: Health, head: Health, margin: float, test: Test, alpha: float
) -> list[GateFinding]:
    """Whether an arm fails more than before, by each of its degrees, and for reasons that have none.

    A rise matters from a fixed amount on, and from the margin of what the base has. If a larger one is
    proven, it is a regression, and a pass if a smaller one is. A degree that is unknown on either side is
    not compared: then the verdicts say which side fails.
    """
    found, unknown, exceeded = [], False, False
    for degree, (noticed, limit) in LIMITS.items():
        before, after = base.rounds(degree), head.rounds(degree)
        unknown = unknown or before is None or after is None
        if before is None or after is None or not any((*before.values, *after.values)):
            continue
        note = FailsBy(
            arm, degree, *(one.median if degree == "behind" else one.mean for one in (before, after))
        )
        exceeded = exceeded or note.head > limit
        rise, matters = note.head - note.base, max(noticed, margin * note.base)
        p = test(before, after, matters)
        proven = p is not None and p <= alpha
        began = note.base <= limit < note.head and rise > limit
        if rise > matters and (began or gross(before, after)):
            found.append(GateFinding("reliability", "regression", None, note))
        elif rise > matters:
            found.append(GateFinding("reliability", "regression" if proven else "inconclusive", p, note))
        else:
            sound = proven or (note.head <= limit and head.failing != "by degree")
            found.append(GateFinding("reliability", "pass" if sound else "inconclusive", p, note))
    if head.failing == "otherwise" or (head.failing == "by degree" and unknown and not exceeded):
        known = base.failing == head.failing
        word: Outcome = "inconclusive" if known else "regression"
        found.append(GateFinding("reliability", word, None, FailedBefore(arm) if known else BeganToFail(arm)))
    if head.may_pile_up and not base.may_pile_up:
        found.append(GateFinding("reliability", "inconclusive", None, MayPileUp(arm)))
    return found


def gross(base: Series | None, head: Series | None) -> bool:
    """Whether every round of the head fails by more than GROSS more than any round of the base, so that no
    interval is needed."""
    return base is not None and head is not None and min(head.values) - max(base.values) > GROSS


def lost(health: Health, metric: Metric) -> bool:
    """Whether an arm has no figure in any round: all of its requests failed, or so many that a percentile is
    infinite."""
    rounds, part = health.rounds("failed"), PARTS.get(metric, 0.0)
    if rounds is None or len(rounds.values) < FIRST_LOOK:
        return False
    return all(share == 1.0 or (part > 0.0 and share > 1.0 - part) for share in rounds.values)


def fit(arm: str, refusal: Refusal, needed: float, base: float | None) -> GateFinding:
    """Whether a refused cell is the head's doing: a window of `needed` seconds is much longer than those that
    fit, and than the base needs at most. Calibrations are single and short: nothing less is a regression."""
    much = base is not None and needed > MUCH_SLOWER * max(base, refusal.window)
    return GateFinding(
        "fit", "regression" if much else "inconclusive", None, Unfit(arm, needed, refusal.window, base)
    )
