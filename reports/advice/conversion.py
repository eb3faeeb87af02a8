"""Cards → a conversion plan: which routes of an app to write as the other arm does, in order of gain.

For two arms of one's own app (`--arm before=… --arm after=…`): the reference is what is, the other arm is
what may be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from loadtests.plan.cells import Metric
from loadtests.records import Cell, LightKind, Run
from reports.advice.cards import Card
from reports.advice.proving.table import routes_of
from reports.analysis.catalogue import is_twin
from reports.analysis.signs import CanaryTimes

Step = Literal["convert", "leave", "either", "offload", "more-threads", "open"]


@dataclass(frozen=True)
class RouteStep:
    """What to do with the routes of one scenario, all of them together."""

    scenario: str
    routes: tuple[str, ...]
    """That its requests reached, as `GET /items/{id}`; empty where that is not known."""
    cell: Cell
    """The load that the step is for."""
    step: Step
    metric: Metric
    ratio: float | None
    """Of `metric`, the other arm's value ÷ the reference's."""
    bounds: tuple[float | None, float | None]
    """Its interval."""
    served: tuple[float | None, float | None]
    """Requests per second of the reference and of the other arm."""
    waits: tuple[CanaryTimes | None, CanaryTimes | None]
    """What a neighbour waits beside each."""
    neighbour: LightKind
    """The pulse, or, where an arm has none, the canary."""

    @property
    def gain(self) -> float:
        """Factor by which the route gains if it is converted; 1 where that is not known."""
        if not self.ratio:
            return 1.0
        return self.ratio if self.metric == "throughput" else 1.0 / self.ratio


@dataclass(frozen=True)
class Conversion:
    """The plan for one arm instead of the reference."""

    reference: str
    arm: str
    steps: tuple[RouteStep, ...]
    """What to convert first, then what to leave and what is open; within each the largest gain first."""

    @property
    def together(self) -> tuple[str, ...]:
        """Routes that were measured beside others only: what they gain by themselves is not known."""
        alone = {route for one in self.steps for route in one.routes if len(one.routes) == 1}
        found = (route for one in self.steps for route in one.routes)
        return tuple(route for route in dict.fromkeys(found) if route not in alone)


ORDER: tuple[Step, ...] = ("convert", "offload", "either", "more-threads", "leave", "open")


def conversions(run: Run, cards: Sequence[Card]) -> tuple[Conversion, ...]:
    """A plan for each arm of an app of one's own; none for the twins, whose cards are about styles, nor in a
    gate, nor for less than two scenarios."""
    if run.plan.gate:
        return ()
    found = []
    for rival in run.plan.rivals:
        reference = run.plan.opponent(rival.name)
        mine = [card for card in cards if card.arm == rival.name]
        if is_twin(rival) or is_twin(reference) or len(mine) < 2:
            continue
        steps = [step_of(run, card, reference.name) for card in mine]
        steps.sort(key=lambda one: (ORDER.index(one.step), -math.log(one.gain)))
        found.append(Conversion(reference.name, rival.name, tuple(steps)))
    return tuple(found)


def step_of(run: Run, card: Card, reference: str) -> RouteStep:
    """A card as a step."""
    names = (reference, card.arm)
    kind: LightKind = "pulse" if all(card.pulses.get(name) for name in names) else "canary"
    waits = card.pulses if kind == "pulse" else card.neighbours
    return RouteStep(
        scenario=card.scenario,
        routes=tuple(routes_of(run, card.scenario, reference)),
        cell=card.verdict.cell,
        step=word(card, reference),
        metric=card.verdict.metric,
        ratio=card.verdict.ratio,
        bounds=card.verdict.bounds,
        served=(card.served.get(names[0]), card.served.get(names[1])),
        waits=(waits.get(names[0]), waits.get(names[1])),
        neighbour=kind,
    )


def word(card: Card, reference: str) -> Step:
    """The card's advice as what to do."""
    match card.advice.kind:
        case "arm" | "style":
            return "leave" if card.advice.name == reference else "convert"
        case "either":
            return "either"
        case "offload":
            return "offload"
        case "more-threads":
            # With more threads the reference is as fast: there is nothing to convert for.
            return "more-threads"
        case "not-decided" | "not-comparable":
            return "open"
