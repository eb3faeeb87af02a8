"""Queues whose waiting times are known, simulated: what a search for the highest rate must find."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from loadtests.measure.known_answers.apps import BEHIND_GATE, GATE
from reports.analysis.capacity.crossing import RateSlice

LIMIT = 0.1
"""Seconds: the target's limit."""

Times = NDArray[np.float64]


def arrivals(rate: float, seconds: float, random: np.random.Generator) -> Times:
    """When requests arrive, at random."""
    return np.sort(random.random(random.poisson(rate * seconds)) * seconds)


def gated(moments: Times, gate: float = GATE) -> Times:
    """Response times behind a gate that lets one request through every 1/`gate` seconds (M/D/1; Lindley)."""
    turns = np.arange(len(moments)) / gate
    waited = np.maximum.accumulate(moments - turns) + turns - moments
    return waited + BEHIND_GATE


def threaded(moments: Times, threads: int, wait: float) -> Times:
    """Response times of a pool whose threads take `wait` seconds each (M/D/c): in turn, as all take equally
    long."""
    took = np.empty_like(moments)
    for lane in range(threads):
        took[lane::threads] = gated(moments[lane::threads], 1.0 / wait) - BEHIND_GATE + wait
    return took


def loaded(
    round: int, rate: float, gate: float, random: np.random.Generator, head: float = 0.5, window: float = 2.0
) -> RateSlice:
    """A slice of a gate that is free when it begins."""
    moments = arrivals(rate, head + window, random)
    took = gated(moments, gate)[moments >= head]
    return RateSlice(round, rate, int((took >= LIMIT).sum()), len(took))


def carried(share: float, most: float = GATE, queue: Callable[[Times], Times] = gated) -> float:
    """The rate at which `share` of the requests take LIMIT or longer in the long run, by simulation. `most`:
    requests per second that the queue can serve."""
    low, high, random = math.log(most / 2.0), math.log(most), np.random.default_rng(7)
    for _ in range(9):
        middle = (low + high) / 2.0
        took = queue(arrivals(math.exp(middle), 2_000.0, random))
        low, high = (middle, high) if (took >= LIMIT).mean() < share else (low, middle)
    return math.exp((low + high) / 2.0)
