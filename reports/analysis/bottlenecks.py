"""Signs → what limits an arm, with the evidence as data: `reports/wording` makes the sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.records import MOST_LOST, Fault, Trial
from reports.analysis.bounds import NEAR, Known, Name
from reports.analysis.rounds.holders import Holder
from reports.analysis.signs import CanaryTimes, Signs
from reports.analysis.waits import Ahead, Convoy, IdleWait, SlowAlone, convoy, idle_wait, slow_alone

LATE = 0.010
"""Loop lag, in seconds above the idle loop's, that other requests notice."""

COMPUTES = 0.5
"""Fraction of a CPU that an event loop's thread uses, from which on it computes rather than waits."""

OTHERS = 0.2
"""Fraction of a CPU that a worker's other threads use, above which they may keep its event loop waiting, for
the GIL or for the CPU."""

TURN = 0.001
"""CPU seconds per request above which a single request blocks the loop noticeably and a thread hop, which
costs about a sixth of that, pays off."""

BUSY = 0.9
"""Utilization, of one CPU or of all the server's CPUs, above which no time is left."""

IDLE = 0.8
"""Utilization below which there is time left."""

OFTEN = 0.8
"""Fraction of the heartbeats in which a resource must be exhausted."""

DEARER = 1.3
"""Factor by which concurrent calls must raise a request's CPU time to blame the HTTP client: with a client
that scales, calls get cheaper, down to a half or a third."""

ON_TIME = 0.5
"""Fraction of the response time; a slow service that took less answered in time."""

LOCKED = 0.2
"""Fraction of the time with a connection that a request waits for locks."""

LOCK_NOTICED = 0.001
"""Lock wait, in seconds, below which it is the usual cost of a write: SQLite's first retry comes after this
time."""

THINKING = 0.5
"""Fraction of their time for which users think, above which the throughput is theirs."""

NEAR_USERS = 0.10
"""Relative distance of the throughput from the maximum that the users can request."""


@dataclass(frozen=True)
class LoopLate:
    """The event loop runs late."""

    computes: bool
    """False where it is blocked without computing."""
    lag: float
    """p90 delay of the heartbeats, in seconds."""
    canary: CanaryTimes | None
    """None where no light request was sent beside the load."""
    holder: Holder | None = None
    """The line of code that holds it most; None where none was seen often enough."""


@dataclass(frozen=True)
class CallsCostly:
    """Calls to another service cost more CPU time the more of them are in flight. All in seconds."""

    delay: float
    """Response time of the service."""
    latency: float
    """Response time of the route."""
    cpu_among: float
    """CPU time per request under concurrency."""
    cpu_alone: float
    client: str | None = None
    """What calls it; None where that is not known."""


@dataclass(frozen=True)
class LockWait:
    """Requests wait for database locks."""

    seconds: float
    """Of one request."""
    part: float
    """Fraction of its time with a connection."""


@dataclass(frozen=True)
class PoolExhausted:
    """All database connections are in use, and requests wait for one."""

    connections: float
    part: float
    """Fraction of the heartbeats."""
    wait: float | None
    """Seconds of one request."""


@dataclass(frozen=True)
class TokensExhausted:
    """All thread tokens are in use, and tasks wait for one."""

    tokens: float
    part: float
    """Fraction of the heartbeats."""
    queued: float
    """Mean number of waiting tasks."""
    service_time: float
    """Service time in seconds of a request without concurrency, or the one that the load shows if shorter."""

    @property
    def throughput(self) -> float:
        """Maximum requests per second with these threads."""
        return self.tokens / self.service_time


@dataclass(frozen=True)
class CpuExhausted:
    """The server has no CPU time left."""

    cpus: int
    part: float
    """Utilization, 0 to 1."""
    cost: float
    """CPU seconds of one request."""
    alone: float | None
    """The same with one user."""


@dataclass(frozen=True)
class OneCpuEach:
    """The Python code of each process runs on one CPU at a time; on the others there is time left."""

    cores: float
    """CPUs' worth of work."""
    cpus: int
    cost: float
    """CPU seconds of one request."""
    alone: float | None
    """The same with one user."""


@dataclass(frozen=True)
class FewUsers:
    """The users cannot request more than this."""

    users: int
    service_time: float
    """Service time in seconds of a request without concurrency, or the one that the load shows if shorter."""

    @property
    def throughput(self) -> float:
        """Maximum requests per second that these users can send."""
        return self.users / self.service_time


@dataclass(frozen=True)
class ThinkTime:
    """The users mostly wait between requests by their own will."""

    users: int
    part: float
    """Fraction of their time."""


Evidence = (
    Fault | LoopLate | CallsCostly | LockWait | PoolExhausted | TokensExhausted | CpuExhausted | OneCpuEach
    | FewUsers | ThinkTime | Convoy | IdleWait | SlowAlone
)  # fmt: skip


@dataclass(frozen=True)
class Bottleneck:
    """What limits an arm, with the evidence."""

    name: Name
    evidence: Evidence


def of_trials(trials: Sequence[Trial]) -> list[Bottleneck]:
    """Generator or host, where they caused the loss of more than a fifth of an arm's rounds, judged by the
    last attempt of each round."""
    last = {trial.round: trial for trial in trials}
    lost = [trial for trial in last.values() if not trial.valid]
    if not last or len(lost) / len(last) <= MOST_LOST:
        return []
    # The first one leads: that users were idle follows from a generator without time to spare.
    blamed = {fault.blamed: fault for trial in reversed(lost) for fault in reversed(trial.faults)}
    found: list[Bottleneck] = []
    if "generator" in blamed:
        found.append(Bottleneck("generator", blamed["generator"]))
    if "host" in blamed:
        found.append(Bottleneck("host", blamed["host"]))
    return found


def bottlenecks(
    signs: Signs | None, known: Known, trials: Sequence[Trial], ahead: Ahead | None = None
) -> list[Bottleneck]:
    """What limits an arm, each with its evidence; the first one leads. Empty: no bottleneck identified.
    `ahead`: the arm that serves more, where the verdict says so.

    A queue for a resource is not the limit while the CPU is: with more connections or threads, the same work
    would wait for the CPU.
    """
    found = of_trials(trials)
    if signs is None:
        return found
    busy = signs.cores is not None and signs.cores >= BUSY * known.most
    found += event_loop(signs, known, busy)
    found += http_client(signs, known)
    if not busy:
        found += database(signs)
        found += thread_tokens(signs, known)
    found += processor(signs, known)
    if known.thinks:
        return found or thinking(signs, known)
    if not found and signs.cores is not None and signs.cores < IDLE * known.least:
        if ahead is None:
            found += few_users(signs, known) or in_convoys(signs, known)
        else:
            found += behind(signs, known, ahead)
    return found


def behind(signs: Signs, known: Known, ahead: Ahead) -> list[Bottleneck]:
    """What limits an arm that has time left, while the other one serves more: never the users, who are the
    same."""
    if known.users is None:
        return []
    alone = slow_alone(signs, known, ahead)
    if alone is not None:
        return [Bottleneck("service-time", alone), *in_convoys(signs, known, ahead)]
    found = in_convoys(signs, known, ahead)
    waits = None if found else idle_wait(signs, known, ahead)
    return [Bottleneck("waiting", waits)] if waits else found


def in_convoys(signs: Signs, known: Known, ahead: Ahead | None = None) -> list[Bottleneck]:
    """The users ask in bursts, whose requests take turns."""
    found = convoy(signs, known, ahead)
    return [Bottleneck("convoys", found)] if found else []


def event_loop(signs: Signs, known: Known, busy: bool) -> list[Bottleneck]:
    """The loop runs late and is itself the cause: it computes, or it is blocked. It also runs late when other
    threads compute, however busy the CPU is, or when many short tasks queue for a saturated CPU; then it is
    not the cause, since they would queue elsewhere as well."""
    idle = known.idle.lag if known.idle and known.idle.lag is not None else 0.0
    if signs.lag is None or signs.lag - idle <= LATE:
        return []
    own, others = used_by_loop(signs, known)
    if others > max(OTHERS, own) or (busy and short_turns(signs, known, signs.lag)):
        return []
    usual = known.idle.service_time if known.idle and known.idle.service_time else 0.0
    if signs.canary is not None and signs.canary.response_time - usual <= LATE:
        return []
    holder = next(iter(signs.holders), None)
    # A loop that is idle half of the time may compute whenever it is late: its lines tell.
    computes = own >= COMPUTES or (holder is not None and holder.computes is True)
    return [Bottleneck("event-loop", LoopLate(computes, signs.lag, signs.canary, holder))]


def used_by_loop(signs: Signs, known: Known) -> tuple[float, float]:
    """What the threads of the event loops use, and all others, as fractions of one CPU per worker, or of the
    CPUs where there are fewer."""
    used, share = (signs.cores or 0.0) / known.most, signs.loop_share or 0.0
    return share * used, (1.0 - share) * used


def short_turns(signs: Signs, known: Known, lag: float) -> bool:
    """Whether the mean request blocks the loop only briefly, and the lag is at most the CPU time of all
    requests in flight on the loop."""
    if signs.cpu is None:
        return False
    in_flight = known.users if known.users is not None else signs.throughput * (signs.latency or 0.0)
    return signs.cpu < TURN and lag <= in_flight / (known.workers or 1) * signs.cpu


def http_client(signs: Signs, known: Known) -> list[Bottleneck]:
    """The called service answers in time and the route does not, and calls cost more CPU time the more of
    them are in flight."""
    alone = known.one.cpu if known.one else None
    if signs.delay is None or signs.latency is None or signs.cpu is None or not alone:
        return []
    among = known.few.cpu if known.few and known.few.cpu else 0.0
    highest = max(signs.cpu, among)
    if signs.delay > ON_TIME * signs.latency or highest < DEARER * alone:
        return []
    return [Bottleneck("http-client", CallsCostly(signs.delay, signs.latency, highest, alone, known.client))]


def database(signs: Signs) -> list[Bottleneck]:
    """Requests wait for a lock or a connection."""
    found = []
    held = (signs.latency or 0.0) - (signs.pool_wait or 0.0)
    locked = signs.lock_wait is not None and signs.lock_wait > max(LOCK_NOTICED, LOCKED * held)
    if locked and signs.lock_wait is not None and held > 0.0:
        part = min(1.0, signs.lock_wait / held)
        found.append(Bottleneck("db-lock", LockWait(signs.lock_wait, part)))
    if signs.pool_full is not None and signs.pool_full >= OFTEN and signs.pool is not None:
        found.append(Bottleneck("db-pool", PoolExhausted(signs.pool, signs.pool_full, signs.pool_wait)))
    return found


def thread_tokens(signs: Signs, known: Known) -> list[Bottleneck]:
    """All thread tokens are borrowed, tasks wait for one, and the throughput is the maximum they allow."""
    service_time = known.one.service_time if known.one else None
    if signs.tokens is None or signs.tokens_full is None or not service_time:
        return []
    near = abs(signs.throughput / (signs.tokens / service_time) - 1.0) <= NEAR
    if signs.tokens_full < OFTEN or not signs.queued or not near:
        return []
    shortest = shown_by(signs.throughput, signs.tokens, service_time)
    taken = TokensExhausted(signs.tokens, signs.tokens_full, signs.queued, shortest)
    return [Bottleneck("thread-tokens", taken)]


def processor(signs: Signs, known: Known) -> list[Bottleneck]:
    """The server has no CPU time left: on all of its CPUs, or, where the number of its processes is known, on
    one CPU each because of the GIL."""
    if signs.cores is None or signs.cpu is None:
        return []
    alone = known.one.cpu if known.one else None
    if signs.cores >= BUSY * known.cpus:
        part = min(1.0, signs.cores / known.cpus)
        return [Bottleneck("cpu", CpuExhausted(known.cpus, part, signs.cpu, alone))]
    if known.workers is not None and signs.cores >= BUSY * known.workers:
        return [Bottleneck("gil", OneCpuEach(signs.cores, known.cpus, signs.cpu, alone))]
    return []


def thinking(signs: Signs, known: Known) -> list[Bottleneck]:
    """The users think for at least half of their time: by N = X·(R + Z), X is theirs."""
    if known.users is None or signs.latency is None:
        return []
    part = 1.0 - signs.throughput * signs.latency / known.users
    return [Bottleneck("users", ThinkTime(known.users, part))] if part >= THINKING else []


def few_users(signs: Signs, known: Known) -> list[Bottleneck]:
    """The users cannot request more than this."""
    service_time = known.one.service_time if known.one else None
    if known.users is None or not service_time:
        return []
    asked = FewUsers(known.users, service_time)
    if abs(signs.throughput / asked.throughput - 1.0) > NEAR_USERS:
        return []
    shortest = shown_by(signs.throughput, known.users, service_time)
    return [Bottleneck("users", FewUsers(known.users, shortest))]


def shown_by(throughput: float, servers: float, alone: float) -> float:
    """The service time R in the bound N/R of users or threads: that of a request alone, unless the
    load itself shows a shorter one, by more requests than the bound allows (N = X·R)."""
    return min(alone, servers / throughput) if throughput > 0.0 else alone
