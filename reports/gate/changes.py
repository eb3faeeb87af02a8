"""The change of one cell from one run to the next: its ratio, its arms' reliability, its fit.

What is compared is the ratio of each arm to its reference, which every run measures interleaved on one
machine: a slower machine moves both arms alike. The bounds are those of a non-inferiority test (Schuirmann, A
comparison of the two one-sided tests procedure, 1987); docs/method.md has the formula. Besides, each arm is
compared with itself: how much it fails, and whether its cell still fits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from loadtests.records import Metric, Refusal
from reports.analysis.statistics import Shift, shift
from reports.analysis.verdicts import Outcome
from reports.gate.findings import (
    AnsweredNothing,
    ArmsUnlike,
    Decision,
    FitsNow,
    GateFinding,
    GateNote,
    NearMaximum,
    RatioMissing,
    SideInvalid,
    fit,
    gross,
    lost,
    reliability,
    unpaired,
)
from reports.gate.sides import Standing

ALPHA = 0.05
"""Error rate of a gate over all its cells."""

MOVED = 0.05
"""Relative difference of an arm's own value from which on it is named as the one that moved."""


@dataclass(frozen=True)
class ArmMoved:
    """An arm's own value differs: seconds, or requests per second."""

    arm: str
    metric: Metric
    before: float
    after: float

    @property
    def better(self) -> bool:
        return (self.after > self.before) == (self.metric == "throughput")


ChangeNote = GateNote | ArmMoved


@dataclass(frozen=True)
class Change:
    """The change of one cell."""

    base: Standing
    head: Standing
    decision: Decision
    ratio: float | None = None
    """The later ratio ÷ the earlier one, oriented so that above 1 is better for the arm; None if a side has
    none."""
    low: float | None = None
    high: float | None = None
    """One-sided bounds, 95% each."""
    p: float | None = None
    """Small when a regression of the ratio is proven."""
    moved: tuple[ArmMoved, ...] = ()
    """The arms whose own values moved."""

    @property
    def outcome(self) -> Outcome:
        return self.decision.outcome

    @property
    def notes(self) -> tuple[ChangeNote, ...]:
        return (*self.decision.notes, *self.moved)


def moved(base: Standing, head: Standing, drift: float) -> Shift | None:
    """The change of the ratio, oriented so that above 0 is better; None where a side has none."""
    sign = 1.0 if base.metric == "throughput" else -1.0
    before, after = ([sign * value for value in row.differences] for row in (base, head))
    return shift(before, after, drift)


def findings(
    base: Standing, head: Standing, ratio: Shift | None, margin: float, here: bool
) -> Iterator[GateFinding]:
    """Everything that is judged of one cell. `here`: whether both sides ran on the same machine."""
    if base.refusal is not None or head.refusal is not None:
        yield fitting(base, head, here)
        return
    reliable = [
        one
        for name, before, after in zip(base.names, base.health, head.health, strict=True)
        for one in reliability(name, before, after, margin, unpaired, ALPHA)
    ]
    invalid = tuple(name for name, row in sides_of(base, head) if row.word == "invalid")
    if not invalid:
        yield speed(base, head, ratio, margin)
        yield from reliable
        return
    # A starved generator measures no speed, but does not make most requests of an arm fail.
    pairs = zip(base.health, head.health, strict=True)
    if base.word != "invalid" and any(
        gross(before.rounds("failed"), after.rounds("failed")) for before, after in pairs
    ):
        yield from (one for one in reliable if one.outcome == "regression")
    else:
        yield GateFinding("measurement", "invalid", None, SideInvalid(invalid))


def sides_of(base: Standing, head: Standing) -> tuple[tuple[Literal["base", "head"], Standing], ...]:
    return ("base", base), ("head", head)


def fitting(base: Standing, head: Standing, here: bool) -> GateFinding:
    """Of a cell that one side could not measure. Seconds say nothing between two machines."""
    if head.refusal is None:
        sound = here and head.word not in ("failing", "invalid")
        return GateFinding("fit", "pass" if sound else "inconclusive", None, FitsNow())
    arm, needed = most_needed(head, head.refusal)
    before = head.refusal.window if base.refusal is None else most_needed(base, base.refusal)[1]
    return fit(arm, head.refusal, needed, before if here else None)


def most_needed(row: Standing, refusal: Refusal) -> tuple[str, float]:
    """The arm that needs the longest window, in seconds."""
    known = {name: refusal.needs[name] for name in row.names if name in refusal.needs}
    if not known:
        return f"{row.reference} or {row.arm}", refusal.needed
    arm = max(known, key=lambda name: known[name])
    return arm, known[arm]


def speed(base: Standing, head: Standing, ratio: Shift | None, margin: float) -> GateFinding:
    """Whether the ratio became worse by more than the margin."""
    if ratio is None:
        if lost(base.health[1], base.metric) and head.differences:
            return GateFinding("speed", "pass", None, AnsweredNothing(base.arm))
        unlike = tuple(name for name, row in sides_of(base, head) if row.word == "different")
        return GateFinding("speed", "inconclusive", None, ArmsUnlike(unlike) if unlike else RatioMissing())
    low, high = ratio.bounds(ALPHA)
    bound = -math.log1p(margin)
    worse, better = (base, head) if base.metric == "throughput" else (head, base)
    # Of the change, better − worse, oriented so that above 0 is better.
    above_low, below_high = better.known[0] and worse.known[1], better.known[1] and worse.known[0]
    word: Outcome = "inconclusive"
    if high < bound and below_high:
        word = "regression"
    elif low > bound and above_low:
        word = "pass"
    note = None if above_low and below_high else NearMaximum()
    return GateFinding("speed", word, ratio.p_below(bound), note)


def change(base: Standing, head: Standing, decision: Decision, ratio: Shift | None, margin: float) -> Change:
    """One cell with its figures."""
    if ratio is None or decision.speed is None:
        return Change(base, head, decision)
    low, high = ratio.bounds(ALPHA)
    p = ratio.p_below(-math.log1p(margin))
    exp = math.exp
    return Change(
        base, head, decision, exp(ratio.change), exp(low), exp(high), p, tuple(who_moved(base, head))
    )  # fmt: skip


def who_moved(base: Standing, head: Standing) -> list[ArmMoved]:
    """The arms whose own values moved: a ratio moves when either arm does."""
    found = []
    for arm, before, after in zip(base.names, base.values, head.values, strict=True):
        if before is None or after is None:
            continue
        if abs(math.log(after / before)) > math.log1p(MOVED):
            found.append(ArmMoved(arm, base.metric, before, after))
    return found
