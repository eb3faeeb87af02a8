"""Records → signs: what an arm's server did under load, over all rounds of a cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from loadtests.records import Cell, Heartbeats, Run, Trial
from reports.analysis.readings import CanarySeen, Readings
from reports.analysis.rounds.bursts import Bursts, bursts
from reports.analysis.rounds.holders import Holder, holders
from reports.analysis.statistics import percentile

CANARY_PARTS = (0.99, 0.95, 0.90, 0.50)
"""Percentiles of canary and pulse; the highest one that its samples support is shown."""

SAMPLED = 8
"""One in this many statements that take no lock is in the heartbeats' times."""

FULL = 0.95
"""Fraction of borrowed thread tokens from which on all count as borrowed."""


@dataclass(frozen=True)
class CanaryTimes:
    """Response time of a light request beside the load, from when it was due."""

    part: float
    """The percentile, 0 to 1."""
    response_time: float
    """Seconds; a lower bound where requests were never answered."""
    n: int
    nearer: tuple[tuple[float, float], ...] = ()
    """Lower percentiles with their response times, the highest first."""
    failed: int = 0
    """Requests answered with an error: infinitely slow."""

    def at(self, part: float) -> CanaryTimes:
        """The same at the highest known percentile up to `part`; unchanged where none is known."""
        for place, (nearer, seconds) in enumerate(() if self.part <= part else self.nearer, start=1):
            if nearer <= part:
                return replace(self, part=nearer, response_time=seconds, nearer=self.nearer[place:])
        return self


@dataclass(frozen=True)
class Signs:
    """Pooled over the valid rounds. Seconds, and requests per second; None where unknown."""

    trials: int
    throughput: float
    """Successful requests per second."""
    latency: float | None
    """Mean response time of successful requests that were due in a window."""
    cores: float | None
    """CPUs' worth of work of the server."""
    cpu: float | None
    """CPU seconds of the server per request, its children included."""
    rss: float | None
    """Bytes of resident memory."""
    threads: float | None
    delay: float | None
    """Median response time of the slow service."""
    canary: CanaryTimes | None
    """Of requests to a light route of the app."""
    pulse: CanaryTimes | None = None
    """Of requests that an `async def` on the app's event loop answers; None also for external servers."""
    bursts: Bursts | None = None
    """How the users of a closed loop ask; None in an open loop."""
    holders: tuple[Holder, ...] = ()
    """The lines of code that held the event loop most."""
    lag: float | None = None
    """p90 delay of the heartbeats, in seconds."""
    late: float | None = None
    """Their mean delay."""
    loop_share: float | None = None
    """Fraction of the server's CPU time used by the event loop's thread."""
    tokens: float | None = None
    """Thread tokens of all workers."""
    tokens_full: float | None = None
    """Fraction of the heartbeats at which nearly all tokens were borrowed."""
    queued: float | None = None
    """Mean number of tasks waiting for a token."""
    jobs: float | None = None
    """Mean number of jobs waiting for a thread of other pools: asyncio's default one, and the app's own."""
    pool: float | None = None
    """Database connections that one worker may hold."""
    pool_full: float | None = None
    """Fraction of the heartbeats at which all were checked out and requests waited for one."""
    pool_wait: float | None = None
    """Time a request waits for connections."""
    statements: float | None = None
    """Time a request spends in database statements."""
    lock_wait: float | None = None
    """Time a request spends in statements that take a lock, beyond what other statements take."""
    gc: float | None = None
    """Fraction of the time spent in garbage collection."""
    switches: float | None = None
    """Context switches per request."""
    hops: float | None = None
    """Calls handed to worker threads per request."""


def signs(run: Run, readings: Readings, cell: Cell, arm: str) -> Signs | None:
    """What an arm's server did in a cell, from its valid trials in which it started; None without any. Raises
    RecordError."""
    trials = [trial for trial in run.of(cell, arm) if trial.valid and trial.served]
    if not trials:
        return None
    directory = readings.directory
    window = sum(trial.window for trial in trials)
    seen = [readings.whole(trial) for trial in trials]
    ended, answered = sum(one.ended for one in seen), sum(one.answered for one in seen)
    waited = sum(one.answered * one.mean for one in seen if one.mean is not None)
    cpu = total([trial.resources.server_cpu for trial in trials])
    given = [delays for trial in trials if (delays := directory.delays(trial)) is not None]
    hearts = [(trial, beats) for trial in trials if (beats := readings.heartbeats(trial)) is not None]
    asking = trials if cell.load.rate is None else []
    return Signs(
        trials=len(trials),
        throughput=ended / window,
        latency=waited / answered if answered else None,
        cores=cpu / window if cpu is not None else None,
        cpu=cpu / ended if cpu is not None and ended else None,
        rss=mean_of([trial.resources.server_rss for trial in trials]),
        threads=mean_of([trial.resources.server_threads for trial in trials]),
        delay=float(np.median(np.concatenate(given))) if given else None,
        canary=light([readings.canary(trial) for trial in trials]),
        pulse=light([readings.pulse(trial) for trial in trials]),
        holders=holders(trials),
        bursts=bursts([one for trial in asking for one in asked(readings, trial)]),
        **(heart_signs(hearts, ended) if len(hearts) == len(trials) else {}),
    )


def asked(readings: Readings, trial: Trial) -> Iterator[tuple[NDArray[np.float64], float, float]]:
    """For every window of a trial: when its successful requests started, its length, and their mean response
    time."""
    found, begin = readings.latencies(trial), 0.0
    for one in trial.windows:
        mine = (found.due >= begin) & (found.due < begin + one.window)
        took = found.took[mine]
        yield found.due[mine] - begin, one.window, float(took.mean()) if len(took) else 0.0
        begin += one.window


def inside(trial: Trial, beats: Heartbeats) -> NDArray[np.bool_]:
    """The beats that were due in one of a trial's windows."""
    windows = [(beats.due >= one.opened) & (beats.due < one.opened + one.window) for one in trial.windows]
    found: NDArray[np.bool_] = np.logical_or.reduce(windows)
    return found


def heart_signs(hearts: Sequence[tuple[Trial, Heartbeats]], ended: float) -> dict[str, float | None]:
    """The signs that come from heartbeats."""
    masks = [inside(trial, beats) for trial, beats in hearts]

    def column(name: str) -> NDArray[np.float64]:
        return np.concatenate(
            [getattr(beats, name)[mask] for (_, beats), mask in zip(hearts, masks, strict=True)]
        )

    def spent(name: str) -> float | None:
        return total(
            [beats.spent(name, one.window, one.opened) for trial, beats in hearts for one in trial.windows]
        )

    def per_request(seconds: float | None) -> float | None:
        return seconds / ended if seconds is not None and ended else None

    lag = column("lag")
    if not len(lag):
        return {}
    workers = max(len(np.unique(beats.worker)) for _, beats in hearts)
    tokens, pool = column("tokens"), column("pool")
    cpu, loop_cpu = spent("cpu"), spent("loop_cpu")
    window = sum(trial.window for trial, _ in hearts)
    collecting = spent("gc")
    full = (column("checked_out") >= pool) & (column("pool_queued") > 0)
    return {
        "lag": float(np.quantile(lag, 0.9)),
        "late": float(lag.mean()),
        "loop_share": loop_cpu / cpu if cpu and loop_cpu is not None else None,
        "tokens": float(tokens.max()) * workers,
        "tokens_full": float((column("borrowed") >= FULL * tokens).mean()),
        "queued": float(column("queued").mean()) * workers,
        "jobs": counted(column("thread_jobs"), workers),
        "pool": float(np.nanmax(pool)) if np.isfinite(pool).any() else None,
        "pool_full": float(full.mean()) if np.isfinite(pool).any() else None,
        "pool_wait": per_request(spent("pool_wait")),
        "statements": per_request(statement_time(spent)),
        "lock_wait": per_request(lock_wait(spent)),
        "gc": collecting / window / workers if collecting is not None else None,
        "switches": per_request(spent("switches")),
        "hops": per_request(spent("hops")),
    }


def counted(column: NDArray[np.float64], workers: int) -> float | None:
    """The mean over those beats that counted, in all workers; None where none did."""
    return float(np.nanmean(column)) * workers if np.isfinite(column).any() else None


def statement_time(spent: Callable[[str], float | None]) -> float | None:
    """Seconds in all statements."""
    sampled, locking = spent("statement_time"), spent("lock_time")
    return None if sampled is None or locking is None else SAMPLED * sampled + locking


def lock_wait(spent: Callable[[str], float | None]) -> float | None:
    """Seconds in statements that take a lock, beyond the time of as many other statements: a busy machine
    slows all statements down, a lock only these."""
    locks, lock_time = spent("locks"), spent("lock_time")
    statements, statement_time = spent("statements"), spent("statement_time")
    if locks is None or lock_time is None or statements is None or statement_time is None:
        return None
    usual = statement_time / statements if statements else 0.0
    return max(0.0, lock_time - locks * usual)


def light(seen: Sequence[CanarySeen | None]) -> CanaryTimes | None:
    """The highest percentile that the samples of all trials' canaries, or pulses, support; None without any,
    or where half of the requests were answered with errors."""
    met = [one for one in seen if one is not None]
    if not met:
        return None
    times, failed = np.sort(np.concatenate([one.took for one in met])), sum(one.failed for one in met)
    supported = [
        (part, value) for part in CANARY_PARTS if (value := percentile(times, part, failed)) is not None
    ]
    if not supported:
        return None
    (part, value), *nearer = supported
    return CanaryTimes(part, value, len(times) + failed, tuple(nearer), failed)


def total(values: Sequence[float | None]) -> float | None:
    """The sum; None if any value is unknown."""
    known = [value for value in values if value is not None]
    return float(sum(known)) if len(known) == len(values) else None


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean; None if any value is unknown."""
    whole = total(values)
    return whole / len(values) if whole is not None and values else None
