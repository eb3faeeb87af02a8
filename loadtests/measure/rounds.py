"""Carries out a plan: serve, load, record; saves after every trial.

The meaning of the records is not decided here: the caller passes `decided`, a function from the run so far to
the cells that are decided.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing

from loadtests.measure.bench import DEFAULT_OPTIONS, Bench
from loadtests.measure.calibration import expected_turn, max_users, work_to_watch
from loadtests.measure.opening import opened
from loadtests.measure.prospects.forecast import Forecast
from loadtests.measure.trials.placing import Places
from loadtests.measure.trials.servers import MustBeApart
from loadtests.measure.trials.trial import measure_round
from loadtests.measure.trials.underway import TrialTask
from loadtests.measure.validity import MOST_ATTEMPTS, by_ceiling
from loadtests.measure.watcher import SILENT, Watcher
from loadtests.plan.cells import Cell
from loadtests.plan.options import RunOptions
from loadtests.plan.plan import BLOCK
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Ceiling, Run
from loadtests.records.trial import Apart, Trial
from loadtests.records.tried import pairs_tried, together

ENOUGH_CEILINGS, MOST_CEILINGS = 3, 9
"""Undisturbed measurements of what the generator can make in a scenario, and measurements of any kind, after
which a part of a run does not measure it again for a trial that comes near it."""

Decided = Callable[[Run], set[Cell]]


def carry_out(
    run: Run,
    directory: RunDirectory,
    decided: Decided,
    watcher: Watcher = SILENT,
    options: RunOptions = DEFAULT_OPTIONS,
) -> Run:
    """Measure the rounds of a run that `begin` made or `resume` found.

    Ends when all cells are decided, at the plan's maximum of rounds, or when no further block of rounds
    fits its time. Interrupted, it leaves the run as it is, marked incomplete, and re-raises. Raises
    PlanError, ChildFailed, ArmsDiffer, CannotWrite.
    """
    with opened(run, directory, watcher, options) as (ready, bench, began):
        return Rounds(ready, directory, bench, decided, watcher, began).carry_out()


class Rounds:
    """The rounds of one run."""

    def __init__(
        self,
        run: Run,
        directory: RunDirectory,
        bench: Bench,
        decided: Decided,
        watcher: Watcher,
        began: float,
    ) -> None:
        self.run = run
        self.plan = run.plan
        self.directory = directory
        self.bench = bench
        self.decided = decided
        self.watcher = watcher
        self.began = began
        self.preparation = self.elapsed
        """Seconds before the first trial."""
        cells = [cell for cell in run.plan.cells if cell.key not in run.refused]
        self.forecast = Forecast(run.plan, run.calibrations, cells)
        self.before = run
        """The run as an earlier part left it, judged by what is known now."""
        self.apart: dict[str, Apart] = {}
        """By cell, why its arms are measured one after another."""
        self.places = Places(run, bench.placement, bench.every)
        self.ceilings: list[Ceiling] = []
        """Those that this part has measured for trials that came near them."""

    @property
    def elapsed(self) -> float:
        """Seconds of this part of the run."""
        return time.perf_counter() - self.began

    def carry_out(self) -> Run:
        plan = self.plan
        open_cells = [cell for cell in plan.cells if cell.key not in self.run.refused]
        open_cells = self.left_open(open_cells, 0) if self.before.trials else open_cells
        self.correct_forecast()
        round = 0
        while open_cells and round < plan.max_rounds:
            # A later block starts only when it can be finished: half a block has no balanced order.
            if round >= plan.min_rounds and round % BLOCK == 0:
                fitting = self.fitting(open_cells, round)
                open_cells = [
                    cell for cell in open_cells if cell in fitting or self.nearly_repaired(cell, round)
                ]
                if not open_cells:
                    break
            for cell in plan.shuffled(open_cells, round):
                if self.measured(cell, round):
                    continue
                if self.late and self.run.trials:
                    return self.finished()
                self.measure(cell, round)
            round += 1
            if round >= plan.min_rounds and round % BLOCK == 0:
                open_cells = self.left_open(open_cells, round)
            if len(self.run.trials) > len(self.before.trials):
                self.watcher.round_ends(self.run, round, open_cells, self.seconds_left(open_cells, round))
        return self.finished()

    def left_open(self, cells: list[Cell], round: int) -> list[Cell]:
        """Those of the open cells that need more rounds. `round`: the first one that this part of the run has
        not reached."""
        decided = self.decided(self.run)
        return [
            cell
            for cell in cells
            if cell not in decided or self.unrepaired(cell, round) or not self.has_minimum(cell)
        ]

    def unrepaired(self, cell: Cell, round: int) -> bool:
        """Whether too many rounds of a cell are lost, and this part of the run will measure some of them
        again: an earlier part may have been disturbed, and have given the cell up."""
        spoilt = [pair for pair in pairs_tried(self.run, cell) if pair.spoilt]
        earlier = [lost for pair in pairs_tried(self.before, cell) for lost in pair.lost]
        return bool(spoilt) and max(earlier, default=-1) >= round

    def has_minimum(self, cell: Cell) -> bool:
        """Whether all arms have tried the plan's minimum of rounds."""
        needed = set(range(self.plan.min_rounds))
        return all(needed <= {trial.round for trial in self.run.of(cell, arm.name)} for arm in self.plan.arms)

    def nearly_repaired(self, cell: Cell, round: int) -> bool:
        """Whether a cell that lost too many rounds is good again after one block more, if that block counts:
        then it is measured beyond a profile's time, as the minimum of rounds is."""
        pairs = pairs_tried(self.run, cell)
        return (
            self.plan.deadline is None
            and round + BLOCK <= self.plan.max_rounds
            and any(pair.spoilt for pair in pairs)
            and not any(pair.spoilt_after(BLOCK) for pair in pairs)
        )

    def measured(self, cell: Cell, round: int) -> bool:
        """Whether this round of a cell counts for all arms since an earlier part of the run. One that was
        lost is measured again, by all arms: only trials of one moment are compared."""
        last = [
            trial
            for arm in self.plan.arms
            for trial in [one for one in self.before.of(cell, arm.name) if one.round == round][-1:]
        ]
        complete = len(last) == len(self.plan.arms) and together(last)
        same = complete and self.places.same(self.before, cell)
        return same and all(trial.valid for trial in last)

    @property
    def late(self) -> bool:
        """Whether the plan's deadline is past."""
        return self.plan.deadline is not None and self.elapsed >= self.plan.deadline

    def finished(self) -> Run:
        """The run, marked as complete."""
        spent = self.before.elapsed + self.elapsed
        self.run = self.run.model_copy(update={"complete": True, "elapsed": spent})
        self.directory.save(self.run)
        return self.run

    def correct_forecast(self) -> None:
        """Tell what the run takes, if it is not what was announced. Of a resumed run nothing was."""
        if self.before.trials:
            return
        cells = [cell for cell in self.plan.cells if cell.key not in self.run.refused]
        found = self.forecast.correction(cells, self.preparation)
        if found is not None:
            self.watcher.expects(*found)

    def fitting(self, cells: list[Cell], round: int) -> list[Cell]:
        """Those of the cells of which one more block of rounds fits the plan's rounds and time. As many as
        possible, where there is no time for all: two rounds more narrow an interval of four by almost half.
        """
        if round + BLOCK > self.plan.max_rounds:
            return []
        if self.plan.max_time is None:
            return cells
        found, left = [], self.plan.max_time - self.elapsed
        for cell in sorted(cells, key=lambda cell: self.forecast.round_seconds([cell])):
            left -= self.forecast.round_seconds([cell]) * BLOCK
            if left >= 0.0:
                found.append(cell)
        return [cell for cell in cells if cell in found]

    def seconds_left(self, cells: list[Cell], round: int) -> float:
        """An upper estimate of the remaining time, the proof's included."""
        left = self.forecast.round_seconds(cells) * max(0, self.plan.most_rounds - round)
        if self.plan.max_time is not None:
            least = self.forecast.round_seconds(cells) * max(0, self.plan.min_rounds - round)
            left = max(least, min(left, self.plan.max_time - self.elapsed))
        return max(0.0, left) + self.plan.proof_seconds[1]

    def measure(self, cell: Cell, round: int) -> None:
        """All arms of a cell, in turns; all of them again where one's measurement failed, since only trials
        of one moment are compared. Where the generator is held up by servers on its CPU, these get their own
        CPUs back, in the rounds before as well: what different CPUs show is not pooled."""
        began, went_back = self.elapsed, False
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                counted = self.attempt(cell, round, attempt)
            except MustBeApart as reason:
                self.apart[cell.key] = reason.why
                counted = self.attempt(cell, round, attempt)
            if counted or self.late:
                break
            went_back |= self.places.go_back(cell, self.run.trials[-1])
        self.forecast.note(cell, self.elapsed - began)
        self.correct_forecast()
        for earlier in range(round + 1) if went_back else ():
            if not self.late and not self.tried_in_place(cell, earlier):
                self.measure(cell, earlier)

    def tried_in_place(self, cell: Cell, round: int) -> bool:
        """Whether a round of a cell was tried with the CPUs that its servers have now."""
        tried = {trial.round for arm in self.plan.arms for trial in self.run.of(cell, arm.name)}
        return round in tried and self.places.same(self.run, cell)

    def attempt(self, cell: Cell, round: int, attempt: int) -> bool:
        """One attempt at a round, given up at the first arm whose measurement fails if there may be another
        one. Whether all count. Raises MustBeApart, ChildFailed, CannotWrite."""
        tasks = [
            TrialTask(
                len(self.run.trials) + 1 + place, cell, arm, round, place, attempt,
                expected_turn(cell, arm.name, self.run.calibrations) or 0.0,
                work_to_watch(cell, arm.name, self.run.calibrations),
                self.places.of(cell),
            )
            for place, arm in enumerate(self.plan.order(cell, round))
        ]  # fmt: skip
        apart = self.apart.get(cell.key) or self.bench.apart
        ceiling, directory = self.run.ceiling(cell.scenario), self.directory.path
        counted = True
        with closing(measure_round(tasks, self.plan, self.bench, directory, ceiling, apart)) as trials:
            for task in tasks:
                self.watcher.trial_begins(self.run, cell, task.arm, round)
                trial = self.keep(next(trials))
                counted = counted and (trial.valid or self.held_back(trial))
                if not counted and attempt < MOST_ATTEMPTS and not self.late:
                    break
        return counted

    def keep(self, trial: Trial) -> Trial:
        """A trial, judged and saved: an interrupted run keeps what it has."""
        trial = self.by_best_ceiling(by_ceiling(trial, self.run.ceiling(trial.cell.scenario) or 0.0))
        facts = self.bench.environment.facts()
        self.run = self.run.with_trial(trial, self.before.elapsed + self.elapsed, **facts)
        self.directory.save(self.run)
        self.watcher.trial_ends(self.run, trial)
        return trial

    def held_back(self, trial: Trial) -> bool:
        """Whether the generator held an arm back as it did in the round before: no attempt will do better."""
        earlier = [one for one in self.run.of(trial.cell, trial.arm) if one.round == trial.round - 1]
        return trial.capped and bool(earlier) and earlier[-1].capped

    def by_best_ceiling(self, trial: Trial) -> Trial:
        """The trial, after the generator's maximum rate was measured again if the trial came near it: an
        earlier measurement may be too low, although nothing seemed to disturb it. What the generator made in
        the trial, it can make. Raises ChildFailed."""
        scenario = trial.cell.scenario
        made = max((fault.value for fault in trial.faults if fault.kind == "near-ceiling"), default=None)
        before = self.run.ceiling(scenario)
        if before is None or made is None:
            return trial
        again = []
        if self.ceiling_open(scenario):
            users = {scenario: max_users(self.plan)[scenario]}
            again = self.bench.ceilings(users, self.plan.seed % 2**31)
            self.ceilings += again
        if again or made > before:
            self.run, self.before = (
                with_ceilings(one, again, scenario, made) for one in (self.run, self.before)
            )
        return by_ceiling(trial, max(made, self.run.ceiling(scenario) or 0.0))

    def ceiling_open(self, scenario: str) -> bool:
        """Whether another measurement of the generator's maximum rate could tell more."""
        known = [one for one in self.ceilings if one.scenario == scenario]
        sound = sum(not one.faults for one in known)
        return sound < ENOUGH_CEILINGS and len(known) < MOST_CEILINGS


def with_ceilings(run: Run, more: Sequence[Ceiling], scenario: str, made: float) -> Run:
    """The run with further measurements of a scenario's ceiling, by which its trials are judged again, and by
    what the generator has `made` in one more."""
    run = run.model_copy(update={"ceilings": (*run.ceilings, *more)})
    ceiling = max(made, run.ceiling(scenario) or 0.0)
    trials = (by_ceiling(one, ceiling) if one.cell.scenario == scenario else one for one in run.trials)
    return run.model_copy(update={"trials": tuple(trials)})
