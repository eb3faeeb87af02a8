"""What a server keeps of requests that it has answered: the blocks of memory that Python has given out.

Work that waits, such as a list of mails that a thread sends one by one, takes no CPU time and has no
counter, but its items live. So do those of a growing cache, which cannot be distinguished from it: a doubt,
no failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from loadtests.records import Heartbeats, Samples, Slice
from reports.analysis.backlogs.growth import inside

LEAST_KEPT = 0.1
"""Objects per response from which on a server is said to keep them: one of ten responses may leave work."""

FEWEST_KEPT = 500.0
"""Objects per worker from a window's first half to the end, and half as many to its second half: an app keeps
a few of its own, and with requests in flight their number varies by some hundreds."""


@dataclass(frozen=True)
class KeepsMore:
    """With every response, a server keeps more objects than it frees."""

    arm: str
    objects: float
    """Per response, the median over rounds."""


def keeping(arm: str, kept: Sequence[float | None]) -> KeepsMore | None:
    """What an arm's rounds show, by `kept` of each: a round in which it is unknown counts as 0."""
    middle = median([one or 0.0 for one in kept]) if kept else 0.0
    return KeepsMore(arm, middle) if middle >= LEAST_KEPT else None


def kept(beats: Heartbeats | None, samples: Samples, windows: Sequence[Slice]) -> float | None:
    """Objects per response that a server keeps; 0 where it keeps none, None where that is unknown.

    The number of blocks rises with garbage that is not collected yet, and with requests in flight. So it is
    the least in each half of the windows that counts, and the one at rest after the load, once garbage is
    collected: the smaller growth of the two. What the garbage of the first half hides is not seen. The times
    of `samples` are on the clock of the heartbeats.
    """
    if beats is None or not len(beats):
        return None
    at, ended = beats.due + beats.lag, np.sort(samples.end[samples.ok])
    # How much of the windows had passed at each beat; at rest, none passes.
    passed = sum(np.clip(at - one.opened, 0.0, one.window) for one in windows)
    during, middle = inside(at, windows), sum(one.window for one in windows) / 2.0
    growing, staying, between, after = 0.0, 0.0, 0.0, 0.0
    for worker in np.unique(beats.worker):
        mine = (beats.worker == worker) & np.isfinite(beats.blocks)
        first, second = (mine & during & half for half in (passed < middle, passed >= middle))
        if not first.any() or not second.any():
            return None
        low, high = (np.flatnonzero(half)[beats.blocks[half].argmin()] for half in (first, second))
        last = np.flatnonzero(mine)[-1]
        growing += float(beats.blocks[high] - beats.blocks[low])
        staying += float(beats.blocks[last] - beats.blocks[low])
        moments = np.searchsorted(ended, at[[low, high]])
        between += float(moments[1] - moments[0])
        after += float(len(ended) - moments[0])
    workers = len(np.unique(beats.worker))
    if not between or staying < workers * FEWEST_KEPT or growing < workers * FEWEST_KEPT / 2.0:
        # Responses are counted once for every worker, so that each has the share of one.
        return 0.0 if between else None
    return max(0.0, workers * min(growing / between, staying / after))
