"""Signs → for what requests wait while the server's CPU is idle.

A closed loop of N users cannot ask for more than N/R₁ requests per second, R₁ being the service time of
a request alone. An arm that serves less, and whose CPU, threads, connections and loop have time left, makes
its requests wait: R − R₁ each. Two causes are told apart. Users may ask in bursts: those of one burst take
turns on the CPU, which idles until the next one, so each waits for the CPU time of all. Or the wait is for
something that is not observed, such as a lock or a limit of the app's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reports.analysis.bounds import Known
from reports.analysis.signs import Signs

MOST = 0.5
"""Fraction of a wait, or of the distance between two arms, that a cause must account for."""

LONGER = 0.10
"""Fraction by which a request must take longer than alone, where no arm shows that less is possible."""

TOGETHER, FEWEST = 0.25, 4.0
"""A burst: this fraction of the users, and this many at least."""

Observed = Literal["threads", "pools", "connections", "locks", "loop", "cpu"]
"""What a request may wait for, as far as a server tells: a thread token, a thread of the app's own pools, a
database connection, a lock of the database, its turn on the event loop, its turn on the CPU."""


@dataclass(frozen=True)
class Ahead:
    """The arm that serves more requests of the same users."""

    arm: str
    signs: Signs
    known: Known


@dataclass(frozen=True)
class Convoy:
    """Users ask in bursts, and the requests of a burst take turns. Times are in seconds."""

    users: int
    size: float
    """Users who ask together."""
    quiet: float
    """For which no user asks after a burst."""
    response_time: float
    longer: float
    """How much of it goes beyond that of a request alone."""
    cost: float
    """CPU time of a request."""
    parallel: int
    """Processes among which a burst is divided."""
    idle: float
    """Fraction of the CPU time that is not used."""

    @property
    def turns(self) -> float:
        """CPU time of a whole burst: what its last request waits, and each one that is served in several
        steps, if all others take their turn before each step."""
        return self.size * self.cost / self.parallel


@dataclass(frozen=True)
class IdleWait:
    """Requests wait, and not for the CPU. In seconds."""

    response_time: float
    longer: float
    """How much of it goes beyond that of a request alone, or of the other arm."""
    than: str | None
    """The other arm; None: a request alone."""
    observed: tuple[tuple[Observed, float], ...]
    """What is known of it."""
    idle: float
    """Fraction of the CPU time that is not used."""
    together: float | None
    """Users who ask together; None where they do not ask in bursts."""
    statements: float | None = None
    """Time that a request spends in database statements, what it would spend there alone included."""

    @property
    def unseen(self) -> float:
        """What is not explained."""
        return max(0.0, self.longer - sum(seconds for _, seconds in self.observed))


@dataclass(frozen=True)
class SlowAlone:
    """A request takes longer than under the other arm even without concurrency. In seconds."""

    alone: float
    other: str
    others_alone: float
    idle: float
    """Fraction of the CPU time that is not used."""


def convoy(signs: Signs, known: Known, ahead: Ahead | None) -> Convoy | None:
    """Whether bursts account for most of what requests take longer than alone."""
    alone = known.one.service_time if known.one else None
    if not alone or signs.latency is None or signs.cpu is None or known.users is None:
        return None
    longer, together = signs.latency - alone, burst(signs, known)
    least = LONGER * alone if ahead is None else MOST * distance(signs, ahead)
    if together is None or signs.bursts is None or longer <= 0.0 or longer < least:
        return None
    found = Convoy(
        users=known.users, size=together, quiet=signs.bursts.quiet, response_time=signs.latency,
        longer=longer, cost=signs.cpu, parallel=known.most, idle=idle(signs, known),
    )  # fmt: skip
    return found if found.turns >= MOST * longer else None


def burst(signs: Signs, known: Known) -> float | None:
    """The users who ask together; None where too few do to be called a burst."""
    if signs.bursts is None or known.users is None:
        return None
    # Chance and the width of the spans may add a little.
    size = min(float(known.users), signs.bursts.size)
    return size if size >= max(FEWEST, TOGETHER * known.users) else None


def slow_alone(signs: Signs, known: Known, ahead: Ahead) -> SlowAlone | None:
    """Whether most of the distance to the arm that is ahead is there without concurrency already."""
    mine = known.one.service_time if known.one else None
    theirs = ahead.known.one.service_time if ahead.known.one else None
    if not mine or not theirs or mine - theirs <= 0.0 or mine - theirs < MOST * distance(signs, ahead):
        return None
    return SlowAlone(mine, ahead.arm, theirs, idle(signs, known))


def idle_wait(signs: Signs, known: Known, ahead: Ahead) -> IdleWait | None:
    """How much longer a request takes, than alone if that is most of the distance to the arm that is ahead,
    else than under that arm; and what of it is known. None where it takes no longer."""
    if signs.latency is None:
        return None
    alone, behind = known.one.service_time if known.one else None, distance(signs, ahead)
    longer = signs.latency - alone if alone else 0.0
    than = None if longer > 0.0 and longer >= MOST * behind else ahead.arm
    longer = longer if than is None else behind
    if longer <= 0.0:
        return None
    return IdleWait(
        response_time=signs.latency, longer=longer, than=than, observed=observed(signs, known),
        idle=idle(signs, known), together=burst(signs, known), statements=signs.statements,
    )  # fmt: skip


def observed(signs: Signs, known: Known) -> tuple[tuple[Observed, float], ...]:
    """What is known of a request's waits, each at most; empty where its server was not observed from
    inside."""
    if signs.late is None:
        return ()
    # Of those who wait, by N = X·R.
    queued, jobs = (
        waiting / signs.throughput if waiting is not None and signs.throughput else None
        for waiting in (signs.queued, signs.jobs)
    )
    together, cost = burst(signs, known) or 0.0, signs.cpu or 0.0
    waits: tuple[tuple[Observed, float | None], ...] = (
        ("threads", queued),
        ("pools", jobs),
        ("connections", signs.pool_wait),
        ("locks", signs.lock_wait),
        ("loop", signs.late),
        ("cpu", together * cost / known.most),
    )
    return tuple((what, seconds) for what, seconds in waits if seconds is not None)


def distance(signs: Signs, ahead: Ahead) -> float:
    """Seconds by which a request takes longer than under the arm that is ahead."""
    if signs.latency is None or ahead.signs.latency is None:
        return 0.0
    return max(0.0, signs.latency - ahead.signs.latency)


def idle(signs: Signs, known: Known) -> float:
    """Fraction of the CPU time that the server could use and does not, at least."""
    return max(0.0, 1.0 - (signs.cores or 0.0) / known.least)
