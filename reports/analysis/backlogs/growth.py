"""Work that is counted inside the server: tasks, items in queues and jobs of pools that pile up during a
window. Users wait for responses, not for the work an app does afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from loadtests.records import Heartbeats, Samples, Slice

BacklogKind = Literal["tasks", "items", "thread-jobs", "process-jobs", "threads", "processes", "work"]
"""What piles up; `work` is any, by the CPU time that it takes."""

COLUMNS: Mapping[BacklogKind, str] = {
    "tasks": "tasks", "items": "items", "thread-jobs": "thread_jobs", "process-jobs": "process_jobs",
    "threads": "threads",
}  # fmt: skip
"""Of the heartbeats, by what they count."""

FEWEST = 20.0
"""Pieces of work per window to be counted as a backlog; an app may have a few of its own."""

REST = 2.0
"""Pieces of work per request in flight that are no backlog. The requests in flight may all wait for the same
pool at one count and none at the next, and a line through few counts may exceed their number by half."""


def growing(beats: Heartbeats | None, samples: Samples, windows: Sequence[Slice]) -> dict[BacklogKind, float]:
    """By kind, the growth of unfinished work during a trial's windows per response, from least-squares lines
    through the counts; 0 without growth. A kind is missing where it is unknown: no heartbeats, or the
    requests in flight grew as well, whose work cannot be distinguished from that of answered requests. The
    times of `samples` are on the clock of the heartbeats.
    """
    if beats is None:
        return {}
    at = beats.due + beats.lag
    counted = np.isfinite(beats.tasks) & inside(at, windows)
    flying = in_flight(samples, np.unique(at[counted]))
    more = growth(np.unique(at[counted]), flying, windows)
    ended = int((samples.ok & inside(samples.end, windows)).sum())
    if more is None or not ended:
        return {}
    resting = in_flight(samples, at) == 0
    earlier = float(np.mean([(samples.ok & (samples.end < one.opened)).sum() for one in windows]))
    found: dict[BacklogKind, float] = {}
    for kind, column in COLUMNS.items():
        counts = getattr(beats, column)
        grown = grown_of_all(beats, counted, at, counts, windows)
        if grown is None:
            continue
        usual = float(flying.mean())
        if grown < max(FEWEST, usual):
            found[kind] = 0.0
        elif more < grown / 10.0:
            # What earlier responses left behind is there when a window opens, too.
            own = at_openings(beats, resting, at, counts, windows) - earlier * grown / ended
            found[kind] = (grown - max(0.0, more)) / ended if grown >= REST * max(usual, own) else 0.0
    return found


def at_openings(
    beats: Heartbeats,
    resting: NDArray[np.bool_],
    at: NDArray[np.float64],
    counts: NDArray[np.float64],
    windows: Sequence[Slice],
) -> float:
    """The mean count with which windows open, by their lines, beyond the least without requests in flight,
    where one was seen: of all workers together. A request in flight may be several pieces of work: under a
    BaseHTTPMiddleware, seven tasks, and more where the event loop is busy."""
    found = 0.0
    length = sum(one.window for one in windows)
    for worker in np.unique(beats.worker):
        mine = (beats.worker == worker) & np.isfinite(counts)
        slope = (growth(at[mine], counts[mine], windows) or 0.0) / length
        here = [(one, mine & inside(at, (one,))) for one in windows]
        levels = [
            counts[now].mean() - slope * (at[now].mean() - one.opened) for one, now in here if now.any()
        ]
        idle = counts[mine & resting].min(initial=np.inf)
        found += float(np.mean(levels) - (idle if np.isfinite(idle) else 0.0)) if levels else 0.0
    return found


def grown_of_all(
    beats: Heartbeats,
    counted: NDArray[np.bool_],
    at: NDArray[np.float64],
    counts: NDArray[np.float64],
    windows: Sequence[Slice],
) -> float | None:
    """Growth of the counts of all workers together; None where one of them has too few."""
    grown = 0.0
    for worker in np.unique(beats.worker):
        mine = counted & (beats.worker == worker) & np.isfinite(counts)
        one = growth(at[mine], counts[mine], windows)
        if one is None:
            return None
        grown += one
    return grown


def growth(at: NDArray[np.float64], counts: NDArray[np.float64], windows: Sequence[Slice]) -> float | None:
    """Growth of counts over all windows, by least squares: one slope, and a level for each window, since a
    server rests between two. None for fewer than three points in time, or where no window has two."""
    if len(np.unique(at)) < 3:
        return None
    above = below = 0.0
    for one in windows:
        mine = inside(at, (one,))
        away = at[mine] - at[mine].mean() if mine.any() else at[mine]
        above += float((away * counts[mine]).sum())
        below += float((away * away).sum())
    return above / below * sum(one.window for one in windows) if below > 0.0 else None


def inside(at: NDArray[np.float64], windows: Sequence[Slice]) -> NDArray[np.bool_]:
    """Which of the moments lie in one of the windows."""
    each = [(at >= one.opened) & (at < one.opened + one.window) for one in windows]
    found: NDArray[np.bool_] = np.logical_or.reduce(each)
    return found


def in_flight(samples: Samples, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Number of requests in flight at each of the given times."""
    started = np.searchsorted(np.sort(samples.start), at, side="right")
    ended = np.searchsorted(np.sort(samples.end), at, side="right")
    return (started - ended).astype(np.float64)
