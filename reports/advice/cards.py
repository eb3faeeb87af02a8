"""Verdicts + bottlenecks → a card per endpoint: what to write, at which loads, why, and at what cost.

Throughput alone gives wrong advice: two styles may reach the same throughput while, under one of them, all
other requests wait for a second. So a card follows the rule of reports/advice/rule.py, which also weighs how
long light requests beside the load wait. It only advises what some arm showed, or says that it was not tried.
All of it is data: `reports/wording` makes the sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from loadtests.records import Arm, LightKind, Run
from reports.advice import rule
from reports.advice.explanations import Explanations
from reports.advice.notes import (
    AlwaysCoroutine,
    LightRoutesAsync,
    MayNotLast,
    NeighbourWaits,
    Note,
    NotForItsSpeed,
    OffloadSeen,
    OffloadUntried,
    PulseMissing,
)
from reports.advice.rule import Ways
from reports.advice.threads import more_threads
from reports.advice.weighing.behind import finishes_more
from reports.advice.weighing.computing import holds_gil
from reports.advice.weighing.costs import Cost, cost
from reports.advice.weighing.neighbours import NeighbourRatio, alike, neighbours, side_by_side
from reports.advice.weighing.ways import AHEAD, stalls, waits_of, ways
from reports.analysis.backlogs.keeping import KeepsMore
from reports.analysis.bottlenecks import Bottleneck
from reports.analysis.catalogue import ALWAYS_COROUTINES, is_twin, style
from reports.analysis.cores import CrowdedWorkers
from reports.analysis.readings import Readings
from reports.analysis.reservations import MOST_FAILURES, RoundsLost
from reports.analysis.signs import CanaryTimes, Signs
from reports.analysis.verdicts import Outcome, Verdict, VerdictWord

AdviceKind = Literal["arm", "style", "either", "offload", "more-threads", "not-decided", "not-comparable"]


@dataclass(frozen=True)
class Advice:
    """What to write."""

    kind: AdviceKind
    name: str = ""
    """arm: its name; style: how its routes are written; other kinds: ""."""


NOT_DECIDED, EITHER = Advice("not-decided"), Advice("either")

NOT_COMPARABLE = Advice("not-comparable")
"""The arms do different work: none is advised."""

OFFLOAD, MORE_THREADS = Advice("offload"), Advice("more-threads")


@dataclass(frozen=True)
class AtLoad:
    """One load of a scenario: which arm serves more, and how long light requests beside it waited."""

    verdict: Verdict
    signs: Mapping[str, Signs | None]
    limits: Mapping[str, tuple[Bottleneck, ...]]
    neighbour: NeighbourRatio | None
    """What a light request beside the load waits, the rival's ÷ the reference's; None where not known."""
    choice: Advice
    """The arm to prefer here, if any."""
    beside: tuple[Verdict, ...]
    """The primary verdicts on all arms in this cell."""

    @property
    def kind(self) -> LightKind:
        """Whose waits stand for those of an `async def` neighbour."""
        return self.neighbour.kind if self.neighbour is not None else "pulse"

    @property
    def ways(self) -> Ways:
        """The numbers that the rule looks at."""
        return ways(self.verdict, self.signs, self.neighbour, self.limits)


@dataclass(frozen=True)
class Card:
    """The conclusion on one scenario for one arm against the reference."""

    scenario: str
    arm: str
    advice: Advice
    verdict: Verdict
    """At the load to which the advice applies, see `decisive`."""
    lowest: float | None
    highest: float | None
    """Range of users, or of arrivals per second, in which the advice holds; None where nothing is decided."""
    crossover: tuple[float, float] | None
    """Two neighbouring loads between which the order of the arms flips."""
    notes: tuple[Note, ...]
    served: Mapping[str, float | None]
    """Requests per second of each arm."""
    neighbours: Mapping[str, CanaryTimes | None]
    """What a light route of the app waits: the canary."""
    pulses: Mapping[str, CanaryTimes | None]
    """What an `async def` neighbour waits."""
    costs: Mapping[str, Cost]
    limits: Mapping[str, tuple[Bottleneck, ...]]
    """What limits each arm, the leading bottleneck first; empty: no bottleneck identified."""
    outcome: Outcome | None = None
    """A gate's outcome for the cell; None outside gates, where the advice matters."""
    endpoints: tuple[tuple[Outcome, Verdict], ...] = ()
    """In a gate, the endpoints of a mixture that do not pass."""


def cards(explanations: Explanations, verdicts: Sequence[Verdict]) -> list[Card]:
    """A card per scenario and rival, in the plan's order. Raises RecordError."""
    run, readings = explanations.run, explanations.readings
    found = []
    for scenario in dict.fromkeys(cell.scenario for cell in run.plan.cells):
        for rival in run.plan.rivals:
            mine = [
                verdict
                for verdict in verdicts
                if verdict.primary and verdict.cell.scenario == scenario and verdict.arm == rival.name
            ]
            loads = [at_load(explanations, verdict, verdicts) for verdict in mine]
            if loads:
                found.append(card(run, readings, scenario, rival, loads))
    return found


def at_load(explanations: Explanations, verdict: Verdict, verdicts: Sequence[Verdict]) -> AtLoad:
    """The conclusion on one load of a scenario. `verdicts`: of the whole run."""
    run, readings = explanations.run, explanations.readings
    reference, rival = run.plan.opponent(verdict.arm), arm_of(run, verdict.arm)
    seen = {arm.name: explanations.of(verdict.cell, arm.name) for arm in (reference, rival)}
    found = alike({name: one for name, (one, _) in seen.items()})
    limits = {name: several for name, (_, several) in seen.items()}
    neighbour = neighbours(run, readings, verdict.cell, rival.name)
    choice = choose(verdict, reference, rival, found, neighbour, limits)
    beside = tuple(one for one in verdicts if one.primary and one.cell == verdict.cell)
    return AtLoad(verdict, found, limits, neighbour, choice, beside)


def choose(
    verdict: Verdict,
    reference: Arm,
    rival: Arm,
    found: Mapping[str, Signs | None],
    neighbour: NeighbourRatio | None,
    limits: Mapping[str, tuple[Bottleneck, ...]],
) -> Advice:
    """The arm to prefer at one load, by the rule of reports/advice/rule.py; never one that fails more
    requests or drops connections, nor one with fewer workers where those of the other one share CPUs."""
    if verdict.verdict == "different":
        return NOT_COMPARABLE
    if verdict.verdict == "failing":
        return NOT_DECIDED if finishes_more(verdict, found) else whole_one(verdict, reference, rival)
    chosen = by_rule(ways(verdict, found, neighbour, limits))
    crowded = [one for one in verdict.reservations if isinstance(one, CrowdedWorkers)]
    most = max(crowded, key=lambda one: one.workers, default=None)
    fewer = most is not None and chosen != OFFLOAD and chosen.name != most.arm
    if chosen.name in verdict.blemished or fewer:
        return NOT_DECIDED
    whole = [arm.name for arm in (reference, rival) if arm.name not in verdict.blemished]
    return Advice("arm", whole[0]) if chosen == EITHER and len(whole) == 1 else chosen


def by_rule(compared: Ways) -> Advice:
    """The rule's choice as advice."""
    choice = rule.choose(compared)
    match choice.kind:
        case "open":
            return NOT_DECIDED
        case "either":
            return EITHER
        case "offload":
            return OFFLOAD
        case "take":
            return Advice("arm", choice.name)


def whole_one(verdict: Verdict, reference: Arm, rival: Arm) -> Advice:
    """If exactly one arm fails, the other one, unless it fails in a smaller way: see `Verdict.blemished`.
    Where too few rounds count to call that one failing, those that were tried must show that it does not."""
    bad = {*verdict.failing, *verdict.blemished}
    if any(isinstance(one, RoundsLost) for one in verdict.reservations):
        shares = {arm.name: verdict.failed.get(arm.name) for arm in (reference, rival)}
        bad |= {name for name, share in shares.items() if share is None or share > MOST_FAILURES}
    whole = [arm.name for arm in (reference, rival) if arm.name not in bad]
    return Advice("arm", whole[0]) if len(whole) == 1 else NOT_DECIDED


def card(run: Run, readings: Readings, scenario: str, rival: Arm, loads: Sequence[AtLoad]) -> Card:
    """The conclusion on all loads of a scenario."""
    ordered = sorted(loads, key=lambda one: one.verdict.cell.load.level)
    top = decisive(ordered)
    reference = run.plan.opponent(rival.name)
    held = []
    # From the top down; an undecided load ends the range, too.
    for one in reversed(ordered[: ordered.index(top) + 1]):
        if one.choice != top.choice or top.choice in (NOT_DECIDED, NOT_COMPARABLE):
            break
        held.append(one.verdict.cell.load.level)
    advice, notes = advise(run, readings, top, reference, rival)
    return Card(
        scenario=scenario,
        arm=rival.name,
        advice=advice,
        verdict=top.verdict,
        lowest=held[-1] if held else None,
        highest=held[0] if held else None,
        crossover=crossover(ordered),
        notes=tuple(notes),
        served={name: one.throughput if one else None for name, one in top.signs.items()},
        neighbours={name: one.canary if one else None for name, one in top.signs.items()},
        pulses={name: one.pulse if one else None for name, one in top.signs.items()},
        costs={name: cost(run, top.verdict.cell, name, one) for name, one in top.signs.items()},
        limits=top.limits,
    )


def decisive(ordered: Sequence[AtLoad]) -> AtLoad:
    """The load that the advice is for: the highest one that is decided, or the highest of all where none is.
    That arms are equal says nothing of a higher load that is not decided: with few users, those that wait are
    always equal."""
    decided = [one for one in ordered if one.choice not in (NOT_DECIDED, NOT_COMPARABLE)]
    if not decided:
        return ordered[-1]
    above = ordered[ordered.index(decided[-1]) + 1 :]
    undecided = [one for one in above if one.choice == NOT_DECIDED]
    return undecided[-1] if decided[-1].choice == EITHER and undecided else decided[-1]


def advise(
    run: Run, readings: Readings, top: AtLoad, reference: Arm, rival: Arm
) -> tuple[Advice, list[Note]]:
    """The advice and its notes."""
    notes = [*style_notes(top, reference, rival), *blemish_notes(top.verdict), *doubt_notes(top)]
    notes += [*harm_notes(top), *light_notes(top)]
    notes += missing_notes(top)
    behind = finishes_more(top.verdict, top.signs)
    notes += [behind] if behind else []
    if top.choice == OFFLOAD:
        return OFFLOAD, [*notes, offloaded(top, reference, rival)]
    if top.choice.kind != "arm":
        return top.choice, notes
    chosen, other = (rival, reference) if top.choice.name == rival.name else (reference, rival)
    styled = is_twin(chosen) and style(chosen) != style(other)
    styled = styled and chosen.hybrid is None and other.hybrid is None
    advice = Advice("style", style(chosen)) if styled else top.choice
    if not any(limit.name == "thread-tokens" for limit in top.limits[other.name]):
        return advice, notes
    enough, tried = more_threads(run, readings, top.beside, other, chosen)
    return MORE_THREADS if enough else advice, [*notes, *tried]


def offloaded(top: AtLoad, reference: Arm, rival: Arm) -> Note:
    """The effect of offloading, where an arm with a `def` route, which does just that, was measured."""
    harmful = rule.harmful(top.ways)
    spared = reference if harmful is not None and harmful.name == rival.name else rival
    waits, ratio = waits_of(top.signs[spared.name], top.kind), top.verdict.ratio
    if style(spared) != "def" or waits is None or ratio is None:
        return OffloadUntried()
    return OffloadSeen(top.verdict.metric, ratio if spared == rival else 1.0 / ratio, waits)


def style_notes(top: AtLoad, reference: Arm, rival: Arm) -> list[Note]:
    """What the twins' styles mean where FastAPI takes only one of them."""
    named = top.verdict.cell.scenario in ALWAYS_COROUTINES and is_twin(reference) and is_twin(rival)
    return [AlwaysCoroutine()] if named and style(reference) != style(rival) else []


def blemish_notes(verdict: Verdict) -> list[Note]:
    """The arm that is ahead, where it is not advised for that."""
    ahead: dict[VerdictWord, str] = {"faster": verdict.arm, "slower": verdict.reference}
    name = ahead.get(verdict.verdict)
    return [NotForItsSpeed(name)] if name in verdict.blemished else []


def doubt_notes(top: AtLoad) -> list[Note]:
    """Those that are advised, by name or as equals, and keep more with every response."""
    advised = {top.choice.name} if top.choice.kind == "arm" else {*top.signs} if top.choice == EITHER else ()
    found = [one.arm for one in top.verdict.reservations if isinstance(one, KeepsMore)]
    return [MayNotLast(arm) for arm in found if arm in advised]


def harm_notes(top: AtLoad) -> list[Note]:
    """How long light requests beside the load waited, where the arms differ much."""
    numbers = top.ways
    # What a queue for threads does is told as well, although it is no reason against an arm.
    numbers = replace(numbers, waits=top.neighbour.interval if top.neighbour else None)
    worse = rule.harmful(numbers)
    if worse is None:
        return []
    better = numbers.first if worse is numbers.second else numbers.second
    waits, instead = (waits_of(top.signs[one.name], top.kind) for one in (worse, better))
    sign = top.signs[worse.name]
    if waits is None or instead is None or sign is None:
        return []
    queued = (sign.queued or 0.0) > 1.0
    return [NeighbourWaits(worse.name, top.kind, waits, instead, rule.behind(numbers, worse, queued))]


def light_notes(top: AtLoad) -> list[Note]:
    """What light routes meet beside an arm that is advised: the GIL, which its threads hold, and their queue
    where they are no `async def`."""
    found: list[Note] = []
    for one in (top.ways.first, top.ways.second):
        sign = top.signs.get(one.name)
        advised = top.choice == EITHER or top.choice.name == one.name
        computes = holds_gil(one.name, sign, top.limits[one.name]) if advised else None
        found += [computes] if computes is not None else []
        light = side_by_side(sign) if advised and sign and top.kind == "pulse" else None
        if light is None:
            continue
        asyncs, defs = light
        if rule.keeps_light_routes_async(asyncs.response_time, defs.response_time):
            found.append(LightRoutesAsync(one.name, asyncs, defs))
    return found


def missing_notes(top: AtLoad) -> list[Note]:
    """The arm whose neighbours' waits are not known, where nothing is advised for that."""
    if top.choice != NOT_DECIDED or top.ways.ahead is not None or top.verdict.verdict not in AHEAD:
        return []
    # Of the arm that is ahead, or the one that holds its event loop.
    ahead = {"faster": top.verdict.arm, "slower": top.verdict.reference}.get(top.verdict.verdict)
    names = [name for name in top.signs if name == ahead or stalls(top.limits[name])]
    return [PulseMissing(name) for name in names[:1]]


def crossover(ordered: Sequence[AtLoad]) -> tuple[float, float] | None:
    """Two neighbouring decided loads at which different arms are ahead in the primary metric, with the same
    CPUs."""
    ahead = [one for one in ordered if one.verdict.verdict in ("faster", "slower")]
    for one, other in pairwise(ahead):
        if one.verdict.verdict != other.verdict.verdict and one.verdict.cpus == other.verdict.cpus:
            return one.verdict.cell.load.level, other.verdict.cell.load.level
    return None


def arm_of(run: Run, name: str) -> Arm:
    return next(arm for arm in run.plan.arms if arm.name == name)
