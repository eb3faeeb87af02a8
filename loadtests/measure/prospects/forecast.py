"""How long a run takes: by its plan first, then by its calibrations, then by its trials."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loadtests.measure.calibration import window_needed
from loadtests.measure.prospects.feasibility import OFF
from loadtests.plan.cells import Cell
from loadtests.plan.plan import ROUND_OVERHEAD, TRIAL_OVERHEAD, Plan
from loadtests.plan.request import WARMUP_TURNS, WINDOW_TURNS
from loadtests.records.run import Calibration


class Forecast:
    """What the rounds of a run are expected to take, in seconds, and what was announced of the whole."""

    def __init__(self, plan: Plan, calibrations: Sequence[Calibration], cells: Iterable[Cell]) -> None:
        """`cells`: those that are measured."""
        self.plan = plan
        self.rounds = {
            cell.key: ROUND_OVERHEAD
            + sum(trial_seconds(plan, cell, arm.name, calibrations) for arm in plan.arms)
            for cell in cells
        }
        self.announced = plan.expected_seconds()
        self.spent = self.expected = 0.0
        """Of the rounds so far, further attempts at one included."""

    def note(self, cell: Cell, seconds: float) -> None:
        """What a round took, with all its attempts."""
        self.spent += seconds
        self.expected += self.rounds[cell.key]

    def round_seconds(self, cells: Iterable[Cell]) -> float:
        """Of one round of these cells, by the pace of the rounds so far."""
        pace = self.spent / self.expected if self.expected else 1.0
        return pace * sum(self.rounds[cell.key] for cell in cells)

    def correction(self, cells: Iterable[Cell], before: float) -> tuple[float, float] | None:
        """The shortest and longest time of the whole run, if either is off what was announced by more than
        OFF: that is announced from now on; None: it stands. `before`: seconds until the first round."""
        found = self.plan.limited(before, self.round_seconds(cells))
        off = max(max(now / then, then / now) for now, then in zip(found, self.announced, strict=True))
        if off <= OFF:
            return None
        self.announced = found
        return found


def trial_seconds(plan: Plan, cell: Cell, arm: str, calibrations: Sequence[Calibration]) -> float:
    """What a trial is expected to take, with warm-up and window stretched for its users' requests."""
    pause = plan.locustfile.pauses.get(cell.scenario, 0.0) if plan.locustfile is not None else 0.0
    turn = (window_needed(cell, arm, calibrations) or 0.0) / WINDOW_TURNS
    warmup = max(plan.warmup, min(WARMUP_TURNS * turn + pause, plan.longest))
    # Each of users who think counts twice.
    window = max(plan.window, min(WINDOW_TURNS * turn + 2 * pause, plan.longest))
    return warmup + window + TRIAL_OVERHEAD
