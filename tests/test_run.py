"""Complete runs: real servers, real Locust, known truths."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from benchmarks.planted import starving
from loadtests.measure.trials import underway
from loadtests.records.directory import RunDirectory
from loadtests.system.placement import cpus, place
from tests.commands import DUEL, brisk_here, duel_here, judged_here
from tests.conftest import APPS
from tests.interrupting import always, before

GATES = ["--app-dir", str(APPS), "-s", "ping", "-u", "8", "-t", "0.6", "--warmup", "0.1", "--json", "-"]


@pytest.mark.alone
def test_two_arms_with_the_same_app_show_no_difference(tmp_path: Path, unprepared: None) -> None:
    """A/A on a real endpoint: no difference, and it stops with an interval within 25%. One run in twenty may
    show a difference, and a noisy moment widens the interval: then it runs again, three times at most, and
    fails if a second run differs. Every trial counts: on a host that is never quiet there would be none, and
    noise must not become a difference either."""
    arms = ["--arm", "a=async", "--arm", "b=async"]
    differing, narrow = 0, False
    for _ in range(3):
        done = brisk_here(
            "run", "-s", "posts.read", "-u", "8", "-t", "0.5", "--warmup", "0.2", "--rounds", "8",
            "--margin", "0.25", "--json", "-", *arms, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (verdict,) = (v for v in json.loads(done.stdout)["verdicts"] if v["primary"])
        low, high = verdict["low"], verdict["high"]
        # With the default margin: with this one, a difference of 20% would be "equivalent", too.
        same = low <= 1.0 <= high or 1.0 / 1.1 < low < high < 1.1
        differing += not same
        assert differing < 2
        narrow = (high / low) ** 0.5 - 1 <= 0.25
        if same and narrow:
            break
    assert narrow


def test_a_planted_doubling_is_found_and_the_directory_contains_everything_for_the_report(
    tmp_path: Path,
) -> None:
    """Limiters of 400 and 200 requests per second: the true ratio is 0.5 on any machine. After a move, the
    run's report is the same; the run leaves nothing outside its directory."""
    arms = ["--arm", "fast=limiter:fast", "--arm", "slow=limiter:slow"]
    done = brisk_here("run", *GATES, "--rounds", "4", "--seed", "1", *arms, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (verdict,) = (v for v in json.loads(done.stdout)["verdicts"] if v["primary"])
    assert (verdict["verdict"], verdict["n"]) == ("slower", 4)
    assert verdict["low"] < 0.5 < verdict["high"]
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert run.complete
    assert {trial.arm for trial in run.trials} == {"fast", "slow"}
    # The servers start together; the first arm is loaded before and after the other one.
    for trial in run.trials:
        assert (trial.apart, len(trial.slices)) == (None, 0 if trial.place else 2)
        assert trial.window == pytest.approx(sum(one.window for one in trial.windows))
        assert not trial.slices or trial.slices[1].opened > 2 * trial.slices[0].window
    moved = where.rename(tmp_path / "elsewhere")
    again = duel_here("report", str(moved), "--json", "-", cwd=tmp_path)
    assert again.stdout == done.stdout


def test_arms_that_answer_differently_are_not_measured(tmp_path: Path) -> None:
    """A twin without its data starts, but finds no users."""
    empty = tmp_path / "empty"
    empty.mkdir()
    arms = ["--arm", "sync", "--arm", f"async=async,env.DUEL_APP_DATA={empty}"]
    done = brisk_here("run", "-s", "ping", "--rounds", "1", *arms, cwd=tmp_path)
    assert done.returncode == 5
    assert "answer GET /users?limit=3 differently" in done.stderr
    (where,) = (tmp_path / "runs").iterdir()
    assert RunDirectory(where).load().trials == ()


@pytest.mark.alone
@pytest.mark.skipif(not place(cpus()), reason="processes cannot be bound to CPUs here")
def test_a_generator_starved_of_cpu_makes_the_measurement_invalid(
    tmp_path: Path, unprepared: None, unseeded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine busy processes leave it 10% of its core, from the first trial on."""
    with ExitStack() as rivals:
        starve = partial(rivals.enter_context, starving())
        before(underway, "load", always, starve, put=monkeypatch.setattr)
        # A server fast enough that its users need more than the remaining 10%.
        arms = ["--arm", "a=odd:counting", "--arm", "b=odd:counting"]
        done = judged_here("run", *GATES, "-u", "16", "-t", "0.6", "--rounds", "1", *arms, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    (verdict,) = (v for v in json.loads(done.stdout)["verdicts"] if v["primary"])
    assert verdict["verdict"] == "invalid"
    assert "other processes used" in verdict["warnings"][0]
    assert "it was starved of CPU" in verdict["warnings"][0]
    (where,) = (tmp_path / "runs").iterdir()
    trials = RunDirectory(where).load().trials
    # An attempt ends with the first measurement that fails, the last one excepted.
    assert [one.attempt for one in trials] == [1, 2, 3, 3]
    assert all(not one.valid for one in trials)


def test_a_run_ended_by_its_time_limit_reports_missing_rounds_and_resumes_without_loss(
    tmp_path: Path,
) -> None:
    """After one second no further cell is started. Stopped between that cell's arms, as if interrupted,
    both arms are measured again in that round, back to back."""
    arms = ["--arm", "fast=limiter:fast", "--arm", "slow=limiter:slow"]
    limited = brisk_here("run", *GATES, "--max-time", "1s", *arms, cwd=tmp_path)
    assert limited.returncode == 0, limited.stderr
    summary = json.loads(limited.stdout)
    (verdict,) = (v for v in summary["verdicts"] if v["primary"])
    assert (verdict["verdict"], verdict["n"]) == ("inconclusive", 1)
    assert "1 of the 4 rounds that an interval needs" in verdict["warnings"][0]
    assert summary["complete"]
    assert "is too short for 4 rounds" in limited.stderr
    (where,) = (tmp_path / "runs").iterdir()
    left = RunDirectory(where).load()
    assert {trial.round for trial in left.trials} == {0}
    # Two rounds are enough to see where a resumed run continues.
    shorter = left.plan.model_copy(update={"min_rounds": 2, "max_rounds": 2})
    left = left.model_copy(update={"plan": shorter})
    left = left.model_copy(update={"trials": left.trials[:1], "complete": False})
    RunDirectory(where).save(left)

    done = brisk_here("resume", str(where), "--json", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = RunDirectory(where).load()
    assert run.complete
    assert run.elapsed > left.elapsed
    assert run.trials[:1] == left.trials
    assert [trial.number for trial in run.trials] == list(range(1, len(run.trials) + 1))
    assert [trial.round for trial in run.trials] == [0, 0, 0, 1, 1]
    for round in (0, 1):
        order = [arm.name for arm in run.plan.order(run.plan.cells[0], round)]
        assert [trial.arm for trial in run.trials if trial.round == round][-2:] == order
    assert run.calibrations == left.calibrations
    assert run.ceilings == left.ceilings

    again = brisk_here("resume", str(where), "--json", "-", cwd=tmp_path)
    assert again.returncode == done.returncode, again.stderr
    assert RunDirectory(where).load().trials == run.trials
    assert json.loads(again.stdout)["verdicts"] == json.loads(done.stdout)["verdicts"]


def test_more_users_than_connections_are_refused_before_any_load(tmp_path: Path) -> None:
    limited = ["sh", "-c", f"ulimit -n 512 && exec {DUEL[0]} run -s ping -u 300 --rounds 4"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "error: 300 users need as many connections, and a process here may hold about 192" in done.stderr
    assert "hint: use fewer users" in done.stderr
