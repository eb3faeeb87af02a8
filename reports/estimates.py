"""Records → estimates: what each trial showed, and each arm's ratio to the reference over rounds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadtests.records import Beats, Cell, Metric, Run, RunDirectory, Samples, Trial
from reports.backlog import left_behind
from reports.statistics import Interval, geometric_mean, percentile, repeated_interval

METRICS: tuple[Metric, ...] = ("throughput", "p50", "p95", "p99")
PARTS: Mapping[Metric, float] = {
    "p50": 0.50, "p95": 0.95, "p99": 0.99, "service_p50": 0.50, "service_p99": 0.99,
}  # fmt: skip
FIGURE = re.compile(r"\d+")
ALL = "all"
"""Stands for all endpoints of a mixed scenario together."""


@dataclass(frozen=True)
class Reading:
    """What one trial showed of one endpoint, or of all. Seconds, and requests per second."""

    requests: int
    """Requests in flight during the window, and those that were due in it and never made."""
    failures: int
    """Those of them that failed, were never answered, or never made."""
    throughput: float
    """Successful requests that ended in the window per second."""
    p50: float | None
    p95: float | None
    p99: float | None
    service_p50: float | None = None
    service_p99: float | None = None
    ended: int = 0
    """Successful requests that ended in the window."""
    answered: int = 0
    """Successful requests that were due in it."""
    mean: float | None = None
    """Their mean response time."""
    growth: float | None = None
    """Logarithm of what was served in the window's second half ÷ in its first."""
    behind: float | None = None
    """Tasks that every answer of the whole trial left undone, see backlog.py."""

    def value(self, metric: Metric) -> float | None:
        result: float | None = getattr(self, metric)
        return result


def read(
    samples: Samples, window: float, chosen: NDArray[np.bool_] | None = None, dropped: int = 0
) -> Reading:
    """A trial's samples, or the `chosen` ones of them, in numbers.

    p50, p95 and p99 are of the response time of successful requests that were due in the window, which
    in a closed loop is their service time; all percentiles from the sorted raw samples. `dropped`
    requests were due and never made: they failed.
    """
    if chosen is None:
        chosen = np.ones(len(samples), dtype=np.bool_)
    ok = samples.ok & chosen
    during = chosen & (samples.start < window) & (samples.end >= 0.0)
    ended = ok & (samples.end >= 0.0) & (samples.end < window)
    due = ok & (samples.due >= 0.0) & (samples.due < window)
    latency, service = np.sort(samples.response_time[due]), np.sort(samples.service_time[due])
    return Reading(
        requests=int(during.sum()) + dropped,
        failures=int((during & ~samples.ok).sum()) + dropped,
        throughput=float(ended.sum()) / window,
        p50=percentile(latency, 0.50),
        p95=percentile(latency, 0.95),
        p99=percentile(latency, 0.99),
        service_p50=percentile(service, 0.50),
        service_p99=percentile(service, 0.99),
        ended=int(ended.sum()),
        answered=len(latency),
        mean=float(latency.mean()) if len(latency) else None,
        growth=growth(samples.end[ended], window),
    )


def growth(ends: NDArray[np.float64], window: float) -> float | None:
    """How much more was served in the second half of a window than in the first, as a logarithm; None
    where one of them is empty."""
    later = int((ends >= window / 2.0).sum())
    sooner = len(ends) - later
    return math.log(later / sooner) if later and sooner else None


@dataclass(frozen=True)
class Latencies:
    """The successful requests that were due in a trial's window, in seconds."""

    due: NDArray[np.float64]
    """When each was due, from the window's start."""
    took: NDArray[np.float64]
    """Its response time."""


def canary_times(samples: Samples | None, window: float) -> NDArray[np.float64] | None:
    """What a canary met in a window; None where it met nothing, or was refused."""
    if samples is None:
        return None
    due = (samples.due >= 0.0) & (samples.due < window)
    refused = due & ~samples.ok & (samples.status > 0)
    if not due.any() or refused.any():
        return None
    found: NDArray[np.float64] = samples.response_time[due]
    return found


class Readings:
    """The readings of a run's trials, each computed once from its samples file."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self._known: dict[int, dict[str, Reading]] = {}
        self._latencies: dict[int, Latencies] = {}
        self._canaries: dict[int, NDArray[np.float64] | None] = {}
        self._beats: dict[int, Beats | None] = {}

    def of(self, trial: Trial) -> dict[str, Reading]:
        """By endpoint; a trial of several endpoints has `all` besides. Raises RecordError."""
        if trial.number not in self._known:
            self._known[trial.number] = self._read(trial)
        return self._known[trial.number]

    def whole(self, trial: Trial) -> Reading:
        """The reading of all endpoints of a trial together. Raises RecordError."""
        found = self.of(trial)
        return found[ALL] if ALL in found else next(iter(found.values()))

    def latencies(self, trial: Trial) -> Latencies:
        """The latencies of all endpoints of a trial together. Raises RecordError."""
        self.of(trial)
        return self._latencies[trial.number]

    def canary(self, trial: Trial) -> NDArray[np.float64] | None:
        """The response times of a trial's canary in seconds, those of requests never answered up to the end
        of waiting. None where there was no canary, or the app has no such route. Raises RecordError."""
        if trial.number not in self._canaries:
            self._canaries[trial.number] = canary_times(self.directory.canary(trial), trial.window)
        return self._canaries[trial.number]

    def beats(self, trial: Trial) -> Beats | None:
        """The heartbeats of a trial's server; None where there were none. Raises RecordError."""
        if trial.number not in self._beats:
            self._beats[trial.number] = self.directory.beats(trial)
        return self._beats[trial.number]

    def _read(self, trial: Trial) -> dict[str, Reading]:
        samples = self.directory.samples(trial)
        due = samples.ok & (samples.due >= 0.0) & (samples.due < trial.window)
        # Sixteen bytes a request are kept: to read them again takes longer than all that is done with them.
        self._latencies[trial.number] = Latencies(samples.due[due], samples.response_time[due])
        whole = read(samples, trial.window, dropped=trial.dropped or 0)
        if len(trial.endpoints) <= 1:
            readings = {trial.endpoints[0] if trial.endpoints else trial.cell.scenario: whole}
        else:
            readings = {ALL: whole}
            for number, name in enumerate(trial.endpoints):
                readings[name] = read(samples, trial.window, samples.endpoint == number)
        behind = left_behind(self.beats(trial), samples, trial.window)
        return {name: replace(reading, behind=behind) for name, reading in readings.items()}


@dataclass(frozen=True)
class Pairs:
    """A cell's rounds in which both arms were measured, and what became of the others."""

    rounds: tuple[int, ...]
    reference: tuple[Trial, ...]
    rival: tuple[Trial, ...]
    invalid: int
    """Rounds that were lost to failed measurements."""
    faults: tuple[str, ...]
    """The reasons, each kind once, with the figures of its last trial."""

    @property
    def spoilt(self) -> bool:
        """Whether more than a fifth of the rounds was lost."""
        total = len(self.rounds) + self.invalid
        return total > 0 and self.invalid / total > 0.20


def pair(run: Run, cell: Cell, rival: str) -> Pairs:
    """The pairs of a cell, from whole blocks of rounds only: half a block has no balanced order."""
    reference = run.plan.opponent(rival).name
    last = {arm: {trial.round: trial for trial in run.of(cell, arm)} for arm in (reference, rival)}
    both = sorted(last[reference].keys() & last[rival].keys())
    if len(both) >= run.plan.block:
        both = both[: len(both) // run.plan.block * run.plan.block]
    valid = [r for r in both if not last[reference][r].invalid and not last[rival][r].invalid]
    faults = {FIGURE.sub("", fault): fault for r in both for arm in last for fault in last[arm][r].invalid}
    return Pairs(
        rounds=tuple(valid),
        reference=tuple(last[reference][r] for r in valid),
        rival=tuple(last[rival][r] for r in valid),
        invalid=len(both) - len(valid),
        faults=tuple(faults.values()),
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


def estimate(metric: Metric, reference: list[Reading], rival: list[Reading], level: float) -> Estimate:
    """The ratio over rounds. A round without a value on both sides leaves no estimate at all:
    choosing rounds by their values would bend it."""
    ours = [reading.value(metric) for reading in reference]
    theirs = [reading.value(metric) for reading in rival]
    ref, riv = mean_of(ours), mean_of(theirs)
    if ref is None or riv is None:
        return Estimate(metric, ref, riv, (), None)
    differences = tuple(
        math.log(theirs[i] / ours[i])  # type: ignore[operator]  # mean_of found no None among them
        for i in range(len(ours))
    )
    return Estimate(metric, ref, riv, differences, repeated_interval(differences, level))


def own_interval(run: Run, readings: Readings, cell: Cell, arm: str, metric: Metric) -> Interval | None:
    """One arm's own value over its rounds, the geometric mean with its repeated interval, as if it were a
    ratio to one; None before the first look, or where a round has no value. Raises RecordError."""
    values = [readings.whole(trial).value(metric) for trial in run.of(cell, arm) if not trial.invalid]
    known = [math.log(value) for value in values if value is not None and value > 0.0]
    return repeated_interval(known, run.plan.level) if len(known) == len(values) else None


def mean_of(values: list[float | None]) -> float | None:
    """The geometric mean, where every round has a positive value."""
    known = [value for value in values if value is not None and value > 0.0]
    return geometric_mean(known) if known and len(known) == len(values) else None
