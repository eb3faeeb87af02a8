"""The rounds of a cell in which two arms were measured: those that count and those that were lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from loadtests.plan.cells import Cell
from loadtests.plan.plan import BLOCK, Plan
from loadtests.records.run import Run
from loadtests.records.trial import Trial

MOST_LOST = 0.20
"""Fraction of a cell's rounds that may be lost to failed measurements."""


@dataclass(frozen=True)
class RoundsTried:
    """Rounds by number, from 0: of complete blocks only, since half a block has no balanced order."""

    counted: tuple[int, ...] = ()
    """Both arms' last attempts count, or one does and the other is capped, see `bounding`."""
    lost: tuple[int, ...] = ()

    @property
    def spoilt(self) -> bool:
        """Whether too many were lost for the others to count."""
        return self.spoilt_after(0)

    def spoilt_after(self, more: int) -> bool:
        """The same, if that many more rounds all counted."""
        total = len(self.counted) + len(self.lost) + more
        return total > 0 and len(self.lost) / total > MOST_LOST

    def repairable(self, plan: Plan) -> bool:
        """Whether the plan has enough further rounds to make the lost ones few. A cell of which no round
        counts is given up: its measurement fails lastingly, and further rounds would be lost as well."""
        left = max(0, plan.most_rounds - len(self.counted) - len(self.lost))
        return bool(self.counted) and not self.spoilt_after(left)


def rounds_tried(run: Run, cell: Cell, arms: tuple[str, str]) -> RoundsTried:
    """The rounds that both arms have tried together, judged by the last attempt of each."""
    one, other = ({trial.round: trial for trial in run.of(cell, arm)} for arm in arms)
    both = sorted(r for r in one.keys() & other.keys() if together((one[r], other[r])))
    if len(both) >= BLOCK:
        both = both[: len(both) // BLOCK * BLOCK]
    found = RoundsTried(
        counted=tuple(r for r in both if one[r].valid and other[r].valid),
        lost=tuple(r for r in both if not (one[r].valid and other[r].valid)),
    )
    return bounding(found, one, other) if found.spoilt else found


def bounding(found: RoundsTried, one: Mapping[int, Trial], other: Mapping[int, Trial]) -> RoundsTried:
    """Where too many rounds are lost, those in which the generator held back one arm, always the same, and
    the other one counts: they bound the ratio from one side, since the arm that was held back is better than
    it seemed. `one`, `other`: the last trials of two arms by round. Unchanged if that does not suffice."""
    for held, free in ((one, other), (other, one)):
        bound = {r for r in found.lost if held[r].capped and free[r].valid}
        more = RoundsTried(
            counted=tuple(sorted({*found.counted, *bound})),
            lost=tuple(r for r in found.lost if r not in bound),
        )
        if not more.spoilt:
            return more
    return found


def together(trials: Iterable[Trial]) -> bool:
    """Whether trials of several arms in a round were measured one after another, in the order of their
    places. Where a later part of the run measured the round again and was interrupted, an arm has a new trial
    and the next one that of another hour: they are no pair."""
    numbers = [trial.number for trial in sorted(trials, key=lambda trial: trial.place)]
    return numbers == sorted(numbers)


def pairs_tried(run: Run, cell: Cell) -> list[RoundsTried]:
    """The same for every arm and the one that it is compared with."""
    plan = run.plan
    return [rounds_tried(run, cell, (plan.opponent(arm.name).name, arm.name)) for arm in plan.rivals]
