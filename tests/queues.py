"""Queues whose waiting times are known, simulated: what a search for the highest rate must find."""

from __future__ import annotations

import math

import numpy as np

from reports.analysis.capacity.crossing import RateSlice

GATE, SERVICE, LIMIT = 200.0, 0.02, 0.1
"""Per second, and seconds: requests are let through every 5 ms and take 20 ms more; the target's limit."""


def waits(rate: float, gate: float, seconds: float, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """When requests arrive, at random (M/D/1), and how long each waits to be let through (Lindley)."""
    moments = np.sort(random.random(random.poisson(rate * seconds)) * seconds)
    turns = np.arange(len(moments)) / gate
    return moments, np.maximum.accumulate(moments - turns) + turns - moments


def loaded(
    round: int, rate: float, gate: float, random: np.random.Generator, head: float = 0.5, window: float = 2.0
) -> RateSlice:
    """A slice of a queue that is empty when it begins."""
    moments, waited = waits(rate, gate, head + window, random)
    took = (waited + SERVICE)[moments >= head]
    return RateSlice(round, rate, int((took >= LIMIT).sum()), len(took))


def carried(share: float, gate: float = GATE) -> float:
    """The rate at which `share` of the requests take LIMIT or longer in the long run, by simulation."""
    low, high, random = math.log(gate / 2.0), math.log(gate), np.random.default_rng(7)
    for _ in range(9):
        middle = (low + high) / 2.0
        seen = loaded(0, math.exp(middle), gate, random, 20.0, 2_000.0)
        low, high = (middle, high) if seen.over < share * seen.of else (low, middle)
    return math.exp((low + high) / 2.0)
