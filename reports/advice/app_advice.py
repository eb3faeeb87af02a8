"""What to change first in an app, from its structure alone, without any load. All of it is data:
`reports/wording` makes the sentences.

Everything here follows from how FastAPI calls a function; the effect of a change is unknown until it is
measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from loadtests.records import Frozen

Weight = Literal["wrong", "mind", "consider"]

Style = Literal["def", "async def", "generator", "async generator", "class"]

HOPS: Mapping[Style, int] = {"def": 1, "class": 1, "generator": 2, "async def": 0, "async generator": 0}
"""Calls handed to a worker thread: FastAPI runs everything but coroutines in one, classes included; a
generator takes two, one to enter and one to exit."""

THREADS = 40
"""Tokens of AnyIO's limiter, unless an app changes them."""

FILES = frozenset({"open", "read_text", "read_bytes", "write_text", "write_bytes"})
"""Calls that read or write a file: for a small one, faster on the loop than a hop to a thread and back."""


class Blocks(Frozen):
    """A call that blocks its thread while it waits."""

    what: str
    file: str | None
    line: int | None

    def __str__(self) -> str:
        return f"{self.what} ({self.file}:{self.line})"


class Called(Frozen):
    """A route's function, or one of its dependencies."""

    name: str
    style: Style
    file: str | None
    line: int | None
    session: bool
    blocks: tuple[Blocks, ...]


class Route(Called):
    """A route and its dependencies."""

    path: str
    methods: tuple[str, ...]
    response_model: str | None
    dependencies: tuple[Called, ...]

    def __str__(self) -> str:
        return f"{','.join(self.methods) or 'ANY'} {self.path}"

    @property
    def sync(self) -> bool:
        return self.style == "def"

    @property
    def hops(self) -> int:
        """Calls handed to worker threads per request; a `def` route also validates its response in one."""
        own = 1 + (self.response_model is not None) if self.sync else 0
        return own + sum(HOPS[one.style] for one in self.dependencies)


class Pool(Frozen):
    """A pool of database connections."""

    kind: str
    size: int | None
    overflow: int | None
    """None: unlimited."""

    @property
    def most(self) -> int | None:
        """Maximum number of connections; None: unlimited or unknown."""
        return None if self.size is None or self.overflow is None else self.size + self.overflow


class Anatomy(Frozen):
    """An app, as loadtests/serving/inspection.py describes it."""

    routes: tuple[Route, ...]
    pools: tuple[Pool, ...]
    threads: int = THREADS
    """Tokens of AnyIO's limiter: AnyIO's default where the app was not started."""


@dataclass(frozen=True)
class BlocksLoop:
    """A coroutine makes blocking calls on the event loop."""

    style: Style
    calls: tuple[Blocks, ...]
    dependency: str | None
    """The dependency that makes the calls; None: the route's own function."""


@dataclass(frozen=True)
class ReadsFile:
    """A coroutine reads a file: fast for a small one, blocking for a large one."""

    style: Style
    calls: tuple[Blocks, ...]
    dependency: str | None


@dataclass(frozen=True)
class Wedges:
    """A deadlock: finished requests hold a connection and wait for a thread, while the others hold all
    threads and wait for a connection."""

    holder: str
    """The dependency that keeps a session."""
    in_flight: int
    connections: int
    threads: int = THREADS


@dataclass(frozen=True)
class MayWedge:
    """The same deadlock is possible, but no pool was found."""

    holder: str
    threads: int = THREADS


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


Problem = BlocksLoop | ReadsFile | Wedges | MayWedge | NeedlessHops | NothingWaits


@dataclass(frozen=True)
class Finding:
    """Something to fix, to check or to try."""

    routes: tuple[str, ...]
    problem: Problem

    @property
    def weight(self) -> Weight:
        match self.problem:
            case BlocksLoop() | Wedges():
                return "wrong"
            case ReadsFile() | MayWedge():
                return "mind"
            case NeedlessHops() | NothingWaits():
                return "consider"


def advise(anatomy: Anatomy, in_flight: int) -> list[Finding]:
    """Findings for an app that serves `in_flight` requests concurrently, the most severe first; a problem
    that several routes share is one finding."""
    found: list[tuple[Route, Problem]] = []
    for route in anatomy.routes:
        found += [(route, one) for one in (*blocked(route), *wedged(route, anatomy, in_flight))]
    for route in anatomy.routes:
        found += [(route, one) for one in (*hopping(route), *idle(route))]
    routes: dict[Problem, list[str]] = {}
    for route, problem in found:
        routes.setdefault(problem, []).append(str(route))
    order: Sequence[Weight] = ("wrong", "mind", "consider")
    findings = [Finding(tuple(dict.fromkeys(where)), problem) for problem, where in routes.items()]
    return sorted(findings, key=lambda one: order.index(one.weight))


def blocked(route: Route) -> list[Problem]:
    """Blocking calls on the event loop."""
    found: list[Problem] = []
    for one in (route, *route.dependencies):
        if one.style not in ("async def", "async generator"):
            continue
        dependency = None if one is route else one.name
        waits = tuple(call for call in one.blocks if call.what not in FILES)
        files = tuple(call for call in one.blocks if call.what in FILES)
        if waits:
            found.append(BlocksLoop(one.style, waits, dependency))
        if files:
            found.append(ReadsFile(one.style, files, dependency))
    return found


def wedged(route: Route, anatomy: Anatomy, in_flight: int) -> list[Problem]:
    """Whether a route that holds its session until its response is validated can deadlock."""
    holders = [one.name for one in route.dependencies if one.session]
    if not route.sync or route.response_model is None or not holders:
        return []
    sizes = [pool.most for pool in anatomy.pools if pool.most is not None]
    if not sizes:
        return [MayWedge(holders[0], anatomy.threads)]
    return [Wedges(holders[0], in_flight, min(sizes), anatomy.threads)] if min(sizes) < in_flight else []


def hopping(route: Route) -> list[Problem]:
    """Dependencies of an asynchronous route that take a thread though nothing in them seems to wait."""
    if route.sync:
        return []
    needless = [one for one in route.dependencies if HOPS[one.style] and not one.blocks and not one.session]
    if not needless:
        return []
    hops = sum(HOPS[one.style] for one in needless)
    return [NeedlessHops(hops, tuple((one.name, one.style) for one in needless))]


def idle(route: Route) -> list[Problem]:
    """`def` routes in which nothing seems to wait."""
    if not route.sync or route.blocks or route.dependencies:
        return []
    return [NothingWaits(route.hops)]
