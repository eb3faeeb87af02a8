"""What to change first in an app, from its structure alone, without any load. All of it is data:
`reports/wording` makes the sentences.

Everything here follows from how a framework calls a function; the effect of a change is unknown until it is
measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from reports.advice.anatomy import THREADS, Anatomy, Blocks, Called, Pieces, Role, Route, Style, UnreadCall
from reports.advice.driven import PulseWaits, SeenLine

Weight = Literal["wrong", "mind", "consider"]

Evidence = Literal["read", "seen", "both"]
"""Whether a finding was read in the code or seen while the app ran."""


@dataclass(frozen=True)
class Caller:
    """The function that a problem is in, as far as its remedy depends on it."""

    role: Role
    name: str
    style: Style
    may_be_def: bool
    """It could be a plain function, and would then run in a thread."""


@dataclass(frozen=True)
class BlocksLoop:
    """Blocking calls on the event loop."""

    caller: Caller
    calls: tuple[Blocks, ...]


@dataclass(frozen=True)
class ReadsFile:
    """A file is read on the event loop: fast for a small one, blocking for a large one."""

    caller: Caller
    calls: tuple[Blocks, ...]


@dataclass(frozen=True)
class Wedges:
    """A deadlock: requests that hold a connection wait for a thread, while others hold all threads and wait
    for a connection."""

    holder: str
    """The dependency that keeps a session."""
    taker: str | None
    """The dependency that takes the connection; None: the route's own function."""
    in_flight: int
    connections: int
    threads: int = THREADS

    @property
    def bound(self) -> int:
        """The number of concurrent requests from which on it can happen."""
        return self.connections + self.threads


@dataclass(frozen=True)
class MayWedge:
    """The same deadlock is possible, but no pool was found."""

    holder: str
    taker: str | None
    threads: int = THREADS


@dataclass(frozen=True)
class HoldsConnection:
    """A dependency's connection is kept while the route runs, which has no use for it: the pool bounds the
    number of requests at a time."""

    holder: str
    taker: str
    in_flight: int
    connections: int


@dataclass(frozen=True)
class NeedlessHops:
    """Dependencies of an asynchronous route take threads, though nothing in them seems to wait."""

    hops: int
    dependencies: tuple[tuple[str, Style], ...]
    """Name and style of each."""


@dataclass(frozen=True)
class NothingWaits:
    """A `def` route in which nothing seems to wait."""

    hops: int


@dataclass(frozen=True)
class StreamsPieces:
    """A streaming response takes a thread for every piece, though nothing seems to wait for it."""

    pieces: Pieces


@dataclass(frozen=True)
class HoldsLoop:
    """A line that was seen to hold the event loop, and not read."""

    line: SeenLine


@dataclass(frozen=True)
class Computes:
    """A route computes in worker threads, and light requests beside it wait."""

    cpu: float
    """CPU seconds of a request."""
    beside: PulseWaits


Problem = (
    BlocksLoop
    | ReadsFile
    | Wedges
    | MayWedge
    | HoldsConnection
    | NeedlessHops
    | NothingWaits
    | StreamsPieces
    | HoldsLoop
    | Computes
)


@dataclass(frozen=True)
class Finding:
    """Something to fix, to check or to try."""

    routes: tuple[str, ...]
    """Where requests meet it."""
    problem: Problem
    evidence: Evidence = "read"
    seen: tuple[SeenLine, ...] = ()
    """The lines at which it was seen."""

    @property
    def weight(self) -> Weight:
        if any(line.computes is not True for line in self.seen):
            return "wrong"
        match self.problem:
            case BlocksLoop() | Wedges():
                return "wrong"
            case ReadsFile() | MayWedge() | HoldsConnection() | HoldsLoop():
                return "mind"
            case NeedlessHops() | NothingWaits() | StreamsPieces() | Computes():
                return "consider"


@dataclass(frozen=True)
class Coverage:
    """What was looked into of the functions that run on the event loop."""

    looked_into: int
    unread: tuple[UnreadCall, ...]

    @property
    def calls(self) -> int:
        return self.looked_into + len(self.unread)


def advise(anatomy: Anatomy, in_flight: int) -> list[Finding]:
    """Findings for an app that serves `in_flight` requests concurrently, the most severe first; a problem
    that several routes share is one finding."""
    found: list[tuple[str, Problem]] = []
    for one in (*anatomy.middleware, *anatomy.handlers):
        found += [(str(one), problem) for problem in blocked(one)]
    for start in anatomy.lifespan:
        tasks = tuple(call for call in start.blocks if call.task)
        found += [(str(start), problem) for problem in blocked(start.model_copy(update={"blocks": tasks}))]
    for route in anatomy.routes:
        found += [(str(route), problem) for one in (route, *route.dependencies) for problem in blocked(one)]
        found += [(str(route), problem) for problem in wedged(route, anatomy, in_flight)]
    for route in anatomy.routes:
        found += [(str(route), problem) for problem in (*hopping(route), *idle(route))]
        found += [(str(route), StreamsPieces(one)) for one in route.pieces]
    routes: dict[Problem, list[str]] = {}
    for where, problem in found:
        routes.setdefault(problem, []).append(where)
    return sorted_by_weight(
        [Finding(tuple(dict.fromkeys(where)), problem) for problem, where in routes.items()]
    )


def sorted_by_weight(findings: Sequence[Finding]) -> list[Finding]:
    """The most severe first."""
    order: Sequence[Weight] = ("wrong", "mind", "consider")
    return sorted(findings, key=lambda one: order.index(one.weight))


def coverage(anatomy: Anatomy) -> Coverage:
    """What was looked into, each function and each call once. What runs in a thread cannot block the loop,
    and of what runs while the app starts, only its tasks keep requests waiting."""
    called = {one.identity: one for one in anatomy.called() if one.runs == "loop" and not one.library}
    unread = [call for one in anatomy.called() if one.runs == "loop" for call in one.unread]
    unread += [call for start in anatomy.lifespan for call in start.unread if call.task]
    every = (call.model_copy(update={"task": False}) for call in (*anatomy.unread, *unread))
    return Coverage(sum(one.looked_into for one in called.values()), tuple(dict.fromkeys(every)))


def outcomes(anatomy: Anatomy, found: Sequence[Finding]) -> set[str]:
    """What decides the exit code."""
    weights: set[str] = {one.weight for one in found}
    return weights | ({"unread"} if coverage(anatomy).unread else set())


def blocked(one: Called) -> list[Problem]:
    """Blocking calls on the event loop."""
    if one.runs != "loop":
        return []
    threads = one.role in ("route", "dependency", "handler") and one.may_be_def and not one.awaits
    # A plain function that hands a coroutine on leaves it on the loop.
    threads = threads and not any(step.coroutine for call in one.blocks for step in call.chain)
    caller = Caller(one.role, one.name, one.style, threads)
    waits = tuple(call for call in one.blocks if not call.reads_file)
    files = tuple(call for call in one.blocks if call.reads_file)
    return [*([BlocksLoop(caller, waits)] if waits else []), *([ReadsFile(caller, files)] if files else [])]


def wedged(route: Route, anatomy: Anatomy, in_flight: int) -> list[Problem]:
    """Whether requests to a route can deadlock over the connections that its dependencies keep until the
    response is sent, or are bound by their number."""
    sizes = [pool.most for pool in anatomy.pools if pool.most is not None]
    connections = min(sizes) if sizes else None
    for holder, taker, threads_after in takers(route):
        name = None if taker is route else taker.name
        if threads_after and connections is None:
            return [MayWedge(holder.name, name, anatomy.threads)]
        if connections is None or in_flight <= connections:
            continue
        if threads_after and in_flight >= connections + anatomy.threads:
            return [Wedges(holder.name, name, in_flight, connections, anatomy.threads)]
        if name is not None and holder.name not in route.needs:
            return [HoldsConnection(holder.name, name, in_flight, connections)]
    return []


def takers(route: Route) -> Iterator[tuple[Called, Called, bool]]:
    """For every dependency that keeps a session: what takes its connection in a thread, and whether the
    request needs another thread afterwards."""
    called: Sequence[Called] = (*route.dependencies, route)
    for at, holder in enumerate(route.dependencies):
        if not holder.session:
            continue
        users = [one for one in called[at + 1 :] if holder.name in one.needs]
        for one in [holder, *users] if holder.connects else users:
            if one.runs == "thread" and (one is route or one is holder or one.blocks):
                after = called[called.index(one) + 1 :]
                yield (
                    holder,
                    one,
                    any(later.runs == "thread" for later in after)
                    or (route.runs == "thread" and route.response_model is not None),
                )


def hopping(route: Route) -> list[Problem]:
    """Dependencies of an asynchronous route that take a thread though nothing in them seems to wait."""
    if route.runs == "thread":
        return []
    needless = [one for one in route.dependencies if one.idle and not one.session]
    if not needless:
        return []
    return [
        NeedlessHops(sum(one.own_hops for one in needless), tuple((one.name, one.style) for one in needless))
    ]


def idle(route: Route) -> list[Problem]:
    """`def` routes in which nothing seems to wait."""
    if route.style != "def" or route.role != "route" or not route.idle or route.dependencies:
        return []
    return [NothingWaits(route.hops)]
