"""Work that is left behind: users wait for answers, and what an app does after them may pile up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from loadtests.records import Beats, Samples

FEWEST = 20.0
"""Tasks in a window; an app may start a few for itself."""


def left_behind(beats: Beats | None, samples: Samples, window: float) -> float | None:
    """Tasks per answer by which those that are not done grew during a window, from lines of least squares
    through their counts; 0 where they did not. None where nothing tells: no heartbeats, or requests in
    flight that grew as well, whose tasks cannot be told from those of answered ones.
    """
    if beats is None:
        return None
    at = beats.due + beats.lag
    counted = np.isfinite(beats.tasks) & (at >= 0.0) & (at < window)
    grown = 0.0
    for worker in np.unique(beats.worker):
        mine = counted & (beats.worker == worker)
        one = growth(at[mine], beats.tasks[mine], window)
        if one is None:
            return None
        grown += one
    flying = in_flight(samples, np.unique(at[counted]))
    more = growth(np.unique(at[counted]), flying, window)
    ended = int((samples.ok & (samples.end >= 0.0) & (samples.end < window)).sum())
    if more is None or not ended:
        return None
    if grown < max(FEWEST, float(flying.mean())):
        return 0.0
    return (grown - max(0.0, more)) / ended if more < grown / 10.0 else None


def growth(at: NDArray[np.float64], counts: NDArray[np.float64], window: float) -> float | None:
    """By how much counts grew during a window, along the line of least squares; None for fewer than three
    moments."""
    if len(np.unique(at)) < 3:
        return None
    away = at - at.mean()
    return float((away * counts).sum() / (away * away).sum()) * window


def in_flight(samples: Samples, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Requests that users waited for at some moments."""
    begun = np.searchsorted(np.sort(samples.start), at, side="right")
    ended = np.searchsorted(np.sort(samples.end), at, side="right")
    return (begun - ended).astype(np.float64)
