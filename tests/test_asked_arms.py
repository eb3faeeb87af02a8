"""Real servers, asked by each client: what their users get tells arms apart, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from loadtests.measure.answers import inquiries
from loadtests.measure.answers.inquiries import Asked, compare_answers, scenarios_of
from loadtests.measure.bench import Bench
from loadtests.measure.generator import expect
from loadtests.measure.planning import planned
from loadtests.plan.options import RunOptions
from loadtests.plan.plan import Plan
from loadtests.plan.request import Inquiry
from loadtests.records.answers import AnswerCheck, AnswerDifference
from loadtests.serving.server import Server
from reports.wording.sentences import answers_text
from tests import scripted
from tests.conftest import APPS
from tests.scripted import Scripted
from tests.serving import app

LOAD = APPS / "answering_load.py"
CLIENTS = ("Lean", "Fast", "Stock", "Steps")


@pytest.fixture(scope="module")
def plan() -> Plan:
    arms = ("honest=answering:honest", "again=answering:honest", "planted=answering:planted")
    return planned(arm=arms, app_dir=str(APPS), locustfile=str(LOAD), users=[16], seed=3)


@pytest.fixture(scope="module")
def bench(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench(tmp_path_factory.mktemp("logs"), RunOptions(), plan) as opened:
        yield opened


@pytest.fixture(scope="module")
def check(plan: Plan, bench: Bench) -> AnswerCheck:
    """What the comparison of both arms with the honest one says."""
    return compare_answers(plan, bench)


def of(check: AnswerCheck, scenario: str, endpoint: str) -> dict[str, AnswerDifference]:
    """The differences of the planted arm, by kind."""
    return {
        one.kind: one
        for one in check.differences
        if (one.arm, one.scenario, one.endpoint) == ("planted", scenario, endpoint)
    }


def test_every_endpoint_of_every_client_is_compared(check: AnswerCheck) -> None:
    """The rare task, too, and an endpoint without a name under that of its task."""
    plants = ("items", "erring", "redirecting", "renamed", "relabelled", "emptied", "shedding")
    looks = {f"{client}: {plant}" for client in CLIENTS for plant in plants}
    others = {"Lean: buy", "Steps: buy", "Pages: page", "Bodiless: gone", "Bodiless: old"}
    assert set(check.endpoints) == looks | others
    # Its answers are not HTTP's.
    assert check.not_compared == ("Foreign",)


def test_random_identifiers_times_and_lengths_are_no_difference(check: AnswerCheck) -> None:
    """Nor are the process's number and the time of its start, which are always the same in one server."""
    assert not [one for one in check.differences if one.arm == "again"]
    for scenario, endpoint in (("Lean", "items"), ("Lean", "buy"), ("Pages", "page"), ("Bodiless", "gone")):
        assert not of(check, scenario, endpoint)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_200_with_an_error_in_it_is_found(check: AnswerCheck, client: str) -> None:
    assert of(check, client, "erring")["shape"].arm_has == ("error: text",)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_redirect_is_found_whether_or_not_the_client_follows_it(check: AnswerCheck, client: str) -> None:
    found = of(check, client, "redirecting")["redirect"]
    assert found.arm_has == ("/light" if client == "Lean" else "307 /light",)


@pytest.mark.parametrize("client", CLIENTS)
def test_another_key_is_found(check: AnswerCheck, client: str) -> None:
    found = of(check, client, "renamed")["shape"]
    assert (found.reference_has, found.arm_has) == (("title: text",), ("label: text",))


@pytest.mark.parametrize("client", CLIENTS)
def test_another_value_of_the_same_shape_is_found(check: AnswerCheck, client: str) -> None:
    found = of(check, client, "relabelled")
    assert list(found) == ["value"]
    assert found["value"].field == "title"


@pytest.mark.parametrize("client", ["Lean", "Fast", "Stock"])
def test_an_app_that_answers_a_crowd_with_errors_is_found(check: AnswerCheck, client: str) -> None:
    """With status 200 and the size of an article."""
    found = of(check, client, "shedding")["shape"]
    assert (found.arm_has, found.users) == (("error: text",), 16)


def test_204_instead_of_200_or_304_is_found(check: AnswerCheck) -> None:
    assert of(check, "Lean", "emptied")["status"].arm_has == ("204",)
    assert of(check, "Bodiless", "old")["status"].reference_has == ("304",)


def test_an_answer_without_an_end_does_not_hang_the_inquiry(bench: Bench, tmp_path: Path) -> None:
    with Server(app("endless", "answering"), bench.environment, "1.endless") as server:
        for scenario in CLIENTS:
            file = tmp_path / f"{scenario}.json"
            inquiry = Inquiry(server.url, scenario, 1, budget=0.1, answers=str(file), longest=0.3)
            bench.generator.send(asdict(inquiry))
            assert not expect(bench.generator, "done", 30.0)["whole"]
            assert json.loads(file.read_text()) == []


def test_a_scenario_that_was_cut_off_is_said(plan: Plan, tmp_path: Path) -> None:
    asked = Asked({arm.name: {name: [] for name in scenarios_of(plan)} for arm in plan.arms}, {}, {"Lean"})
    asked.crowd.update(asked.alone)
    found = inquiries.check(plan, asked, Asked())
    assert found.cut == ("Lean",)
    run, _ = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(), rounds=0)
    said = answers_text(run.model_copy(update={"answers": found}))
    assert said == "not compared; cut off before all was answered: Lean"
