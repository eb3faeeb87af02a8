"""Records → how the latencies of an arm are spread, over all requests and over the time of a window."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.records import Cell, Run, Trial
from reports.estimates import Readings
from reports.statistics import ENOUGH_IN_TAIL

POINTS = 60
"""Of a tail's curve."""


@dataclass(frozen=True)
class Tail:
    """Latencies of all rounds together, from the median outwards as far as ten samples lie beyond."""

    n: int
    parts: tuple[float, ...]
    """Part of the requests that took no longer, 0 to 1."""
    seconds: tuple[float, ...]


def tail(run: Run, readings: Readings, cell: Cell, arm: str) -> Tail | None:
    """How an arm's slowest requests are spread; None without enough of them. Raises RecordError."""
    met = [readings.latencies(trial).took for trial in run.of(cell, arm) if not trial.invalid]
    times = np.sort(np.concatenate(met)) if met else np.zeros(0)
    if len(times) < 2 * ENOUGH_IN_TAIL:
        return None
    farthest = 1.0 - ENOUGH_IN_TAIL / len(times)
    nines = np.linspace(-math.log10(0.5), -math.log10(1.0 - farthest), POINTS)
    parts = 1.0 - 10.0**-nines
    # The same definition as every percentile of a report: an observed value, none in between.
    ranks = np.minimum(np.ceil(parts * len(times)).astype(int) - 1, len(times) - 1)
    return Tail(len(times), tuple(parts.tolist()), tuple(times[ranks].tolist()))


def typical_round(run: Run, readings: Readings, cell: Cell) -> dict[str, Trial]:
    """The trials of the round in which every arm was nearest to its own median throughput; empty where no
    round counts for all arms."""
    last: dict[str, dict[int, Trial]] = {
        arm.name: {trial.round: trial for trial in run.of(cell, arm.name) if not trial.invalid}
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
    """The part of a trial's requests in each cell of time × log latency."""

    parts: NDArray[np.float64]
    """Shape (latency bins, time bins), the quickest first; it sums to 1."""
    n: int


def heat(readings: Readings, trial: Trial, edges: NDArray[np.float64], times: int) -> Heat:
    """A trial's requests over its window; latencies beyond the `edges` count in the outermost bins.
    Raises RecordError."""
    found = readings.latencies(trial)
    took = np.clip(found.took, edges[0], edges[-1])
    moments = np.linspace(0.0, trial.window, times + 1)
    counts, _, _ = np.histogram2d(took, found.due, bins=(edges, moments))
    return Heat(counts / max(1, len(took)), len(took))


def highest_loads(run: Run) -> list[Cell]:
    """The cell with the highest load of every scenario, in the plan's order."""
    found: dict[str, Cell] = {}
    for cell in run.plan.cells:
        known = found.get(cell.scenario)
        if known is None or cell.load.level > known.load.level:
            found[cell.scenario] = cell
    return list(found.values())
