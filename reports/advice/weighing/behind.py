"""An arm whose work piles up may still finish more of it than the other one answers: then the other is no
remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reports.analysis.backlogs.judgement import Backlog
from reports.analysis.signs import Signs
from reports.analysis.verdicts import Verdict


@dataclass(frozen=True)
class FinishesMore:
    """The arm whose work piles up finishes more of it than the other arm. Requests per second, of which
    all work is done."""

    arm: str
    other: str
    finished: float
    others: float


def finishes_more(verdict: Verdict, found: Mapping[str, Signs | None]) -> FinishesMore | None:
    """Whether the only failing arm, whose work piles up, finishes more than the other. None where it
    fails otherwise, or where throughputs are not known."""
    pile = next((one for one in verdict.reservations if isinstance(one, Backlog)), None)
    if pile is None or verdict.failing != (pile.arm,):
        return None
    other = verdict.arm if pile.arm == verdict.reference else verdict.reference
    ours, theirs = found.get(pile.arm), found.get(other)
    if ours is None or theirs is None:
        return None
    finished = ours.throughput * finished_part(pile)
    return (
        FinishesMore(pile.arm, other, finished, theirs.throughput) if finished > theirs.throughput else None
    )


def finished_part(pile: Backlog) -> float:
    """The fraction of its responses whose work an arm finishes: at least that if a response leaves more than
    one piece of work, and at most all where pieces alone do not tell."""
    if pile.behind < 1.0:
        return 1.0 - pile.behind
    if pile.alone and pile.loaded is not None:
        return min(1.0, pile.loaded / pile.alone)
    return 1.0
