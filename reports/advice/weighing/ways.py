"""A verdict, signs and bottlenecks → the numbers that the rule of a card looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

AHEAD: Mapping[VerdictWord, Literal["first", "second", "neither"]] = {
    "slower": "first", "faster": "second", "equivalent": "neither",
}  # fmt: skip


def ways(
    verdict: Verdict,
    found: Mapping[str, Signs | None],
    neighbour: NeighbourRatio | None,
    limits: Mapping[str, tuple[Bottleneck, ...]],
) -> Ways:
    """The numbers that the rule looks at."""
    kind: LightKind = neighbour.kind if neighbour is not None else "pulse"
    first, second = (way(name, found[name], kind, limits[name]) for name in (verdict.reference, verdict.arm))
    waits = neighbour.interval if neighbour is not None and verdict.verdict in COMPARED else None
    numbers = Ways(first, second, AHEAD.get(verdict.verdict), served(verdict, first, second), waits)
    return numbers if kind == "pulse" and neighbour is not None else without_pulse(numbers, found, limits)


def without_pulse(
    numbers: Ways, found: Mapping[str, Signs | None], limits: Mapping[str, tuple[Bottleneck, ...]]
) -> Ways:
    """The numbers, of which the canary's may mislead: where a `def` route answers it, it may only wait for a
    thread, as an `async def` neighbour would not."""
    first, second = numbers.first, numbers.second
    stalled = [one for one in (first, second) if stalls(limits[one.name])]
    behind = {"first": second, "second": first}.get(numbers.ahead or "")
    worse = rule.harmful(numbers)
    if worse is not None and (worse is behind or worse in stalled or numbers.ahead == "neither"):
        return numbers
    # Heartbeats tell a queue for threads from a late event loop; external servers have none.
    blind = worse is not None and (seen := found[worse.name]) is not None and seen.queued is None
    # Where one holds its event loop, what an `async def` neighbour waits beside the other is not known.
    unknown = blind or (len(stalled) == 1 and stalled[0] is not behind)
    return replace(numbers, waits=None, ahead=None if unknown else numbers.ahead)


def stalls(limits: Sequence[Bottleneck]) -> bool:
    """Whether an arm holds its event loop."""
    return any(limit.name == "event-loop" for limit in limits)


def served(verdict: Verdict, first: Way, second: Way) -> rule.Bounds:
    """What is served, the rival's ÷ the reference's. In open loops the load sets it, not the arms."""
    if verdict.metric == "throughput":
        return verdict.bounds
    ratio = second.served / first.served if first.served and second.served else None
    return ratio, ratio


def way(name: str, signs: Signs | None, kind: LightKind, limits: Sequence[Bottleneck]) -> Way:
    """An arm's numbers. `kind`: whose waits stand for those of an `async def` neighbour. Without heartbeats
    it is not known whether it holds its event loop."""
    if signs is None:
        return Way(name, None, None, holds=True)
    asyncs = waits_of(signs, kind)
    return Way(
        name,
        signs.throughput,
        asyncs.response_time if asyncs else None,
        holds=stalls(limits) or signs.lag is None,
    )


def waits_of(signs: Signs | None, kind: LightKind) -> CanaryTimes | None:
    """What a light request waits beside an arm's load."""
    if signs is None:
        return None
    return signs.pulse if kind == "pulse" else signs.canary
