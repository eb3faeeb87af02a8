"""Run against run: has the ratio of the arms become worse? For a gate in CI. changes.py judges each cell."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from loadtests.records import Machine
from reports.analysis.verdicts import Outcome
from reports.gate.changes import ALPHA, Change, change, findings, moved
from reports.gate.findings import together, worst
from reports.gate.setups import CELLS, SAID, SetupDifference, differences
from reports.gate.sides import Incompatible, Side, Standing

DRIFT, DRIFT_ELSEWHERE = 0.02, 0.05
"""Standard deviation of a ratio between two sessions, and between two machines, without any change."""

DIGITS = 5
"""Decimal places of a logarithm: 0.00001 is far below any noise."""


@dataclass(frozen=True)
class Difference:
    """One property in which two machines differ."""

    what: Literal["cpu", "cores", "system", "database"]
    base: str
    head: str


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side."""

    base: Side
    head: Side
    margin: float
    changes: tuple[Change, ...]
    elsewhere: tuple[Difference, ...]
    """How the machines differ; empty if they are the same."""
    setups: tuple[SetupDifference, ...]
    """How the setups differ, in what is allowed."""
    added: tuple[Standing, ...]
    """Cells that only the later run has: shown, but not judged."""
    missing: tuple[Standing, ...]
    """Cells that only the earlier run has, where that is allowed."""
    not_judged: tuple[Standing, ...] = ()
    """Endpoints of mixtures that the earlier run has no ratio of: their windows hold too few requests."""

    @property
    def outcome(self) -> Outcome:
        """The worst of all cells."""
        return worst([change.outcome for change in self.changes])

    @property
    def swapped(self) -> bool:
        """Whether the head was measured before the base."""
        before, after = self.base.began, self.head.began
        return before is not None and after is not None and after < before


def compare(base: Side, head: Side, margin: float, allow: Collection[str] = ()) -> Comparison:
    """The change of every cell of `base`. `allow`: names of differences between the setups that are meant,
    see setups.py. Raises Incompatible where the runs are one, or any other difference is found, with all of
    them: nothing passes silently."""
    if not base.rows:
        raise Incompatible(f"run {base.run} has no cell to compare")
    check_two(base, head)
    setups = tuple(differences(base.setup, head.setup))
    check_alike(base, head, setups, allow)
    before, after = ({row.key: row for row in side.rows} for side in (base, head))
    wholes = [
        {
            row.whole
            for row in side.rows
            if row.endpoint is None and row.word != "invalid" and row.refusal is None
        }
        for side in (base, head)
    ]
    both = [
        (row, after.get(row.key) or vanished(row))
        for row in base.rows
        if row.key in after or (row.endpoint is not None and row.whole in wholes[1])
    ]
    pairs = [pair for pair in both if pair[0].endpoint is None or pair[0].differences]
    elsewhere = other_machine(base.machine, head.machine)
    drift = DRIFT_ELSEWHERE if elsewhere else DRIFT
    shifts = [moved(*pair, drift) for pair in pairs]
    found = [
        list(findings(*pair, one, margin, not elsewhere)) for pair, one in zip(pairs, shifts, strict=True)
    ]
    judged = zip(pairs, together(found, ALPHA), shifts, strict=True)
    return Comparison(
        base=base,
        head=head,
        margin=margin,
        changes=tuple(change(*pair, decision, one, margin) for pair, decision, one in judged),
        elsewhere=elsewhere,
        setups=setups,
        added=tuple(row for row in head.rows if row.key not in before and told(row, wholes[0])),
        missing=tuple(row for row in base.rows if row.key not in after and row.endpoint is None),
        not_judged=tuple(row for row, _ in both if row.endpoint is not None and not row.differences),
    )


def vanished(row: Standing) -> Standing:
    """The head of an endpoint that only the base requested, in a cell that both sides measured: without any
    figure, which is no reason to be silent."""
    return replace(row, word="inconclusive", differences=(), values=(None, None))


def told(row: Standing, others: Collection[tuple[str, str, str]]) -> bool:
    """Whether a row that the base lacks is named: of a cell that it lacks or did not measure, the cell
    alone."""
    return row.endpoint is None or row.whole in others


def check_two(base: Side, head: Side) -> None:
    """Raises Incompatible where both sides are one run, which would pass every gate."""
    hint = "name two different runs: duel compare BASE HEAD"
    if base.run == head.run:
        raise Incompatible(f"base and head are the same run, {base.run}", hint=hint)
    figures = [
        {row.key: tuple(round(value, DIGITS) for value in row.differences) for row in side.rows}
        for side in (base, head)
    ]
    if base.began == head.began and figures[0] == figures[1] and any(figures[0].values()):
        raise Incompatible(
            f"runs {base.run} and {head.run} began at once and have the same figures",
            cause="one is a copy of the other",
            hint=hint,
        )


def check_alike(base: Side, head: Side, setups: Sequence[SetupDifference], allow: Collection[str]) -> None:
    """Raises Incompatible where the sides were measured differently, with every difference that is not
    allowed."""
    later = {row.key: row for row in head.rows}
    refused = [one for one in setups if one.name not in SAID and one.name not in allow]
    cells = [row for row in base.rows if row.endpoint is None]
    missing = [row for row in cells if row.key not in later] if CELLS not in allow else []
    common = [row for row in base.rows if row.key in later]
    metrics = [
        f"{row} is decided by {row.metric}, now by {later[row.key].metric}"
        for row in common
        if row.metric != later[row.key].metric
    ]
    causes = [*map(str, refused), *(f"the head lacks {row}" for row in missing), *metrics]
    if not causes and not common:
        causes = ["they have no cell in common"]
    if causes:
        names = dict.fromkeys([*(one.name for one in refused), *([CELLS] if missing else [])])
        flags = "".join(f" --allow {name}" for name in names)
        hint = "measure both sides alike" + (f", or allow what is meant to differ:{flags}" if flags else "")
        raise Incompatible(
            f"runs {base.run} and {head.run} were measured differently", cause="\n".join(causes), hint=hint
        )


def other_machine(base: Machine, head: Machine) -> tuple[Difference, ...]:
    """Differences between two machines that can change ratios on their own."""
    names: tuple[Literal["cpu", "cores", "system", "database"], ...] = ("cpu", "cores", "system", "database")
    return tuple(
        Difference(name, str(getattr(base, name)), str(getattr(head, name)))
        for name in names
        if getattr(base, name) != getattr(head, name)
    )
