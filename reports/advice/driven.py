"""Which lines held the event loop of an app that was asked one request at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from typing import Literal

from loadtests.records import Frozen, HoldingLine, LoopHolds
from reports.analysis.rounds.holders import computing

LATE = 0.005
"""Seconds for which one callback may hold the loop."""

NOTICED = 0.015
"""Seconds for which a light request must wait beside threads that compute. On two CPUs, threads that release
the GIL (PBKDF2 for 20 ms) make it wait for 9 ms, those that hold it for 25 to 80 ms."""

TWICE, HALF = 2, 0.5
"""Requests, and the fraction of a route's, at which a line must have held the loop: on a busy machine any
line does now and then."""

Missed = Literal["writes", "socket", "pattern", "time", "not-requested", "refused", "no-answer"]
"""Why a route was not reached: it writes; WebSocket; its path is a regular expression; no time was left; the
locustfile does not request it; it was answered with an error; it was not answered in time."""


class PulseWaits(Frozen):
    """What a light `async def` request waits beside requests to a route; seconds, the median."""

    users: int
    """Requests to the route at a time."""
    alone: float
    """Without them."""
    waits: float


class AskedRoute(Frozen):
    """A route that was asked."""

    name: str
    """As `GET /items/{item_id}`."""
    request: str
    status: int
    """Of the last answer; 0 where none came in time."""
    visits: tuple[LoopHolds, ...]
    """What held the loops during each request."""
    cpu: float | None = None
    """CPU seconds of the server for a request, beyond those of an empty one; None where not known."""
    beside: PulseWaits | None = None
    """Of a route that computes in a thread."""

    @property
    def delays_others(self) -> bool:
        """Whether light requests beside it wait noticeably longer."""
        return self.beside is not None and self.beside.waits - self.beside.alone >= NOTICED

    @property
    def missed(self) -> Missed | None:
        """Why its function may not have run; None where it has. An error of its own is status 500."""
        if not self.status:
            return "no-answer"
        if self.status == HTTPStatus.METHOD_NOT_ALLOWED and not self.request.startswith(("GET ", "HEAD ")):
            return "writes"
        return "refused" if HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR else None


class Driven(Frozen):
    """An app that was asked, as loadtests/measure/driving tells it."""

    asked: tuple[AskedRoute, ...]
    left: Mapping[str, Missed] = {}
    """By route, why it was not asked."""
    alone: LoopHolds | None = None
    """What held the loops while nothing was asked."""

    @property
    def reached(self) -> tuple[str, ...]:
        """The routes whose functions have run."""
        return tuple(dict.fromkeys(one.name for one in self.asked if one.missed is None))

    @property
    def missed(self) -> list[tuple[str, Missed, int]]:
        """The routes that were not reached, why, and the status of their answers, 0 without one."""
        refused = {one.name: (one.missed, one.status) for one in self.asked if one.missed is not None}
        left = {name: (why, 0) for name, why in self.left.items()}
        return [
            (name, why, status)
            for name, (why, status) in {**refused, **left}.items()
            if name not in self.reached
        ]


@dataclass(frozen=True)
class SeenLine:
    """A line that was seen to hold the event loop."""

    file: str
    shown: str
    """The file, from the directory that it is imported from."""
    lines: tuple[int, ...]
    """What computes is spread over the lines of its function; the one that held longest comes first."""
    what: str
    """What it calls, or else the function that it is in."""
    own: bool
    """Whether it is the app's own code."""
    computes: bool | None
    """False: it waits; None where neither is clear."""
    seconds: float
    """Median over the requests at which it was seen, of the time for which one callback was seen to run: a
    lower bound."""
    requests: int
    """At which it was seen."""
    of: int
    """Requests to the routes at which it was."""
    routes: tuple[str, ...]
    """None: it runs without being asked."""

    @property
    def line(self) -> int:
        return self.lines[0]


Where = tuple[object, ...]


def seen_lines(driven: Driven) -> list[SeenLine]:
    """The lines that held the loop at half or more of the requests to a route, those that held it longest
    first."""
    visits = [visit for one in driven.asked for visit in one.visits]
    alone = [] if driven.alone is None else [driven.alone]
    everything = [line for one in (*visits, *alone) for line in one.lines]
    wheres = places(everything)
    by_itself = set(held_for(driven.alone, wheres)) if driven.alone is not None else set[Where]()
    found: dict[Where, list[tuple[str, int, list[float]]]] = {}
    for one in driven.asked:
        times: dict[Where, list[float]] = {}
        for visit in one.visits:
            for where, seconds in held_for(visit, wheres).items():
                times.setdefault(where, []).append(seconds)
        for where, held in times.items():
            if where not in by_itself and len(held) >= max(TWICE, HALF * len(one.visits)):
                found.setdefault(where, []).append((one.name, len(one.visits), held))
    if driven.alone is not None:
        found.update({where: [("", 1, [time])] for where, time in held_for(driven.alone, wheres).items()})
    lines = [seen(where, told, everything, wheres) for where, told in found.items()]
    return sorted(lines, key=lambda line: -line.seconds)


def key(line: HoldingLine) -> Where:
    return line.file, line.line, line.call


def places(everything: Iterable[HoldingLine]) -> dict[Where, Where]:
    """By line and call: itself, or the function of one that computes."""
    by_line: dict[Where, list[HoldingLine]] = {}
    for line in everything:
        by_line.setdefault(key(line), []).append(line)
    return {
        one: (lines[0].file, lines[0].function) if computing(lines) else one for one, lines in by_line.items()
    }


def held_for(held: LoopHolds, wheres: Mapping[Where, Where]) -> dict[Where, float]:
    """For how long each place held the loop during one request, where that was too long."""
    found: dict[Where, float] = {}
    for line in held.lines:
        where = wheres[key(line)]
        found[where] = max(found.get(where, 0.0), line.longest)
    return {where: seconds for where, seconds in found.items() if seconds >= LATE}


def seen(
    where: Where,
    told: list[tuple[str, int, list[float]]],
    everything: Iterable[HoldingLine],
    wheres: Mapping[Where, Where],
) -> SeenLine:
    """One place; `told`: of each route, its requests and the seconds of those at which it held the loop."""
    lines = sorted((one for one in everything if wheres[key(one)] == where), key=lambda one: -one.longest)
    most, computes = lines[0], computing(lines)
    times = [time for _, _, seconds in told for time in seconds]
    return SeenLine(
        file=most.file,
        shown=most.shown,
        lines=tuple(dict.fromkeys(one.line for one in lines)),
        what=most.function.rpartition(".")[2] if computes or most.call is None else most.call,
        own=most.own,
        computes=computes,
        seconds=median(times),
        requests=len(times),
        of=sum(requests for _, requests, _ in told),
        routes=tuple(name for name, _, _ in told if name),
    )


def routes_of(lines: Iterable[SeenLine]) -> Iterator[str]:
    """The routes at which lines were seen, each once."""
    yield from dict.fromkeys(route for line in lines for route in line.routes)
