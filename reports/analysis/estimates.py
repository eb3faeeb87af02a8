"""Readings → estimates: each arm's ratio to the reference over rounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.records import Cell, Fault, Metric, RoundsTried, Run, Trial, rounds_tried
from reports.analysis.readings import Reading, Readings
from reports.analysis.statistics import ENOUGH_IN_TAIL, Interval, geometric_mean, repeated_interval

METRICS: tuple[Metric, ...] = ("throughput", "p50", "p95", "p99")

PARTS: Mapping[Metric, float] = {
    "p50": 0.50, "p95": 0.95, "p99": 0.99, "service_p50": 0.50, "service_p99": 0.99,
}  # fmt: skip


def needed_for(metric: Metric) -> int:
    """Requests in a window without which a percentile has no value."""
    return round(ENOUGH_IN_TAIL / (1.0 - PARTS[metric]))


@dataclass(frozen=True)
class Pairs:
    """A cell's rounds in which both arms were measured, and why the others do not count."""

    tried: RoundsTried
    reference: tuple[Trial, ...]
    rival: tuple[Trial, ...]
    faults: tuple[Fault, ...]
    """The reasons: per kind, the fault of the last trial that has it."""
    lost: tuple[tuple[Trial, Trial], ...] = ()
    """The trials of the rounds that do not count, the reference's first."""

    @property
    def rounds(self) -> tuple[int, ...]:
        return self.tried.counted

    def every(self, place: int) -> tuple[Trial, ...]:
        """The trials of all rounds, those that do not count last: of the reference (0) or the rival (1)."""
        counted = (self.reference, self.rival)[place]
        return (*counted, *(both[place] for both in self.lost))


def pair(run: Run, cell: Cell, rival: str) -> Pairs:
    """The pairs of a cell."""
    reference = run.plan.opponent(rival).name
    tried = rounds_tried(run, cell, (reference, rival))
    last = {arm: {trial.round: trial for trial in run.of(cell, arm)} for arm in (reference, rival)}
    faults = {fault.kind: fault for r in tried.lost for arm in last for fault in last[arm][r].faults}
    return Pairs(
        tried=tried,
        reference=tuple(last[reference][r] for r in tried.counted),
        rival=tuple(last[rival][r] for r in tried.counted),
        faults=tuple(faults.values()),
        lost=tuple((last[reference][r], last[rival][r]) for r in tried.lost),
    )


@dataclass(frozen=True)
class Estimate:
    """One metric of an arm against the reference: the arm's value ÷ the reference's, per round."""

    metric: Metric
    reference: float | None
    """The reference's value, the geometric mean over rounds; None where it cannot be stated."""
    rival: float | None
    differences: tuple[float, ...]
    """Logarithms of the ratio, one per round."""
    interval: Interval | None

    @property
    def ratio(self) -> float | None:
        if self.reference is None or self.rival is None:
            return None
        return self.rival / self.reference


def estimate(metric: Metric, reference: list[Reading], rival: list[Reading], alpha: float) -> Estimate:
    """The ratio over rounds; no estimate if any round lacks a value on either side: selecting rounds by their
    values would bias it."""
    ours = [reading.value(metric) for reading in reference]
    theirs = [reading.value(metric) for reading in rival]
    ref, riv = geometric_mean_of(ours), geometric_mean_of(theirs)
    if ref is None or riv is None:
        return Estimate(metric, ref, riv, (), None)
    differences = tuple(
        math.log(theirs[i] / ours[i])  # type: ignore[operator]  # geometric_mean_of found no None among them
        for i in range(len(ours))
    )
    return Estimate(metric, ref, riv, differences, repeated_interval(differences, alpha))


def own_trials(run: Run, cell: Cell, arm: str) -> list[Trial]:
    """The trials of one arm that count, whatever became of the others: one per round. A round that was lost
    to another arm may have been measured again; one in which the generator held this arm back counts where a
    verdict takes it as a bound, see `bounding`."""
    last = {trial.round: trial for trial in run.of(cell, arm)}
    valid = {trial.round: trial for trial in run.of(cell, arm) if trial.valid}
    pairs = ((run.plan.opponent(rival.name).name, rival.name) for rival in run.plan.rivals)
    bounds = {r: last[r] for both in pairs if arm in both for r in rounds_tried(run, cell, both).counted}
    return list((bounds | valid).values())


def own_interval(run: Run, readings: Readings, cell: Cell, arm: str, metric: Metric) -> Interval | None:
    """One arm's own value over its rounds, the geometric mean with its repeated interval, as if it were a
    ratio to one; None before the first look, or where a round has no value. Raises RecordError."""
    seen = [readings.whole(trial) for trial in own_trials(run, cell, arm)]
    return mean_interval(metric, seen, run.plan.alpha)


def mean_interval(metric: Metric, seen: Sequence[Reading], alpha: float) -> Interval | None:
    """A metric's geometric mean over rounds with its repeated interval, as if it were a ratio to one; None
    before the first look, or where a round has no value."""
    values = [one.value(metric) for one in seen]
    known = [math.log(value) for value in values if value is not None and value > 0.0]
    return repeated_interval(known, alpha) if len(known) == len(values) else None


def geometric_mean_of(values: list[float | None]) -> float | None:
    """The geometric mean, where every round has a positive value."""
    known = [value for value in values if value is not None and value > 0.0]
    return geometric_mean(known) if known and len(known) == len(values) else None
