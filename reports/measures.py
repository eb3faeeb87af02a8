"""What each arm did in each cell by itself, with its interval: for trackers that keep a history."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.records import Cell, Metric
from reports.conclusions import Conclusions
from reports.estimates import METRICS, mean_of, own_interval


@dataclass(frozen=True)
class Measure:
    """The geometric mean over the rounds of one arm's own value; requests per second, or seconds."""

    cell: Cell
    arm: str
    metric: Metric
    value: float
    low: float | None
    """Ends of its repeated interval; None before the first look."""
    high: float | None
    n: int
    """Rounds."""


def measures(conclusions: Conclusions) -> list[Measure]:
    """All that were measured in every round, in the plan's order. Raises RecordError."""
    run, readings = conclusions.run, conclusions.readings
    found = []
    for cell in run.plan.cells:
        for arm in run.plan.arms:
            valid = [trial for trial in run.of(cell, arm.name) if not trial.invalid]
            for metric in METRICS:
                value = mean_of([readings.whole(trial).value(metric) for trial in valid])
                if value is None:
                    continue
                interval = own_interval(run, readings, cell, arm.name, metric)
                low, high = (interval.low, interval.high) if interval else (None, None)
                found.append(Measure(cell, arm.name, metric, value, low, high, len(valid)))
    return found
