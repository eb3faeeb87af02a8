"""Real servers that answer before the work is done, each by another means, and some that only look so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loadtests.measure.bench import Bench
from loadtests.measure.calibration import work_to_watch
from loadtests.measure.trial import TrialTask, keep, load, recorded, trial_request
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import CalibrationTimes, Plan
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from loadtests.records.trial import TrialFiles
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import serve
from loadtests.system.accounting import Clocks
from loadtests.system.processes import Child
from loadtests.system.settling import clock_of, settle
from reports.advice.cards import NOT_DECIDED, Advice
from reports.analysis.backlogs.judgement import Backlog
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions, conclude
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


@pytest.fixture(scope="module")
def measured(
    locust: tuple[Child, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, RunDirectory]:
    """One round of all arms, each calibrated with one user and then loaded, on the same server."""
    directory = RunDirectory.create(tmp_path_factory.mktemp("runs"), "piling")
    run = Run.model_validate(
        {
            "schema": "duel-run/2", "version": "0", "id": "piling", "began": "2026-01-01T00:00:00+00:00",
            "plan": PLAN, "machine": MACHINE,
        }
    )  # fmt: skip
    bench = Bench(directory.logs, plan=PLAN)
    bench.generator, bench.clocks = locust[0], Clocks([locust[0].pid])
    with pytest.MonkeyPatch.context() as patching:
        leave_data_out(patching.setattr)
        with ServingEnvironment(directory.logs, {}) as bench.environment:
            for place, _ in enumerate(PLAN.arms):
                run = with_arm(run, bench, directory, place)
    run = run.model_copy(update={"complete": True})
    directory.save(run)
    return run, directory


def with_arm(run: Run, bench: Bench, directory: RunDirectory, place: int) -> Run:
    """The run with one more arm's calibration and trial."""
    arm, (cell,) = PLAN.arms[place], PLAN.cells
    task = TrialTask(place + 1, cell, arm, 0, place, 1)
    with serve(arm, bench.environment, f"1.{place}") as server:
        rest = settle(clock_of(server.pid))
        calibrations = (*run.calibrations, bench.calibration(server, "ping", 1, 1, rest))
        request = trial_request(task, PLAN, bench, server.url, directory.path, 0.0)
        enough = work_to_watch(cell, arm.name, calibrations)
        observed = load(server, replace(request, canary=None), bench, enough)
    files = TrialFiles.of(task.number)
    kept = keep(directory.path, files, observed.beats, ())
    trial = recorded(task, run.began, observed, {**observed.facts["arrays"], **kept})
    return run.model_copy(update={"calibrations": calibrations, "trials": (*run.trials, trial)})


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
