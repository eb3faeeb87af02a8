"""What the searches of a run have found: for every scenario and arm the rate at which its target is about to
be missed, what limits the arm there, and what its neighbours wait."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from loadtests.records import (
    SCOUTING,
    Aim,
    CapacityGoal,
    Cell,
    Fault,
    MissedShares,
    Run,
    ServerEnd,
    Trial,
)
from reports.analysis.answers.differences import answered_apart
from reports.analysis.bottlenecks import Bottleneck, bottlenecks
from reports.analysis.bounds import known
from reports.analysis.capacity.crossing import Crossing, RateSlice, crossing, ratio
from reports.analysis.readings import Readings
from reports.analysis.signs import CanaryTimes, light, signs
from reports.analysis.statistics import FIRST_LOOK, Interval, percentile
from reports.analysis.verdicts import must_be_alike, per_rival

CapacityWord = Literal["found", "beyond", "never", "open", "invalid"]
"""found: with an interval; beyond: the target holds at the highest rate that can be measured; never: it is
missed at the lowest one; both with a bound; invalid: most slices were disturbed; open: too few rounds, or
none on one side of the crossing."""

Bounds = tuple[float | None, float | None]
"""What a figure is not below and not above, at the run's error rate; None where that is not known."""

MOST_DISTURBED = 0.5
"""Fraction of an arm's slices that may be lost before the search was no measurement."""


@dataclass(frozen=True)
class RatePoint:
    """An arm's slices at one rate, all rounds together."""

    rate: float
    rounds: int
    share: float
    """Part of the requests that missed the target."""
    value: float | None
    """The target's percentile in seconds, of a target on failures None; None where failures make it infinite,
    or too few requests support it."""


@dataclass(frozen=True)
class LostSlices:
    """Slices that do not count, although some of them were measured again."""

    lost: int
    of: int
    faults: tuple[Fault, ...]
    """Of the last one that was lost."""


@dataclass(frozen=True)
class EndedSlices:
    """Slices whose server did not start, or ended by itself."""

    times: int
    of: int
    """Every attempt, those of scouting included."""
    end: ServerEnd
    """The first one."""


@dataclass(frozen=True)
class ArmSearch:
    """One arm of one scenario."""

    scenario: str
    arm: str
    word: CapacityWord
    rate: float | None
    """Arrivals per second at which the target is about to be missed; beyond, never: the highest or lowest
    rate that was measured."""
    crossing: Crossing | None
    points: tuple[RatePoint, ...]
    """Ascending by rate."""
    limits: tuple[Bottleneck, ...] = ()
    """What limits it at that rate, or just above."""
    disturbed: LostSlices | None = None
    """None where every slice counts."""
    limited_at: float | None = None
    """The rate of the slices that show it."""
    pulse: CanaryTimes | None = None
    """What an `async def` neighbour waits at that rate."""
    canary: CanaryTimes | None = None
    """What the app's own light route waits."""
    ended: EndedSlices | None = None
    """None where its servers lived: otherwise the arm is failing, whatever its rate."""

    @property
    def interval(self) -> Interval | None:
        """Of the rate; None unless it was found."""
        return self.crossing.interval if self.crossing is not None and self.word == "found" else None

    @property
    def bounds(self) -> Bounds:
        """Of the rate: its interval, or the side on which it is known not to be."""
        bound = None if self.crossing is None else self.crossing.bound
        match self.word:
            case "beyond":
                return bound, None
            case "never":
                return None, bound
            case _:
                return (None, None) if self.interval is None else (self.interval.low, self.interval.high)


@dataclass(frozen=True)
class CapacityRatio:
    """An arm's rate ÷ that of the arm that it is compared with."""

    scenario: str
    arm: str
    reference: str
    ratio: float | None
    """None unless both were found."""
    interval: Interval | None
    sides: Bounds = (None, None)
    """What the bounds of both arms say of it where it has no interval."""
    failing: tuple[str, ...] = ()
    """Those of both arms whose server did not start, or ended by itself."""
    different: bool = False
    """Whether they answer differently, so that neither carries more of the same: no ratio is given."""

    @property
    def bounds(self) -> Bounds:
        """Its interval, or the side on which it is known not to be."""
        return self.sides if self.interval is None else (self.interval.low, self.interval.high)


def tried(run: Run, scenario: str, arm: str) -> list[Trial]:
    """The last attempt at every slice, without those of scouting."""
    found: dict[tuple[float, int], Trial] = {}
    for trial in run.trials:
        if (trial.cell.scenario, trial.arm) == (scenario, arm) and trial.round != SCOUTING:
            found[trial.cell.load.level, trial.round] = trial
    return list(found.values())


def counted(run: Run, scenario: str, arm: str) -> list[Trial]:
    """Those of them that nothing disturbed, and whose server started: of another one no rate is known."""
    return [trial for trial in tried(run, scenario, arm) if trial.valid and trial.served]


def ended_slices(run: Run, scenario: str, arm: str) -> EndedSlices | None:
    """The slices in which an arm's server ended, in whatever attempt: no later one makes up for it."""
    every = [one for one in run.trials if (one.cell.scenario, one.arm) == (scenario, arm)]
    ends = [one.ended for one in every if one.ended is not None]
    return EndedSlices(len(ends), len(every), ends[0]) if ends else None


def disturbed(run: Run, scenario: str, arm: str) -> LostSlices | None:
    """What was lost of an arm's slices, if anything."""
    every = tried(run, scenario, arm)
    lost = [trial for trial in every if not trial.valid]
    return LostSlices(len(lost), len(every), lost[-1].faults) if lost else None


def crossing_of(
    run: Run, goal: CapacityGoal, shares: MissedShares, trials: Sequence[Trial]
) -> Crossing | None:
    """Where an arm's slices cross the target. Raises RecordError."""
    slices = []
    for trial in trials:
        seen = shares.of(trial)
        slices.append(RateSlice(trial.round, trial.cell.load.level, seen.over, seen.of))
    return crossing(slices, goal.target.share, run.plan.alpha)


def word_of(found: Crossing | None) -> CapacityWord:
    """What a crossing says. One outside the slices is beyond what can be measured once the outermost rate was
    measured again and again, and the slices exclude those within: otherwise the next rounds follow it."""
    if found is None:
        return "open"
    if found.bracketed:
        return "found" if found.interval is not None else "open"
    if found.bound is None or [one.rate for one in found.slices].count(found.outermost) < FIRST_LOOK:
        return "open"
    return "beyond" if found.above else "never"


def narrow(found: Crossing, precision: float) -> bool:
    """Whether a crossing, or the rate that it is beyond, is known as precisely as that."""
    if found.bracketed:
        return found.interval is not None and found.interval.half_width <= precision
    return found.bound is not None and abs(math.log(found.outermost / found.bound)) <= math.log1p(precision)


def aims(run: Run, shares: MissedShares, scenario: str) -> dict[str, Aim]:
    """Where the next slices of a scenario's arms are taken, and which arms need none. Raises RecordError."""
    found = {}
    for arm in run.plan.arms:
        trials = counted(run, scenario, arm.name)
        seen = crossing_of(run, shares.goal, shares, trials)
        if seen is None:
            continue
        settled = word_of(seen) != "open" and narrow(seen, shares.goal.precision)
        found[arm.name] = Aim(seen.rate, settled)
    return found


def points(readings: Readings, shares: MissedShares, trials: Sequence[Trial]) -> Iterator[RatePoint]:
    """An arm's slices, rate by rate. Raises RecordError."""
    target = shares.goal.target
    for rate in sorted({trial.cell.load.level for trial in trials}):
        mine = [trial for trial in trials if trial.cell.load.level == rate]
        seen = [shares.of(trial) for trial in mine]
        times = [readings.latencies(trial) for trial in mine]
        took = np.sort(np.concatenate([one.took for one in times]))
        value = percentile(took, 1.0 - target.share, sum(one.failed for one in times))
        of = sum(one.of for one in seen)
        yield RatePoint(
            rate,
            len(mine),
            sum(one.over for one in seen) / of if of else 0.0,
            value if target.limit else None,
        )


def searched(run: Run, readings: Readings, shares: MissedShares, scenario: str, arm: str) -> ArmSearch:
    """What the search of an arm has found. Raises RecordError."""
    trials = counted(run, scenario, arm)
    found = crossing_of(run, shares.goal, shares, trials)
    lost, word = disturbed(run, scenario, arm), word_of(found)
    if lost is not None and word == "open" and lost.lost > MOST_DISTURBED * lost.of:
        word = "invalid"
    rate = None
    if found is not None and word in ("beyond", "never"):
        rate = found.outermost
    elif found is not None and word in ("found", "open") and found.bracketed:
        rate = found.rate
    seen, ended = tuple(points(readings, shares, trials)), ended_slices(run, scenario, arm)
    made = ArmSearch(scenario, arm, word, rate, found, seen, disturbed=lost, ended=ended)
    return made if rate is None else explained(run, readings, made, rate)


def explained(run: Run, readings: Readings, made: ArmSearch, rate: float) -> ArmSearch:
    """The same with what limits the arm at that rate, or where nothing does, at the next higher ones; and
    what its neighbours wait there."""
    rates = [one.rate for one in made.points]
    nearest = min(rates, key=lambda one: abs(math.log(one / rate)))
    limits: list[Bottleneck] = []
    at = None
    for one in [one for one in rates if one >= nearest] if made.word != "beyond" else ():
        cell = cell_at(run, made.scenario, made.arm, one)
        limits, at = bottlenecks(signs(run, readings, cell, made.arm), known(run, cell, made.arm), ()), one
        if limits:
            break
    trials = [one for one in counted(run, made.scenario, made.arm) if one.cell.load.level == nearest]
    return replace(
        made, limits=tuple(limits), limited_at=at if limits else None,
        pulse=light([readings.pulse(trial) for trial in trials]),
        canary=light([readings.canary(trial) for trial in trials]),
    )  # fmt: skip


def cell_at(run: Run, scenario: str, arm: str, rate: float) -> Cell:
    """The cell of an arm's slices at a rate."""
    return next(trial.cell for trial in counted(run, scenario, arm) if trial.cell.load.level == rate)


def ratio_of(run: Run, scenario: str, arms: Mapping[str, ArmSearch], rival: str) -> CapacityRatio:
    """An arm's rate ÷ its opponent's: paired by rounds where both were found, otherwise what their bounds
    say of it; nothing of arms that answer differently."""
    reference, alpha = run.plan.opponent(rival).name, per_rival(run.plan)
    one, other = arms[rival], arms[reference]
    failing = tuple(search.arm for search in (one, other) if search.ended is not None)
    if must_be_alike(run.plan) and answered_apart(run, scenario, reference, rival):
        return CapacityRatio(scenario, rival, reference, None, None, failing=failing, different=True)
    between, figure = None, None
    if one.interval and other.interval and one.crossing and other.crossing:
        between = ratio(one.crossing, other.crossing, alpha)
        figure = one.crossing.rate / other.crossing.rate
    sides = quotient(bounds_at(one, run, alpha), bounds_at(other, run, alpha))
    return CapacityRatio(scenario, rival, reference, figure, between, sides, failing)


def bounds_at(one: ArmSearch, run: Run, alpha: float) -> Bounds:
    """An arm's bounds at another error rate than the run's."""
    goal = run.plan.capacity
    if one.crossing is None or goal is None:
        return None, None
    return replace(one, crossing=crossing(one.crossing.slices, goal.target.share, alpha)).bounds


def quotient(one: Bounds, other: Bounds) -> Bounds:
    """What is known of a figure ÷ another one."""
    (low, high), (least, most) = one, other
    return (
        low / most if low is not None and most is not None else None,
        high / least if high is not None and least is not None else None,
    )
