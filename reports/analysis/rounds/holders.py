"""Which lines of code held the event loop, over all rounds of a cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.records import HoldingLine, Trial

ENOUGH = 10
"""Looks at a line, below which it is not named."""

NOTICED = 0.05
"""Fraction of the time, below which a line is not named."""

PROVED = 0.05
"""Fraction of the looks at a line that waits at which one callback must have held the loop for 5 ms, and two
of them at least. Half of the looks can show that: 8% of all do for callbacks of 6 ms, 25% for those of 10 ms,
and below 1% for those of 0.3 ms that queue."""

COMPUTES, WAITS = 0.5, 0.25
"""Fraction of the time for which the loop's thread used the CPU: from the first on it computes, up to the
second it waits."""

MOST = 3
"""Lines that are named."""


@dataclass(frozen=True)
class Holder:
    """A line of code that held the event loop."""

    file: str
    shown: str
    """The file, from the directory that it is imported from."""
    line: int
    what: str
    """What it calls, or else the function that it is in."""
    own: bool
    """Whether it is the app's own code."""
    route: str | None
    """The one for which it held the loop longest; None where that is not known."""
    routes: int
    """For how many it did."""
    part: float
    """Fraction of the windows' time."""
    looks: int
    """At which it was seen."""
    computes: bool | None
    """False: it waits; None where neither is clear."""


def holders(trials: Sequence[Trial]) -> tuple[Holder, ...]:
    """The lines that held the event loops of an arm most in some trials, the most important one first. Empty
    where none did, or where a trial does not say."""
    told = [trial.held for trial in trials if trial.held is not None]
    if len(told) < len(trials) or not told:
        return ()
    time = sum(trial.window * trial.held.workers for trial in trials if trial.held is not None)
    by_line: dict[tuple[object, ...], list[HoldingLine]] = {}
    for one in (line for held in told for line in held.lines):
        by_line.setdefault((one.file, one.line, one.call), []).append(one)
    groups: dict[tuple[object, ...], list[HoldingLine]] = {}
    for key, lines in by_line.items():
        # What computes is spread over the lines of its function.
        where = (lines[0].file, lines[0].function) if computing(lines) else key
        groups.setdefault(where, []).extend(lines)
    known = sum(line.seconds for lines in groups.values() if computing(lines) for line in lines)
    # What computed at lines that were not seen did so at the same ones as what was seen.
    more = 1.0 + sum(held.unplaced for held in told) / known if known else 1.0
    found = [
        holder(lines, time / more if computing(lines) else time) for lines in groups.values() if proved(lines)
    ]
    found = [one for one in found if one.part >= NOTICED]
    return tuple(sorted(found, key=lambda one: -one.part)[:MOST])


def computing(lines: Sequence[HoldingLine]) -> bool | None:
    """Whether the loop's thread computes at some lines, or waits; None where neither is clear."""
    cpu = [line.cpu for line in lines if line.cpu is not None]
    over = sum(line.over for line in lines)
    if len(cpu) < len(lines) or not over:
        return None
    part = sum(cpu) / over
    return True if part >= COMPUTES else False if part <= WAITS else None


def proved(lines: Sequence[HoldingLine]) -> bool:
    """Whether it was seen often enough, and is no short callback that happened to run while many queued. For
    what computes the CPU time of a request shows that, see `bottlenecks.short_turns`: a thread that computes
    lets others look at it every 5 ms only."""
    count = sum(line.count for line in lines)
    if count < ENOUGH:
        return False
    return computing(lines) is True or sum(line.held for line in lines) >= max(2.0, PROVED * count)


def holder(lines: Sequence[HoldingLine], time: float) -> Holder:
    """Lines that count as one; `time`: seconds of all windows and workers together."""
    most = max(lines, key=lambda line: line.seconds)
    routes: dict[str | None, float] = {}
    for line in lines:
        routes[line.route] = routes.get(line.route, 0.0) + line.seconds
    computes = computing(lines)
    function = most.function.rpartition(".")[2]
    return Holder(
        file=most.file,
        shown=most.shown,
        line=most.line,
        what=function if computes or most.call is None else most.call,
        own=most.own,
        route=max(routes, key=lambda route: routes[route]),
        routes=len(routes),
        part=min(1.0, sum(line.seconds for line in lines) / time),
        looks=sum(line.count for line in lines),
        computes=computes,
    )
