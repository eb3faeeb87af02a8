"""A run that ends with the proof of its advice: when one is planned, resumed and shown."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from loadtests.errors import ChildFailed, Exit, PlanError
from loadtests.measure import rounds
from loadtests.measure.proving import begin_proof, proof_interrupted, proof_wanted
from loadtests.plan.arms import BUILT_IN, Arm, Serving
from loadtests.plan.cells import Cell, Load
from loadtests.plan.hybrids.parsing import joined
from loadtests.plan.hybrids.proofs import with_proof
from loadtests.plan.plan import Plan
from loadtests.plan.settings import DEFAULTS
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from reports.render import markdown, report_directory
from reports.runs import conclusions_of
from reports.wording.advice.proofs import proof_lines
from tests import scripted
from tests.commands import duel_here
from tests.scripted import Scripted

TWINS = (BUILT_IN["sync"], BUILT_IN["async"])
CELLS = (("python", 64), ("ping", 64), ("mixed", 64))
SERVED = {
    ("python", "sync"): 800, ("python", "async"): 400, ("ping", "sync"): 400, ("ping", "async"): 800,
}  # fmt: skip
HYBRID = 1200
"""Requests that the hybrid serves in a mixture, where both arms serve 1,000."""


def script(arm: str, cell: Cell, round: int) -> Scripted:
    """`python` should be `def`, `ping` `async def`; the app that follows this is better than both."""
    usual = HYBRID if arm == "hybrid" else 1000
    served = SERVED.get((cell.scenario, arm), usual)
    return Scripted(requests=served + round, endpoints=("ping", "python") if served >= 1000 else ("ping",))


def twins(**changes: Any) -> Plan:
    return scripted.plan(cells=CELLS).model_copy(update={"arms": TWINS, "proof_time": 360.0, **changes})


def followed(parent: Path, routes: tuple[str, ...]) -> Path:
    """A run with a proof whose hybrid answers `routes` as sync does."""
    _, directory = scripted.run(parent, twins(), script)
    hybrid = joined("hybrid", TWINS, (routes, ("GET /ping",)))
    proof = scripted.plan(cells=[("mixed", 64)], rounds=6).model_copy(update={"arms": (hybrid, *TWINS)})
    _, inner = scripted.run(directory.path, proof, script)
    os.rename(inner.path, directory.path / "followed")
    return directory.path


def test_a_run_whose_advice_was_followed_begins_its_report_with_the_outcome(tmp_path: Path) -> None:
    concluded = conclusions_of(followed(tmp_path, ("GET /python",)))
    text = markdown.report(concluded)
    first, title, *_ = text.split("\n\n")
    assert first == "# The advice, followed"
    assert title.startswith(
        "- follow the advice: 1 route `def`, 1 `async def`: better than either arm; mixed"
    )
    assert concluded.proof is not None
    assert (concluded.proof.apart, concluded.proof.changed) == (True, ())
    assert "followed/report/report.html" in text
    # Its exit code and verdicts are those of its own rounds.
    assert {verdict.cell.key for verdict in concluded.verdicts} == {"python@64", "ping@64", "mixed@64"}


def test_a_proof_of_other_advice_than_the_cards_have_now_says_so(tmp_path: Path) -> None:
    concluded = conclusions_of(followed(tmp_path, ("GET /hash",)))
    assert concluded.proof is not None
    assert concluded.proof.changed == ("GET /hash", "GET /python")
    lines = proof_lines(concluded.proof, concluded.run)
    assert any(line.startswith("the advice for GET /hash, GET /python has changed since") for line in lines)


def test_advice_that_is_one_of_the_arms_says_so_first(tmp_path: Path) -> None:
    """Every decided route should be `async def`: that app was measured, it is the async arm."""
    plan = twins(cells=(Cell(scenario="ping", load=Load(users=64)),))
    scripted.run(tmp_path, plan, script)
    concluded = conclusions_of(tmp_path / "scripted")
    said = "follow the advice: the only advised route is `async def`: that is async, already measured"
    assert concluded.proof is None
    assert markdown.report(concluded).startswith(f"# The advice, followed\n\n- {said}")


OWN = tuple(
    Arm(name=name, app=f"shop.{name}:app", app_dir="/shop") for name in ("before", "after")
)  # fmt: skip
VERSIONS = tuple(Arm(name=name, app="shop.main:app", app_dir=f"/{name}") for name in ("before", "after"))
THREADS = tuple(
    Arm(name=f"t{threads}", app="sync_app.main:create_app", serving=Serving(threads=threads))
    for threads in (10, 40)
)


@pytest.mark.parametrize(
    ("changes", "planned"),
    [
        ({}, True),
        # No mixture in which the routes of an app work together.
        ({"cells": (Cell(scenario="ping", load=Load(users=64)),)}, False),
        ({"gate": True}, False),
        ({"arms": TWINS[:1]}, False),
        ({"arms": OWN}, True),
        # One process cannot import both.
        ({"arms": VERSIONS}, False),
        ({"arms": (TWINS[0], TWINS[1].model_copy(update={"python": "/python3.12"}))}, False),
        # One app, whose settings a process has once.
        ({"arms": THREADS}, False),
    ],
)
def test_a_proof_is_planned_where_an_app_can_be_made_of_both_arms(
    changes: dict[str, Any], planned: bool
) -> None:
    plan = twins(proof_time=None, **changes)
    assert with_proof(plan, 360.0).proof_time == (360.0 if planned else None)
    assert with_proof(plan, None) == plan


def test_a_limit_of_time_holds_for_the_rounds_and_the_proof_together() -> None:
    plan = twins(proof_time=None, max_time=1000.0, deadline=1000.0)
    made = with_proof(plan, 360.0)
    assert (made.proof_time, made.deadline, made.max_time) == (200.0, 800.0, 800.0)
    assert made.expected_seconds()[1] <= 1000.0
    # Where both do not fit, the rounds come first.
    short = plan.model_copy(update={"max_time": 100.0, "deadline": 100.0})
    assert with_proof(short, 360.0) == short


def test_what_is_announced_includes_the_proof() -> None:
    with_, without = twins(), twins(proof_time=None)
    least, most = with_.proof_seconds
    expected = [
        seconds + more for seconds, more in zip(without.expected_seconds(), (least, most), strict=True)
    ]
    assert list(with_.expected_seconds()) == expected
    assert 60 < least < most == 360.0


def test_a_proof_that_was_interrupted_is_continued_and_a_complete_one_kept(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, twins(), script)
    assert proof_wanted(run, directory)
    advice = (("sync", "async"), (("GET /python",), ("GET /ping",)))
    proof, inner = begin_proof(run, directory, *advice, DEFAULTS)
    assert (inner.path, inner.whole) == (directory.path / "followed", directory.path)
    assert (proof.plan.max_time, proof.plan.min_rounds, proof.plan.proof_time) == (360.0, 4, None)
    assert proof_interrupted(directory)
    again, _ = begin_proof(run, directory, *advice, DEFAULTS)
    assert (again.id, again.plan) == (proof.id, proof.plan)
    # So is one that `duel prove` began.
    asked = run.model_copy(update={"plan": twins(proof_time=None)})
    assert proof_wanted(asked, directory)
    inner.save(proof.model_copy(update={"complete": True}))
    assert not proof_wanted(run, directory)
    with pytest.raises(PlanError, match="was followed before"):
        begin_proof(run, directory, *advice, DEFAULTS)


Carry = Callable[..., Run]


def carrying(monkeypatch: pytest.MonkeyPatch, proof: Carry) -> None:
    """Rounds cost no time; those of a proof do what `proof` does."""

    def carry_out(run: Run, directory: RunDirectory, *rest: Any) -> Run:
        if run.plan.profile == "proof":
            return proof(run, directory)
        return scripted.measured(run, directory, script)

    monkeypatch.setattr(rounds, "carry_out", carry_out)
    monkeypatch.setattr(report_directory, "charts", lambda _: ())


def measured(run: Run, directory: RunDirectory) -> Run:
    return scripted.measured(run, directory, script)


RUN = ("run", "-s", "python,ping,mixed", "-u", "64", "--rounds", "4", "-o", "runs")


def test_a_run_ends_with_its_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carrying(monkeypatch, measured)
    done = duel_here(*RUN, cwd=tmp_path)
    assert done.returncode == Exit.DONE
    assert "the advice: sync answers 1 route, async 1 and all others" in done.stderr
    assert " ".join(done.stdout.split()).startswith("follow the advice: 1 route `def`, 1 `async def`: better")
    (path,) = (tmp_path / "runs").iterdir()
    assert (path / "followed" / "report" / "report.html").exists()
    again = duel_here("report", f"runs/{path.name}", cwd=tmp_path)
    assert again.stdout == done.stdout


def test_a_run_without_its_proof_when_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carrying(monkeypatch, measured)
    done = duel_here(*RUN, "--no-prove", cwd=tmp_path)
    assert done.returncode == Exit.DONE
    assert "follow the advice" not in done.stdout


def test_a_proof_that_fails_leaves_the_report_and_the_exit_code_of_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise ChildFailed("arm 'hybrid' did not start")

    carrying(monkeypatch, fail)
    done = duel_here(*RUN, cwd=tmp_path)
    assert done.returncode == Exit.DONE
    assert "the advice was not followed: error: arm 'hybrid' did not start" in done.stderr
    assert "report:" in done.stdout


def test_an_interrupt_in_the_proof_is_continued_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    carrying(monkeypatch, interrupt)
    done = duel_here(*RUN, cwd=tmp_path)
    assert done.returncode == Exit.INTERRUPTED
    (path,) = (tmp_path / "runs").iterdir()
    assert f"duel resume runs/{path.name}`" in done.stderr
    before = RunDirectory(path).load().trials
    carrying(monkeypatch, measured)
    done = duel_here("resume", str(path), cwd=tmp_path)
    assert done.returncode == Exit.DONE
    assert done.stdout.startswith("follow the advice")
    # No round of the run itself was measured again.
    assert RunDirectory(path).load().trials == before
