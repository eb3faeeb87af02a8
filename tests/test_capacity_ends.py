"""`duel capacity` of arms whose server does not start, or ends by itself: said everywhere, and no rate of it
is made up."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from loadtests.errors import Exit
from loadtests.measure.known_answers.apps import GATE
from loadtests.measure.trials.underway import TrialTask
from loadtests.plan.arms import Arm
from loadtests.plan.capacity.target import CapacityTarget
from loadtests.plan.cells import Cell, Load
from loadtests.records.capacity.shares import SCOUTING, Missed, missed
from loadtests.records.samples import Samples
from loadtests.records.trial import ServerEnd
from reports.capacities import Capacities, outcomes_of_searches
from reports.exit_codes import exit_code
from reports.render.capacity.directory import show_searches, write_searches
from reports.wording.capacity import search_headline, search_lines
from tests.test_capacity import Ends, Simulated, queue, recorded

REFUSES = ServerEnd(during="start", code=3, log=("KeyError: 'TOKEN'",))
CRASHES = ServerEnd(during="load", code=-9)
SLICE = Cell(scenario="ping", load=Load(rate=200.0, arrivals="poisson"))
TASK = TrialTask(1, SLICE, Arm(name="head", app="sync_app.main:create_app"), 1, 0, 1)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulated:
    return Simulated(monkeypatch, tmp_path)


def in_rounds(name: str, end: ServerEnd, *rounds: int) -> Ends:
    """An arm's servers end in these rounds, in every slice and attempt."""
    return lambda task: end if task.arm.name == name and task.round in rounds else None


def gated(simulated: Simulated, ends: Ends) -> Capacities:
    """A gate of two arms that carry the same."""
    found = simulated.found({"base": queue(GATE), "head": queue(GATE)}, ends=ends)
    plan = found.run.plan.model_copy(update={"gate": True, "margin": 0.5})
    return replace(found, run=found.run.model_copy(update={"plan": plan}))


@pytest.mark.parametrize(
    ("end", "of"), [(REFUSES, Missed(0, 0)), (CRASHES, Missed(400, 400))], ids=["no start", "crash"]
)
def test_a_server_that_did_not_start_missed_nothing_and_one_that_ended_all_that_was_due(
    tmp_path: Path, end: ServerEnd, of: Missed
) -> None:
    (tmp_path / "samples").mkdir()
    due = np.linspace(0.0, 1.9, 400)
    trial = recorded(TASK, lambda *_: (due, np.full(400, 0.01)), tmp_path, ended=end)
    samples = Samples.none()
    if trial.served:
        samples = Samples(
            due=due, start=due, end=due + 0.01, size=np.full(400, 17, np.uint32),
            status=np.full(400, 200, np.uint16), endpoint=np.zeros(400, np.uint16),
            error=np.zeros(400, np.uint16),
        )  # fmt: skip
    assert missed(CapacityTarget(share=0.01, limit=0.1), trial, samples) == of


def test_rounds_in_which_a_server_did_not_start_do_not_narrow_the_interval(simulated: Simulated) -> None:
    """One made-up miss in each of them was a round of its own."""
    found = simulated.found(
        {"base": queue(GATE), "head": queue(GATE)}, ends=in_rounds("head", REFUSES, 2, 4, 6, 8)
    )
    head = found.searches[1]
    served = {one.round for one in found.run.trials if one.arm == "head" and one.served} - {SCOUTING}
    assert head.crossing is not None
    assert set(head.crossing.values) == served
    assert all(point.rounds <= len(served) for point in head.points)


def test_a_head_that_does_not_start_in_a_round_is_a_regression_that_every_report_names(
    simulated: Simulated,
) -> None:
    found = gated(simulated, in_rounds("head", REFUSES, 2))
    (ratio,) = found.ratios
    assert found.outcome(ratio) == "regression"
    assert exit_code(outcomes_of_searches(found)) == Exit.GATE
    assert "head is failing, and carries" in search_headline(found, "ping")
    said = "failing: head: its server did not start (exit code 3) in 6 of "
    assert search_lines(found, "ping")[0].startswith(said)
    assert search_lines(found, "ping")[0].endswith("its log ends with: KeyError: 'TOKEN'")
    assert search_lines(found, "ping")[-1] == "gate: head against base: worse: head is failing"
    write_searches(found)
    report, shown = found.readings.directory.report, io.StringIO()
    show_searches(Console(file=shown, width=300), found)
    for text in (shown.getvalue(), (report / "report.md").read_text(), (report / "report.html").read_text()):
        assert "its server did not start" in text
        assert "failing, " in text
    data = json.loads((report / "summary.json").read_text())
    ended = data["searches"][1]["server_ended"]
    assert (ended["slices"], ended["during"], ended["code"]) == (6, "start", 3)
    assert (data["searches"][0]["server_ended"], data["ratios"][0]["failing"]) == (None, ["head"])


@pytest.mark.parametrize("round", [SCOUTING, 1], ids=["scouting", "a round"])
def test_a_head_whose_server_ended_under_load_is_a_regression_whenever_it_was(
    simulated: Simulated, round: int
) -> None:
    def once(task: TrialTask) -> ServerEnd | None:
        first = task.arm.name == "head" and task.round == round and task.cell.load.level > 100.0
        return CRASHES if first else None

    found = gated(simulated, once)
    assert found.outcome(found.ratios[0]) == "regression"
    assert "head: its server ended under load (signal SIGKILL)" in search_lines(found, "ping")[0]


@pytest.mark.parametrize(
    ("who", "outcome"), [(("base",), "pass"), (("base", "head"), "inconclusive")], ids=["base", "both"]
)
def test_a_base_whose_server_ended_makes_no_head_worse(
    simulated: Simulated, who: tuple[str, ...], outcome: str
) -> None:
    found = gated(simulated, lambda task: REFUSES if task.arm.name in who and task.round == 1 else None)
    assert found.outcome(found.ratios[0]) == outcome
    assert found.ratios[0].failing == tuple(sorted(who, reverse=True))


def test_a_threshold_is_not_met_by_an_arm_whose_server_does_not_always_start(simulated: Simulated) -> None:
    table = {"capacity{arm:one}": ("rate>=100", "rate>=400")}
    found = simulated.found({"one": queue(GATE)}, ends=in_rounds("one", REFUSES, 1), thresholds=table)
    assert [one.word for one in found.judgements] == ["inconclusive", "missed"]


def test_an_arm_that_never_starts_in_the_rounds_ends_the_search_after_four(simulated: Simulated) -> None:
    found = simulated.found({"one": queue(GATE)}, ends=in_rounds("one", REFUSES, *range(1, 21)))
    (one,) = found.searches
    assert (one.word, one.rate, one.points) == ("open", None, ())
    assert max(trial.round for trial in found.run.trials) == 4
    assert "its server did not start" in search_lines(found, "ping")[0]


def test_scouting_tries_a_rate_again_where_the_server_did_not_start(simulated: Simulated) -> None:
    """Otherwise the rounds begin far below what the arm carries."""

    def first_attempt(task: TrialTask) -> ServerEnd | None:
        return REFUSES if task.round == SCOUTING and task.attempt == 1 else None

    found = simulated.found({"one": queue(GATE)}, ends=first_attempt)
    (one,) = found.searches
    assert one.word == "found"
    first_round = [trial.cell.load.level for trial in found.run.trials if trial.round == 1]
    assert max(first_round) > 0.5 * (one.rate or 0.0)
