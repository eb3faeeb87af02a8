"""Signs → what limits an arm, with the evidence, and the throughput that its parts allow.

The bounds are operational ones (Denning and Buzen, The Operational Analysis of Queueing Network Models,
1978): no more requests are served than users can ask for, than thread tokens let through, than CPUs have
time for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from loadtests.records import Calibration, Cell, Run, Trial, blamed
from reports import units
from reports.signs import Signs

Name = Literal[
    "generator", "host", "event-loop", "http-client", "db-lock", "db-pool", "thread-tokens", "gil", "cpu",
    "users",
]  # fmt: skip

LATE = 0.010
"""Seconds of loop lag beyond the idle loop's that others notice."""
OWN_DOING = 0.5
"""Part of the server's CPU time above which it is the event loop's thread that computes."""
TURN = 0.001
"""Seconds of CPU time from which on a request holds the loop noticeably by itself, and a thread hop, which
costs about a sixth of that, is worth its price."""
BUSY = 0.9
"""Part of a CPU, or of all that the server has, above which it has no time left."""
IDLE = 0.8
"""Part below which there is time left."""
OFTEN = 0.8
"""Part of the heartbeats at which a resource must be used up."""
DEARER = 1.3
"""Factor by which calls in flight must raise a request's CPU time to be the HTTP client's doing: a client
that scales makes them cheaper, to half or a third."""
ON_TIME = 0.5
"""Part of the response time below which the slow service answered in time."""
LOCKED = 0.2
"""Part of the time that a request holds a connection, spent waiting for locks."""
LOCK_NOTICED = 0.001
"""Seconds of waiting for locks below which a write is merely a write: SQLite's first retry comes after as
much."""
NEAR = 0.15
"""How near the throughput must come to the limit of the thread tokens."""
NEAR_USERS = 0.10
"""How near it must come to what the users ask for."""


@dataclass(frozen=True)
class Bottleneck:
    """What limits an arm, and how one sees it."""

    name: Name
    evidence: str


@dataclass(frozen=True)
class Bound:
    """The most requests a second that one resource allows."""

    name: Name
    throughput: float


@dataclass(frozen=True)
class Known:
    """What was known of an arm before the load, and how it is served."""

    users: int | None
    """None in an open loop."""
    one: Calibration | None
    """Under one user."""
    few: Calibration | None
    """Under as many users as there are thread tokens by default."""
    idle: Calibration | None
    """Under one user of the lightest endpoint."""
    workers: int
    threads: int
    cpus: int
    """That the server may use."""
    ceiling: float | None
    """Requests a second that the generator makes of a server that does nothing."""


def known(run: Run, cell: Cell, arm: str) -> Known:
    """What a run knew of an arm before it loaded a cell."""
    serving = next(one.serving for one in run.plan.arms if one.name == arm)
    levels = sorted({found.users for found in run.calibrations})
    few = run.calibration(arm, cell.scenario, levels[-1]) if levels else None
    return Known(
        users=cell.load.users,
        one=run.calibration(arm, cell.scenario, 1),
        few=few,
        # Before there were canaries of other apps, theirs was a user of ping.
        idle=run.calibration(arm, "canary", 1) or run.calibration(arm, "ping", 1),
        workers=serving.workers,
        threads=serving.threads,
        cpus=len(run.machine.placement.get("server", ())) or run.machine.cores,
        ceiling=run.ceilings.get(cell.scenario),
    )


def bounds(known: Known) -> list[Bound]:
    """What each resource allows, the tightest first; of those that the calibration tells about."""
    found = []
    service_time = known.one.service_time if known.one else None
    cost = known.few.cpu if known.few else None
    if service_time:
        if known.users is not None:
            found.append(Bound("users", known.users / service_time))
        if known.one and (known.one.hops or 0.0) >= 0.5:
            found.append(Bound("thread-tokens", known.threads * known.workers / service_time))
    if cost:
        # One process computes on one CPU at a time, as far as it holds the GIL, which is taken to be all.
        busy = min(known.workers, known.cpus)
        found.append(Bound("gil" if busy < known.cpus else "cpu", busy / cost))
    if known.ceiling is not None:
        found.append(Bound("generator", known.ceiling))
    return sorted(found, key=lambda bound: bound.throughput)


def predicted(known: Known) -> Bound | None:
    """The throughput that the calibration lets one expect, and what it would be limited by; None where it
    tells nothing, or where something besides threads, CPUs and users held the few back already."""
    found = bounds(known)
    if not found:
        return None
    if known.few is not None:
        at_few = bounds(replace(known, users=known.few.users))
        if at_few and known.few.throughput < (1.0 - 2 * NEAR) * at_few[0].throughput:
            return None
    return found[0]


@dataclass(frozen=True)
class Prediction:
    """The throughput that was predicted for an arm in a cell, and the one that was measured."""

    cell: Cell
    arm: str
    bound: Bound
    throughput: float

    @property
    def error(self) -> float:
        """By how much the prediction is too high, as a part."""
        return self.bound.throughput / self.throughput - 1.0


def predictions(run: Run, measured: Mapping[tuple[Cell, str], float]) -> list[Prediction]:
    """Where more than the users is expected to limit: predicted beside measured, the worst one first."""
    found = [
        Prediction(cell, arm, bound, throughput)
        for (cell, arm), throughput in measured.items()
        if throughput > 0.0
        and (bound := predicted(known(run, cell, arm))) is not None
        and bound.name != "users"
    ]
    return sorted(found, key=lambda one: -abs(one.error))


def of_trials(trials: Sequence[Trial]) -> list[Bottleneck]:
    """Generator or host, where more than a fifth of an arm's rounds was lost by their fault: the last
    attempt of a round is the one that tells."""
    last = {trial.round: trial for trial in trials}
    lost = [trial for trial in last.values() if trial.invalid]
    if not last or len(lost) <= 0.2 * len(last):
        return []
    reasons: Mapping[Name, str] = {blamed(fault): fault for trial in lost for fault in trial.invalid}
    order: Sequence[Name] = ("generator", "host")
    return [Bottleneck(name, reasons[name]) for name in order if name in reasons]


def bottlenecks(signs: Signs | None, known: Known, trials: Sequence[Trial]) -> list[Bottleneck]:
    """What limits an arm, each with its evidence; the first one leads. Empty where nothing is confirmed.

    A queue in front of a resource is not the limit as long as the CPU is: with more connections or more
    threads the same work would wait for the CPU.
    """
    found = of_trials(trials)
    if signs is None:
        return found
    busy = signs.cores is not None and signs.cores >= BUSY * min(known.workers, known.cpus)
    found += event_loop(signs, known, busy)
    found += http_client(signs, known)
    if not busy:
        found += database(signs)
        found += thread_tokens(signs, known)
    found += processor(signs, known)
    if not found and signs.cores is not None and signs.cores < IDLE * min(known.workers, known.cpus):
        found += few_users(signs, known)
    return found


def event_loop(signs: Signs, known: Known, busy: bool) -> list[Bottleneck]:
    """The loop comes late to everything else, and by its own doing: it computes, or stands still. Under
    threads that compute it comes late too, and is not to blame; nor is it where many short turns queue for
    a CPU without time left, which would queue elsewhere as well."""
    idle = known.idle.lag if known.idle and known.idle.lag is not None else 0.0
    if signs.lag is None or signs.lag - idle <= LATE:
        return []
    if busy and ((signs.loop_share or 0.0) < OWN_DOING or short_turns(signs, known, signs.lag)):
        return []
    usual = known.idle.service_time if known.idle and known.idle.service_time else 0.0
    if signs.canary is not None and signs.canary.response_time - usual <= LATE:
        return []
    others = (
        f", and a light request beside the load takes {units.duration(signs.canary.response_time)} "
        f"(p{signs.canary.part * 100:.0f})"
        if signs.canary
        else ""
    )
    doing = "computes" if busy else "is blocked"
    return [Bottleneck("event-loop", f"its loop {doing}, {units.duration(signs.lag)} late (p90){others}")]


def short_turns(signs: Signs, known: Known, lag: float) -> bool:
    """Whether requests do not hold the loop for long in the mean, and it is late by no more than the CPU time
    of all that are in flight on it."""
    if signs.cpu is None:
        return False
    in_flight = known.users if known.users is not None else signs.throughput * (signs.latency or 0.0)
    return signs.cpu < TURN and lag <= in_flight / known.workers * signs.cpu


def http_client(signs: Signs, known: Known) -> list[Bottleneck]:
    """The service that is called answers in time, the route does not, and a call costs the more CPU time the
    more are in flight."""
    alone = known.one.cpu if known.one else None
    if signs.delay is None or signs.latency is None or signs.cpu is None or not alone:
        return []
    among = known.few.cpu if known.few and known.few.cpu else 0.0
    dearest = max(signs.cpu, among)
    if signs.delay > ON_TIME * signs.latency or dearest < DEARER * alone:
        return []
    return [
        Bottleneck(
            "http-client",
            f"the service it calls answered in {units.duration(signs.delay)}, it took "
            f"{units.duration(signs.latency)}; among others a request costs {units.duration(dearest)} of CPU "
            f"time, alone {units.duration(alone)}",
        )
    ]


def database(signs: Signs) -> list[Bottleneck]:
    """Requests wait for a lock, or for a connection."""
    found = []
    held = (signs.latency or 0.0) - (signs.pool_wait or 0.0)
    locked = signs.lock_wait is not None and signs.lock_wait > max(LOCK_NOTICED, LOCKED * held)
    if locked and signs.lock_wait is not None and held > 0.0:
        part = min(1.0, signs.lock_wait / held)
        found.append(
            Bottleneck(
                "db-lock",
                f"{units.duration(signs.lock_wait)} of a request, {part:.0%} of its time with a connection, "
                "go into waiting for locks",
            )
        )
    if signs.pool_full is not None and signs.pool_full >= OFTEN and signs.pool is not None:
        found.append(
            Bottleneck(
                "db-pool",
                f"all {signs.pool:.0f} database connections were in use and others waited for one in "
                f"{signs.pool_full:.0%} of the heartbeats, {units.duration(signs.pool_wait)} a request",
            )
        )
    return found


def thread_tokens(signs: Signs, known: Known) -> list[Bottleneck]:
    """All thread tokens are borrowed, tasks wait for one, and the throughput is what they let through."""
    service_time = known.one.service_time if known.one else None
    if signs.tokens is None or signs.tokens_full is None or not service_time:
        return []
    limit = signs.tokens / service_time
    near = abs(signs.throughput / limit - 1.0) <= NEAR
    if signs.tokens_full < OFTEN or not signs.queued or not near:
        return []
    return [
        Bottleneck(
            "thread-tokens",
            f"all {signs.tokens:.0f} threads were taken in {signs.tokens_full:.0%} of the heartbeats, "
            f"{signs.queued:.0f} tasks waited; {signs.tokens:.0f} threads ÷ {units.duration(service_time)} "
            f"allow {units.rate(limit)}",
        )
    ]


def processor(signs: Signs, known: Known) -> list[Bottleneck]:
    """The server has no CPU time left: of one CPU by the GIL, or of all it may use."""
    if signs.cores is None or signs.cpu is None:
        return []
    alone = known.one.cpu if known.one else None
    beside = f", with one user {units.duration(alone)}" if alone else ""
    cost = f"a request costs {units.duration(signs.cpu)} of CPU time{beside}"
    if signs.cores >= BUSY * known.cpus:
        whole = "its one CPU is" if known.cpus == 1 else f"its {known.cpus} CPUs are"
        return [
            Bottleneck(
                "cpu", f"{whole} busy for {min(1.0, signs.cores / known.cpus):.0%} of the time; {cost}"
            )
        ]
    if signs.cores >= BUSY * known.workers:
        return [
            Bottleneck(
                "gil",
                f"{signs.cores:.2f} of {known.cpus} CPUs are used, as one process computes on one at a time; "
                f"{cost}",
            )
        ]
    return []


def few_users(signs: Signs, known: Known) -> list[Bottleneck]:
    """The users ask for no more than this."""
    service_time = known.one.service_time if known.one else None
    if known.users is None or not service_time:
        return []
    asked = known.users / service_time
    if abs(signs.throughput / asked - 1.0) > NEAR_USERS:
        return []
    who = "one user asks" if known.users == 1 else f"{known.users} users ask"
    return [
        Bottleneck(
            "users",
            f"{who} for {units.rate(asked)} at most, at {units.duration(service_time)} a request; "
            "the server has time left",
        )
    ]
