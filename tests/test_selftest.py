"""The self-test: what is planted, and how its findings are judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.measure import known_answers
from loadtests.plan.arms import Arm
from loadtests.records import Cell
from loadtests.records.run import Calibration
from reports.analysis import selftest
from reports.analysis.readings import Readings
from reports.wording.selftest import answer_text, conclusion
from tests import scripted
from tests.scripted import Scripted


def judged(
    tmp_path: Path, name: str, told: dict[str, Scripted], scatter: int = 2
) -> list[selftest.KnownAnswer]:
    plan = scripted.plan(list(told), [("ping", 16)])
    plan = plan.model_copy(update={"arms": tuple(Arm(name=arm, app="known:app") for arm in told)})

    def script(arm: str, cell: Cell, round: int) -> Scripted:
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
