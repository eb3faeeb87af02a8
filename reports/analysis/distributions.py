"""Records → an arm's latency distribution, over all requests and over the time of a window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.records import Cell, Run, Trial
from reports.analysis.readings import Readings
from reports.analysis.statistics import ENOUGH_IN_TAIL

POINTS = 60
"""Points of a tail's curve."""


@dataclass(frozen=True)
class Tail:
    """Latencies of all rounds together, from the median to the last percentile with ten samples beyond it,
    or to the first one that only failed requests reach, which are infinitely slow."""

    n: int
    """Requests, failed ones included."""
    parts: tuple[float, ...]
    """Fraction of the requests that took no longer."""
    seconds: tuple[float, ...]


def tail(run: Run, readings: Readings, cell: Cell, arm: str) -> Tail | None:
    """The distribution of an arm's slowest requests; None with too few samples. Raises RecordError."""
    met = [readings.latencies(trial) for trial in run.of(cell, arm) if trial.valid]
    times = np.sort(np.concatenate([one.took for one in met])) if met else np.zeros(0)
    n = len(times) + sum(one.failed for one in met)
    if n < 2 * ENOUGH_IN_TAIL or len(times) <= n / 2:
        return None
    farthest = min(1.0 - ENOUGH_IN_TAIL / n, len(times) / n)
    nines = np.linspace(-math.log10(0.5), -math.log10(1.0 - farthest), POINTS)
    parts = 1.0 - 10.0**-nines
    # The same definition as every percentile of a report: an observed value, never interpolated.
    ranks = np.minimum(np.ceil(parts * n).astype(int) - 1, len(times) - 1)
    return Tail(n, tuple(parts.tolist()), tuple(times[ranks].tolist()))


def typical_round(run: Run, readings: Readings, cell: Cell) -> dict[str, Trial]:
    """The trials of the round in which the arms were closest to their median throughputs; empty where no
    round counts for all arms."""
    last: dict[str, dict[int, Trial]] = {
        arm.name: {trial.round: trial for trial in run.of(cell, arm.name) if trial.valid}
        for arm in run.plan.arms
    }
    shared = sorted(set.intersection(*(set(found) for found in last.values())))
    if not shared:
        return {}

    def distances(found: Mapping[int, Trial]) -> NDArray[np.float64]:
        rates = np.array([readings.whole(found[number]).throughput for number in shared])
        middle = float(np.median(rates))
        away: NDArray[np.float64] = np.abs(rates / middle - 1.0) if middle > 0.0 else np.zeros(len(rates))
        return away

    away = np.sum([distances(found) for found in last.values()], axis=0)
    nearest = shared[int(np.argmin(away))]
    return {arm: found[nearest] for arm, found in last.items()}


@dataclass(frozen=True)
class Heat:
    """The fraction of a trial's requests in each bin of time × log latency."""

    parts: NDArray[np.float64]
    """Shape (latency bins, time bins), the fastest first; sums to the fraction that did not fail."""
    n: int
    """Requests, failed ones included."""
    borders: tuple[float, ...] = ()
    """Where one slice ends and the next one begins, as fractions of the window."""


def heat(readings: Readings, trial: Trial, edges: NDArray[np.float64], times: int) -> Heat:
    """A trial's successful requests over its window, as fractions of all; latencies beyond the `edges` count
    in the outermost bins. Raises RecordError."""
    found = readings.latencies(trial)
    took = np.clip(found.took, edges[0], edges[-1])
    moments = np.linspace(0.0, trial.window, times + 1)
    counts, _, _ = np.histogram2d(took, found.due, bins=(edges, moments))
    n = len(took) + found.failed
    ends = np.cumsum([one.window for one in trial.windows]) / trial.window
    return Heat(counts / max(1, n), n, tuple(ends[:-1].tolist()))


def highest_loads(run: Run) -> list[Cell]:
    """The cell with the highest load of every scenario, in the plan's order."""
    found: dict[str, Cell] = {}
    for cell in run.plan.cells:
        known = found.get(cell.scenario)
        if known is None or cell.load.level > known.load.level:
            found[cell.scenario] = cell
    return list(found.values())
