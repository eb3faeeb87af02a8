"""Records → readings: the figures of each trial."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from loadtests.records import Heartbeats, Metric, RunDirectory, Samples, Trial
from reports.analysis.backlogs.growth import BacklogKind, growing
from reports.analysis.backlogs.keeping import kept
from reports.analysis.names.endpoints import ALL, endpoint_name
from reports.analysis.statistics import percentile


@dataclass(frozen=True)
class Reading:
    """One trial's figures for one endpoint, or for all. Seconds, and requests per second."""

    requests: int
    """Requests in flight during the window, plus those that were due in it and never sent."""
    failures: int
    """Those of them that failed, were never answered, or were never sent."""
    throughput: float
    """Successful requests in the window per second, as `ended` counts them."""
    p50: float | None
    p95: float | None
    p99: float | None
    service_p50: float | None = None
    service_p99: float | None = None
    ended: float = 0.0
    """Successful requests in the window: in a closed loop the sum of their shares of it, see
    `Samples.share_in`, in an open loop those that ended in it."""
    answered: int = 0
    """Successful requests that were due in it."""
    failed: int = 0
    """Requests that were due in it, and failed or were never sent: infinitely slow in every percentile."""
    mean: float | None = None
    """Their mean response time."""
    growth: float | None = None
    """Logarithm of the requests served in the window's second half ÷ in its first."""
    in_flight: float | None = None
    """Mean number of successful requests in flight in the window; None where there was none."""
    growing: Mapping[BacklogKind, float] = field(default_factory=dict)
    """By kind, the pieces of work left unfinished per response, over the whole trial: see backlogs/growth.py.
    Without kinds that are not known."""
    kept: float | None = None
    """Objects per response that the server keeps, over the whole trial: see backlogs/keeping.py."""
    unanswered: float | None = None
    """In a closed loop, the fraction of the users' time that went into requests without any answer, over the
    whole trial: users that wait in vain send few requests, so that a count of these would hide it."""

    refused: Mapping[int, int] = field(default_factory=dict)
    """By status from 400 to 499, how many requests in flight during the window were answered with it."""

    @property
    def counts(self) -> tuple[int, int]:
        """Failed requests, and all."""
        return self.failures, self.requests

    def value(self, metric: Metric) -> float | None:
        result: float | None = getattr(self, metric)
        return result


Length = float | NDArray[np.float64]
"""Seconds of a window: one for all requests, or for each that of its slice."""

Counting = Callable[[Samples, float, Length], NDArray[np.float64]]
"""What each request counts for between two moments."""


def counting(trial: Trial) -> Counting:
    """How throughput counts a trial's requests. Their shares need a closed loop that continued until the
    requests in flight at the window's end were answered: in an open loop that falls behind, the work of later
    seconds would count."""
    return Samples.ended_in if trial.tail is None else Samples.share_in


def read(
    samples: Samples,
    window: float,
    chosen: NDArray[np.bool_] | None = None,
    dropped: int = 0,
    counted: Counting = Samples.ended_in,
    lengths: Length | None = None,
) -> Reading:
    """The reading of a trial's samples, or of the `chosen` ones, in a `window` of seconds, which may be
    several, of these `lengths`.

    p50, p95 and p99 are response times of the requests that were due in the window, where those that failed
    are infinitely slow; in a closed loop these equal the service times. All percentiles are from the sorted
    raw samples. `dropped` requests were due and never sent: they count as failed.
    """
    if chosen is None:
        chosen = np.ones(len(samples), dtype=np.bool_)
    until = window if lengths is None else lengths
    ok = samples.ok & chosen
    during = chosen & (samples.start < until) & (samples.end >= 0.0)
    served = [float(counted(samples, 0.0, end)[ok].sum()) for end in (until, until / 2.0)]
    inside = np.clip(samples.end, 0.0, until) - np.clip(samples.start, 0.0, until)
    expected = chosen & (samples.due >= 0.0) & (samples.due < until)
    due = expected & samples.ok
    failed = int(expected.sum()) - int(due.sum()) + dropped
    latency, service = np.sort(samples.response_time[due]), np.sort(samples.service_time[due])
    return Reading(
        requests=int(during.sum()) + dropped,
        failures=int((during & ~samples.ok).sum()) + dropped,
        throughput=served[0] / window,
        p50=percentile(latency, 0.50, failed),
        p95=percentile(latency, 0.95, failed),
        p99=percentile(latency, 0.99, failed),
        service_p50=percentile(service, 0.50, failed),
        service_p99=percentile(service, 0.99, failed),
        ended=served[0],
        answered=len(latency),
        failed=failed,
        mean=float(latency.mean()) if len(latency) else None,
        growth=growth(served[1], served[0]),
        in_flight=float(inside[ok].sum()) / window or None,
        refused=refusals(samples.status[during & ~samples.ok]),
    )


def within(samples: Samples, window: Length) -> NDArray[np.bool_]:
    """The successful requests that were due in a window."""
    chosen: NDArray[np.bool_] = samples.ok & (samples.due >= 0.0) & (samples.due < window)
    return chosen


def refusals(statuses: NDArray[np.uint16]) -> dict[int, int]:
    """How many of the failed requests were answered with each status from 400 to 499."""
    found, counts = np.unique(statuses[(statuses >= 400) & (statuses < 500)], return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def growth(sooner: float, whole: float) -> float | None:
    """Logarithm of the requests served in the second half of a window ÷ in the first, given those in the
    first and in both; None where either is empty."""
    later = whole - sooner
    return math.log(later / sooner) if later > 0.0 and sooner > 0.0 else None


def unanswered_time(samples: Samples, window: Length) -> float | None:
    """Of the time that requests were in flight in a window, the fraction of those that got no answer; None
    where nothing was in flight."""
    inside = np.clip(samples.end, 0.0, window) - np.clip(samples.start, 0.0, window)
    whole = float(inside.sum())
    return float(inside[~samples.ok & (samples.status == 0)].sum()) / whole if whole > 0.0 else None


@dataclass(frozen=True)
class Answers:
    """The kinds of the successful answers that ended in a window. Counted: a run has millions of answers, of
    few sizes mostly."""

    statuses: Mapping[int, int]
    """By HTTP status, how many."""
    sizes: NDArray[np.uint32]
    """The different sizes of their bodies in bytes, ascending."""
    counts: NDArray[np.intp]
    """How many answers have each of these sizes."""

    def __len__(self) -> int:
        return int(self.counts.sum())

    def part(self, status: int) -> float:
        """Fraction that has this status."""
        return self.statuses.get(status, 0) / len(self)

    def up_to(self, sizes: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each of `sizes`, the fraction that is not larger."""
        reached = np.concatenate(([0], np.cumsum(self.counts)))
        found: NDArray[np.float64] = reached[np.searchsorted(self.sizes, sizes, side="right")] / len(self)
        return found

    @property
    def median(self) -> float:
        """Of the sizes."""
        return float(self.sizes[np.searchsorted(np.cumsum(self.counts), len(self) / 2.0)])

    @classmethod
    def of(cls, several: Sequence[Self]) -> Self:
        """Several together."""
        statuses: Counter[int] = Counter()
        for one in several:
            statuses.update(one.statuses)
        sizes, places = np.unique(np.concatenate([one.sizes for one in several]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([one.counts for one in several]), len(sizes))
        return cls(statuses, sizes, counts.astype(np.intp))


def answers(samples: Samples, window: Length, endpoints: Sequence[str]) -> dict[str, Answers]:
    """By endpoint, the kinds of a trial's answers."""
    ended = samples.ok & (samples.end >= 0.0) & (samples.end < window)
    found = {}
    for number, name in enumerate(endpoints):
        chosen = ended & (samples.endpoint == number)
        statuses = np.bincount(samples.status[chosen])
        known = {int(status): int(statuses[status]) for status in np.flatnonzero(statuses)}
        found[name] = Answers(known, *np.unique(samples.size[chosen], return_counts=True))
    return found


class Failed(NamedTuple):
    """How a request failed."""

    endpoint: str
    status: int
    """HTTP status; 0 where there was no answer."""
    error: str
    """The exception and its message; "" for one that was never sent, since all users were still waiting."""


def failed(samples: Samples, trial: Trial) -> Counter[Failed]:
    """The failed requests of a trial, of those that `Reading.failures` counts."""
    during = ~samples.ok & (samples.start < trial.lengths(samples)) & (samples.end >= 0.0)
    columns = [
        column[during].astype(np.int64) for column in (samples.endpoint, samples.status, samples.error)
    ]
    # As one number each, which is much faster to sort than rows of a table.
    kinds, counts = np.unique(columns[0] << 32 | columns[1] << 16 | columns[2], return_counts=True)
    names = list(map(endpoint_name, trial.endpoints or (trial.cell.scenario,)))
    found = Counter(
        {
            Failed(names[kind >> 32], kind >> 16 & 0xFFFF, trial.errors[(kind & 0xFFFF) - 1]): count
            for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True)
        }
    )
    if trial.dropped:
        found[Failed(ALL, 0, "")] = trial.dropped
    return found


@dataclass(frozen=True)
class Latencies:
    """The requests that were due in a trial's window, in seconds."""

    due: NDArray[np.float64]
    """When each successful one was due, from the window's start; several windows count as one."""
    took: NDArray[np.float64]
    """Its response time."""
    failed: int = 0
    """Those that failed or were never sent."""


@dataclass(frozen=True)
class CanarySeen:
    """A canary's requests, or a pulse's, that were due in one window, or in several."""

    took: NDArray[np.float64]
    """Response times in seconds; of requests that were never answered, until the end of waiting."""
    failed: int
    """Those answered with an error: infinitely slow; `took` is without them."""

    @property
    def n(self) -> int:
        return len(self.took) + self.failed

    def percentile(self, part: float) -> float | None:
        """None where too few requests support it, or failed ones make it infinite."""
        return percentile(np.sort(self.took), part, self.failed)


def canary_seen(samples: Samples | None, trial: Trial) -> CanarySeen | None:
    """A canary's requests, or a pulse's, in a trial's window; None without any, or where each was answered
    with an error: the app has no such route."""
    if samples is None:
        return None
    due = (samples.due >= 0.0) & (samples.due < trial.lengths(samples))
    refused = due & ~samples.ok & (samples.status > 0)
    kept = due & ~refused
    return CanarySeen(samples.response_time[kept], int(refused.sum())) if kept.any() else None


class Readings:
    """The readings of a run's trials, each computed once from its samples file."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self._known: dict[int, dict[str, Reading]] = {}
        self._latencies: dict[int, Latencies] = {}
        self._took: dict[int, dict[str, NDArray[np.float32]]] = {}
        self._answers: dict[int, dict[str, Answers]] = {}
        self._failed: dict[int, Counter[Failed]] = {}
        self._canaries: dict[int, CanarySeen | None] = {}
        self._pulses: dict[int, CanarySeen | None] = {}
        self._beats: dict[int, Heartbeats | None] = {}

    def of(self, trial: Trial) -> dict[str, Reading]:
        """By endpoint; a trial of several endpoints has `all` as well. Raises RecordError."""
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

    def response_times(self, trial: Trial, endpoint: str) -> NDArray[np.float64]:
        """Those of one endpoint's successful requests that were due in a trial's window, in seconds, in no
        particular order. Raises RecordError."""
        found = self.of(trial)
        if endpoint == ALL or (trial.number not in self._took and endpoint in found):
            return self._latencies[trial.number].took
        mine = self._took.get(trial.number, {})
        return mine.get(endpoint, np.zeros(0, np.float32)).astype(np.float64)

    def answers(self, trial: Trial) -> dict[str, Answers]:
        """By endpoint, the kinds of a trial's answers. Raises RecordError."""
        self.of(trial)
        return self._answers[trial.number]

    def failed(self, trial: Trial) -> Mapping[Failed, int]:
        """A trial's failed requests by kind. Raises RecordError."""
        self.of(trial)
        return self._failed[trial.number]

    def canary(self, trial: Trial) -> CanarySeen | None:
        """What a trial's canary saw. None where there was no canary, or the app has no such route. Raises
        RecordError."""
        if trial.number not in self._canaries:
            self._canaries[trial.number] = canary_seen(self.directory.canary(trial), trial)
        return self._canaries[trial.number]

    def pulse(self, trial: Trial) -> CanarySeen | None:
        """What a trial's pulse saw; None where there was none. Raises RecordError."""
        if trial.number not in self._pulses:
            self._pulses[trial.number] = canary_seen(self.directory.pulse(trial), trial)
        return self._pulses[trial.number]

    def heartbeats(self, trial: Trial) -> Heartbeats | None:
        """The heartbeats of a trial's server; None where there were none. Raises RecordError."""
        if trial.number not in self._beats:
            self._beats[trial.number] = self.directory.heartbeats(trial)
        return self._beats[trial.number]

    def _read(self, trial: Trial) -> dict[str, Reading]:
        rows = self.directory.samples(trial)
        samples = trial.requests(rows)
        lengths, every = trial.lengths(samples), trial.lengths(rows)
        due = within(samples, lengths)
        counted = counting(trial)
        whole = read(samples, trial.window, None, trial.dropped or 0, counted, lengths)
        # Keeps 16 bytes per request: reading the file again would take longer than all computations.
        on_end = samples.since(np.cumsum([0.0, *(one.window for one in trial.windows)]))
        self._latencies[trial.number] = Latencies(on_end.due[due], samples.response_time[due], whole.failed)
        endpoints = list(map(endpoint_name, trial.endpoints))
        self._answers[trial.number] = answers(rows, every, endpoints)
        self._failed[trial.number] = failed(samples, trial)
        asked = within(rows, every)
        # What is requested before the windows alone, such as a log-in, is no part of the load.
        reached = [number for number, _ in enumerate(endpoints) if (asked & (rows.endpoint == number)).any()]
        names = [endpoints[number] for number in reached]
        names = names or [*endpoints[:1], endpoint_name(trial.cell.scenario)]
        if len(reached) <= 1:
            readings = {names[0]: whole}
        else:
            readings, took = {ALL: whole}, self._took.setdefault(trial.number, {})
            for number, name in zip(reached, names, strict=True):
                chosen = rows.endpoint == number
                readings[name] = read(rows, trial.window, chosen, 0, counted, every)
                took[name] = rows.response_time[chosen & asked].astype(np.float32)
        beats = self.heartbeats(trial)
        on_clock = samples.since([one.opened for one in trial.windows])
        grown, stays = growing(beats, on_clock, trial.windows), kept(beats, on_clock, trial.windows)
        waited = unanswered_time(samples, lengths) if trial.cell.load.rate is None else None
        return {
            name: replace(reading, growing=grown, kept=stays, unanswered=waited)
            for name, reading in readings.items()
        }


def endpoints_of(trials: list[dict[str, Reading]]) -> list[str]:
    """`all` first if there are several, then by name. One trial may have reached a single endpoint of them:
    users who wait for their first answer in vain request no other. One whose server did not start reached
    none: its reading has the name of the scenario, which is no endpoint if there are others."""
    names = {name for trial in trials for name, one in trial.items() if one.requests}
    names = names or {name for trial in trials for name in trial}
    names |= {ALL} if len(names) > 1 else set()
    return sorted(names, key=lambda name: (name != ALL, name))
