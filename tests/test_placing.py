"""Where next to nothing else needs the other CPUs, a cell's servers get them; all that rests on the number of
CPUs reads it of the cell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.measure.trials.placing import IDLE, MOST_BESIDE, Places, light_scenarios, share_beside
from loadtests.measure.trials.servers import RoundServers
from loadtests.measure.trials.underway import TrialTask
from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import Plan
from loadtests.records import Calibration, Fault, Run, ServerCpus, ServerEnd, Trial
from loadtests.serving.environment import ServingEnvironment
from loadtests.system.placement import boot_places, cpus, limited, place, shared
from reports.advice.caveats import generator_held_up
from reports.analysis.bounds import known
from reports.analysis.cores import OneCore
from reports.analysis.failures.kinds import failure_kinds
from reports.analysis.readings import Readings
from reports.analysis.reservations import ServerEnded
from reports.analysis.verdicts import Verdict, verdicts
from reports.gate.setups import differences, setup_of
from reports.wording.advice.caveats import caveat_text
from reports.wording.cpus import cpus_text, placement_rows, servers_text
from reports.wording.sentences import sentence
from tests import scripted
from tests.scripted import MACHINE, Scripted
from tests.serving import app
from tests.test_transient import STEAL, Laboratory, Machine

OWN = MACHINE.placement
EVERY = shared(OWN)
LATE = Fault(kind="generator-late", value=0.02, limit=0.01)
KILLED = ServerEnd(during="load", code=-9)


@pytest.fixture
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Laboratory:
    return Laboratory(tmp_path, monkeypatch)


def calibrated(
    scenario: str, arm: str, cost: float, each: float, waits: float = 0.0, services: float = 0.0
) -> list[Calibration]:
    """An arm that needs `cost` CPU seconds for a request, waits for `waits` besides, and costs the generator
    `each`, on top of its own timers."""
    return [
        Calibration(
            arm=arm, scenario=scenario, users=users, throughput=rate, service_time=users / rate, cpu=cost,
            generator=each + IDLE / rate, services=services,
        )
        for users, rate in ((1, 1.0 / (cost + waits)), (40, min(1.0 / cost, 40.0 / (cost + waits))))
    ]  # fmt: skip


HASH = [*calibrated("hash", "sync", 0.002, 40e-6), *calibrated("hash", "async", 0.0018, 40e-6)]
"""On two CPUs the faster one serves at most 1,111 requests per second, for 4.4% of the generator's core."""


def light(plan: Plan, calibrations: Sequence[Calibration], cpus: int = 2) -> set[str]:
    return light_scenarios(plan, calibrations, cpus)


def test_a_scenario_is_light_where_every_arm_leaves_the_other_cpus_all_but_idle() -> None:
    plan = scripted.plan(cells=[("hash", 64)])
    share = share_beside(plan.cells[0], "async", HASH, 2)
    assert share == pytest.approx(IDLE + 40e-6 * 2 / 0.0018)
    assert share_beside(plan.cells[0], "sync", HASH, 2) == pytest.approx(IDLE + 40e-6 * 2 / 0.002)
    assert light(plan, HASH) == {"hash"}
    assert light(plan, HASH, cpus=8) == set(), "eight CPUs might answer too often"
    heavy = [*HASH[:2], *calibrated("hash", "async", 0.0005, 40e-6)]
    assert light(plan, heavy) == set(), "async might answer too often"
    served = [*HASH[:2], *calibrated("hash", "async", 0.0018, 40e-6, services=100e-6)]
    assert light(plan, served) == set(), "another service needs the other CPU"
    assert light(plan, HASH[:2]) == set(), "nothing is known of async"
    unknown = [one.model_copy(update={"services": None}) for one in HASH]
    assert light(plan, unknown) == set(), "as in runs of earlier versions"


def test_a_busy_machine_makes_no_scenario_light_and_one_calibration_in_peace_does() -> None:
    """A slow moment doubles all costs: shares stay. Interruptions of the generator alone are only added."""
    plan = scripted.plan(cells=[("hash", 64)])
    cell = plan.cells[0]
    heavy = calibrated("ping", "sync", 0.0002, 30e-6)
    slowed = [
        one.model_copy(update={"throughput": one.throughput / 10, "cpu": 0.0004, "generator": 260e-6})
        for one in heavy
    ]
    ping = Cell(scenario="ping", load=Load(users=64))
    for found in (heavy, slowed):
        share = share_beside(ping, "sync", found, 2)
        assert share is not None
        assert share > MOST_BESIDE
    interrupted = [HASH[0].model_copy(update={"generator": 0.001}), HASH[1]]
    assert share_beside(cell, "sync", interrupted, 2) == pytest.approx(0.06)


def test_what_interrupts_one_arms_calibration_does_not_make_its_scenario_heavy() -> None:
    """A quick run has one calibration of each arm."""
    disturbed = HASH[0].model_copy(update={"generator": 0.001})
    alone = [disturbed, HASH[2]]
    assert light(scripted.plan(cells=[("hash", 64)]), alone) == {"hash"}
    assert (
        light(
            scripted.plan(cells=[("hash", 64)]), [disturbed, HASH[2].model_copy(update={"generator": 0.001})]
        )
        == set()
    )


@pytest.mark.parametrize("users", [1, 64])
def test_requests_that_mostly_wait_need_no_further_cpu(users: int) -> None:
    """However many users there are: at the rate of one, the idle timers hide what a request costs."""
    cell = Cell(scenario="upstream", load=Load(users=users))
    waiting = calibrated("upstream", "sync", 0.0014, 40e-6, waits=0.020)
    assert share_beside(cell, "sync", waiting, 2) is None
    computing = calibrated("upstream", "sync", 0.0014, 40e-6, waits=0.001)
    assert share_beside(cell, "sync", computing, 2) is not None


def test_more_cpus_do_not_answer_more_than_the_users_ask() -> None:
    cell = Cell(scenario="hash", load=Load(users=1))
    assert share_beside(cell, "sync", HASH, 64) == pytest.approx(IDLE + 40e-6 * 500)


def test_all_loads_of_a_scenario_are_placed_alike() -> None:
    """A curve over users must not bend where the CPUs change."""
    quick = [one for arm in ("sync", "async") for one in calibrated("users.read", arm, 0.0005, 40e-6)]
    assert light(scripted.plan(cells=[("users.read", 1), ("hash", 64)]), [*quick, *HASH]) == {
        "users.read", "hash",
    }  # fmt: skip
    assert light(scripted.plan(cells=[("users.read", 1), ("users.read", 64)]), quick) == set()


def test_no_cpu_is_shared_that_must_not_be() -> None:
    plan = scripted.plan(cells=[("hash", 64)])
    arrivals = Cell(scenario="hash", load=Load(rate=10.0, arrivals="poisson"))
    external = Arm(name="sync", app="http://127.0.0.1:9")
    for change in (
        {"cells": (arrivals,)},
        {"generators": 2},
        {"arms": (external, plan.arms[1])},
    ):
        assert light(plan.model_copy(update=change), HASH) == set()


def test_a_shared_placement_has_every_cpu_for_the_server_and_servers_boot_on_all() -> None:
    assert EVERY == {"server": (0, 1), "generator": (1,), "others": (1,)}
    assert shared(place(tuple(range(8))))["server"] == tuple(range(8))
    assert shared({}) == {}
    assert boot_places(EVERY) == [(0, 1)]


@pytest.mark.parametrize(
    ("text", "found"), [("max 100000\n", False), ("1000 100000\n", True), ("9000000 1\n", False), ("", False)]
)
def test_a_quota_is_seen(tmp_path: Path, text: str, found: bool) -> None:
    file = tmp_path / "cpu.max"
    assert not limited(file)
    file.write_text(text)
    assert limited(file) == found


@dataclass
class Narrow(Machine):
    """Whose generator is held up while it shares its CPU, in some rounds."""

    held_up: Iterable[int] = ()
    beside: tuple[Fault, ...] = ()
    """What else disturbed it then."""

    def trial(self, task: TrialTask, directory: Path, ceiling: float | None) -> Trial:
        made = super().trial(task, directory, ceiling)
        made = made.model_copy(update={"cpus": task.cpus, "endpoints": (task.cell.scenario,)})
        late = task.cpus == EVERY["server"] and task.round in self.held_up
        return made.model_copy(update={"faults": (LATE, *self.beside)}) if late else made


def measured(laboratory: Laboratory, machine: Machine) -> tuple[Run, Verdict]:
    plan = scripted.plan(cells=[("hash", 64)])
    return laboratory.carry_out(laboratory.begin(plan, calibrations=tuple(HASH)), machine)


def test_a_light_cell_is_measured_on_every_cpu_and_its_verdict_says_so(laboratory: Laboratory) -> None:
    run, verdict = measured(laboratory, Narrow())
    assert {trial.cpus for trial in run.trials} == {(0, 1)}
    assert verdict.cpus == ServerCpus((0, 1), shared=True)
    assert sentence(verdict, run.plan).endswith("; server on 2 CPUs, shared with a light generator")
    assert OneCore() not in verdict.reservations
    assert known(run, verdict.cell, "sync").cpus == 2
    assert servers_text(run) == "server on 2 of them"
    assert generator_held_up(run) == []


@pytest.mark.parametrize("round", [0, 3])
def test_servers_that_hold_the_generator_up_get_their_own_cpus_back_in_all_rounds(
    laboratory: Laboratory, round: int
) -> None:
    run, verdict = measured(laboratory, Narrow(held_up=[round]))
    assert [trial.cpus for trial in run.trials[: 2 * round + 1]] == [(0, 1)] * (2 * round + 1)
    assert {trial.cpus for trial in run.trials[2 * round + 1 :]} == {(0,)}
    counted = {trial.round for trial in run.of(verdict.cell, "async")}
    assert (verdict.verdict, verdict.n, counted) == ("faster", 4, {0, 1, 2, 3})
    assert verdict.cpus == ServerCpus((0,), shared=False)
    assert OneCore() in verdict.reservations
    assert known(run, verdict.cell, "sync").cpus == 1
    (caveat,) = generator_held_up(run)
    assert caveat_text(caveat).startswith("hash at 64 users: servers on all CPUs starved the load generator")


@dataclass
class Killing(Narrow):
    """Which runs out of memory in round 0, as long as servers have every CPU, and ends the one of async."""

    def trial(self, task: TrialTask, directory: Path, ceiling: float | None) -> Trial:
        made = super().trial(task, directory, ceiling)
        killed = (task.arm.name, task.round, task.cpus) == ("async", 0, EVERY["server"])
        return made.model_copy(update={"ended": KILLED}) if killed else made


def test_a_server_that_was_killed_stays_so_where_its_round_is_measured_again_on_other_cpus(
    laboratory: Laboratory,
) -> None:
    run, verdict = measured(laboratory, Killing(held_up=[1]))
    assert not any(trial.ended for trial in run.of(verdict.cell, "async"))
    assert (verdict.verdict, verdict.failing, verdict.n) == ("failing", ("async",), 4)
    launches = sum(trial.arm == "async" for trial in run.trials)
    assert ServerEnded("async", 1, launches, KILLED) in verdict.reservations


def test_requests_that_failed_on_cpus_that_a_cell_has_left_are_reported(tmp_path: Path) -> None:
    def script(arm: str, _: Cell, round: int) -> Scripted:
        return Scripted(failures=40 if arm == "async" and round < 2 else 0)

    plan = scripted.plan(["sync", "async"], [("hash", 64)], 6)
    run, directory = scripted.run(tmp_path, plan, script)
    changed = [
        trial.model_copy(update={"cpus": (0, 1)}) if trial.round < 2 else trial for trial in run.trials
    ]
    run = run.model_copy(update={"trials": tuple(changed)})
    assert {trial.round for trial in run.of(plan.cells[0], "async")} == {2, 3, 4, 5}
    (kind,) = failure_kinds(run, Readings(directory))
    assert (kind.arm, kind.count, kind.requests) == ("async", 80, 6 * 400)


def test_what_others_on_the_host_did_takes_no_cpu_away(laboratory: Laboratory) -> None:
    """The next attempts are lost as well, and a further block of rounds makes up for them."""
    run, verdict = measured(laboratory, Narrow(held_up=[0], beside=(STEAL,)))
    assert {trial.cpus for trial in run.trials} == {(0, 1)}
    assert (verdict.verdict, verdict.n) == ("faster", 5)


def test_a_resumed_run_keeps_the_cpus_that_its_cells_had(laboratory: Laboratory) -> None:
    run, _ = measured(laboratory, Narrow(held_up=[0]))
    again, verdict = laboratory.again(run, Narrow())
    assert verdict.cpus == ServerCpus((0,), shared=False)
    assert len(again.trials) == len(run.trials), "all rounds had been measured"
    assert Places(run, OWN, EVERY).of(verdict.cell) == OWN
    assert Places(run.model_copy(update={"trials": ()}), OWN, EVERY).of(verdict.cell) == EVERY


def test_rounds_on_other_cpus_are_never_pooled(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("hash", 64), ("ping", 64)])
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted(), rounds=6)
    hash_cell, ping = plan.cells
    changed = [
        trial.model_copy(update={"cpus": (0, 1)}) if trial.cell == hash_cell and trial.round >= 2 else trial
        for trial in run.trials
    ]
    run = run.model_copy(update={"trials": tuple(changed)})
    assert {trial.round for trial in run.of(hash_cell, "sync")} == {2, 3, 4, 5}
    assert {trial.round for trial in run.of(ping, "sync")} == set(range(6))
    rows = {verdict.cell: verdict for verdict in verdicts(run, Readings(directory)) if verdict.primary}
    assert [(rows[cell].n, rows[cell].cpus) for cell in plan.cells] == [
        (4, ServerCpus((0, 1), shared=True)), (6, ServerCpus((0,))),
    ]  # fmt: skip
    assert servers_text(run) == "server on 2 of them in hash; on 1 of them in ping"
    assert placement_rows(run)[1] == (
        "placement in some cells", "server on CPU 0, 1, beside a light generator: hash at 64 users",
    )  # fmt: skip


def test_runs_whose_servers_had_other_cpus_are_measured_differently(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("hash", 64), ("ping", 64)])
    base, _ = scripted.run(tmp_path, plan, lambda *_: Scripted())
    trials = [
        trial.model_copy(update={"cpus": (0, 1)}) if trial.cell == plan.cells[0] else trial
        for trial in base.trials
    ]
    head = base.model_copy(update={"trials": tuple(trials)})
    (found,) = differences(setup_of(base), setup_of(head))
    assert (found.name, str(found)) == (
        "cpus", "cpus of hash@64: 1, now 2, shared with the generator",
    )  # fmt: skip
    elsewhere = base.model_copy(update={"machine": MACHINE.model_copy(update={"placement": {}})})
    assert [one.what for one in differences(setup_of(base), setup_of(elsewhere))] == ["cpus"], "said once"


def test_a_verdict_names_the_cpus_of_its_servers() -> None:
    assert cpus_text(ServerCpus((0,))) == "server on 1 CPU"
    assert cpus_text(ServerCpus((0, 1))) == "server on 2 CPUs"
    assert cpus_text(ServerCpus(())) == "processes not bound to CPUs"


@pytest.mark.skipif(len(cpus()) < 2, reason="needs two CPUs")
def test_servers_of_a_light_cell_run_on_every_cpu_and_those_of_ping_do_not(
    tmp_path: Path, environment: ServingEnvironment
) -> None:
    """With all threads of real servers."""
    arm = app("counting").model_copy(update={"name": "sync"})
    plan = scripted.plan(cells=[("report", 64), ("ping", 64)]).model_copy(update={"arms": (arm,)})
    run, _ = scripted.run(tmp_path, plan, lambda *_: Scripted(), rounds=0)
    costs = (*calibrated("report", "sync", 0.01, 40e-6), *calibrated("ping", "sync", 0.0002, 40e-6))
    own = place(cpus())
    places = Places(run.model_copy(update={"calibrations": costs}), own, shared(own))
    for cell, expected in zip(plan.cells, (cpus(), own["server"]), strict=True):
        with RoundServers(environment, [(arm, "1.a")], placement=places.of(cell)) as servers:
            threads = os.listdir(f"/proc/{servers.take(arm).pid}/task")
            assert {tuple(sorted(os.sched_getaffinity(int(one)))) for one in threads} == {expected}
