"""What a time limit leaves for the loads before the rounds: endless or slow answers must not use it up."""

from __future__ import annotations

import time

from loadtests.plan.plan import Plan
from loadtests.plan.request import LONGEST

CALIBRATING, ASKING = 1 / 3, 1 / 10
"""Parts of the limit in which the arms are calibrated, and asked what their users get."""

STAGES = 3
"""Parts of a calibration that may be stretched: its warm-up, its window and its end."""

VISITS = 2
"""Visits of an arm that may be cut off in each scenario: of a user alone, and of a crowd."""


class TimeLimit:
    """The limit of a plan, from now on. Seconds."""

    def __init__(self, plan: Plan | None) -> None:
        self.limit = plan.deadline if plan is not None else None
        self.arms = len(plan.arms) if plan is not None else 1
        self.began = time.perf_counter()

    def stretch(self, loads: int) -> float:
        """To which each stage of a calibration may be stretched, where an arm gets `loads` of them."""
        if self.limit is None:
            return LONGEST
        return min(LONGEST, CALIBRATING * self.limit / (self.arms * loads * STAGES))

    def visit(self, usual: float, scenarios: int) -> float:
        """That a visit may take, which may take `usual` without a limit."""
        if self.limit is None:
            return usual
        return min(usual, ASKING * self.limit / (self.arms * scenarios * VISITS))

    def repeatable(self) -> bool:
        """Whether a disturbed calibration may be repeated."""
        return self.limit is None or time.perf_counter() - self.began < CALIBRATING * self.limit
