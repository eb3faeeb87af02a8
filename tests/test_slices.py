"""The slices of a round: in which order the arms are loaded, and what several slices are together."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loadtests.errors import ChildFailed
from loadtests.measure.trials.servers import MustBeApart, RoundServers
from loadtests.measure.trials.slices import SHORTEST, stints, sweeps
from loadtests.measure.validity import idle_part
from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import LocustFile
from loadtests.plan.profiles import LONGEST_LOAD
from loadtests.records.arrays import write_samples
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.samples import Samples, joined
from loadtests.records.trial import Slice, Trial, TrialArrays
from loadtests.serving.environment import ServingEnvironment
from loadtests.system.placement import boot_places, cpus, place
from reports.advice.caveats import one_by_one
from reports.analysis.backlogs.growth import growing
from reports.analysis.distributions import heat
from reports.analysis.readings import Readings, read
from reports.wording.advice.caveats import caveat_text
from tests import scripted
from tests.scripted import Scripted
from tests.serving import app

ARMS = [Arm(name=name, app="app:app") for name in "abc"]


def order(arms: int, times: int) -> list[tuple[str, float]]:
    return [(one.arm.name, one.part) for one in stints(ARMS[:arms], times)]


def test_two_arms_are_loaded_around_each_other() -> None:
    assert order(2, 1) == [("a", 0.5), ("b", 1.0), ("a", 0.5)]
    assert order(2, 2) == [("a", 0.25), ("b", 0.5), ("a", 0.5), ("b", 0.5), ("a", 0.25)]
    assert order(2, 0) == [("a", 1.0), ("b", 1.0)]


@pytest.mark.parametrize("arms", [2, 3])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_every_arm_gets_the_same_time_and_a_linear_drift_cancels(arms: int, times: int) -> None:
    found = order(arms, times)
    ends = np.cumsum([part for _, part in found])
    middles = [end - part / 2.0 for end, (_, part) in zip(ends, found, strict=True)]
    whole = {name: sum(part for arm, part in found if arm == name) for name, _ in found}
    assert whole == pytest.approx(dict.fromkeys(whole, 1.0))
    centres = {
        name: sum(at * part for at, (arm, part) in zip(middles, found, strict=True) if arm == name)
        for name in whole
    }
    assert centres == pytest.approx(dict.fromkeys(whole, arms / 2.0))


def test_the_first_and_the_last_slice_of_an_arm_are_known() -> None:
    found = [(one.arm.name, one.first, one.last) for one in stints(ARMS[:2], 1)]
    assert found == [("a", True, False), ("b", True, True), ("a", False, True)]


def test_slices_are_as_short_as_the_turns_of_the_users_allow() -> None:
    plan = scripted.plan().model_copy(update={"window": 5.0})
    (cell,) = plan.cells
    assert sweeps(plan, cell, 0.01, None) == int(5.0 / (2.0 * SHORTEST))
    assert sweeps(plan, cell, 0.5, None) == 1
    assert sweeps(plan.model_copy(update={"window": 0.2}), cell, 0.01, None) == 1


@pytest.mark.parametrize("arms", [2, 3])
def test_the_longest_windows_have_no_more_slices_than_a_record_holds(arms: int) -> None:
    plan = scripted.plan().model_copy(update={"window": LONGEST_LOAD})
    found = [name for name, _ in order(arms, sweeps(plan, plan.cells[0], 0.001, None))]
    assert max(found.count(name) for name in set(found)) <= 50


def test_windows_are_whole_where_users_would_begin_again_or_arms_are_apart() -> None:
    plan = scripted.plan()
    (cell,) = plan.cells
    file = LocustFile(file="load.py", digest="0")
    assert sweeps(plan.model_copy(update={"locustfile": file}), cell, 0.01, None) == 0
    assert sweeps(plan, cell, 0.01, "hooks") == 0
    assert sweeps(plan, Cell(scenario="ping", load=Load(rate=10.0, arrivals="constant")), 0.01, None) == 0
    assert sweeps(plan.model_copy(update={"arms": plan.arms[:1]}), cell, 0.01, None) == 0


def steady(took: float, window: float, users: int = 8) -> Samples:
    """Users who ask one request after another, from before a window until after it."""
    start = np.concatenate([np.arange(-0.3 + took * one / users, window + 0.2, took) for one in range(users)])
    n = len(start)
    return Samples(
        due=start, start=start, end=start + took, size=np.full(n, 10, np.uint32),
        endpoint=np.zeros(n, np.uint16), status=np.full(n, 200, np.uint16), error=np.zeros(n, np.uint16),
    )  # fmt: skip


WINDOWS = (Slice(opened=0.0, window=0.5), Slice(opened=4.0, window=1.0))


def two_slices() -> tuple[Trial, Samples]:
    """A trial that served 400 requests per second in its first window, and 200 in its second one."""
    parts = [steady(0.02, 0.5), steady(0.04, 1.0)]
    samples, _, _ = joined([(part, ("ping",), ()) for part in parts])
    number = np.repeat(np.arange(2, dtype=np.uint8), [len(part) for part in parts])
    trial = scripted.trial(Scripted(), 1, 0, 0, scripted.plan().cells[0], "sync")
    trial = trial.model_copy(update={"window": 1.5, "slices": WINDOWS})
    return trial, replace(samples, slice=number)


def test_throughput_and_percentiles_are_those_of_all_slices() -> None:
    trial, samples = two_slices()
    found = read(samples, trial.window, None, 0, Samples.share_in, trial.lengths(samples))
    assert found.throughput == pytest.approx((400 * 0.5 + 200 * 1.0) / 1.5, rel=0.01)
    assert found.mean == pytest.approx((0.02 * 200 + 0.04 * 200) / 400, rel=0.02)
    assert found.in_flight == pytest.approx(8.0)


def test_users_of_several_slices_are_never_idle_in_between() -> None:
    trial, samples = two_slices()
    assert idle_part(samples, trial.window, 8, trial.lengths(samples)) == pytest.approx(0.0, abs=1e-9)


def test_a_heat_map_shows_slices_side_by_side(tmp_path: Path) -> None:
    trial, rows = two_slices()
    _, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(), rounds=0)
    (directory.path / trial.files.samples).parent.mkdir(exist_ok=True)
    arrays = TrialArrays(samples=write_samples(directory.path / trial.files.samples, rows))
    trial = trial.model_copy(update={"arrays": arrays})
    found = heat(Readings(directory), trial, np.array([0.01, 0.03, 0.05]), 3)
    assert found.borders == pytest.approx((1 / 3,))
    # Half of the requests took 20 ms, in the first third of the window; the others 40 ms.
    assert found.parts == pytest.approx(np.array([[0.5, 0.0, 0.0], [0.0, 0.25, 0.25]]), abs=0.02)


def beats(counts: Any) -> Heartbeats:
    """Four counts of tasks per second, over six seconds."""
    due = np.arange(0.0, 6.0, 0.25)
    rows = [[at, 0.0, float(counts(at)), *([0.0] * 21)] for at in due]
    return Heartbeats.of([rows], 0.0)


def test_work_that_piles_up_in_every_slice_is_seen_although_the_server_rests_in_between() -> None:
    _, samples = two_slices()
    on_clock = samples.since([one.opened for one in WINDOWS])
    piling = beats(lambda at: 200.0 * (at if at < 2.0 else at - 4.0 if at > 4.0 else 0.0))
    grown = growing(piling, on_clock, WINDOWS)["tasks"]
    assert grown == pytest.approx(200.0 * 1.5 / 400.0, rel=0.1)
    assert growing(beats(lambda at: 5.0 * (at > 3.0)), on_clock, WINDOWS)["tasks"] == 0.0


def test_running_totals_count_within_the_windows_only() -> None:
    rows = [[at, 0.0, *([0.0] * 12), at * 10.0, *([0.0] * 9)] for at in np.arange(-0.1, 6.0, 0.05)]
    found = Heartbeats.of([rows], 0.0)
    spent = [found.spent("cpu", one.window, one.opened) for one in WINDOWS]
    assert spent == pytest.approx([5.0, 10.0])


def test_servers_that_cannot_run_side_by_side_are_told_from_those_that_do_not_start(
    environment: ServingEnvironment, tmp_path: Path
) -> None:
    """Two arms that listen on the same further port: the second one does not start beside the first, which
    starts alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "greedy.py").write_text(
        "import socket\n\n\nasync def app(scope, receive, send):\n    raise NotImplementedError\n\n\n"
        f'own = socket.socket()\nown.bind(("127.0.0.1", {port}))\nown.listen()\n'
    )
    arms = [(Arm(name=name, app="greedy:app", app_dir=str(tmp_path)), f"9.{name}") for name in "ab"]
    with RoundServers(environment, arms) as servers, pytest.raises(MustBeApart) as reason:
        servers.take(arms[0][0])
    assert reason.value.why == "conflict"
    with RoundServers(environment, arms, apart="conflict") as servers:
        for arm, _ in arms:
            servers.take(arm)
            servers.release([arm.name])


def test_a_server_that_is_renewed_is_the_next_one_of_its_arm_though_others_have_not_started(
    environment: ServingEnvironment,
) -> None:
    """One after another, an arm whose server ended in its first slice, then again in its last one."""
    arms = [(app("counting").model_copy(update={"name": name}), f"9.{name}") for name in "ab"]
    (one, stream), (other, _) = arms
    with RoundServers(environment, arms, apart="restless") as servers:
        first = servers.take(one)
        servers.renew(one, stream)
        second = servers.take(one)
        assert second is not first
        servers.renew(one, stream)
        servers.take(other)
        assert set(servers.known) == {"b"}


def test_all_servers_of_a_round_stop_although_one_cannot(
    environment: ServingEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the database server is lost, and with it the database that is to be dropped."""
    arms = [(app("counting").model_copy(update={"name": name}), f"9.{name}") for name in "ab"]
    servers = RoundServers(environment, arms)
    taken = [servers.take(arm) for arm, _ in arms]
    stop = taken[1].stop

    def lost() -> None:
        stop()
        raise ChildFailed("lost the database server")

    monkeypatch.setattr(taken[1], "stop", lost)
    with pytest.raises(ChildFailed, match="lost the database server"):
        servers.__exit__(None, None, None)
    assert not any(psutil.pid_exists(server.pid) for server in taken if server.pid is not None)


def test_a_report_says_which_arms_were_measured_one_after_another_and_why(tmp_path: Path) -> None:
    run, _ = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted())
    assert one_by_one(run) == [], "earlier versions always did so"
    run = run.model_copy(
        update={"trials": tuple(one.model_copy(update={"apart": "hooks"}) for one in run.trials)}
    )
    (found,) = one_by_one(run)
    assert caveat_text(found).startswith(
        "ping at 64 users: the arms were measured one after another, each with its server alone, since "
        "--before-trial or --after-trial may reset what they share"
    )


def test_servers_boot_on_different_cpus_and_serve_from_the_same_ones(
    environment: ServingEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all of their threads; the number of CPUs that a library may count never changes."""
    placement = place(cpus())
    monkeypatch.setattr(environment, "placement", placement)
    places = boot_places(placement)
    assert {len(one) for one in places} == {len(placement["server"])}
    arms = [(app("counting").model_copy(update={"name": name}), f"9.{name}") for name in "ab"]
    with RoundServers(environment, arms) as servers:
        taken = [servers.take(arm) for arm, _ in arms]
        threads = [int(one) for server in taken for one in os.listdir(f"/proc/{server.pid}/task")]
        assert len(threads) > 2
        assert {tuple(os.sched_getaffinity(one)) for one in threads} == {placement["server"]}


def test_other_placements_boot_servers_where_they_serve() -> None:
    assert boot_places({}) == [()]
    assert boot_places({"server": (0, 1), "generator": (2,), "others": (3,)}) == [(0, 1), (2, 3)]
    assert boot_places({"server": (0,), "generator": (1,), "others": (1,)}) == [(0,), (1,)]
