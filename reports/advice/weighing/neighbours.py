"""How long light requests beside the load wait, and how much longer with one arm than with another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from loadtests.records import Cell, LightKind, Run, Trial
from reports.analysis.estimates import pair
from reports.analysis.readings import Readings
from reports.analysis.signs import CanaryTimes, Signs
from reports.analysis.statistics import Interval, repeated_interval

PARTS = (0.95, 0.90, 0.75, 0.50)
"""Percentiles of a round's light requests; the highest one that every round supports is compared."""


@dataclass(frozen=True)
class NeighbourRatio:
    """What a light request waits beside one arm's load ÷ beside the other's, over rounds."""

    kind: LightKind
    """The pulse, which is answered by an `async def`; without one the canary, which may be answered by a
    `def` route and wait for a thread."""
    interval: Interval


def alike(found: Mapping[str, Signs | None]) -> dict[str, Signs | None]:
    """Pulses of all arms at the highest percentile that all of them support, so that they can be compared,
    and canaries likewise. Each by themselves: a light route that fails says nothing about the event loop."""
    known = [one for one in found.values() if one is not None]
    canaries, pulses = lowest(one.canary for one in known), lowest(one.pulse for one in known)
    return {
        name: replace(one, canary=at(one.canary, canaries), pulse=at(one.pulse, pulses)) if one else None
        for name, one in found.items()
    }


def side_by_side(signs: Signs) -> tuple[CanaryTimes, CanaryTimes] | None:
    """An arm's pulse and its canary at the highest percentile that both support; None without either."""
    if signs.pulse is None or signs.canary is None:
        return None
    part = lowest((signs.pulse, signs.canary))
    return signs.pulse.at(part), signs.canary.at(part)


def lowest(several: Iterable[CanaryTimes | None]) -> float:
    """The lowest percentile of several; that of none is 1."""
    return min((times.part for times in several if times is not None), default=1.0)


def at(times: CanaryTimes | None, part: float) -> CanaryTimes | None:
    """The same at a percentile, or none."""
    return times.at(part) if times is not None else None


def neighbours(run: Run, readings: Readings, cell: Cell, rival: str) -> NeighbourRatio | None:
    """What an `async def` neighbour waits, the rival's ÷ its opponent's, like any other metric; where that
    was not measured, what the app's own light route waits. None without either. Raises RecordError."""
    pairs = pair(run, cell, rival)
    kinds: tuple[LightKind, ...] = ("pulse", "canary")
    for kind in kinds:
        waits = [
            {part: waited(readings, trial, kind, part) for part in PARTS}
            for trial in (*pairs.reference, *pairs.rival)
        ]
        known = (part for part in PARTS if waits and all(one[part] is not None for one in waits))
        part = next(known, None)
        if part is None:
            continue
        logs = [math.log(one[part] or math.nan) for one in waits]
        half = len(logs) // 2
        differences = [theirs - ours for ours, theirs in zip(logs[:half], logs[half:], strict=True)]
        interval = repeated_interval(differences, run.plan.alpha / max(1, len(run.plan.rivals)))
        return None if interval is None else NeighbourRatio(kind, interval)
    return None


def waited(readings: Readings, trial: Trial, kind: LightKind, part: float) -> float | None:
    """A percentile of a trial's light requests; None where they do not support it. Raises RecordError."""
    seen = readings.pulse(trial) if kind == "pulse" else readings.canary(trial)
    return seen.percentile(part) if seen is not None else None
