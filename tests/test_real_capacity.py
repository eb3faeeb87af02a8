"""`duel capacity` on a real gate, whose queue is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.errors import ChildFailed
from loadtests.measure.capacity import search as searching
from loadtests.measure.capacity.planning import capacity_plan
from loadtests.measure.capacity.rates import Bracket
from loadtests.measure.capacity.search import Search, search
from loadtests.measure.runs import begin
from loadtests.measure.trials import trial
from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell
from loadtests.plan.options import RunOptions
from loadtests.plan.settings import RunSettings
from reports.analysis.readings import Readings
from reports.capacities import find, locating


def one_round_of_short_slices(patch: pytest.MonkeyPatch, first: float) -> None:
    """`first`: the rate at which scouting begins."""
    patch.setattr(searching, "LAST_LOOK", 1)
    for name in ("SCOUTED", "HEADS"):
        patch.setattr(searching, name, (0.3, 0.3))
    for name in ("SHORTEST", "LONGEST"):
        patch.setattr(searching, name, 0.6)
    patch.setattr(Search, "first", lambda *_: first)
    patch.setattr(trial, "faults", lambda *_: ())


@pytest.mark.calm
def test_a_real_gate_carries_about_what_its_queue_does(
    tmp_path: Path, unprepared: None, unseeded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One round of short slices; `make bars` measures gates to a few per cent."""
    one_round_of_short_slices(monkeypatch, first=100.0)
    arm = Arm(name="gate", app="loadtests.measure.known_answers.apps:gate")
    settings = RunSettings(scenario=("ping",), seed=1)
    plan = capacity_plan(settings, {"target": "p(90)<100"}).model_copy(
        update={"arms": (arm,), "canary": None}
    )
    run, directory = begin(plan, tmp_path)
    run = search(run, directory, locating(run, directory))
    (found,) = find(run, Readings(directory)).searches
    assert found.crossing is not None
    assert 140.0 < found.crossing.rate < 260.0
    assert {one.round for one in run.trials} == {0, 1}


def test_that_the_slow_service_is_lost_is_a_fault_of_ours_and_no_miss_of_an_arm(
    tmp_path: Path, unprepared: None, unseeded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All later slices failed at once, and the search found that neither arm carries anything."""
    scout = Search.scout

    def without_service(search: Search, cell: Cell, arm: Arm) -> Bracket:
        child = search.bench.environment.slow_child
        child._process.kill()
        child._process.wait(timeout=30)
        return scout(search, cell, arm)

    monkeypatch.setattr(Search, "scout", without_service)
    monkeypatch.setattr(Search, "first", lambda *_: 100.0)
    plan = capacity_plan(RunSettings(scenario=("upstream",), seed=1), {"target": "p(90)<100"})
    run, directory = begin(plan, tmp_path)
    with pytest.raises(ChildFailed, match="lost the slow service"):
        search(run, directory, locating(run, directory))


def test_the_workers_of_a_queue_do_its_jobs_during_a_search(
    redis_url: str, tmp_path: Path, unprepared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job was done, and what a growing queue can take in was called the capacity."""
    one_round_of_short_slices(monkeypatch, first=20.0)
    settings = RunSettings(scenario=("enqueue",), seed=1, redis_url=redis_url)
    plan = capacity_plan(settings, {"target": "p(90)<500", "highest": 30.0})
    plan = plan.model_copy(update={"arms": plan.arms[1:]})
    run, directory = begin(plan, tmp_path)
    run = search(run, directory, locating(run, directory), options=RunOptions(redis=redis_url))
    assert run.trials
    assert all((one.resources.worker_cpu or 0.0) > 0.0 for one in run.trials)
