"""In which order, and for how long at a time, the arms of a round are loaded.

A host's speed drifts within seconds, so arms take turns in short slices: A, B, A for two arms, or A, B, A, B,
A in longer windows. The outer slices have half the length of the others. So every arm gets the same time, and
a drift that is linear over the round cancels in every ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell
from loadtests.plan.plan import Plan
from loadtests.records.trial import Apart

SHORTEST = 0.5
"""Seconds that a slice lasts at least. Shorter ones would spend more time on their beginnings than they
measure."""

HEAD = 0.3
"""Seconds of a slice's load before its window opens, besides an arm's first slice, which has the plan's
warm-up."""

HEAD_TURNS = 4
"""Minimum of the same in requests per user. Until the pipeline of a server is as full as in a long window,
the faster arm is underrated: with less than one turn, a ratio of 0.80 read 0.87."""

MOST_SWEEPS = 20
"""Of a round. In longer windows the slices are longer: a host drifts within seconds, and more of them would
only spend more on their beginnings."""

SLICE_TURNS = 3
"""Minimum of a slice in requests per user."""


@dataclass(frozen=True)
class Stint:
    """One slice of one arm."""

    arm: Arm
    part: float
    """Of the arm's window in this round."""
    first: bool
    """Whether it is the arm's first one in this round."""
    last: bool

    @property
    def whole(self) -> bool:
        """Whether it is the arm's only one."""
        return self.first and self.last


def stints(order: Sequence[Arm], sweeps: int) -> list[Stint]:
    """The slices of a round: its arms in this order, then in reverse order, as many `sweeps` as are asked
    for; none: each arm's window in one piece."""
    if not sweeps or len(order) == 1:
        return [Stint(arm, 1.0, first=True, last=True) for arm in order]
    visits = [(arm, 0.5 / sweeps) for _ in range(sweeps) for arm in (*order, *order[::-1])]
    merged = visits[:1]
    for arm, part in visits[1:]:
        if arm is merged[-1][0]:
            merged[-1] = (arm, merged[-1][1] + part)
        else:
            merged.append((arm, part))
    arms = [arm.name for arm, _ in merged]
    return [
        Stint(arm, part, arm.name not in arms[:at], arm.name not in arms[at + 1 :])
        for at, (arm, part) in enumerate(merged)
    ]


def sweeps(plan: Plan, cell: Cell, turn: float, apart: Apart | None) -> int:
    """How often the arms are loaded in order and in reverse order in a round; 0: each once. `turn`: the
    longest that a user of one of the arms is expected to need for a request, in seconds.

    The users of a locustfile begin again with every slice, with the accounts and names of the one before:
    their windows are never divided. Nor are those of an open loop, which are long and have few requests.
    """
    divisible = plan.locustfile is None and plan.generators == 1 and cell.load.rate is None
    if apart is not None or not divisible or len(plan.arms) == 1:
        return 0
    return min(max(1, int(plan.window / (2.0 * max(SHORTEST, SLICE_TURNS * turn)))), MOST_SWEEPS)
