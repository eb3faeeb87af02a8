"""Whole runs: real servers, real Locust, known truths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtests.machine import cpus, place
from loadtests.records import RunDirectory
from tests.conftest import APPS
from tests.test_cli import DUEL, carried_out, duel, measured

GATES = ["--app-dir", str(APPS), "-s", "ping", "-u", "8", "-t", "1", "--warmup", "0.3", "--json", "-"]


@pytest.mark.alone
def test_two_arms_that_are_the_same_app_are_not_told_apart(tmp_path: Path) -> None:
    """A/A on a real endpoint: no faster or slower, and an interval within 25 %, which is when it stops; on a
    host that is too noisy for that just now at the third try."""
    arms = ["--arm", "a=async", "--arm", "b=async"]
    widths: list[float] = []
    while len(widths) < 3 and min(widths, default=1.0) > 0.25:
        done = measured(
            "-s", "posts.read", "-u", "8", "-t", "1", "--warmup", "0.5", "--rounds", "12",
            "--margin", "0.25", "--json", "-", *arms, cwd=tmp_path,
        )  # fmt: skip
        (verdict,) = (v for v in json.loads(done.stdout)["verdicts"] if v["primary"])
        # By the usual margin: at this one, a difference of 20 % would be "equivalent", too.
        low, high = verdict["low"], verdict["high"]
        assert low <= 1.0 <= high or 1.0 / 1.1 < low < high < 1.1
        widths.append((verdict["high"] / verdict["low"]) ** 0.5 - 1)
    assert min(widths) <= 0.25


@pytest.mark.alone
def test_a_planted_doubling_is_found_and_the_interval_holds_the_truth(tmp_path: Path) -> None:
    """Gates of 400 and 200 a second: the truth is one half, whatever the machine's speed."""
    arms = ["--arm", "fast=gate:fast", "--arm", "slow=gate:slow"]
    done = measured(*GATES, "--rounds", "4", "--seed", "1", *arms, cwd=tmp_path)
    (verdict,) = (v for v in json.loads(done.stdout)["verdicts"] if v["primary"])
    assert (verdict["verdict"], verdict["n"]) == ("slower", 4)
    assert verdict["low"] < 0.5 < verdict["high"]


def test_a_run_directory_holds_all_that_the_report_needs(tmp_path: Path) -> None:
    """Moved elsewhere, its report is the same; nothing of the run is left outside it."""
    arms = ["--arm", "fast=gate:fast", "--arm", "slow=gate:slow"]
    done = duel("run", *GATES, "--rounds", "1", *arms, cwd=tmp_path)
    carried_out(done.returncode, done.stderr)
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert run.complete
    assert {trial.arm for trial in run.trials} == {"fast", "slow"}
    moved = where.rename(tmp_path / "elsewhere")
    again = duel("report", str(moved), "--json", "-", cwd=tmp_path)
    assert again.stdout == done.stdout


def test_arms_that_answer_differently_are_not_measured(tmp_path: Path) -> None:
    """A twin without its data starts, and finds nobody."""
    empty = tmp_path / "empty"
    empty.mkdir()
    arms = ["--arm", "sync", "--arm", f"async=async,env.DUEL_APP_DATA={empty}"]
    done = duel("run", "-s", "ping", "--rounds", "1", *arms, cwd=tmp_path)
    assert done.returncode == 5
    assert "answer GET /users?limit=3 differently" in done.stderr
    (where,) = (tmp_path / "runs").iterdir()
    assert RunDirectory(where).load().trials == ()


@pytest.mark.alone
@pytest.mark.skipif(not place(cpus()), reason="processes cannot be bound to CPUs here")
def test_a_generator_that_is_starved_of_its_cpu_makes_the_measurement_invalid(tmp_path: Path) -> None:
    """Nine busy processes beside it leave it a tenth of its core."""
    (cpu,) = place(cpus())["generator"]
    code = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nwhile os.getppid() == {os.getpid()}: pass"
    # In sessions of their own: the kernel shares a CPU among sessions first, and then among processes.
    busy = [subprocess.Popen([sys.executable, "-c", code], start_new_session=True) for _ in range(9)]
    try:
        # A server fast enough that its users need more than the tenth that is left to them.
        arms = ["--arm", "a=odd:counting", "--arm", "b=odd:counting"]
        done = duel("run", *GATES, "-u", "64", "--rounds", "1", *arms, cwd=tmp_path)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert done.returncode == 5, done.stderr
    (verdict,) = (v for v in json.loads(done.stdout)["verdicts"] if v["primary"])
    assert verdict["verdict"] == "invalid"
    assert "other processes used" in verdict["warnings"][0]
    assert "so it was starved of its CPU" in verdict["warnings"][0]
    (where,) = (tmp_path / "runs").iterdir()
    trials = RunDirectory(where).load().trials
    assert [trial.attempt for trial in trials] == [1, 2, 3, 1, 2, 3]
    assert all(trial.invalid for trial in trials)


@pytest.mark.alone
def test_a_limit_of_time_holds_whatever_is_still_missing(tmp_path: Path) -> None:
    """After one second no further cell is begun: the first is measured, and says what it lacks."""
    arms = ["--arm", "fast=gate:fast", "--arm", "slow=gate:slow"]
    done = measured(*GATES, "--max-time", "1s", *arms, cwd=tmp_path)
    summary = json.loads(done.stdout)
    (verdict,) = (v for v in summary["verdicts"] if v["primary"])
    assert (verdict["verdict"], verdict["n"]) == ("inconclusive", 1)
    assert "1 of the 4 rounds that an interval needs" in verdict["warnings"][0]
    assert summary["complete"]
    assert "are too short for 4 rounds" in done.stderr


@pytest.mark.alone
def test_a_resumed_run_goes_on_where_it_was_left_and_loses_nothing(tmp_path: Path) -> None:
    """Left between the two arms of a cell: the whole cell is measured again in that round, back to back."""
    arms = ["--arm", "fast=gate:fast", "--arm", "slow=gate:slow"]
    measured(*GATES, "--rounds", "2", "--max-time", "1s", *arms, cwd=tmp_path)
    (where,) = (tmp_path / "runs").iterdir()
    left = RunDirectory(where).load()
    assert {trial.round for trial in left.trials} == {0}
    left = left.model_copy(update={"trials": left.trials[:1], "complete": False})
    RunDirectory(where).save(left)

    done = duel("run", "--resume", str(where), "--json", "-", cwd=tmp_path)
    carried_out(done.returncode, done.stderr)
    run = RunDirectory(where).load()
    assert run.complete
    assert run.elapsed > left.elapsed
    assert run.trials[:1] == left.trials
    assert [trial.number for trial in run.trials] == list(range(1, len(run.trials) + 1))
    # A noisy host may have needed further attempts.
    firsts = [trial for trial in run.trials if trial.attempt == 1]
    assert [trial.round for trial in firsts] == [0, 0, 0, 1, 1]
    for round in (0, 1):
        order = [arm.name for arm in run.plan.order(run.plan.cells[0], round)]
        assert [trial.arm for trial in firsts if trial.round == round][-2:] == order
    assert run.calibrations == left.calibrations
    assert run.ceilings == left.ceilings

    again = duel("run", "--resume", str(where), "--json", "-", cwd=tmp_path)
    assert again.returncode == done.returncode, again.stderr
    assert RunDirectory(where).load().trials == run.trials
    assert json.loads(again.stdout)["verdicts"] == json.loads(done.stdout)["verdicts"]


def test_more_users_than_connections_are_refused_before_any_load(tmp_path: Path) -> None:
    limited = ["sh", "-c", f"ulimit -n 256 && exec {DUEL[0]} run -s ping -u 300 --rounds 1"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "error: 300 users need as many connections, and a process here may hold about 64" in done.stderr
    assert "hint: use fewer users" in done.stderr
