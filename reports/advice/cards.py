"""Verdicts + bottlenecks → a card per endpoint: what to write, at which loads, why, and at what cost.

Throughput alone gives wrong advice: two styles may reach the same throughput while, under one of them, all
other requests wait for a second. So a card also weighs how long a light request beside the load waits. It
only advises what some arm showed, or says that it was not tried. All of it is data: `reports/wording` makes
the sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from loadtests.records import Arm, Cell, Metric, Run
from reports.advice.behind import FinishesMore, finishes_more
from reports.advice.costs import Cost, cost
from reports.advice.explanations import Explanations
from reports.advice.neighbours import alike, harms, neighbours
from reports.analysis.backlogs.keeping import KeepsMore
from reports.analysis.bottlenecks import Bottleneck
from reports.analysis.catalogue import is_twin, style
from reports.analysis.estimates import estimate, pair
from reports.analysis.readings import Readings
from reports.analysis.signs import CanaryTimes, Signs
from reports.analysis.statistics import Interval, position
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
class NeighbourWaits:
    """A light request beside the load waits much longer with one arm than with the other."""

    arm: str
    factor: float
    threads: bool
    """True: requests queue for threads; False: they wait for the event loop."""


@dataclass(frozen=True)
class NotForItsSpeed:
    """The arm that is ahead fails more requests or drops connections."""

    arm: str


@dataclass(frozen=True)
class MayNotLast:
    """An arm that is advised keeps more objects with every response."""

    arm: str


@dataclass(frozen=True)
class OffloadUntried:
    """No arm offloads, so the effect is unknown."""


@dataclass(frozen=True)
class OffloadSeen:
    """The effect of offloading to the thread pool, from the arm that does so."""

    metric: Metric
    ratio: float
    """The offloading arm's value ÷ the blocking one's."""
    canary: CanaryTimes
    """Response time of a light request beside the load in the offloading arm."""


@dataclass(frozen=True)
class ThreadsUntried:
    """No arm had more threads."""

    arm: str
    threads: float
    by_app: bool
    """Whether the app sets their number itself, so that `threads=` has no effect."""


@dataclass(frozen=True)
class ThreadsAreTheDifference:
    """The better arm is the limited one with more threads."""

    arm: str
    limited: str
    threads: float


@dataclass(frozen=True)
class ThreadsSeen:
    """An arm with more threads, compared with the better arm."""

    limited: str
    threads: float
    better: str
    metric: Metric
    interval: Interval
    """The value with more threads ÷ the better arm's."""


@dataclass(frozen=True)
class ThreadsUndecided:
    """Arms with more threads were measured, without a conclusion."""


Note = (
    NeighbourWaits | NotForItsSpeed | MayNotLast | OffloadUntried | OffloadSeen | ThreadsUntried
    | ThreadsAreTheDifference | ThreadsSeen | ThreadsUndecided | FinishesMore
)  # fmt: skip


@dataclass(frozen=True)
class AtLoad:
    """One load of a scenario: which arm serves more, and how long light requests beside it waited."""

    verdict: Verdict
    signs: Mapping[str, Signs | None]
    limits: Mapping[str, tuple[Bottleneck, ...]]
    neighbour: Interval | None
    """Median response time of the canary, the rival's ÷ the reference's; None without a canary."""
    choice: Advice
    """The arm to prefer here, if any."""


@dataclass(frozen=True)
class Card:
    """The conclusion on one scenario for one arm against the reference."""

    scenario: str
    arm: str
    advice: Advice
    verdict: Verdict
    """At the highest decided load, to which the advice applies."""
    lowest: float | None
    highest: float | None
    """Range of users, or of arrivals per second, in which the advice holds; None where nothing is decided."""
    crossover: tuple[float, float] | None
    """Two neighbouring loads between which the order of the arms flips."""
    notes: tuple[Note, ...]
    neighbours: Mapping[str, CanaryTimes | None]
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
            loads = [at_load(run, readings, explanations, verdict) for verdict in mine]
            if loads:
                found.append(card(run, readings, scenario, rival, loads))
    return found


def at_load(run: Run, readings: Readings, explanations: Explanations, verdict: Verdict) -> AtLoad:
    """The conclusion on one load of a scenario."""
    reference, rival = run.plan.opponent(verdict.arm), arm_of(run, verdict.arm)
    seen = {arm.name: explanations.of(verdict.cell, arm.name) for arm in (reference, rival)}
    found = alike({name: one for name, (one, _) in seen.items()})
    limits = {name: several for name, (_, several) in seen.items()}
    neighbour = neighbours(run, readings, verdict.cell, rival.name)
    choice = choose(verdict, reference, rival, found, neighbour, limits)
    return AtLoad(verdict, found, limits, neighbour, choice)


def choose(
    verdict: Verdict,
    reference: Arm,
    rival: Arm,
    found: Mapping[str, Signs | None],
    neighbour: Interval | None,
    limits: Mapping[str, tuple[Bottleneck, ...]],
) -> Advice:
    """The arm to prefer at one load: the faster one, or an equal one that does not harm other requests; never
    one that fails more requests or drops connections."""
    if verdict.verdict == "different":
        return NOT_COMPARABLE
    if verdict.verdict == "failing":
        return NOT_DECIDED if finishes_more(verdict, found) else whole_one(verdict, reference, rival)
    chosen = ahead(verdict, reference, rival, found, neighbour, limits)
    if chosen.name in verdict.blemished:
        return NOT_DECIDED
    whole = [arm.name for arm in (reference, rival) if arm.name not in verdict.blemished]
    return Advice("arm", whole[0]) if chosen == EITHER and len(whole) == 1 else chosen


def ahead(
    verdict: Verdict,
    reference: Arm,
    rival: Arm,
    found: Mapping[str, Signs | None],
    neighbour: Interval | None,
    limits: Mapping[str, tuple[Bottleneck, ...]],
) -> Advice:
    """The arm that serves more, or the equal one that does not harm other requests."""
    faster: dict[VerdictWord, Advice] = {
        "faster": Advice("arm", rival.name), "slower": Advice("arm", reference.name), "equivalent": EITHER,
    }  # fmt: skip
    if verdict.verdict not in faster:
        return NOT_DECIDED
    harmful = harms(reference, rival, found, neighbour)
    if harmful is None:
        return faster[verdict.verdict]
    if faster[verdict.verdict] == Advice("arm", harmful):
        stalls = any(limit.name == "event-loop" for limit in limits[harmful])
        return OFFLOAD if stalls else Advice("arm", harmful)
    return Advice("arm", reference.name if harmful == rival.name else rival.name)


def whole_one(verdict: Verdict, reference: Arm, rival: Arm) -> Advice:
    """If exactly one arm fails, the other one, unless it fails in a smaller way: see `Verdict.blemished`."""
    bad = {*verdict.failing, *verdict.blemished}
    whole = [arm.name for arm in (reference, rival) if arm.name not in bad]
    return Advice("arm", whole[0]) if len(whole) == 1 else NOT_DECIDED


def card(run: Run, readings: Readings, scenario: str, rival: Arm, loads: Sequence[AtLoad]) -> Card:
    """The conclusion on all loads of a scenario: the advice is for the highest one that is decided."""
    ordered = sorted(loads, key=lambda one: one.verdict.cell.load.level)
    decided = [one for one in ordered if one.choice not in (NOT_DECIDED, NOT_COMPARABLE)]
    top = decided[-1] if decided else ordered[-1]
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
        neighbours={name: one.canary if one else None for name, one in top.signs.items()},
        costs={name: cost(run, top.verdict.cell, name, one) for name, one in top.signs.items()},
        limits=top.limits,
    )


def advise(
    run: Run, readings: Readings, top: AtLoad, reference: Arm, rival: Arm
) -> tuple[Advice, list[Note]]:
    """The advice and its notes."""
    notes = [*blemish_notes(top.verdict), *doubt_notes(top), *harm_notes(top, reference, rival)]
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
    enough, tried = more_threads(run, readings, top.verdict.cell, other, chosen)
    return MORE_THREADS if enough else advice, [*notes, *tried]


def offloaded(top: AtLoad, reference: Arm, rival: Arm) -> Note:
    """The effect of offloading, where an arm with a `def` route, which does just that, was measured."""
    harmful = harms(reference, rival, top.signs, top.neighbour)
    spared = reference if harmful == rival.name else rival
    sign, ratio = top.signs[spared.name], top.verdict.ratio
    if style(spared) != "def" or sign is None or sign.canary is None or ratio is None:
        return OffloadUntried()
    return OffloadSeen(top.verdict.metric, ratio if spared == rival else 1.0 / ratio, sign.canary)


def more_threads(
    run: Run, readings: Readings, cell: Cell, limited: Arm, better: Arm
) -> tuple[bool, list[Note]]:
    """Whether an arm that differs from `limited` only in having more threads is as fast as `better`."""
    like = [
        arm
        for arm in run.plan.arms
        if (arm.app, arm.hybrid, arm.env) == (limited.app, limited.hybrid, limited.env)
        and run.threads(arm.name) > run.threads(limited.name)
        and arm.serving.model_copy(update={"threads": limited.serving.threads}) == limited.serving
    ]
    if not like:
        return False, [ThreadsUntried(limited.name, *in_force(run, limited))]
    seen: list[Note] = []
    metric = run.primary(cell)
    enough = ("above" if metric == "throughput" else "below", "within")
    for arm in like:
        if arm == better:
            return True, [ThreadsAreTheDifference(arm.name, limited.name, run.threads(arm.name))]
        interval = against(run, readings, cell, arm, better)
        if interval is None:
            continue
        note = ThreadsSeen(limited.name, run.threads(arm.name), better.name, metric, interval)
        if position(interval, run.plan.margin) in enough:
            return True, [note]
        seen.append(note)
    return False, seen or [ThreadsUndecided()]


def in_force(run: Run, arm: Arm) -> tuple[float, bool]:
    """The threads of an arm, and whether its app sets their number itself."""
    threads = run.threads(arm.name)
    return threads, threads != arm.serving.threads


def against(run: Run, readings: Readings, cell: Cell, arm: Arm, other: Arm) -> Interval | None:
    """The primary metric of one arm ÷ another's, regardless of which is the reference."""
    mine, theirs = pair(run, cell, arm.name), pair(run, cell, other.name)
    both = sorted(set(mine.rounds) & set(theirs.rounds))
    ours = [readings.whole(trial) for trial, at in zip(mine.rival, mine.rounds, strict=True) if at in both]
    others = [
        readings.whole(trial) for trial, at in zip(theirs.rival, theirs.rounds, strict=True) if at in both
    ]
    return estimate(run.primary(cell), others, ours, run.plan.alpha / len(run.plan.rivals)).interval


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


def harm_notes(top: AtLoad, reference: Arm, rival: Arm) -> list[Note]:
    """How long light requests beside the load waited, where the arms differ much."""
    harmful = harms(reference, rival, top.signs, top.neighbour)
    sign = top.signs.get(harmful) if harmful else None
    if harmful is None or sign is None or sign.canary is None or top.neighbour is None:
        return []
    factor = max(top.neighbour.ratio, 1.0 / top.neighbour.ratio)
    return [NeighbourWaits(harmful, factor, threads=(sign.queued or 0.0) > 1.0)]


def crossover(ordered: Sequence[AtLoad]) -> tuple[float, float] | None:
    """Two neighbouring decided loads at which different arms are ahead in the primary metric."""
    ahead = [one for one in ordered if one.verdict.verdict in ("faster", "slower")]
    for one, other in pairwise(ahead):
        if one.verdict.verdict != other.verdict.verdict:
            return one.verdict.cell.load.level, other.verdict.cell.load.level
    return None


def arm_of(run: Run, name: str) -> Arm:
    return next(arm for arm in run.plan.arms if arm.name == name)
