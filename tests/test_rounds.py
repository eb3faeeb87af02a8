"""Before the rounds: which cells can have their turns at all, and where a canary sings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtests.plan import Plan
from loadtests.records import Calibration, Cell, Load, RunDirectory
from loadtests.rounds import has_canary, refusals, window_needed
from reports.estimates import Readings
from reports.verdicts import verdicts
from tests import scripted
from tests.conftest import APPS
from tests.test_cli import duel, measured


def seen(users: int, throughput: float, service_time: float, arm: str = "async") -> Calibration:
    return Calibration(
        arm=arm, scenario="blocking", users=users, throughput=throughput, service_time=service_time
    )


BLOCKED = (seen(1, 49.0, 0.02), seen(40, 49.0, 0.8))
"""Forty users are served no faster than one."""
FREE = (seen(1, 49.0, 0.02), seen(40, 1900.0, 0.021))


def planned(users: int, **changes: object) -> Plan:
    return scripted.plan(cells=[("blocking", users)]).model_copy(update=changes)


@pytest.mark.parametrize(
    ("found", "users", "seconds"),
    [
        (BLOCKED, 256, 5 * 256 / 49),
        (BLOCKED, 8, 5 * 8 / 49),
        (FREE, 256, 5 * 256 / (1900 * 256 / 40)),
        (FREE, 8, 5 * 8 / 1900),
        (FREE[:1], 8, None),
    ],
)
def test_the_window_that_users_need_follows_from_what_forty_got(
    found: tuple[Calibration, ...], users: int, seconds: float | None
) -> None:
    needed = window_needed(Cell(scenario="blocking", load=Load(users=users)), "async", found)
    assert needed == (None if seconds is None else pytest.approx(seconds))


def test_a_level_whose_users_cannot_have_their_turns_is_refused_with_the_reason() -> None:
    found = refusals(planned(256), BLOCKED)
    assert found == {
        "blocking@256": (
            "blocking at 256 users would need windows of about 26 s for 5 requests a user, and 10 s are the "
            "most: use fewer users (-u), or -t 27"
        )
    }
    assert refusals(planned(64), BLOCKED) == {}
    assert refusals(planned(256), FREE) == {}
    # Who asks for windows that are long enough gets them.
    assert refusals(planned(256, window=27.0), BLOCKED) == {}


def test_a_level_that_cannot_fit_the_time_given_is_refused() -> None:
    (reason,) = refusals(planned(64, deadline=30.0), BLOCKED).values()
    assert "8 windows of about 7 s" in reason
    assert refusals(planned(64, deadline=300.0), BLOCKED) == {}


def test_a_cell_that_was_refused_is_not_decided_and_says_why(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("ping", 64), ("blocking", 256)])
    run, directory = scripted.run(tmp_path, plan, lambda *_: scripted.Told(), rounds=0)
    run = run.model_copy(update={"refused": {"blocking@256": "it cannot be"}})
    primary = [v for v in verdicts(run, Readings(directory)) if v.primary]
    assert primary[1].verdict == "inconclusive"
    assert primary[1].warnings == ("not measured: it cannot be",)


def test_a_canary_sings_where_it_neither_shares_the_throughput_nor_is_the_load() -> None:
    plan = scripted.plan().model_copy(update={"canary": "/ping"})
    assert has_canary(plan, Cell(scenario="sleep", load=Load(users=64)))
    assert has_canary(plan, Cell(scenario="sleep", load=Load(rate=100.0, arrivals="poisson")))
    assert not has_canary(plan, Cell(scenario="sleep", load=Load(users=1)))
    assert not has_canary(plan, Cell(scenario="ping", load=Load(users=64)))
    silent = plan.model_copy(update={"canary": None})
    assert not has_canary(silent, Cell(scenario="sleep", load=Load(users=64)))


def test_a_run_in_which_every_level_is_refused_ends_with_the_reason(tmp_path: Path) -> None:
    """A gate of 200 a second cannot serve 600 users five times in ten seconds."""
    arms = ["--app-dir", str(APPS), "--arm", "a=gate:slow", "--arm", "b=gate:slow"]
    done = duel("run", "-s", "ping", "-u", "600", "-t", "0.5", "--rounds", "1", *arms, cwd=tmp_path)
    assert done.returncode == 2
    assert "ping at 600 users would need windows of about" in done.stderr


@pytest.mark.alone
def test_a_run_keeps_calibrations_heartbeats_and_canaries(tmp_path: Path) -> None:
    """A real run of one round: all that explains it lies in its directory."""
    words = ["-s", "sleep", "-u", "8", "--rounds", "1", "-t", "0.5", "--warmup", "0.2", "--json", "-"]
    done = measured(*words, cwd=tmp_path)
    (where,) = (tmp_path / "runs").iterdir()
    directory = RunDirectory(where)
    run = directory.load()
    assert {(c.arm, c.scenario, c.users) for c in run.calibrations} == {
        (arm, scenario, users)
        for arm in ("sync", "async")
        for scenario in ("canary", "sleep")
        for users in (1, 40)
    }
    for trial in run.trials:
        beats, canary = directory.beats(trial), directory.canary(trial)
        assert beats is not None
        assert len(beats) > 5
        assert canary is not None
        assert len(canary) > 20
    one, few = run.calibration("sync", "sleep", 1), run.calibration("sync", "sleep", 40)
    assert one is not None
    assert few is not None
    assert one.service_time is not None
    assert one.service_time > 0.02
    assert few.throughput > one.throughput
    summary = json.loads(done.stdout)
    (card,) = summary["cards"]
    assert card["scenario"] == "sleep"
    assert set(card["costs"]) == {"sync", "async"}
    (primary,) = (v for v in summary["verdicts"] if v["primary"])
    assert primary["bounds"]["sync"]["name"] == "users"
    assert set(primary["bottlenecks"]) == {"sync", "async"}
