"""The self-test: what is planted, and how its findings are judged."""

from __future__ import annotations

from dataclasses import replace
from inspect import iscoroutinefunction
from pathlib import Path

import pytest
from fastapi.routing import APIRoute

from loadtests.errors import PlanError
from loadtests.measure.known_answers import apps, styles
from loadtests.measure.known_answers.plans import STYLED, plans
from loadtests.plan.arms import Arm
from loadtests.records import Cell
from loadtests.records.run import Calibration
from reports.advice import selftest
from reports.advice.cards import MORE_THREADS
from reports.analysis.catalogue import ROUTES
from reports.analysis.readings import Readings
from reports.wording.advice.cards import advice_text
from reports.wording.selftest import answer_text, conclusion
from tests import scripted
from tests.scripted import Scripted


def judged(
    tmp_path: Path, name: str, told: dict[str, Scripted], scatter: int = 2, scenario: str = "ping"
) -> list[selftest.KnownAnswer]:
    plan = scripted.plan(list(told), [(scenario, 16)])
    plan = plan.model_copy(update={"arms": tuple(Arm(name=arm, app="known:app") for arm in told)})

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return replace(told[arm], requests=told[arm].requests + scatter * (round % 2) * (arm != "one"))

    run, directory = scripted.run(tmp_path, plan, script)
    seen = Calibration(arm="threads", scenario="ping", users=1, throughput=20.0, service_time=0.05)
    return selftest.answers(name, run.model_copy(update={"calibrations": (seen,)}), Readings(directory))


def test_the_judge_knows_what_was_planted() -> None:
    planted = (apps.THREADS, apps.WAIT, apps.BLOCK, apps.LONGER)
    assert planted == (selftest.THREADS, selftest.WAIT, selftest.BLOCK, selftest.LONGER)
    made = plans(1)
    assert {arm.serving.threads for arm in made["ceilings"].arms} == {apps.THREADS}
    assert len({arm.app for arm in made["same"].arms}) == 1
    judged = {(part, cell.scenario) for part, plan in made.items() for cell in plan.cells}
    assert judged - selftest.CASES.keys() == {("ceilings", "ping"), ("planted", "ping")}
    assert selftest.CASES.keys() <= judged
    assert {arm.name for arm in made["styles"].arms} == {selftest.DEF.name, selftest.ASYNC.name}


def test_the_planted_routes_are_what_their_scenarios_request_in_either_style() -> None:
    wanted = {ROUTES[scenario].partition(" ")[2] for scenario, _ in STYLED} | {"/light"}
    for app, is_async in ((styles.def_routes(), False), (styles.async_routes(), True)):
        found = {route.path: route.endpoint for route in app.routes if isinstance(route, APIRoute)}
        assert found.keys() == wanted
        assert {iscoroutinefunction(endpoint) for endpoint in found.values()} == {is_async}


def test_parts_are_chosen_by_name() -> None:
    assert list(plans(1, ["threads", "ceilings"])) == ["ceilings", "threads"]
    with pytest.raises(PlanError, match="unknown part 'stiles'"):
        plans(1, ["stiles"])


EQUAL = Scripted(requests=900, canary=0.07, pulse=0.04)
COMPUTING = {
    "def": Scripted(requests=437, canary=0.182, pulse=0.035),
    "async": Scripted(requests=484, canary=0.255, pulse=0.255),
}
LIGHT = {
    "def": Scripted(requests=2600, canary=0.026, pulse=0.024),
    "async": Scripted(requests=6400, canary=0.011, pulse=0.011),
}


@pytest.mark.parametrize(
    ("part", "scenario", "told", "advice", "right"),
    [
        ("styles", "ping", LIGHT, "async", True),
        ("styles", "ping", {"def": LIGHT["async"], "async": LIGHT["def"]}, "def", False),
        # It serves more as `async def`, and everything else waits.
        ("styles", "python", COMPUTING, "def", True),
        ("styles", "hash", COMPUTING, "def", True),
        ("styles", "hash", {**COMPUTING, "async": replace(COMPUTING["async"], pulse=0.04)}, "async", False),
        ("same", "posts.read", {"one": EQUAL, "other": EQUAL}, "either", True),
        ("same", "posts.read", {"one": EQUAL, "other": replace(EQUAL, requests=1200)}, "other", False),
        ("threads", "ping", {"few": EQUAL, "more": replace(EQUAL, requests=1200)}, "more", False),
        # Whatever it says, by its figures.
        ("database", "posts.read", {"sync": EQUAL, "async": replace(EQUAL, requests=700)}, "sync", True),
        ("database", "posts.read", {"sync": EQUAL, "async": replace(EQUAL, pulse=None)}, "either", False),
    ],
)
def test_advice_is_right_where_it_is_what_is_known(
    tmp_path: Path, part: str, scenario: str, told: dict[str, Scripted], advice: str, right: bool
) -> None:
    answer = judged(tmp_path, part, told, scenario=scenario)[-1]
    assert isinstance(answer, selftest.KnownAdvice)
    assert (advice_text(answer.card.advice), answer.right) == (advice, right)


def test_threads_that_are_taken_are_the_answer(tmp_path: Path) -> None:
    told = {"few": EQUAL, "more": replace(EQUAL, requests=1200)}
    answer = judged(tmp_path, "threads", told)[-1]
    assert isinstance(answer, selftest.KnownAdvice)
    raised = replace(answer, card=replace(answer.card, advice=MORE_THREADS))
    assert raised.right
    assert answer_text(raised).found.startswith("raise the thread limit: 901/s / 1,201/s; an `async def`")


def test_advice_against_the_figures_is_wrong(tmp_path: Path) -> None:
    told = {"sync": EQUAL, "async": replace(EQUAL, requests=1200)}
    answer = judged(tmp_path, "database", told, scenario="posts.read")[-1]
    assert isinstance(answer, selftest.KnownAdvice)
    assert (answer.right, replace(answer, advised="sync").right) == (True, False)


def test_ceilings_are_right_within_5_percent(tmp_path: Path) -> None:
    told = {"threads": Scripted(requests=790, latency=0.05), "blocked": Scripted(requests=50, latency=0.02)}
    assert [answer.right for answer in judged(tmp_path, "ceilings", told)] == [True, True]


def test_ceilings_that_are_missed_are_wrong_and_carry_a_remedy(tmp_path: Path) -> None:
    told = {"threads": Scripted(requests=700, latency=0.05), "blocked": Scripted(requests=53, latency=0.02)}
    answers = judged(tmp_path, "ceilings", told, scatter=0)
    assert [answer.right for answer in answers] == [False, False]
    assert all(answer_text(answer).remedy for answer in answers)


@pytest.mark.parametrize(("scatter", "right"), [(20, True), (900, False)])
def test_an_app_against_itself_needs_a_narrow_interval(tmp_path: Path, scatter: int, right: bool) -> None:
    told = {"one": Scripted(requests=1000), "other": Scripted(requests=1000 - scatter // 2)}
    (answer,) = judged(tmp_path, "same", told, scatter)
    assert answer.right is right, answer


def test_a_longer_computation_must_be_found(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "missed").mkdir()
    told = {"short": Scripted(requests=1300), "long": Scripted(requests=1000)}
    assert judged(tmp_path / "found", "planted", told)[0].right
    same = {"short": Scripted(requests=1000), "long": Scripted(requests=1000)}
    answers = judged(tmp_path / "missed", "planted", same)
    assert not answers[0].right
    assert conclusion(answers).startswith("do not trust results from this machine")
