"""Known answers: what is planted, and how the findings are judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import known_answers
from loadtests.plan import Arm
from loadtests.records import Calibration, Cell
from reports import selftest
from reports.estimates import Readings
from tests import scripted
from tests.scripted import Told


def judged(tmp_path: Path, name: str, told: dict[str, Told], scatter: int = 2) -> list[selftest.Answer]:
    plan = scripted.plan(list(told), [("ping", 16)])
    plan = plan.model_copy(update={"arms": tuple(Arm(name=arm, app="known:app") for arm in told)})

    def script(arm: str, cell: Cell, round: int) -> Told:
        return replace(told[arm], requests=told[arm].requests + scatter * (round % 2) * (arm != "one"))

    run, directory = scripted.run(tmp_path, plan, script)
    seen = Calibration(arm="threads", scenario="ping", users=1, throughput=20.0, service_time=0.05)
    return selftest.answers(name, run.model_copy(update={"calibrations": (seen,)}), Readings(directory))


def test_the_judge_knows_what_was_planted() -> None:
    planted = (known_answers.THREADS, known_answers.WAIT, known_answers.BLOCK, known_answers.LONGER)
    assert planted == (selftest.THREADS, selftest.WAIT, selftest.BLOCK, selftest.LONGER)
    plans = known_answers.plans(1)
    assert {arm.serving.threads for arm in plans["ceilings"].arms} == {known_answers.THREADS}
    assert len({arm.app for arm in plans["same"].arms}) == 1


def test_ceilings_are_right_within_five_per_cent(tmp_path: Path) -> None:
    told = {"threads": Told(requests=790, latency=0.05), "blocked": Told(requests=50, latency=0.02)}
    assert [answer.right for answer in judged(tmp_path, "ceilings", told)] == [True, True]


def test_ceilings_that_are_missed_are_wrong_and_carry_a_remedy(tmp_path: Path) -> None:
    told = {"threads": Told(requests=700, latency=0.05), "blocked": Told(requests=53, latency=0.02)}
    answers = judged(tmp_path, "ceilings", told, scatter=0)
    assert [answer.right for answer in answers] == [False, False]
    assert all(answer.remedy for answer in answers)


@pytest.mark.parametrize(("scatter", "right"), [(20, True), (900, False)])
def test_an_app_against_itself_must_be_seen_sharply_enough(tmp_path: Path, scatter: int, right: bool) -> None:
    told = {"one": Told(requests=1000), "other": Told(requests=1000 - scatter // 2)}
    (answer,) = judged(tmp_path, "same", told, scatter)
    assert answer.right is right, answer


def test_what_computes_longer_must_be_found(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "missed").mkdir()
    told = {"short": Told(requests=1300), "long": Told(requests=1000)}
    assert judged(tmp_path / "found", "planted", told)[0].right
    same = {"short": Told(requests=1000), "long": Told(requests=1000)}
    answers = judged(tmp_path / "missed", "planted", same)
    assert not answers[0].right
    assert selftest.conclusion(answers).startswith("results from this machine cannot be trusted")
