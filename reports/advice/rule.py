"""What one route should be among others: the rule of a card, over the numbers of two arms.

FastAPI lets every route choose, so the question is not which of two apps serves more. A route that holds the
event loop serves its own requests a little faster, and keeps every `async def` route of the app waiting. The
rule is written out in docs/method.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reports.analysis.statistics import Interval

TWICE = 2.0
"""Factor between two arms' waiting times that the whole interval must exceed to matter."""

NOTICED = 0.020
"""Seconds by which they must differ to matter."""

HALF = 0.5
"""Fraction of the other arm's throughput below which an arm is not advised for its neighbours' sake."""


Bounds = tuple[float | None, float | None]
"""The lowest and the highest value that an interval allows; None where one is not known."""


@dataclass(frozen=True)
class Way:
    """One way to write a route, as an arm showed it."""

    name: str
    served: float | None
    """Requests per second."""
    asyncs: float | None
    """Seconds that an `async def` neighbour waits beside its load, a percentile; None where not known."""
    holds: bool
    """Whether single requests hold its event loop, or that is not known. Otherwise its neighbours wait behind
    many short requests, which are as many as it serves."""


@dataclass(frozen=True)
class Ways:
    """Two ways, measured side by side."""

    first: Way
    second: Way
    ahead: Literal["first", "second", "neither"] | None
    """Which of them is better for the route's own requests; None where that is not decided."""
    served: Bounds
    """What is served, the second ÷ the first, over rounds."""
    waits: Interval | None
    """What an `async def` neighbour waits, the second ÷ the first, over rounds."""


@dataclass(frozen=True)
class Choice:
    """`name`: of the way to take, or whose work to move off the event loop; "" for `either` and `open`."""

    kind: Literal["take", "either", "offload", "open"]
    name: str = ""


def harmful(ways: Ways) -> Way | None:
    """The way beside which `async def` neighbours wait more than TWICE as long, by the whole interval, and
    NOTICED longer."""
    waits = ways.waits
    if waits is None:
        return None
    if waits.low > TWICE:
        worse, better = ways.second, ways.first
    elif waits.high < 1.0 / TWICE:
        worse, better = ways.first, ways.second
    else:
        return None
    if worse.asyncs is None or better.asyncs is None:
        return None
    return worse if worse.asyncs - better.asyncs > NOTICED else None


def choose(ways: Ways) -> Choice:
    """The way to take: the one that is ahead, unless it holds its event loop, is harmful by that, and the
    other serves at least HALF."""
    ahead = {"first": ways.first, "second": ways.second}.get(ways.ahead or "")
    worse = harmful(ways)
    # At the rate that the other one serves, such a queue would not be there.
    if worse is None or (not worse.holds and (worse is ahead or ways.ahead is None)):
        if ways.ahead is None:
            return Choice("open")
        return Choice("take", ahead.name) if ahead is not None else Choice("either")
    other = ways.first if worse is ways.second else ways.second
    low, high = share(ways, other)
    # What the other serves need not be known to within the margin, only whether it is half.
    if (ways.ahead is not None and worse is not ahead) or (low is not None and low >= HALF):
        return Choice("take", other.name)
    return Choice("offload", worse.name) if high is not None and high < HALF else Choice("open")


Behind = Literal["loop", "threads", "requests"]
"""What neighbours wait for: an event loop that is held, the threads' queue, or many short requests, more than
the other way serves."""


def behind(ways: Ways, worse: Way, queued: bool) -> Behind:
    """What neighbours wait for beside the worse way. `queued`: whether its requests queue for threads."""
    if not worse.holds and ways.ahead == ("first" if worse is ways.first else "second"):
        return "requests"
    return "threads" if queued else "loop"


def share(ways: Ways, way: Way) -> Bounds:
    """What `way` serves ÷ what the other one serves."""
    low, high = ways.served
    return (low, high) if way is ways.second else (1.0 / high if high else None, 1.0 / low if low else None)


def keeps_light_routes_async(asyncs: float, defs: float) -> bool:
    """Whether light routes beside a way should be `async def`: as `def` they wait much longer, in the queue
    for the threads that it takes. Seconds that both kinds wait, at the same percentile."""
    return defs > TWICE * asyncs and defs - asyncs > NOTICED
