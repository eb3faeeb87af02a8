"""Searches for the highest rate of arrivals at which a target holds: serve, load, record; saves after every
trial.

The first round of a scenario scouts: each arm by itself, from rates that it should carry upwards, in short
slices. The rounds after it have fresh servers and take their slices close to where the target is about to be
missed, all arms in turn. Where that is, and how precisely it is known, is not decided here: the caller passes
`located`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

from loadtests.measure.bench import DEFAULT_OPTIONS, Bench
from loadtests.measure.calibration import alone_and_few, work_to_watch
from loadtests.measure.capacity.rates import LOW, Bracket, bracket, in_turns, made, scouted
from loadtests.measure.opening import opened
from loadtests.measure.trials.servers import MustBeApart, RoundServers
from loadtests.measure.trials.slices import Stint
from loadtests.measure.trials.trial import judged, unserved
from loadtests.measure.trials.underway import MOST_WAITING, TrialTask, TrialUnderway
from loadtests.measure.validity import CEILING
from loadtests.measure.watcher import SILENT, Watcher
from loadtests.plan.arms import Arm
from loadtests.plan.capacity.target import CapacityGoal
from loadtests.plan.cells import Cell, Load
from loadtests.plan.options import RunOptions
from loadtests.plan.plan import BLOCK, Plan
from loadtests.plan.profiles import FIRST_LOOK, LAST_LOOK
from loadtests.records.capacity.aims import Aim
from loadtests.records.capacity.shares import SCOUTING, MissedShares
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from loadtests.records.trial import Apart, Trial
from loadtests.serving.external import DidNotStart

Located = Callable[[Run, str], Mapping[str, Aim]]
"""By arm, what the rounds of a scenario show so far; without arms whose rounds show nothing yet."""

ENOUGH_MISSES = 4.0
"""Requests of a slice that miss the target where it is about to be missed."""

SHORTEST, LONGEST = 1.5, 4.0
"""Seconds of a slice's window."""

SCOUTED = 1.0, 2.5
"""The same while scouting, where a rough answer is enough."""

FILLING = 5.0
"""Limits of the target for which a slice is loaded before its window opens: a queue that makes requests miss
it must have had time to form."""

HEADS = 0.5, 1.5
"""Minimum and maximum of that in seconds."""

OVERDUE = 4.0
"""Requests that may wait at once, as a multiple of those that wait where the mean request takes as long as
the limit: by then the target is missed, and what would wait longer only delays the next slice."""

FEWEST_WAITING = 64

NEAREST = 0.95 * CEILING
"""Part of the generator's best rate up to which arrivals are made: random ones are now and then more than
meant."""

SLICE_ATTEMPTS = 2
"""Attempts at a slice that is disturbed."""


def search(
    run: Run,
    directory: RunDirectory,
    located: Located,
    watcher: Watcher = SILENT,
    options: RunOptions = DEFAULT_OPTIONS,
) -> Run:
    """Measure a run whose plan has a `capacity`, from its beginning or on from the rounds that it has. A
    scenario ends once all arms are settled, or its time is up and the minimum of rounds done. Raises
    PlanError, ChildFailed, ArmsDiffer, CannotWrite."""
    goal = run.plan.capacity
    if goal is None:
        raise ValueError("the plan has no target to search for")
    with opened(run, directory, watcher, options) as (ready, bench, began):
        return Search(ready, goal, directory, bench, located, watcher, began).carry_out()


class Search:
    """The searches of one run, scenario by scenario."""

    def __init__(
        self, run: Run, goal: CapacityGoal, directory: RunDirectory, bench: Bench, located: Located,
        watcher: Watcher, began: float,
    ) -> None:  # fmt: skip
        self.run, self.plan, self.goal = run, run.plan, goal
        self.directory, self.bench, self.watcher = directory, bench, watcher
        self.located = located
        self.shares = MissedShares(goal, directory)
        self.began, self.before = began, run.elapsed
        self.spent = (time.perf_counter() - began) / len(run.plan.cells)
        """Seconds of the preparation, for each scenario."""
        self.apart: Apart | None = bench.apart

    def carry_out(self) -> Run:
        for cell in self.plan.cells:
            self.scenario(cell)
        self.run = self.run.model_copy(update={"complete": True, "elapsed": self.elapsed})
        self.directory.save(self.run)
        return self.run

    @property
    def elapsed(self) -> float:
        """Seconds of measuring so far, with those of earlier parts."""
        return self.before + time.perf_counter() - self.began

    def scenario(self, cell: Cell) -> None:
        """Scout a scenario, then measure its rounds. `cell`: at the highest rate."""
        until, longest = time.perf_counter() - self.spent + self.goal.seconds, 0.0
        brackets = {arm.name: self.scout(cell, arm) for arm in self.plan.arms}
        done = self.rounds_done(cell, brackets)
        while done < LAST_LOOK and not self.settled(cell, done):
            began = time.perf_counter()
            if done >= FIRST_LOOK and began + longest > until:
                break
            self.measure(cell, done + 1, self.rates(cell, brackets, done + 1))
            done, ended = done + 1, time.perf_counter()
            longest = max(longest, ended - began)
            self.watcher.round_ends(self.run, done, [cell], until - ended)

    def rates(self, cell: Cell, brackets: Mapping[str, Bracket], round: int) -> dict[str, tuple[float, ...]]:
        """By arm, the rates of a scenario's round, by what the rounds before it show."""
        earlier = [one for one in self.run.trials if one.cell.scenario != cell.scenario or one.round < round]
        aims = self.located(self.run.model_copy(update={"trials": tuple(earlier)}), cell.scenario)
        return {
            name: found.rates(aims[name].rate if name in aims else found.middle, round)
            for name, found in brackets.items()
        }

    def rounds_done(self, cell: Cell, brackets: Mapping[str, Bracket]) -> int:
        """The last round of a scenario in an earlier part of the run; the one before where the run was
        interrupted in it, which is then measured again: only slices of one moment are compared."""
        last = max((trial.round for trial in self.known(cell)), default=SCOUTING)
        if last == SCOUTING or self.run.trials[-1].cell.scenario != cell.scenario:
            return last
        there = {(one.arm, one.cell.load.level) for one in self.known(cell) if one.round == last}
        planned = self.rates(cell, brackets, last)
        whole = all((name, rate) in there for name, rates in planned.items() for rate in rates)
        return last if whole else last - 1

    def settled(self, cell: Cell, done: int) -> bool:
        """Whether all arms of a scenario are, at a look: until then all continue, since a ratio needs rounds
        that both have. Where no slice of any arm counts, there is nothing to wait for."""
        if done < FIRST_LOOK or done % BLOCK:
            return False
        return all(aim.settled for aim in self.located(self.run, cell.scenario).values())

    def known(self, cell: Cell) -> list[Trial]:
        """The trials of a scenario."""
        return [trial for trial in self.run.trials if trial.cell.scenario == cell.scenario]

    def scout(self, cell: Cell, arm: Arm) -> Bracket:
        """From below, until an arm first misses the target, or the generator can make no more; from where an
        earlier part of the run came to."""
        first, reach = self.first(cell, arm), self.reach(cell)
        with self.servers(cell, SCOUTING, [arm]) as servers:
            while True:
                shares, beyond = self.scouting(cell, arm)
                reach = min(reach, made(shares, beyond) or reach)
                rate = scouted(shares, beyond, self.goal.target.share, first, reach)
                if rate is None or rate in shares:
                    return bracket(shares, self.goal.target.share, reach)
                self.slice(servers, cell, SCOUTING, arm, rate)

    def scouting(self, cell: Cell, arm: Arm) -> tuple[dict[float, float], list[float]]:
        """By rate, the share of an arm's requests that missed the target in scouting; and the rates that the
        generator could not make. A server that ended missed it, however few requests were due."""
        every = [one for one in self.known(cell) if one.arm == arm.name and one.round == SCOUTING]
        last = {one.cell.load.level: one for one in every}
        shares = {
            rate: self.shares.of(one).share if one.ended is None else 1.0
            for rate, one in last.items()
            if not held_back(one)
        }
        return shares, [rate for rate, one in last.items() if held_back(one)]

    def first(self, cell: Cell, arm: Arm) -> float:
        """The rate at which scouting begins: well below what a few users reached in the calibration."""
        every = alone_and_few(cell, arm.name, self.run.calibrations)
        return LOW * max((seen.throughput for seen in every if seen is not None), default=0.0) or 1.0

    def reach(self, cell: Cell) -> float:
        """The highest rate that the generator makes without being the limit, or that the plan allows."""
        ceiling = self.run.ceiling(cell.scenario)
        return cell.load.level if ceiling is None else min(cell.load.level, float(f"{NEAREST * ceiling:.3g}"))

    def measure(self, cell: Cell, round: int, rates: Mapping[str, Sequence[float]]) -> None:
        """One round: fresh servers, and every arm's slices in turn; one arm after another where their servers
        cannot stand side by side."""
        arms = {arm.name: arm for arm in self.plan.order(cell, round)}
        steps = in_turns(rates, list(arms))
        try:
            self.slices(cell, round, [(arms[name], rate) for name, rate in steps])
        except MustBeApart as reason:
            self.apart = reason.why
            self.slices(cell, round, [(arms[name], rate) for name, rate in steps])

    def slices(self, cell: Cell, round: int, steps: Sequence[tuple[Arm, float]]) -> None:
        """Raises MustBeApart."""
        names = list(dict.fromkeys(arm.name for arm, _ in steps))
        if self.apart:
            steps = sorted(steps, key=lambda step: names.index(step[0].name))
        arms = list({arm.name: arm for arm, _ in steps}.values())
        with self.servers(cell, round, arms) as servers:
            for place, (arm, rate) in enumerate(steps):
                self.slice(servers, cell, round, arm, rate)
                left = [one.name for one, _ in steps[place + 1 :]]
                if self.apart and arm.name not in left and arm.name in servers.known:
                    servers.release([arm.name])

    def servers(self, cell: Cell, round: int, arms: Sequence[Arm]) -> RoundServers:
        streams = [(arm, self.stream(cell, round, arm)) for arm in arms]
        return RoundServers(self.bench.environment, streams, self.apart)

    def stream(self, cell: Cell, round: int, arm: Arm) -> str:
        """The name of an arm's requests to the slow service, whose delays are those of the round's other
        arms."""
        place = [one.name for one in self.plan.arms].index(arm.name)
        return f"{self.plan.trial_seed(cell, round)}.{len(self.run.trials)}{place}"

    def slice(self, servers: RoundServers, cell: Cell, round: int, arm: Arm, rate: float) -> None:
        """A slice of one arm at one rate, and another one where it was disturbed, or its server did not
        start. A server that ended, or does not come to rest, is replaced."""
        there = Cell(scenario=cell.scenario, load=Load(rate=rate, arrivals=cell.load.arrivals))
        for attempt in range(1, SLICE_ATTEMPTS + 1):
            task = self.task(there, round, arm, attempt)
            self.watcher.trial_begins(self.run, there, arm, round)
            trial = self.loaded(servers, task, self.stream(cell, round, arm))
            self.run = self.run.with_trial(trial, self.elapsed, **self.bench.environment.facts())
            self.directory.save(self.run)
            self.watcher.trial_ends(self.run, trial)
            if trial.valid and trial.served:
                break

    def loaded(self, servers: RoundServers, task: TrialTask, stream: str) -> Trial:
        """The trial of a slice. Raises ChildFailed, CannotWrite, MustBeApart."""
        plan = self.paced(task.cell, task.round)
        try:
            server = servers.take(task.arm)
        except DidNotStart as failure:
            servers.renew(task.arm, stream)
            return unserved(task, plan, self.directory.path, failure.end, self.apart)
        if plan.hands_over(task.cell.scenario):
            server.start_workers()
        trial = TrialUnderway(task, plan, self.bench, self.directory.path, server)
        trial.load(Stint(task.arm, 1.0, first=True, last=True))
        ended = server.ended()
        ceiling = self.run.ceiling(task.cell.scenario)
        # Not kept, but it tells when the service is lost: then every arm would miss the target.
        self.bench.environment.delays_given(servers.streams[task.arm.name])
        found = judged(trial, trial.heartbeats(), (), ended, ceiling, self.apart)
        if ended or not trial.rests:
            servers.renew(task.arm, stream)
        return found

    def task(self, cell: Cell, round: int, arm: Arm, attempt: int) -> TrialTask:
        limit, place = self.goal.target.limit, [one.name for one in self.plan.arms].index(arm.name)
        waiting = MOST_WAITING if limit is None else OVERDUE * cell.load.level * limit
        return TrialTask(
            len(self.run.trials) + 1, cell, arm, round, place, attempt,
            enough=work_to_watch(cell, arm.name, self.run.calibrations),
            waiting=min(MOST_WAITING, max(FEWEST_WAITING, math.ceil(waiting))),
        )  # fmt: skip

    def paced(self, cell: Cell, round: int) -> Plan:
        """The plan with the times of a slice."""
        least, most = SCOUTED if round == SCOUTING else (SHORTEST, LONGEST)
        limit = self.goal.target.limit or 0.0
        window = ENOUGH_MISSES / (self.goal.target.share * cell.load.level)
        return self.plan.model_copy(
            update={
                "warmup": min(max(HEADS[0], FILLING * limit), HEADS[1]),
                "window": min(max(least, window), most),
                # What is answered later has missed the target.
                "drain": max(1.0, 2.0 * limit) if limit else self.plan.drain,
            }
        )


def held_back(trial: Trial) -> bool:
    """Whether the generator could not make a slice's arrivals, and nothing else disturbed it."""
    return bool(trial.faults) and all(fault.blamed == "generator" for fault in trial.faults)
