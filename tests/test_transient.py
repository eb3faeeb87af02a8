"""A disturbance that passes is not final: cells are measured on, and calibrations and ceilings again. Runs of
a machine whose disturbances are planted, with the real rounds and verdicts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadtests.measure import rounds, validity
from loadtests.measure.bench import Bench
from loadtests.measure.rounds import ENOUGH_CEILINGS, MOST_CEILINGS, Rounds
from loadtests.measure.trials.underway import TrialTask
from loadtests.measure.validity import MOST_ATTEMPTS, near_ceiling
from loadtests.measure.watcher import SILENT
from loadtests.plan.plan import Plan
from loadtests.records import Ceiling, Fault, Run, RunDirectory, Trial
from loadtests.system.placement import shared
from reports.analysis.estimates import own_interval
from reports.analysis.readings import Readings
from reports.analysis.rounds.consistency import Capped
from reports.analysis.verdicts import Verdict, verdicts
from reports.conclusions import conclude, decided
from reports.wording.reservations import reservation_text
from tests import scripted
from tests.scripted import Scripted

STEAL = Fault(kind="steal", value=0.1, limit=0.02)
Disturbed = Callable[[int, str, str], bool]
"""By round, arm and scenario, whether other guests take the CPU during every attempt."""


def never(*_: object) -> bool:
    return False


def in_rounds(*chosen: int, arms: tuple[str, ...] = ("sync", "async")) -> Disturbed:
    return lambda round, arm, _: round in chosen and arm in arms


@dataclass
class Machine:
    """Measures scripted trials: async serves `ratio` times what sync does, with 2% of noise."""

    disturbed: Disturbed = never
    ratio: float = 1.5
    rate: float = 200.0
    """Of sync, in requests per second."""
    ceilings: Iterator[tuple[float, bool]] = field(default_factory=lambda: iter(()))
    """What the generator makes in further measurements, and whether they are disturbed."""
    stops: int | None = None
    """The trial, from 1, at whose begin the user interrupts."""
    begun: int = 0
    asked: int = 0
    """How often it was measured again."""

    def measure(
        self,
        tasks: Sequence[TrialTask],
        plan: Plan,
        _: Bench,
        directory: Path,
        ceiling: float | None,
        *__: object,
    ) -> Generator[Trial]:
        return (self.trial(task, directory, ceiling) for task in tasks)

    def trial(self, task: TrialTask, directory: Path, ceiling: float | None) -> Trial:
        self.begun += 1
        if self.begun == self.stops:
            raise KeyboardInterrupt
        noise = Random(f"{task.cell.key}{task.round}{task.arm.name}").gauss(0.0, 0.02)
        rate = self.rate * (self.ratio if task.arm.name == "async" else 1.0) * math.exp(noise)
        told = Scripted(requests=round(rate), latency=0.002)
        trial = scripted.trial(told, task.number, task.round, task.place, task.cell, task.arm.name)
        trial = scripted.with_arrays(trial, directory, told)
        faults = [] if ceiling is None else near_ceiling(rate, ceiling)
        if self.disturbed(task.round, task.arm.name, task.cell.scenario):
            faults.append(STEAL)
        return trial.model_copy(update={"attempt": task.attempt, "faults": tuple(faults)})

    def measure_ceiling(self, users: Mapping[str, int], _: int) -> list[Ceiling]:
        (scenario,) = users
        self.asked += 1

        def one() -> Ceiling:
            rate, spoilt = next(self.ceilings)
            return Ceiling(scenario=scenario, users=64, rate=rate, faults=(STEAL,) if spoilt else ())

        return validity.until_undisturbed(one)


@dataclass
class Laboratory:
    """Carries runs out on a machine."""

    parent: Path
    patch: pytest.MonkeyPatch

    def begin(self, plan: Plan, **facts: Any) -> tuple[Run, RunDirectory]:
        run, directory = scripted.run(self.parent, plan, lambda *_: Scripted(), rounds=0)
        return run.model_copy(update=facts), directory

    def carry_out(self, started: tuple[Run, RunDirectory], machine: Machine) -> tuple[Run, Verdict]:
        """The run to its end, and the primary verdict on its first cell."""
        run, directory = started
        self.patch.setattr(rounds, "measure_round", machine.measure)
        nothing = SimpleNamespace(facts=dict)
        own = scripted.MACHINE.placement
        bench = cast(
            Bench,
            SimpleNamespace(
                ceilings=machine.measure_ceiling, environment=nothing, apart=None, placement=own,
                every=shared(own),
            ),
        )  # fmt: skip
        readings = Readings(directory)
        run = Rounds(
            run, directory, bench, lambda run: decided(run, readings), SILENT, time.perf_counter()
        ).carry_out()
        assert directory.load() == run
        return run, next(one for one in verdicts(run, Readings(directory)) if one.primary)

    def again(self, run: Run, machine: Machine) -> tuple[Run, Verdict]:
        """The same for `duel resume`."""
        plan = run.plan.model_copy(update={"max_time": None, "deadline": None})
        resumed = run.model_copy(update={"plan": plan, "complete": False})
        return self.carry_out((resumed, RunDirectory(self.parent / "scripted")), machine)


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    return Laboratory(tmp_path, monkeypatch)


def tried(run: Run) -> int:
    """Rounds of the first cell."""
    return len({trial.round for trial in run.of(run.plan.cells[0], "async")})


@pytest.mark.parametrize("round", range(4))
@pytest.mark.parametrize("arms", [("sync",), ("sync", "async")])
def test_one_disturbed_round_of_the_first_four_costs_two_rounds(
    laboratory: Laboratory, round: int, arms: tuple[str, ...]
) -> None:
    """The cell was `invalid` for good."""
    run, verdict = laboratory.carry_out(
        laboratory.begin(scripted.plan()), Machine(in_rounds(round, arms=arms))
    )
    assert (verdict.verdict, verdict.n, tried(run)) == ("faster", 5, 6)
    assert verdict.low is not None
    assert verdict.high is not None
    assert verdict.low < 1.5 < verdict.high


@pytest.mark.parametrize(
    ("lost", "ends", "word"),
    [
        # Two of ten and three of fifteen are a fifth, but rounds come in pairs.
        ((0, 2), 10, "faster"),
        ((0, 1, 2), 16, "faster"),
        # No round counts: the disturbance lasts.
        (range(20), 4, "invalid"),
        # Five of twenty are too many, whatever comes.
        ((1, 3, 5, 7, 9, 11), 10, "invalid"),
        ((0, 1, 3, 4, 5), 6, "invalid"),
    ],
)
def test_a_cell_goes_on_while_further_rounds_can_repair_it(
    laboratory: Laboratory, lost: tuple[int, ...], ends: int, word: str
) -> None:
    run, verdict = laboratory.carry_out(laboratory.begin(scripted.plan()), Machine(in_rounds(*lost)))
    assert (tried(run), verdict.verdict) == (ends, word)


def test_only_the_disturbed_cell_goes_on(laboratory: Laboratory) -> None:
    plan = scripted.plan(cells=[("ping", 64), ("sleep", 64)])
    run, _ = laboratory.carry_out(
        laboratory.begin(plan), Machine(lambda round, _, scenario: (round, scenario) == (0, "ping"))
    )
    ping, sleep = plan.cells
    assert {trial.round for trial in run.of(ping, "sync")} == set(range(6))
    assert {trial.round for trial in run.of(sleep, "sync")} == set(range(4))


@pytest.mark.parametrize(
    ("lost", "deadline", "ends", "word"),
    [
        ((2,), None, 6, "faster"),
        # Six more rounds are too many, and a limit that a user sets holds.
        ((0, 2), None, 4, "invalid"),
        ((2,), 600.0, 4, "invalid"),
    ],
)
def test_a_profile_whose_time_is_over_gets_one_block_more_where_that_repairs_a_cell(
    laboratory: Laboratory, lost: tuple[int, ...], deadline: float | None, ends: int, word: str
) -> None:
    """The quick profile takes its whole time for the first four rounds."""
    plan = scripted.plan().model_copy(update={"max_time": 0.001, "deadline": deadline})
    run, verdict = laboratory.carry_out(laboratory.begin(plan), Machine(in_rounds(*lost)))
    assert (tried(run), verdict.verdict) == (ends, word)


@pytest.mark.parametrize(
    ("max_time", "fits"),
    [(None, ["ping", "sleep", "mixed"]), (200.0, ["ping", "sleep", "mixed"]), (176.0, ["ping", "sleep"]),
     (170.0, ["sleep"]), (160.0, [])],
)  # fmt: skip
def test_as_many_cells_as_possible_are_measured_on_where_the_time_does_not_suffice_for_all(
    laboratory: Laboratory, max_time: float | None, fits: list[str]
) -> None:
    """Two rounds of `sleep` take 12 s, of `ping` 13 s, of `mixed` 18 s."""
    plan = scripted.plan(cells=[("ping", 64), ("sleep", 64), ("mixed", 64)])
    started = laboratory.begin(plan.model_copy(update={"max_time": max_time}))
    bench = cast(Bench, SimpleNamespace(environment=None, apart=None, placement={}, every={}))
    seconds = {"ping": 6.5, "sleep": 6.0, "mixed": 9.0}
    found = Rounds(*started, bench, lambda _: set(), SILENT, 0.0)
    laboratory.patch.setattr(Rounds, "elapsed", 150.0)
    laboratory.patch.setattr(
        found.forecast, "round_seconds", lambda cells: sum(seconds[cell.scenario] for cell in cells)
    )
    assert [cell.scenario for cell in found.fitting(list(plan.cells), 4)] == fits
    assert found.fitting(list(plan.cells), plan.max_rounds) == []


def test_a_gate_finds_its_regression_despite_a_disturbed_round(laboratory: Laboratory) -> None:
    plan = scripted.plan().model_copy(update={"gate": True, "against": {"async": "sync"}})
    run, _ = laboratory.carry_out(laboratory.begin(plan), Machine(in_rounds(0), ratio=0.7))
    found = conclude(run, Readings(RunDirectory(laboratory.parent / "scripted")))
    assert (found.outcomes, tried(run)) == (("regression",), 6)


def test_a_resumed_run_measures_the_rounds_again_that_a_disturbance_took(laboratory: Laboratory) -> None:
    """All arms of such a round, since only trials of one moment are compared. What was lost stays in the
    record."""
    run, verdict = laboratory.carry_out(
        laboratory.begin(scripted.plan()), Machine(lambda round, arm, _: round < 3 or arm == "sync")
    )
    assert verdict.verdict == "invalid"
    assert reservation_text(verdict.reservations[0]).endswith("`duel resume` measures them again")
    lost = run.trials
    run, verdict = laboratory.again(run, Machine())
    assert (verdict.verdict, verdict.n, tried(run)) == ("faster", 4, 4)
    assert run.trials[: len(lost)] == lost
    assert [(trial.round, trial.attempt) for trial in run.trials[len(lost) :]] == [
        (r, 1) for r in range(4) for _ in range(2)
    ]
    # One figure per round: a round of async had counted before, and counts once.
    found = Readings(RunDirectory(laboratory.parent / "scripted"))
    interval = own_interval(run, found, run.plan.cells[0], "async", "throughput")
    assert interval is not None
    assert interval.n == 4


def test_a_round_that_is_measured_again_halfway_pairs_no_trials_of_two_hours(laboratory: Laboratory) -> None:
    """Interrupted after the arm that was lost, which comes first: the other one's trial is an hour old."""
    first, _ = scripted.plan().order(scripted.plan().cells[0], 2)
    lost = Machine(in_rounds(2, arms=(first.name,)))
    started = laboratory.begin(scripted.plan().model_copy(update={"max_rounds": 4}))
    run, verdict = laboratory.carry_out(started, lost)
    assert (verdict.verdict, tried(run)) == ("invalid", 4)
    half = Machine(stops=2)
    with pytest.raises(KeyboardInterrupt):
        laboratory.again(run, half)
    run = RunDirectory(laboratory.parent / "scripted").load()
    assert (run.trials[-1].arm, run.trials[-1].round, run.trials[-1].valid) == (first.name, 2, True)
    found = next(one for one in verdicts(run, Readings(RunDirectory(laboratory.parent / "scripted"))))
    assert (found.verdict, found.n) == ("inconclusive", 2)
    run, verdict = laboratory.again(run, Machine())
    assert (verdict.verdict, verdict.n) == ("faster", 4)
    assert [trial.round for trial in run.trials[-2:]] == [2, 2]


def test_a_resumed_run_repairs_only_what_needs_it(laboratory: Laboratory) -> None:
    """One lost round of six is no reason; six of ten are, also those that it comes to last. Two of ten may
    stay lost."""
    plan = scripted.plan(cells=[("ping", 64), ("sleep", 64)])
    lost = {"ping": (0, 4, 5, 6, 8, 9), "sleep": (1,)}
    first, verdict = laboratory.carry_out(
        laboratory.begin(plan), Machine(lambda round, _, scenario: round in lost[scenario])
    )
    assert (verdict.verdict, tried(first)) == ("invalid", 10)
    run, verdict = laboratory.again(first, Machine())
    assert (verdict.verdict, verdict.n) == ("faster", 8)
    more = run.trials[len(first.trials) :]
    assert {trial.cell.scenario for trial in more} == {"ping"}
    assert [trial.round for trial in more] == [0, 0, 4, 4, 5, 5, 6, 6]
    last, _ = laboratory.again(run, Machine())
    assert last.trials == run.trials


def test_a_resumed_run_that_is_disturbed_again_ends_after_the_same_rounds(laboratory: Laboratory) -> None:
    always = Machine(in_rounds(*range(20)))
    run, _ = laboratory.carry_out(laboratory.begin(scripted.plan()), always)
    again, verdict = laboratory.again(run, always)
    assert (verdict.verdict, tried(again)) == ("invalid", 4)
    assert len(again.trials) == 2 * len(run.trials)


def test_fixed_rounds_stay_fixed_and_are_repaired_by_a_resumed_run(laboratory: Laboratory) -> None:
    plan = scripted.plan(rounds=12).model_copy(update={"max_rounds": 12})
    run, verdict = laboratory.carry_out(laboratory.begin(plan), Machine(in_rounds(2, 7, 11)))
    assert (verdict.verdict, tried(run)) == ("invalid", 12)
    run, verdict = laboratory.again(run, Machine())
    assert (verdict.verdict, verdict.n, tried(run)) == ("faster", 12, 12)


def ceiling(rate: float, spoilt: bool = False) -> Ceiling:
    return Ceiling(scenario="ping", users=64, rate=rate, faults=(STEAL,) if spoilt else ())


@pytest.mark.parametrize(
    ("again", "known"),
    [
        ([(750.0, False)], 750.0),
        # Disturbed ones do not hold, and are taken again.
        ([(2_250.0, True), (200.0, True), (750.0, False)], 750.0),
        # The second trial asks once more.
        ([(250.0, True)] * 3 + [(750.0, False)], 750.0),
    ],
)
def test_a_ceiling_of_a_disturbed_moment_condemns_no_trial(
    laboratory: Laboratory, again: list[tuple[float, bool]], known: float
) -> None:
    """`50,526 requests per second are more than 70% of the 27,007 that the generator can make`."""
    machine = Machine(ceilings=iter(again))
    started = laboratory.begin(scripted.plan(), ceilings=(ceiling(175.0),))
    run, verdict = laboratory.carry_out(started, machine)
    assert (verdict.verdict, verdict.n) == ("faster", 4)
    assert run.ceiling("ping") == known
    # Every measurement stays in the record.
    assert run.ceilings == (ceiling(175.0), *(ceiling(*one) for one in again))
    assert all(trial.valid for trial in run.trials)
    assert not any(isinstance(one, Capped) for one in verdict.reservations)


def test_a_cell_that_is_truly_near_the_ceiling_stays_so_and_the_ceiling_is_asked_a_few_times(
    laboratory: Laboratory,
) -> None:
    machine = Machine(ceilings=iter([(375.0, False), (350.0, False), (360.0, False)]))
    run, verdict = laboratory.carry_out(
        laboratory.begin(scripted.plan(), ceilings=(ceiling(362.0),)), machine
    )
    assert (verdict.verdict, tried(run)) == ("faster", 4)
    assert [(one.arms, one.side) for one in verdict.reservations if isinstance(one, Capped)] == [
        (("async",), "at least")
    ]
    assert (machine.asked, len(run.ceilings)) == (ENOUGH_CEILINGS, 1 + ENOUGH_CEILINGS)
    # Held back in one round, it is held back in the next: three attempts, then one each.
    assert len(run.of(run.plan.cells[0], "async")) == MOST_ATTEMPTS + 3
    assert {fault.whole for trial in run.trials for fault in trial.faults} == {375.0}
    assert {trial.arm for trial in run.trials if trial.faults} == {"async"}


def test_a_ceiling_that_is_always_disturbed_is_asked_a_bounded_number_of_times(
    laboratory: Laboratory,
) -> None:
    machine = Machine(ceilings=iter([(250.0, True)] * 100))
    started = laboratory.begin(scripted.plan(), ceilings=(ceiling(175.0, spoilt=True),))
    run, verdict = laboratory.carry_out(started, machine)
    assert MOST_CEILINGS < len(run.ceilings) <= MOST_CEILINGS + MOST_ATTEMPTS
    # Disturbed, each is a lower bound, and so is what the generator made in a trial: 300 and the noise.
    made = max(fault.value for trial in run.trials for fault in trial.faults)
    assert run.ceiling("ping") == made > 250.0
    # By that, the 200 of sync are not near it, and what async made bounds the ratio.
    assert {trial.arm for trial in run.trials if trial.faults} == {"async"}
    assert verdict.verdict == "faster"


def test_a_resumed_run_measures_the_ceiling_anew_and_trials_of_before_are_judged_by_it(
    laboratory: Laboratory,
) -> None:
    """All trials were condemned in a disturbed hour. They count now, and only the round that showed
    it was measured again."""
    low = Machine(ratio=1.0, ceilings=iter([(175.0, False)] * 3))
    first, verdict = laboratory.carry_out(laboratory.begin(scripted.plan(), ceilings=(ceiling(175.0),)), low)
    assert verdict.verdict == "invalid"
    run, verdict = laboratory.again(first, Machine(ratio=1.0, ceilings=iter([(750.0, False)])))
    assert (verdict.verdict, verdict.n) == ("equivalent", 4)
    assert len(run.trials) == len(first.trials) + 2
    assert all(trial.valid for trial in run.trials)


def test_trials_of_earlier_rounds_are_judged_by_the_ceiling_that_holds() -> None:
    cell = scripted.plan().cells[0]
    fault = near_ceiling(300.0, 175.0)[0]
    trial = scripted.trial(Scripted(), 1, 0, 0, cell, "async").model_copy(update={"faults": (fault, STEAL)})
    assert validity.by_ceiling(trial, 750.0).faults == (STEAL,)
    assert validity.by_ceiling(trial, 375.0).faults == (*near_ceiling(300.0, 375.0), STEAL)
