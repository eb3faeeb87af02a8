"""Whether the figures of a cell's rounds agree with one another, and with the generator's limit."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from loadtests.records import Cell, Metric, Run
from reports.analysis.estimates import Pairs
from reports.analysis.readings import Reading
from reports.analysis.statistics import Interval, Position


@dataclass(frozen=True)
class FiguresDisagree:
    """Throughputs and response times of two arms contradict each other: in a closed loop N = X·R, so that the
    ratio of the throughputs is the inverse ratio of the mean response times."""

    throughput: float
    """Ratio of the throughputs."""
    response_time: float
    """The ratio of throughputs that follows from the mean response times."""


def figures_disagree(
    reference: Sequence[Reading], rival: Sequence[Reading], margin: float
) -> list[FiguresDisagree]:
    """Whether Little's law holds for one arm and not for the other, by more than half the margin over all
    rounds (Denning and Buzen 1978). It fails where a window holds whole waves of requests, or where some
    requests take longer than the window."""
    off = [law for ours, theirs in zip(reference, rival, strict=True) if (law := laws(ours, theirs))]
    if len(off) < len(reference) or not off:
        return []
    throughput, response_time = (fmean(parts) for parts in zip(*off, strict=True))
    if abs(throughput - response_time) <= math.log1p(margin) / 2.0:
        return []
    return [FiguresDisagree(math.exp(throughput), math.exp(response_time))]


def laws(reference: Reading, rival: Reading) -> tuple[float, float] | None:
    """The logarithms of the ratio of throughputs, and of the one that requests in flight and mean response
    times imply; None where a figure is missing."""
    if not (reference.throughput and rival.throughput and reference.mean and rival.mean):
        return None
    if not (reference.in_flight and rival.in_flight):
        return None
    implied = (rival.in_flight / rival.mean) / (reference.in_flight / reference.mean)
    return math.log(rival.throughput / reference.throughput), math.log(implied)


@dataclass(frozen=True)
class PercentilesDisagree:
    """The arms are equivalent by the percentile that decides, and differ by another."""

    equal: Metric
    differs: Metric
    interval: Interval
    """The other one's ratio."""


@dataclass(frozen=True)
class Capped:
    """The generator held an arm back: rounds in which it came too close to what the generator can make were
    discarded, or count although they did, so that it is truly better than they show."""

    arms: tuple[str, ...]
    side: Literal["at least", "at most"] | None
    """On which side of `bound` the true ratio lies; None where both arms are capped, and nothing is known."""
    bound: float | None
    client: str | None = None
    """The kind of Locust user that made the load; None where that is not known."""

    @property
    def place(self) -> Position:
        """The position of the true ratio relative to 1: never `within`, which takes two sides."""
        if self.bound is not None and self.side == "at least" and self.bound > 1.0:
            return "above"
        if self.bound is not None and self.side == "at most" and self.bound < 1.0:
            return "below"
        return "open"


@dataclass(frozen=True)
class CappedAlone:
    """The same of the only arm of a run: its own figures are known from one side."""

    arm: str
    metric: Metric
    """The primary one."""
    bound: float
    """Requests per second that it serves at least, or seconds that it takes at most."""
    client: str | None = None
    """The kind of Locust user that made the load; None where that is not known."""


def cap(
    run: Run,
    pairs: Pairs,
    rival: str,
    interval: Interval | None,
    metric: Metric,
    excluded: Collection[str] = (),
) -> Capped | None:
    """What is known of a ratio, rival ÷ reference, where the generator held an arm back in an attempt at any
    round, which was discarded even if a later one counts, or counts although it did; None where there was
    none, without an interval, and in an open loop, whose rate is given. `excluded`: arms that fail most of
    their requests, which no limit of the generator explains."""
    if interval is None:
        return None
    cells = {trial.cell for trial in pairs.reference}
    both = (run.plan.opponent(rival).name, rival)
    arms = tuple(
        arm for arm in both if arm not in excluded and any(held_back(run, cell, arm) for cell in cells)
    )
    client = next((trial.client for trial in (*pairs.reference, *pairs.rival) if trial.client), None)
    return capping(arms, rival, interval, metric, client)


def capping(
    arms: tuple[str, ...], rival: str, interval: Interval, metric: Metric, client: str | None = None
) -> Capped | None:
    """What is known of a ratio, rival ÷ another arm, of which the generator held these arms back."""
    if len(arms) != 1:
        return Capped(arms, None, None, client) if arms else None
    # A better arm has the higher throughput and the shorter response times.
    higher = (arms == (rival,)) == (metric == "throughput")
    if higher:
        return Capped(arms, "at least", interval.low, client)
    return Capped(arms, "at most", interval.high, client)


def known_ends(
    low: float | None, high: float | None, capped: Capped | None
) -> tuple[float | None, float | None]:
    """The ends of a ratio's interval; None on a side where a capped arm leaves it unknown."""
    sides = ("at least", "at most") if capped is None else (capped.side,)
    return low if "at least" in sides else None, high if "at most" in sides else None


def held_back(run: Run, cell: Cell, arm: str) -> bool:
    """Whether the generator held an arm back in any attempt in a closed loop, so that the trials that count
    are its slower ones, or show less than it serves. What others did on the host beside that made nothing
    faster."""
    closed = cell.load.rate is None
    return closed and any(fault.caps for one in run.of(cell, arm) for fault in one.faults)


def own_ends(
    run: Run, cell: Cell, arm: str, metric: Metric, interval: Interval
) -> tuple[float | None, float | None]:
    """The ends of an arm's own interval; None on the side on which an arm that the generator held back leaves
    it unknown: it is truly faster than the trials that count."""
    if not held_back(run, cell, arm):
        return interval.low, interval.high
    return (interval.low, None) if metric == "throughput" else (None, interval.high)
