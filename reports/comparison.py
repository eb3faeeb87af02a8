"""Run against run: has the ratio of the arms become worse? For a gate in CI.

What is compared is the ratio of each arm to its reference, which every run measures interleaved on one
machine: a slower machine moves both arms alike. The bounds are those of a non-inferiority test (Schuirmann, A
comparison of the two one-sided tests procedure, 1987); docs/method.md has the formula.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadtests.records import Cell, Machine, Metric, RecordError, Run
from reports import units
from reports.conclusions import Conclusions
from reports.statistics import FIRST_LOOK, holm, shift
from reports.verdicts import Outcome, Verdict, Word

LEVEL = 0.05
"""Error rate of a gate over all its cells."""
DRIFT, DRIFT_ELSEWHERE = 0.02, 0.05
"""Standard deviations by which a ratio differs between two sessions, and between two machines, though nothing
was changed."""
MOVED = 0.05
"""Part by which an arm's own value must differ to be named as the one that moved."""


class Incompatible(RecordError):
    """Two runs that cannot be compared: the message says why."""


@dataclass(frozen=True)
class Standing:
    """One arm against its reference in one cell of one run."""

    cell: Cell
    metric: Metric
    reference: str
    arm: str
    word: Word
    differences: tuple[float, ...]
    """Logarithms of the ratio, one per round."""
    values: tuple[float | None, float | None]
    """Of the reference and the arm."""
    failing: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        return self.cell.key, self.reference, self.arm

    @property
    def ratio(self) -> float | None:
        if not self.differences:
            return None
        return math.exp(math.fsum(self.differences) / len(self.differences))


@dataclass(frozen=True)
class Side:
    """What one run brings to a comparison."""

    run: str
    machine: Machine
    rows: tuple[Standing, ...]
    scenarios: str | None = None
    """The digest of somebody's own scenarios."""


@dataclass(frozen=True)
class Change:
    """What became of one cell."""

    base: Standing
    head: Standing
    outcome: Outcome
    ratio: float | None = None
    """The later ratio ÷ the earlier one, turned so that above 1 is better for the arm; None where a side
    has none."""
    low: float | None = None
    high: float | None = None
    """One-sided bounds, 95 % each."""
    p: float | None = None
    """Small when a regression is proven."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side."""

    base: Side
    head: Side
    margin: float
    changes: tuple[Change, ...]
    elsewhere: tuple[str, ...]
    """In what the machines differ; empty where they are the same."""
    added: tuple[str, ...]
    """Cells that only the later run has: shown, and not judged."""

    @property
    def outcome(self) -> Outcome:
        """The worst of all cells."""
        words = {change.outcome for change in self.changes}
        order: Sequence[Outcome] = ("regression", "invalid", "inconclusive", "pass")
        return next(word for word in order if word in words)


def side(conclusions: Conclusions) -> Side:
    """A run's part in a comparison. Raises Incompatible for one that stopped when it was decided."""
    run = conclusions.run
    check_whole(run)
    rows = tuple(standing(row) for row in conclusions.primaries)
    return Side(run.id, run.machine, rows, run.plan.scenarios.digest if run.plan.scenarios else None)


def check_whole(run: Run) -> None:
    """Raises Incompatible unless every cell has the same number of rounds, by plan and in fact."""
    hint = "measure with --fixed-rounds 12"
    if not run.plan.fixed or run.plan.max_rounds < FIRST_LOOK:
        raise Incompatible(
            f"run {run.id} stopped each cell when it was decided, or has fewer than {FIRST_LOOK} rounds: "
            "such runs stop at extremes, and cannot be compared",
            hint,
        )
    missing = [
        cell
        for cell in run.plan.cells
        if cell.key not in run.refused
        for arm in run.plan.arms
        if len({trial.round for trial in run.of(cell, arm.name)}) < run.plan.max_rounds
    ]
    if missing:
        raise Incompatible(
            f"run {run.id} has not all {run.plan.max_rounds} rounds of {missing[0]}",
            f"carry it on: duel run --resume, or {hint}",
        )


def standing(row: Verdict) -> Standing:
    reference = row.reference
    values = (row.values.get(reference), row.values.get(row.arm))
    return Standing(
        row.cell, row.metric, reference, row.arm, row.verdict, row.differences, values, row.failing
    )  # fmt: skip


def compare(base: Side, head: Side, margin: float) -> Comparison:
    """What became of every cell of `base`. Raises Incompatible where `head` lacks one, or measured it
    otherwise: nothing passes silently."""
    later = {row.key: row for row in head.rows}
    missing = [row for row in base.rows if row.key not in later]
    if not base.rows:
        raise Incompatible(f"run {base.run} has no cell to compare")
    if base.scenarios != head.scenarios:
        raise Incompatible(
            f"runs {base.run} and {head.run} were loaded by different scenarios",
            "measure both sides with the same file: --scenarios FILE",
        )
    if missing:
        raise Incompatible(
            f"run {head.run} lacks {'; '.join(map(named, missing))}",
            "measure the same arms, scenarios and loads on both sides",
        )
    for row in base.rows:
        if row.metric != later[row.key].metric:
            raise Incompatible(
                f"{named(row)} is decided by {row.metric} in one run and by {later[row.key].metric} in the "
                "other",
                "measure with the same window (-t) on both sides",
            )
    elsewhere = other_machine(base.machine, head.machine)
    drift = DRIFT_ELSEWHERE if elsewhere else DRIFT
    changes = [change(row, later[row.key], margin, drift) for row in base.rows]
    known = {row.key for row in base.rows}
    return Comparison(
        base=base,
        head=head,
        margin=margin,
        changes=tuple(together(changes, margin)),
        elsewhere=elsewhere,
        added=tuple(named(row) for row in head.rows if row.key not in known),
    )


def named(row: Standing) -> str:
    return f"{row.cell}, {row.arm} against {row.reference}"


def other_machine(base: Machine, head: Machine) -> tuple[str, ...]:
    """In what two machines differ that moves ratios by itself."""
    found = []
    for name in ("cpu", "cores", "system", "database"):
        before, after = getattr(base, name), getattr(head, name)
        if before != after:
            found.append(f"{name}: {before}, now {after}")
    return tuple(found)


def change(base: Standing, head: Standing, margin: float, drift: float) -> Change:
    """One cell, by itself."""
    if "invalid" in (base.word, head.word):
        where = " and ".join(
            side for side, row in (("base", base), ("head", head)) if row.word == "invalid"
        )  # fmt: skip
        return Change(base, head, "invalid", notes=(f"the measurement failed in {where}",))
    failing = sorted(set(head.failing) - set(base.failing))
    if failing:
        return Change(base, head, "regression", p=0.0, notes=(f"{' and '.join(failing)} began to fail",))
    if base.failing or head.failing:
        return Change(base, head, "inconclusive", notes=(f"{', '.join(base.failing)} failed before",))
    sign = 1.0 if base.metric == "throughput" else -1.0
    before, after = ([sign * value for value in row.differences] for row in (base, head))
    moved = shift(before, after, drift)
    if moved is None:
        return Change(base, head, "inconclusive", notes=("a side has no ratio in every round",))
    low, high = moved.bounds(LEVEL)
    bound = -math.log1p(margin)
    outcome: Outcome = "regression" if high < bound else "pass" if low > bound else "inconclusive"
    return Change(
        base,
        head,
        outcome,
        math.exp(moved.change),
        math.exp(low),
        math.exp(high),
        moved.p_below(bound),
        tuple(who_moved(base, head, sign)),
    )


def who_moved(base: Standing, head: Standing, sign: float) -> list[str]:
    """A ratio moves when either arm does: which one it was, by its own values."""
    said = []
    for number, arm in enumerate((base.reference, base.arm)):
        before, after = base.values[number], head.values[number]
        if before is None or after is None:
            continue
        if abs(math.log(after / before)) > math.log1p(MOVED):
            better = "better" if sign * (after - before) > 0 else "worse"
            shown = f"{units.value(base.metric, before)} before, {units.value(base.metric, after)} now"
            said.append(f"{arm} itself did {better}: {shown}")
    return said


def together(changes: Sequence[Change], margin: float) -> list[Change]:
    """Regressions that stand when all cells together may err as often as one (Holm); the others are not
    decided."""
    judged = [one for one in changes if one.p is not None]
    stands = dict(zip(map(id, judged), holm([one.p or 0.0 for one in judged], LEVEL), strict=True))
    found = []
    for one in changes:
        if one.outcome == "regression" and not stands[id(one)]:
            note = (
                f"worse than the margin of {margin:.0%} by itself, and not among {len(judged)} cells (Holm)"
            )
            found.append(replace(one, outcome="inconclusive", notes=(note, *one.notes)))
        else:
            found.append(one)
    return found
