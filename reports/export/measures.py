"""Each arm's own value in each cell, with its interval: for trackers that keep a history.

A tracker compares a value with the earlier one of the same name; where there is none, it says nothing. So the
names depend on the plan, not on the number of requests that happened to be made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.plan.request import WINDOW_TURNS
from loadtests.records import Cell, Metric, Plan, Trial
from reports.analysis.estimates import (
    METRICS,
    PARTS,
    geometric_mean_of,
    needed_for,
    own_interval,
    own_trials,
)
from reports.analysis.readings import Readings
from reports.analysis.reservations import failure_rate
from reports.analysis.rounds.consistency import own_ends
from reports.analysis.statistics import percentile
from reports.conclusions import Conclusions

SURE = 2
"""A percentile is a series where the plan makes this many times the requests that it needs."""


@dataclass(frozen=True)
class Measure:
    """One arm's own value; requests per second, or seconds. The geometric mean over the rounds; a percentile
    for which some round has too few requests is that of all rounds' requests together."""

    cell: Cell
    arm: str
    metric: Metric
    value: float
    low: float | None
    """Ends of its repeated interval; None before the first look, where some round has no value, and on a side
    that is not known since the load generator held the arm back."""
    high: float | None
    n: int
    """Rounds."""
    failed: float | None = None
    """Fraction of the arm's requests that failed in them."""


def measures(conclusions: Conclusions) -> list[Measure]:
    """The measures of every arm that was measured, in the plan's order; without percentiles that failures
    make infinite. Raises RecordError."""
    run, readings = conclusions.run, conclusions.readings
    found = []
    for cell in run.plan.cells:
        for arm in run.plan.arms:
            valid = own_trials(run, cell, arm.name)
            failed = failure_rate([readings.whole(trial) for trial in valid])
            for metric in series(run.plan, cell):
                value = value_of(metric, valid, readings)
                if value is None:
                    continue
                interval = own_interval(run, readings, cell, arm.name, metric)
                low, high = own_ends(run, cell, arm.name, metric, interval) if interval else (None, None)
                found.append(Measure(cell, arm.name, metric, value, low, high, len(valid), failed))
    return found


def series(plan: Plan, cell: Cell) -> list[Metric]:
    """The metrics of a cell: throughput, the median, and each further percentile for which the plan makes
    enough requests. In a closed loop these are the turns of every user in its shortest window."""
    rate, users = cell.load.rate, cell.load.users or 0
    least = plan.min_rounds * (WINDOW_TURNS * users if rate is None else rate * plan.window)
    return [
        metric for metric in METRICS
        if metric in ("throughput", "p50") or least >= SURE * needed_for(metric)
    ]  # fmt: skip


def value_of(metric: Metric, trials: Sequence[Trial], readings: Readings) -> float | None:
    """One arm's value over its trials. None without trials, or where it cannot be stated."""
    values = [readings.whole(trial).value(metric) for trial in trials]
    mean = geometric_mean_of(values)
    if mean is not None or not trials:
        return mean
    # The geometric mean of figures one of which is zero: an arm that answers nothing must not vanish.
    return 0.0 if metric == "throughput" else pooled(metric, trials, readings)


def pooled(metric: Metric, trials: Sequence[Trial], readings: Readings) -> float | None:
    """A percentile of the requests of all trials together."""
    seen = [readings.latencies(trial) for trial in trials]
    took = np.sort(np.concatenate([one.took for one in seen]))
    return percentile(took, PARTS[metric], sum(one.failed for one in seen))
