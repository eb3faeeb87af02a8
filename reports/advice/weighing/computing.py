"""Whether an arm's threads compute, so that its event loop waits for the GIL as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.advice.rule import NOTICED
from reports.advice.weighing.ways import stalls
from reports.analysis.bottlenecks import Bottleneck
from reports.analysis.signs import CanaryTimes, Signs

MOSTLY = 0.5
"""Fraction of the server's CPU time that other threads than the event loop's must use."""


@dataclass(frozen=True)
class HoldsGil:
    """Worker threads compute, and hold the GIL in turn: `async def` routes beside them wait for it."""

    arm: str
    waits: CanaryTimes
    """What an `async def` neighbour waits."""


def holds_gil(arm: str, signs: Signs | None, limits: Sequence[Bottleneck]) -> HoldsGil | None:
    """Whether the GIL limits an arm, most of its CPU time is its threads', and an `async def` neighbour waits
    NOTICED or longer. On one CPU, threads that release the GIL look the same: None."""
    if signs is None or signs.pulse is None or signs.loop_share is None or stalls(limits):
        return None
    bound = any(limit.name == "gil" for limit in limits)
    threads = 1.0 - signs.loop_share >= MOSTLY
    return HoldsGil(arm, signs.pulse) if bound and threads and signs.pulse.response_time >= NOTICED else None
