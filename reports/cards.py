"""Verdicts + bottlenecks → a card per endpoint: what to write, where that holds, why, and at what cost.

Throughput alone gives wrong advice: two styles may serve as much, and under one of them everybody else
waits for a second. So a card weighs what a light request beside the load met, too. It advises nothing
that no arm showed, or says that it was not tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from loadtests.records import Arm, Cell, Run
from reports import units
from reports.bottlenecks import Bottleneck, bottlenecks, known
from reports.catalogue import style
from reports.estimates import Readings, estimate, pair
from reports.signs import Canary, Signs, signs
from reports.statistics import Interval, position, repeated_interval
from reports.verdicts import Verdict

NOT_DECIDED = "not decided"
EITHER = "either"
OFFLOAD = "offload it"
MORE_THREADS = "raise the thread limit"

HARM = 2.0
"""Factor by which a neighbour's waiting must surely differ between two arms to matter."""
NOTICED = 0.020
"""Seconds of a neighbour's waiting below which nobody minds."""


@dataclass(frozen=True)
class Cost:
    """What serving takes at the highest load; None where the platform does not tell."""

    cpu: float | None
    """CPU seconds per 1,000 requests."""
    rss: float | None
    """Bytes of resident memory."""
    threads: float | None
    hops: float | None
    """Calls handed to worker threads per request, seen under one user."""


@dataclass(frozen=True)
class Level:
    """One load of a scenario: who serves more, and what the neighbours met."""

    verdict: Verdict
    signs: Mapping[str, Signs | None]
    limits: Mapping[str, tuple[Bottleneck, ...]]
    neighbour: Interval | None
    """Median response time of the canary, the rival's ÷ the reference's; None where there was none."""
    choice: str
    """The arm to prefer here, `either`, `offload it` or `not decided`."""


@dataclass(frozen=True)
class Card:
    """What one scenario comes to for one arm against the reference."""

    scenario: str
    arm: str
    advice: str
    verdict: Verdict
    """Of the highest load at which anything is decided, which the advice is about."""
    lowest: float | None
    highest: float | None
    """Users, or arrivals a second, between which the advice held; None where nothing is decided."""
    crossover: tuple[float, float] | None
    """Two neighbouring loads between which the order of the arms flips."""
    reason: str
    notes: tuple[str, ...]
    neighbours: Mapping[str, Canary | None]
    costs: Mapping[str, Cost]
    limits: Mapping[str, tuple[Bottleneck, ...]]


class Explanations:
    """Signs and bottlenecks of a run, each computed once."""

    def __init__(self, run: Run, readings: Readings) -> None:
        self.run = run
        self.readings = readings
        self._known: dict[tuple[Cell, str], tuple[Signs | None, tuple[Bottleneck, ...]]] = {}

    def of(self, cell: Cell, arm: str) -> tuple[Signs | None, tuple[Bottleneck, ...]]:
        """What an arm's server did in a cell, and what limited it. Raises RecordError."""
        if (cell, arm) not in self._known:
            found = signs(self.run, self.readings, cell, arm)
            limits = bottlenecks(found, known(self.run, cell, arm), self.run.of(cell, arm))
            self._known[cell, arm] = found, tuple(limits)
        return self._known[cell, arm]


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
            levels = [level(run, readings, explanations, verdict) for verdict in mine]
            if levels:
                found.append(card(run, readings, scenario, rival, levels))
    return found


def level(run: Run, readings: Readings, explanations: Explanations, verdict: Verdict) -> Level:
    """What one load of a scenario comes to."""
    reference, rival = run.plan.opponent(verdict.arm), arm_of(run, verdict.arm)
    seen = {arm.name: explanations.of(verdict.cell, arm.name) for arm in (reference, rival)}
    found = alike({name: one for name, (one, _) in seen.items()})
    limits = {name: several for name, (_, several) in seen.items()}
    neighbour = neighbours(run, readings, verdict.cell, rival.name)
    choice = choose(verdict, reference, rival, found, neighbour, limits)
    return Level(verdict, found, limits, neighbour, choice)


def alike(found: Mapping[str, Signs | None]) -> dict[str, Signs | None]:
    """The canaries of all arms at one percentile, the farthest that each of them supports: only then can they
    be compared."""
    parts = [one.canary.part for one in found.values() if one and one.canary]
    return {
        name: replace(one, canary=one.canary.at(min(parts))) if one and one.canary else one
        for name, one in found.items()
    }


def neighbours(run: Run, readings: Readings, cell: Cell, rival: str) -> Interval | None:
    """The ratio of what a light request beside the load takes in the median, per round, as every metric."""
    pairs = pair(run, cell, rival)
    differences = []
    for ours, theirs in zip(pairs.reference, pairs.rival, strict=True):
        both = [readings.canary(trial) for trial in (ours, theirs)]
        if any(times is None or len(times) < 20 for times in both):
            return None
        one, other = (float(np.median(times)) for times in both if times is not None)
        differences.append(math.log(other / one))
    return repeated_interval(differences, run.plan.level / max(1, len(run.plan.rivals)))


def choose(
    verdict: Verdict,
    reference: Arm,
    rival: Arm,
    found: Mapping[str, Signs | None],
    neighbour: Interval | None,
    limits: Mapping[str, tuple[Bottleneck, ...]],
) -> str:
    """The arm to prefer at one load: the one that serves more, or as much without harming others."""
    faster = {"faster": rival.name, "slower": reference.name, "equivalent": EITHER}.get(verdict.verdict)
    if verdict.verdict == "failing":
        return whole_one(verdict, reference, rival)
    if faster is None:
        return NOT_DECIDED
    harmful = harms(reference, rival, found, neighbour)
    if harmful is None:
        return faster
    spared = reference.name if harmful == rival.name else rival.name
    stalls = any(limit.name == "event-loop" for limit in limits[harmful])
    if faster == harmful:
        return OFFLOAD if stalls else faster
    return spared


def whole_one(verdict: Verdict, reference: Arm, rival: Arm) -> str:
    """Where an arm fails, the one that does not, if there is one."""
    failing = [arm.name for arm in (reference, rival) if arm.name in verdict.failing]
    whole = [arm.name for arm in (reference, rival) if arm.name not in failing]
    return whole[0] if len(whole) == 1 else NOT_DECIDED


def harms(
    reference: Arm, rival: Arm, found: Mapping[str, Signs | None], neighbour: Interval | None
) -> str | None:
    """The arm under which others surely wait much longer than under the other; None where none does."""
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


def card(run: Run, readings: Readings, scenario: str, rival: Arm, levels: Sequence[Level]) -> Card:
    """What the loads of a scenario come to together: the advice is for the highest one that is decided."""
    ordered = sorted(levels, key=lambda one: one.verdict.cell.load.level)
    decided = [one for one in ordered if one.choice != NOT_DECIDED]
    top = decided[-1] if decided else ordered[-1]
    reference = run.plan.opponent(rival.name)
    held = []
    # Downwards from the top: a load that is not decided ends it, too.
    for one in reversed(ordered[: ordered.index(top) + 1]):
        if one.choice != top.choice or top.choice == NOT_DECIDED:
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
        reason=reason(top, reference, rival),
        notes=tuple(notes),
        neighbours={name: one.canary if one else None for name, one in top.signs.items()},
        costs={name: cost(run, top, name) for name in top.signs},
        limits=top.limits,
    )


def advise(run: Run, readings: Readings, top: Level, reference: Arm, rival: Arm) -> tuple[str, list[str]]:
    """The advice in words, and what goes with it."""
    notes = harm_notes(top, reference, rival)
    if top.choice == OFFLOAD:
        return OFFLOAD, [*notes, offloaded(top, reference, rival)]
    if top.choice not in (reference.name, rival.name):
        return top.choice, notes
    chosen, other = (rival, reference) if top.choice == rival.name else (reference, rival)
    name = style(chosen) if style(chosen) != style(other) else chosen.name
    if not any(limit.name == "thread-tokens" for limit in top.limits[other.name]):
        return name, notes
    enough, tried = more_threads(run, readings, top.verdict.cell, other, chosen)
    return MORE_THREADS if enough else name, [*notes, tried]


def offloaded(top: Level, reference: Arm, rival: Arm) -> str:
    """What off-loading would bring: a `def` route is just that, where one was measured."""
    harmful = harms(reference, rival, top.signs, top.neighbour)
    spared = reference if harmful == rival.name else rival
    sign, ratio = top.signs[spared.name], top.verdict.ratio
    if style(spared) != "def" or sign is None or sign.canary is None or ratio is None:
        return "computing or blocking in a thread or a process instead: not tried here"
    change = units.ratio(ratio if spared == rival else 1.0 / ratio)
    return (
        f"as `def`, on threads: {change} of the {units.METRIC_NAMES[top.verdict.metric]}, and a light "
        f"request takes {units.duration(sign.canary.response_time)} (p{sign.canary.part * 100:.0f}); "
        "a process pool: not tried here"
    )


def more_threads(run: Run, readings: Readings, cell: Cell, limited: Arm, better: Arm) -> tuple[bool, str]:
    """Whether an arm like `limited`, but with more threads, serves as much as `better` does."""
    like = [
        arm
        for arm in run.plan.arms
        if (arm.app, arm.env) == (limited.app, limited.env)
        and arm.serving.threads > limited.serving.threads
        and arm.serving.model_copy(update={"threads": limited.serving.threads}) == limited.serving
    ]
    if not like:
        return False, f"more than {limited.serving.threads} threads for {limited.name}: not tried (--sweep)"
    said = []
    metric = run.plan.primary(cell)
    enough = ("above" if metric == "throughput" else "below", "within")
    for arm in like:
        if arm == better:
            return True, f"{arm.name} is {limited.name} with {arm.serving.threads} threads"
        interval = against(run, readings, cell, arm, better)
        if interval is None:
            continue
        place = position(interval, run.plan.margin)
        told = (
            f"with {arm.serving.threads} threads {limited.name} has {units.ratio(interval.ratio)} "
            f"({units.interval(interval.low, interval.high)}) of {better.name}'s {units.METRIC_NAMES[metric]}"
        )
        if place in enough:
            return True, told
        said.append(told)
    return False, "; ".join(said) or "with more threads nothing was decided"


def against(run: Run, readings: Readings, cell: Cell, arm: Arm, other: Arm) -> Interval | None:
    """The primary metric of one arm ÷ another's, whichever is the reference."""
    mine, theirs = pair(run, cell, arm.name), pair(run, cell, other.name)
    both = sorted(set(mine.rounds) & set(theirs.rounds))
    ours = [readings.whole(trial) for trial, at in zip(mine.rival, mine.rounds, strict=True) if at in both]
    others = [
        readings.whole(trial) for trial, at in zip(theirs.rival, theirs.rounds, strict=True) if at in both
    ]
    return estimate(run.plan.primary(cell), others, ours, run.plan.level / len(run.plan.rivals)).interval


def harm_notes(top: Level, reference: Arm, rival: Arm) -> list[str]:
    """What the neighbours met, where it differs much."""
    harmful = harms(reference, rival, top.signs, top.neighbour)
    sign = top.signs.get(harmful) if harmful else None
    if harmful is None or sign is None or sign.canary is None or top.neighbour is None:
        return []
    factor = max(top.neighbour.ratio, 1.0 / top.neighbour.ratio)
    others = (
        "other `def` routes queue for the same threads"
        if (sign.queued or 0.0) > 1.0
        else "everything else on its loop waits"
    )
    return [
        f"under {harmful} a light request beside it takes {units.figures(factor)} times as long: {others}"
    ]


def crossover(ordered: Sequence[Level]) -> tuple[float, float] | None:
    """Two neighbouring decided loads at which different arms are ahead in the primary metric."""
    ahead = [one for one in ordered if one.verdict.verdict in ("faster", "slower")]
    for one, other in pairwise(ahead):
        if one.verdict.verdict != other.verdict.verdict:
            return one.verdict.cell.load.level, other.verdict.cell.load.level
    return None


def reason(top: Level, reference: Arm, rival: Arm) -> str:
    """What limits each arm, the leading bottleneck of each with its evidence, in one sentence."""
    said = [
        f"{arm.name} is limited by {top.limits[arm.name][0].name} ({top.limits[arm.name][0].evidence})"
        for arm in (reference, rival)
        if top.limits[arm.name]
    ]
    return "; ".join(said) if said else "no limit is confirmed by what the servers told"


def cost(run: Run, top: Level, arm: str) -> Cost:
    """What serving takes."""
    one = top.signs[arm]
    seen = run.calibration(arm, top.verdict.cell.scenario, 1)
    return Cost(
        cpu=one.cpu * 1000 if one and one.cpu is not None else None,
        rss=one.rss if one else None,
        threads=one.threads if one else None,
        hops=seen.hops if seen else None,
    )


def arm_of(run: Run, name: str) -> Arm:
    return next(arm for arm in run.plan.arms if arm.name == name)
