"""Whether an arm responds faster than it does the work, by all that was seen.

Counts from inside the server name the work (`growth.py`). What no count shows, such as a list that a thread
works off, shows in two accounts that must agree: under load a request takes less CPU time than alone, where
all of its work is done in time; and after the last response the server continues to work. Either one has
innocent causes: many requests share wake-ups and caches, and the last requests of all users may leave some
work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol

from loadtests.records import Calibration, Run, Settling, Trial
from reports.analysis.backlogs.growth import FEWEST, REST, BacklogKind

MOST_BEHIND = 0.05
"""Unfinished pieces of work per response above which an arm counts as failing: half of a difference that
matters."""

LEAST_WORK = 0.05
"""CPU seconds after the last response below which nothing piled up: closing connections, a collection."""

WORKING = 0.1
"""CPUs' worth of work, beyond what a server always does, from which on it is not at rest."""


class Served(Protocol):
    """What a trial's reading shows."""

    @property
    def ended(self) -> float:
        """Responses in the window."""

    @property
    def in_flight(self) -> float | None:
        """Mean number of requests in flight."""

    @property
    def growing(self) -> Mapping[BacklogKind, float]:
        """Pieces of work left unfinished per response."""


@dataclass(frozen=True)
class Backlog:
    """An arm responds faster than it does the work. Figures are medians over rounds; None where unknown."""

    arm: str
    kind: BacklogKind
    behind: float
    """Pieces of this work left unfinished per response; of `work`, the fraction of all work."""
    alone: float | None = None
    """CPU seconds per request with one user, all of its work included."""
    loaded: float | None = None
    """CPU seconds per response under load."""
    worked: float | None = None
    """Seconds after the last response for which the server was seen at work."""
    memory: float | None = None
    """Bytes by which its memory had grown by then."""


@dataclass(frozen=True)
class BacklogPossible:
    """An arm worked on after its last response, and its CPU time per request alone is not known."""

    arm: str
    worked: float
    """Seconds for which it was seen at work."""


@dataclass(frozen=True)
class Account:
    """The CPU time of one trial, without what the server does in any case."""

    alone: float | None
    """CPU seconds per request with one user, at least; None where that is not known."""
    loaded: float
    """CPU seconds per response."""
    worked: float
    """Seconds after the last response for which the server was seen at work; 0 where it came to rest soon."""
    behind: float | None
    """Fraction of all work that was left undone; None where the account cannot tell."""


def backlog(
    run: Run, arm: str, trials: Sequence[Trial], readings: Sequence[Served]
) -> Backlog | BacklogPossible | None:
    """What piles up in an arm's trials of one cell, or may. `readings`: of all endpoints together."""
    both = list(zip(trials, readings, strict=True))
    accounts = [account(run, *one) for one in both]
    known = [one for one in accounts if one is not None]
    most = largest({kind: median(values) for kind, values in degrees(run, trials, readings).items()})
    if most is not None:
        kind, behind = most
        # One arm of a pair may have no calibration, or no /proc.
        return Backlog(
            arm=arm,
            kind=kind,
            behind=behind,
            alone=middle([one.alone for one in known]),
            loaded=middle([one.loaded for one in known]),
            worked=middle([one.worked for one in known]) or None,
            memory=middle([memory_growth(trial) for trial in trials]),
        )
    doubtful = [one.worked for one in known if one.behind is None or one.behind > MOST_BEHIND]
    return BacklogPossible(arm, median(doubtful)) if 2 * len(doubtful) > len(both) else None


def degrees(
    run: Run, trials: Sequence[Trial], readings: Sequence[Served]
) -> Mapping[BacklogKind, list[float]]:
    """By kind, the pieces of work left unfinished per response in each round; 0 in a round in which a kind is
    unknown: it does not speak for a backlog, and does not hide the one of the others."""
    seen = [degree(run, *both) for both in zip(trials, readings, strict=True)]
    kinds = dict.fromkeys(kind for one in seen for kind in one)
    return {kind: [one.get(kind, 0.0) for one in seen] for kind in kinds}


def degree(run: Run, trial: Trial, reading: Served) -> Mapping[BacklogKind, float]:
    """By kind, the pieces of work that one trial left unfinished per response; without what is unknown."""
    found: dict[BacklogKind, float] = {**reading.growing}
    started = processes_started(trial, reading)
    if started is not None:
        found["processes"] = started
    counted = account(run, trial, reading)
    if counted is not None and counted.behind is not None:
        found["work"] = counted.behind
    return found


def largest(found: Mapping[BacklogKind, float]) -> tuple[BacklogKind, float] | None:
    """What piles up most, counted work first, which has a name; None where nothing does."""
    over = {kind: behind for kind, behind in found.items() if behind > MOST_BEHIND}
    return max(over.items(), key=lambda one: (one[0] != "work", one[1]), default=None)


def processes_started(trial: Trial, reading: Served) -> float | None:
    """Processes that a server started and did not see end, per response; None where not known."""
    before, now = trial.resources.before, trial.resources.server_children
    if before is None or now is None or not reading.ended:
        return None
    more = now - before.children
    if more < max(FEWEST, REST * (reading.in_flight or 0.0)):
        return 0.0
    # Since before the warm-up, in which requests were answered at the same pace.
    return more / (reading.ended * (trial.warmup + trial.window) / trial.window)


def account(run: Run, trial: Trial, reading: Served) -> Account | None:
    """The account of a trial's CPU time; None where the platform does not show it, or without responses."""
    settled, spent = trial.resources.settling, trial.resources.server_cpu
    if settled is None or spent is None or not reading.ended:
        return None
    idle = idle_work(run, trial.arm)
    one = run.calibration(trial.arm, trial.cell.scenario, 1)
    loaded = max(0.0, spent - idle * trial.window) / reading.ended
    alone = work_alone(one, idle)
    left = max(0.0, settled.cpu - idle * settled.seconds)
    worked = settled.seconds if left >= LEAST_WORK else 0.0
    rest = max(FEWEST, REST * (reading.in_flight or 0.0))
    if worked == 0.0:
        return Account(alone, loaded, worked, 0.0)
    resting = at_rest(settled, idle)
    if alone is None:
        doubtful = loaded <= 0.0 or left / loaded > rest or not resting
        return Account(alone, loaded, worked, None if doubtful else 0.0)
    missing = reading.ended * (1.0 - loaded / alone)
    if resting:
        missing = min(missing, left / alone)
    if missing > rest:
        # Observed for too short a time, it may only do what the last requests need.
        long_enough = resting or left / alone > rest
        return Account(alone, loaded, worked, missing / reading.ended if long_enough else None)
    # Where one user's work was not done either, more is missing than is known.
    known = resting or (one is not None and one.after is not None and at_rest(one.after, idle))
    return Account(alone, loaded, worked, 0.0 if known else None)


def work_alone(one: Calibration | None, idle: float) -> float | None:
    """CPU seconds per request of a calibration with one user, at least: it may not have done all of its work.
    None where work of earlier requests may be in it."""
    if one is None or one.work is None or not one.throughput:
        return None
    if one.before is None or not at_rest(one.before, idle):
        return None
    work = one.work - idle / one.throughput
    return work if work > 0.0 else None


def idle_work(run: Run, arm: str) -> float:
    """CPUs' worth of work that an arm's server does without requests: the least that was seen."""
    seen = [
        0.0 if settled.rested else settled.cpu / settled.seconds
        for one in run.calibrations
        if one.arm == arm
        for settled in (one.before, one.after)
        if settled is not None and settled.seconds
    ]
    return min(seen, default=0.0)


def at_rest(settled: Settling, idle: float) -> bool:
    """Whether a server did nothing beyond what it always does."""
    return settled.rested or settled.cpu - idle * settled.seconds < WORKING * settled.seconds


def memory_growth(trial: Trial) -> float | None:
    """Bytes by which a server's memory grew from before the load until after it."""
    before, after = trial.resources.before, trial.resources.after
    return None if before is None or after is None else max(0, after.rss - before.rss)


def middle(values: Sequence[float | None]) -> float | None:
    """The median; None where any is unknown."""
    known = [value for value in values if value is not None]
    return median(known) if known and len(known) == len(values) else None
