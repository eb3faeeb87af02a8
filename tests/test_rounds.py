"""Before the rounds: which cells can be measured in the available time, and where a canary runs."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from loadtests.measure.bench import Bench, Probe
from loadtests.measure.calibration import refusals, window_needed
from loadtests.measure.trials.underway import has_canary
from loadtests.plan.plan import CalibrationTimes, Plan
from loadtests.plan.request import TrialRequest
from loadtests.records import Cell, Load
from loadtests.records.directory import RunDirectory
from loadtests.records.refusals import Refusal
from loadtests.records.run import Calibration
from loadtests.records.samples import Samples
from loadtests.records.trial import Resources
from loadtests.serving.server import Target
from loadtests.serving.services.workers import QueueWorkers
from reports.analysis.bounds import bounds, known, predicted
from reports.analysis.readings import Readings
from reports.analysis.reservations import NotMeasured
from reports.analysis.verdicts import verdicts
from reports.wording.refusals import refusal_text
from tests import scripted
from tests.commands import calibrated_here
from tests.conftest import APPS
from tests.serving import request


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
        # One user got no answer in time, and forty did: so slow a server was measured for minutes.
        (
            (BLOCKED[0].model_copy(update={"throughput": 0.0, "service_time": None}), BLOCKED[1]),
            64,
            5 * 64 / 49,
        ),
    ],
)
def test_the_window_that_users_need_follows_from_what_forty_got(
    found: tuple[Calibration, ...], users: int, seconds: float | None
) -> None:
    needed = window_needed(Cell(scenario="blocking", load=Load(users=users)), "async", found)
    assert needed == (None if seconds is None else pytest.approx(seconds))


def test_a_cell_whose_users_cannot_get_their_requests_is_refused_with_the_reason() -> None:
    (refusal,) = refusals(planned(256), BLOCKED).values()
    needed = 5 * 256 / 49
    assert refusal == Refusal(
        kind="window-too-long", needed=needed, limit=10.0, trials=8, turns=5, needs={"async": needed}
    )
    assert refusal_text(refusal) == (
        "needs windows of about 26 s for 5 requests per user (maximum 10 s): use fewer users (-u), or -t 27"
    )
    assert refusals(planned(64), BLOCKED) == {}
    assert refusals(planned(256), FREE) == {}
    # A window that is long enough by plan is allowed.
    assert refusals(planned(256, window=27.0), BLOCKED) == {}


def test_a_cell_that_exceeds_the_time_limit_is_refused() -> None:
    (refusal,) = refusals(planned(64, deadline=30.0), BLOCKED).values()
    assert refusal_text(refusal) == (
        "needs 8 windows of about 7 s, more than the 30 s available: use fewer users (-u), or a longer "
        "--max-time"
    )
    assert refusals(planned(64, deadline=300.0), BLOCKED) == {}


def test_a_cell_that_was_refused_is_not_decided_and_says_why(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("ping", 64), ("blocking", 256)])
    run, directory = scripted.run(tmp_path, plan, lambda *_: scripted.Scripted(), rounds=0)
    refusal = Refusal(kind="window-too-long", needed=26.0, limit=10.0, trials=8, turns=5)
    run = run.model_copy(update={"refused": {"blocking@256": refusal}})
    primary = [v for v in verdicts(run, Readings(directory)) if v.primary]
    assert primary[1].verdict == "inconclusive"
    assert primary[1].reservations == (NotMeasured(refusal),)


OF_A_FLEET = {"part", "parts", "begins"}
OF_NAMES = {"routes", "grouped"}


@pytest.mark.parametrize(
    "name", sorted({field.name for field in fields(TrialRequest)} - OF_A_FLEET - OF_NAMES)
)
def test_a_request_without_a_field_that_the_parent_decides_is_refused(name: str) -> None:
    whole = asdict(request("http://127.0.0.1:9", Path("s.npz")))
    assert TrialRequest.read(json.dumps(whole)) == TrialRequest(**whole)
    del whole[name]
    with pytest.raises(ValueError, match=f"not a whole request: .*missing .*'{name}'"):
        TrialRequest.read(json.dumps(whole))


def probed(request: TrialRequest, steal: float = 0.0) -> Probe:
    """A load without a request."""
    resources = Resources(generator_cpu=0.0, host_steal=steal)
    return Probe(0.0, request.window, Samples.none(), resources, errors=(), lost=0, thinks=False)


def test_a_calibration_takes_the_times_of_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = CalibrationTimes(warmup=0.01, window=0.02, turns=1)
    plan = scripted.plan().model_copy(update={"calibration": times})
    bench = Bench(tmp_path, plan=plan)
    bench.environment.scratch = tmp_path
    asked: list[TrialRequest] = []

    def probe(request: TrialRequest, *_: object) -> Probe:
        asked.append(request)
        return probed(request)

    monkeypatch.setattr(bench, "probe", probe)
    server = SimpleNamespace(
        url="http://127.0.0.1:9",
        pulse=None,
        arm=plan.arms[0],
        heartbeats=lambda _: [],
        routes=list,
        pid=None,
        workers=QueueWorkers(),
    )
    found = bench.calibrations(cast(Target, server), plan)
    assert [(c.scenario, c.users, c.throughput) for c in found] == [("ping", 1, 0.0), ("ping", 40, 0.0)]
    assert {(one.warmup, one.window, one.window_turns) for one in asked} == {(0.01, 0.02, 1)}


def test_a_canary_runs_where_it_neither_shares_the_throughput_nor_is_the_load() -> None:
    plan = scripted.plan().model_copy(update={"canary": "/ping"})
    assert has_canary(plan, Cell(scenario="sleep", load=Load(users=64)))
    assert has_canary(plan, Cell(scenario="sleep", load=Load(rate=100.0, arrivals="poisson")))
    assert not has_canary(plan, Cell(scenario="sleep", load=Load(users=1)))
    assert not has_canary(plan, Cell(scenario="ping", load=Load(users=64)))
    silent = plan.model_copy(update={"canary": None})
    assert not has_canary(silent, Cell(scenario="sleep", load=Load(users=64)))


def test_a_run_in_which_every_cell_is_refused_ends_with_the_reason(tmp_path: Path) -> None:
    """A limiter of 200 a second cannot serve 600 users five times in ten seconds."""
    arms = ["--app-dir", str(APPS), "--arm", "a=limiter:slow", "--arm", "b=limiter:slow"]
    done = calibrated_here(
        "run", "-s", "ping", "-u", "600", "-t", "0.5", "--rounds", "1", *arms, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "no cell fits the available time" in done.stderr
    assert "even ping at 600 users needs windows of about" in done.stderr


@pytest.mark.calm
def test_a_run_keeps_calibrations_heartbeats_canaries_and_pulses(tmp_path: Path) -> None:
    """A real run of one round: all that explains it lies in its directory."""
    words = ["-s", "sleep", "-u", "8", "--rounds", "1", "-t", "0.5", "--warmup", "0.2", "--json", "-"]
    done = calibrated_here("run", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (where,) = (tmp_path / "runs").iterdir()
    directory = RunDirectory(where)
    run = directory.load()
    assert {(c.arm, c.scenario, c.users) for c in run.calibrations} == {
        (arm, scenario, users)
        for arm in ("sync", "async")
        for scenario, users in (("canary", 1), ("sleep", 1), ("sleep", 40))
    }
    for trial in run.trials:
        beats, canary, pulse = directory.heartbeats(trial), directory.canary(trial), directory.pulse(trial)
        assert beats is not None
        assert len(beats) > 5
        assert canary is not None
        assert len(canary) > 20
        assert pulse is not None
        assert pulse.ok.all()
        assert len(pulse) == pytest.approx(len(canary), abs=4 * len(trial.windows))
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
    told = known(run, run.plan.cells[0], "sync")
    assert bounds(told)[0].name == "users"
    # Predicted is nothing where other programs slowed the calibration down.
    bound = predicted(told)
    assert primary["bounds"]["sync"] == (asdict(bound) if bound else None)
    assert set(primary["bottlenecks"]) == {"sync", "async"}
