"""How long a light request beside the load waits, and with which arm that is harmful."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from loadtests.records import Arm, Cell, Run
from reports.analysis.estimates import pair
from reports.analysis.readings import Readings
from reports.analysis.signs import CanaryTimes, Signs
from reports.analysis.statistics import Interval, repeated_interval

HARM = 2.0
"""Factor between two arms' waiting times that the whole interval must exceed to matter."""

NOTICED = 0.020
"""Waiting time, in seconds, below which it does not matter."""


def alike(found: Mapping[str, Signs | None]) -> dict[str, Signs | None]:
    """Canaries and pulses of all arms at the highest percentile that all of them support, so that they can
    be compared."""
    seen = [times for one in found.values() if one for times in (one.canary, one.pulse) if times]
    part = min((times.part for times in seen), default=1.0)

    def at(times: CanaryTimes | None) -> CanaryTimes | None:
        return times.at(part) if times else None

    return {
        name: replace(one, canary=at(one.canary), pulse=at(one.pulse)) if one else None
        for name, one in found.items()
    }


def neighbours(run: Run, readings: Readings, cell: Cell, rival: str) -> Interval | None:
    """Ratio of a light request's median response time beside the load, over rounds, like any other metric."""
    pairs = pair(run, cell, rival)
    differences = []
    for ours, theirs in zip(pairs.reference, pairs.rival, strict=True):
        both = [readings.canary(trial) for trial in (ours, theirs)]
        one, other = (seen.median if seen is not None and seen.n >= 20 else None for seen in both)
        if one is None or other is None:
            return None
        differences.append(math.log(other / one))
    return repeated_interval(differences, run.plan.alpha / max(1, len(run.plan.rivals)))


def harms(
    reference: Arm, rival: Arm, found: Mapping[str, Signs | None], neighbour: Interval | None
) -> str | None:
    """The arm with which other requests wait significantly and much longer; None where there is none."""
    if neighbour is None:
        return None
    if neighbour.low > HARM:
        worse = rival.name
    elif neighbour.high < 1.0 / HARM:
        worse = reference.name
    else:
        return None
    sign = found[worse]
    noticed = sign is not None and sign.canary is not None and sign.canary.response_time > NOTICED
    return worse if noticed else None
