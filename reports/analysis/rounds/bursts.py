"""Starts of requests → whether users ask in bursts.

The measure is the index of dispersion of counts (Cox and Lewis, The Statistical Analysis of Series of
Events, 1966): the variance of the number of starts in a span of time ÷ its mean. For users who ask
independently of each other, once every R, it is 1 − p for a span of p·R: each of them starts in it with
probability p. For users who ask in groups of B at the same moment it is B·(1 − p). So the index ÷ (1 − p) is
the number of users who ask together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SPAN = 0.25
"""The spans in which starts are counted, as a fraction of the mean response time: shorter ones would cut a
burst that the CPU draws out."""

STEPS = 4
"""Spans that begin within the length of one: they overlap, so it does not matter where the first begins."""

TURNS = 4
"""Response times that a window must last at least for its spans to be counted."""


@dataclass(frozen=True)
class Bursts:
    """How the users of a closed loop ask."""

    size: float
    """Number of users who ask together: 1 for users who are independent of each other, less for users who ask
    at even intervals. A burst that is drawn out over as long as a span counts for less than its users."""
    quiet: float
    """Seconds: half of the time lies in gaps of at least this length, in which no request starts."""


def bursts(windows: Sequence[tuple[NDArray[np.float64], float, float]]) -> Bursts | None:
    """From the starts, in any order, in each window, its length, and the mean response time in it, all in
    seconds; None where no window shows any."""
    varied = expected = 0.0
    gaps = []
    for starts, length, response_time in windows:
        span = SPAN * response_time
        if len(starts) < 2 or not 0.0 < response_time * TURNS <= length:
            continue
        ordered = np.sort(starts)
        begins = np.arange(0.0, length - span, span / STEPS)
        counts = np.searchsorted(ordered, begins + span) - np.searchsorted(ordered, begins)
        # Within each window: that one of them is faster than another is no burst.
        varied += float(counts.var()) * length
        expected += float(counts.mean()) * length
        gaps.append(np.diff(ordered))
    if expected <= 0.0:
        return None
    return Bursts(varied / expected / (1.0 - SPAN), typical_gap(np.concatenate(gaps)))


def typical_gap(gaps: NDArray[np.float64]) -> float:
    """The length of the gap in which a random moment lies: half of the time lies in longer ones."""
    ordered = np.sort(gaps)
    until = np.cumsum(ordered)
    return float(ordered[np.searchsorted(until, until[-1] / 2.0)])
