"""A verdict, signs and bottlenecks → the numbers that the rule of a card looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from loadtests.records import LightKind
from reports.advice import rule
from reports.advice.rule import Way, Ways
from reports.advice.weighing.neighbours import NeighbourRatio
from reports.analysis.bottlenecks import Bottleneck
from reports.analysis.signs import CanaryTimes, Signs
from reports.analysis.verdicts import Verdict, VerdictWord

COMPARED: tuple[VerdictWord, ...] = ("faster", "slower", "equivalent", "inconclusive")
"""Verdicts of arms that work, and were measured."""


def ways(
    verdict: Verdict,
    found: Mapping[str, Signs | None],
    neighbour: NeighbourRatio | None,
    limits: Mapping[str, tuple[Bottleneck, ...]],
) -> Ways:
    """The numbers that the rule looks at."""
    ahead: dict[VerdictWord, Literal["first", "second", "neither"]] = {
        "slower": "first", "faster": "second", "equivalent": "neither",
    }  # fmt: skip
    kind: LightKind = neighbour.kind if neighbour is not None else "pulse"
    first, second = (way(name, found[name], kind) for name in (verdict.reference, verdict.arm))
    waits = neighbour.interval if neighbour is not None and verdict.verdict in COMPARED else None
    numbers = Ways(first, second, ahead.get(verdict.verdict), served(verdict, first, second), waits)
    worse = rule.harmful(numbers)
    if (
        kind == "canary"
        and worse is not None
        and numbers.ahead in (None, "first" if worse is first else "second")
    ):
        # A canary that a `def` route answers may only wait for a thread, as an `async def` one would not.
        stalls = any(limit.name == "event-loop" for limit in limits[worse.name])
        return numbers if stalls else replace(numbers, waits=None)
    return numbers


def served(verdict: Verdict, first: Way, second: Way) -> rule.Bounds:
    """What is served, the rival's ÷ the reference's. In open loops the load sets it, not the arms."""
    if verdict.metric == "throughput":
        return verdict.bounds
    ratio = second.served / first.served if first.served and second.served else None
    return ratio, ratio


def way(name: str, signs: Signs | None, kind: LightKind) -> Way:
    """An arm's numbers. `kind`: whose waits stand for those of an `async def` neighbour."""
    if signs is None:
        return Way(name, None, None, None)
    asyncs = waits_of(signs, kind)
    return Way(
        name,
        signs.throughput,
        asyncs.response_time if asyncs else None,
        signs.canary.response_time if signs.canary and kind == "pulse" else None,
    )


def waits_of(signs: Signs | None, kind: LightKind) -> CanaryTimes | None:
    """What a light request waits beside an arm's load."""
    if signs is None:
        return None
    return signs.pulse if kind == "pulse" else signs.canary
