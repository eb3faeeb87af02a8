"""A run, or a baseline, as one side of a comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.records import Cell, Machine, Metric, RecordError, Refusal, Run
from reports.analysis.answers.differences import Unlike
from reports.analysis.failures.kinds import FailureKind
from reports.analysis.reservations import NotMeasured
from reports.analysis.statistics import FIRST_LOOK
from reports.analysis.verdicts import Verdict, VerdictWord
from reports.gate.findings import Health, health
from reports.gate.setups import Setup, setup_of


class Incompatible(RecordError):
    """Two runs that cannot be compared: the message says why."""


@dataclass(frozen=True)
class Standing:
    """One arm against its reference in one cell of one run."""

    cell: Cell
    metric: Metric
    reference: str
    arm: str
    word: VerdictWord
    differences: tuple[float, ...]
    """Logarithms of the ratio, one per round."""
    values: tuple[float | None, float | None]
    """Of the reference and the arm."""
    health: tuple[Health, Health]
    """Of the reference and the arm."""
    refusal: Refusal | None = None
    """Why the cell was not measured; None where it was."""
    known: tuple[bool, bool] = (True, True)
    """Whether the true ratio may be called at least, and at most, what was measured: see `Verdict.bounds`."""
    endpoint: str | None = None
    """Of a mixture, the endpoint that is meant; None: the cell as a whole."""
    unlike: tuple[Unlike, ...] = ()
    """How the arms' answers differ, where that makes them `different`; a baseline keeps none."""

    def __str__(self) -> str:
        return f"{self.place}, {self.arm} against {self.reference}"

    @property
    def place(self) -> str:
        """`shop at 20 users`, or `shop at 20 users, posts.list`."""
        return str(self.cell) if self.endpoint is None else f"{self.cell}, {self.endpoint}"

    @property
    def key(self) -> tuple[str, str, str, str]:
        return *self.whole, self.endpoint or ""

    @property
    def whole(self) -> tuple[str, str, str]:
        """The key without the endpoint."""
        return self.cell.key, self.reference, self.arm

    @property
    def names(self) -> tuple[str, str]:
        return self.reference, self.arm

    @property
    def ratio(self) -> float | None:
        if not self.differences:
            return None
        return math.exp(math.fsum(self.differences) / len(self.differences))


@dataclass(frozen=True)
class Side:
    """One run of a comparison."""

    run: str
    machine: Machine
    rows: tuple[Standing, ...]
    setup: Setup
    began: str | None = None
    """Wall clock, ISO 8601 in UTC."""
    failure_kinds: tuple[FailureKind, ...] = ()
    """The kinds of its failed requests; a baseline keeps none."""


def side_of(run: Run, found: Sequence[Verdict], kinds: Sequence[FailureKind] = ()) -> Side:
    """A run as one side of a comparison, by its primary verdicts and those on the endpoints of its mixtures,
    and the `kinds` of its failed requests. Raises Incompatible if its cells stopped once decided."""
    check_whole(run)
    return Side(run.id, run.machine, tuple(map(standing, found)), setup_of(run), run.began, tuple(kinds))


def check_whole(run: Run) -> None:
    """Raises Incompatible unless every cell has the same number of rounds, both planned and measured."""
    hint = "measure with --fixed-rounds 12"
    if not run.plan.fixed:
        raise Incompatible(
            f"run {run.id} stopped each cell when it was decided",
            cause="such runs stop at extremes, and cannot be compared",
            hint=hint,
        )
    if run.plan.max_rounds < FIRST_LOOK:
        raise Incompatible(
            f"run {run.id} has {run.plan.max_rounds} of the {FIRST_LOOK} rounds that an interval needs",
            hint=hint,
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
            f"run {run.id} has fewer than {run.plan.max_rounds} rounds of {missing[0]}",
            hint=f"finish it with `duel resume`, or {hint}",
        )


def standing(row: Verdict) -> Standing:
    reference = row.reference
    refusals = [one.refusal for one in row.reservations if isinstance(one, NotMeasured)]
    different = row.primary and row.verdict == "different"
    return Standing(
        cell=row.cell,
        metric=row.metric,
        reference=reference,
        arm=row.arm,
        word=row.verdict,
        # Those of the rounds that are left do not count.
        differences=() if row.spoilt else row.differences,
        values=(row.values.get(reference), row.values.get(row.arm)),
        # How much an arm fails is judged of a cell as a whole.
        health=(health(row, reference), health(row, row.arm)) if row.primary else (Health(), Health()),
        refusal=refusals[0] if refusals else None,
        known=(row.bounds[0] == row.low, row.bounds[1] == row.high),
        endpoint=None if row.primary else row.endpoint,
        unlike=tuple(one for one in row.reservations if isinstance(one, Unlike)) if different else (),
    )
