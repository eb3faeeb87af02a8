"""Real servers that answer before the work is done, each by another means, and some that only look so."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from loadtests.measure.bench import Bench
from loadtests.measure.calibration import work_to_watch
from loadtests.measure.trials.slices import stints
from loadtests.measure.trials.trial import judged
from loadtests.measure.trials.underway import TrialTask, TrialUnderway
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import CalibrationTimes, Plan
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from loadtests.records.trial import Trial
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Target, serve
from loadtests.system.accounting import Clocks
from loadtests.system.processes import Child
from loadtests.system.settling import clock_of, settle
from reports.advice.cards import NOT_DECIDED, Advice
from reports.analysis.backlogs.judgement import Backlog
from reports.analysis.backlogs.keeping import KeepsMore
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions, conclude
from reports.wording.sentences import doubts
from tests.apps.piling import WORK
from tests.brisk import leave_data_out
from tests.scripted import MACHINE
from tests.serving import app

pytestmark = pytest.mark.calm  # a busy machine leaves it open whether work piles up: `BacklogPossible`

PLANTED = {
    "queue": "items", "threads": "thread-jobs", "processes": "process-jobs", "listed": "work",
}  # fmt: skip
"""What piles up, by arm."""


PLAN = Plan(
    profile="scripted",
    seed=1,
    arms=tuple(app(name, "piling") for name in ("kept", *PLANTED)),
    cells=(Cell(scenario="ping", load=Load(users=16)),),
    calibration=CalibrationTimes(warmup=0.05, window=0.15, turns=1),
    warmup=0.15,
    window=0.85,
    min_rounds=4,
    max_rounds=4,
)


WAITING = PLAN.model_copy(update={"arms": (app("bounded", "piling"), app("waiting", "piling"))})
"""Work that waits and takes no CPU time, beside what keeps no more than before."""

Measure = Callable[[Plan], tuple[Run, RunDirectory]]


@pytest.fixture(scope="module")
def measure(locust: tuple[Child, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Measure:
    return partial(one_round, locust[0], tmp_path_factory)


def one_round(generator: Child, parents: pytest.TempPathFactory, plan: Plan) -> tuple[Run, RunDirectory]:
    """One round of all arms, each calibrated with one user and then loaded, on the same server."""
    directory = RunDirectory.create(parents.mktemp("runs"), "piling")
    run = Run.model_validate(
        {
            "schema": "duel-run/2", "version": "0", "id": "piling", "began": "2026-01-01T00:00:00+00:00",
            "plan": plan, "machine": MACHINE,
        }
    )  # fmt: skip
    bench = Bench(directory.logs, plan=plan)
    bench.generator, bench.clocks = generator, Clocks([generator.pid])
    with pytest.MonkeyPatch.context() as patching:
        leave_data_out(patching.setattr)
        with ServingEnvironment(directory.logs, {}) as bench.environment:
            for place, _ in enumerate(plan.arms):
                run = with_arm(run, bench, directory, place)
    run = run.model_copy(update={"complete": True})
    directory.save(run)
    return run, directory


def with_arm(run: Run, bench: Bench, directory: RunDirectory, place: int) -> Run:
    """The run with one more arm's calibration and trial, each taken again where others kept the CPUs busy:
    the clock was read too late for the short window, or there were fewer requests than an arm finishes."""
    arm = run.plan.arms[place]
    with serve(arm, bench.environment, f"1.{place}") as server:
        rest = settle(clock_of(server.pid))
        several = (bench.calibration(server, "ping", 1, 1, rest) for _ in range(8))
        calibrations = (*run.calibrations, next(one for one in several if one.work is not None))
        run = run.model_copy(update={"calibrations": calibrations})
        trials = (one_trial(run, bench, directory, server, place, attempt) for attempt in (1, 2, 3))
        for trial in trials:
            if arm.name not in PLANTED or trial.requests_expected > plenty(trial):
                break
        return run.model_copy(update={"trials": (*run.trials, trial)})


def plenty(trial: Trial) -> float:
    """Requests whose work takes one and a half windows of the one thread or process that does it."""
    return 1.5 * trial.window / WORK


def one_trial(
    run: Run, bench: Bench, directory: RunDirectory, server: Target, place: int, attempt: int
) -> Trial:
    (cell,) = run.plan.cells
    enough = work_to_watch(cell, server.arm.name, run.calibrations)
    task = TrialTask(3 * place + attempt, cell, server.arm, 0, place, 1, enough=enough)
    trial = TrialUnderway(task, run.plan.model_copy(update={"canary": None}), bench, directory.path, server)
    (stint,) = stints([server.arm], 0)
    trial.load(stint)
    return judged(trial, trial.heartbeats(), (), None, None, None).model_copy(update={"faults": ()})


@pytest.fixture(scope="module")
def measured(measure: Measure) -> tuple[Run, RunDirectory]:
    return measure(PLAN)


@pytest.fixture(scope="module")
def seen(measured: tuple[Run, RunDirectory]) -> Conclusions:
    return conclude(measured[0], Readings(measured[1]))


@pytest.fixture(scope="module")
def unseen(measured: tuple[Run, RunDirectory]) -> Conclusions:
    """The same without heartbeats, as of servers that others started."""
    run, directory = measured
    trials = tuple(
        trial.model_copy(update={"arrays": trial.arrays.model_copy(update={"heartbeats": None})})
        for trial in run.trials
    )
    return conclude(run.model_copy(update={"trials": trials}), Readings(directory))


def primary(conclusions: Conclusions, arm: str) -> Verdict:
    (found,) = (one for one in conclusions.verdicts if one.primary and one.arm == arm)
    return found


def pile(verdict: Verdict) -> Backlog:
    (found,) = (one for one in verdict.reservations if isinstance(one, Backlog))
    return found


@pytest.mark.parametrize(("arm", "kind"), PLANTED.items())
def test_work_of_every_kind_that_piles_up_is_named_and_its_arm_not_advised(
    seen: Conclusions, arm: str, kind: str
) -> None:
    verdict = primary(seen, arm)
    assert (verdict.verdict, verdict.failing) == ("failing", (arm,))
    assert pile(verdict).kind == kind
    assert pile(verdict).behind > 0.1
    (card,) = (one for one in seen.cards if one.arm == arm)
    # Not the other arm either, where it answers less than this one finishes.
    assert card.advice in (Advice("arm", "kept"), NOT_DECIDED)


@pytest.mark.parametrize("arm", PLANTED)
def test_cpu_accounts_show_what_no_count_shows(unseen: Conclusions, arm: str) -> None:
    """From outside: CPU time per request alone and under load, and work after the last response."""
    found = pile(primary(unseen, arm))
    assert found.kind == "work"
    assert found.alone is not None
    assert found.loaded is not None
    assert found.alone > 1.1 * found.loaded


def test_full_queues_lingering_pools_and_growing_caches_are_no_pile_up(
    seen: Conclusions, unseen: Conclusions
) -> None:
    for conclusions in (seen, unseen):
        for verdict in conclusions.verdicts:
            assert "kept" not in (*verdict.failing, *verdict.blemished)


def test_work_that_only_waits_is_a_doubt_and_a_full_cache_is_none(measure: Measure) -> None:
    """Mails in a list, which a thread sends at 50 per second, against a cache of a limited size."""
    run, directory = measure(WAITING)
    told = conclude(run, Readings(directory))
    verdict = primary(told, "waiting")
    assert (verdict.failing, verdict.blemished) == ((), ())
    kept = [one for one in verdict.reservations if isinstance(one, KeepsMore)]
    assert [one.arm for one in kept] == ["waiting"]
    # A dict with its table and three texts; some are sent, the garbage of the first half hides others, and
    # responses in flight at the two moments add a few.
    assert 1.0 < kept[0].objects < 7.0
    assert "this throughput may not last" in doubts(verdict)
