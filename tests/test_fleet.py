"""Several generators as one: nothing is lost between their sockets and the file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from time import sleep

import numpy as np
import psutil
import pytest

from loadtests.load.fleet.clocks import ClockOffset, RoundTrip
from loadtests.measure.generator import GeneratorOptions, expect, generator
from loadtests.plan.arms import BUILT_IN
from loadtests.plan.request import Inquiry
from loadtests.records.directory import RunDirectory
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from tests.commands import brisk_here, duel_here
from tests.conftest import APPS
from tests.serving import app, get, loaded, read_samples, request


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with generator(tmp_path_factory.mktemp("logs"), {}, GeneratorOptions(generators=2)) as child:
        child.receive(OWN_BOOT)
        yield child


def listening(process: psutil.Process) -> list[tuple[str, int]]:
    """Addresses and ports."""
    return [
        (found.laddr.ip, found.laddr.port)
        for found in process.net_connections()
        if found.status == psutil.CONN_LISTEN
    ]


def master(fleet: Child) -> psutil.Process:
    """Of the trial that runs or comes next, once it is ready."""
    for _ in range(500):
        with suppress(psutil.Error):
            for process in psutil.Process(fleet.pid).children():
                if len(process.children()) == 2 and listening(process):
                    return process
        sleep(0.02)
    raise AssertionError("no master")


def workers(fleet: Child) -> list[psutil.Process]:
    return master(fleet).children()


@pytest.mark.parametrize(
    "load",
    [{"users": 17, "window": 0.4}, {"users": 200, "rate": 300.0, "arrivals": "poisson"}],
    ids=["closed", "open"],
)
def test_the_server_counts_as_many_requests_as_all_generators_together(
    environment: ServingEnvironment, fleet: Child, tmp_path: Path, load: dict[str, object]
) -> None:
    """Including warm-up and drain; open-loop arrivals are those of one generator, split up."""
    with Server(app("counting"), environment, "1") as server:
        facts = loaded(fleet, server.url, tmp_path / "s.npz", **load)
        samples = read_samples(tmp_path / "s.npz")
        assert len(samples) == int(get(f"{server.url}/count"))
    assert facts["errors"] == []
    assert facts["lost"] == 0
    assert (np.diff(samples.end) >= 0).all()
    inside = (samples.due >= 0) & (samples.due < facts["window"])
    if "rate" in load:
        assert facts["arrivals"] == int(inside.sum()) + facts["dropped"]
        assert facts["arrivals"] == pytest.approx(300 * facts["window"], rel=0.25)


def test_all_generators_share_one_canary_and_one_pulse_and_one_user_can_be_shared(
    environment: ServingEnvironment, fleet: Child, tmp_path: Path
) -> None:
    """The master, which makes no load, sends them; one of two generators has the only user. The app does not
    see the pulse."""
    with Server(app("counting"), environment, "4") as server:
        facts = loaded(
            fleet, server.url, tmp_path / "s.npz", users=1, scenario="sleep", canary=str(tmp_path / "c.npz"),
            pulse=str(tmp_path / "p.npz"), pulse_path=server.pulse,
        )  # fmt: skip
        canary = read_samples(tmp_path / "c.npz")
        load = read_samples(tmp_path / "s.npz")
        assert len(load) + len(canary) == int(get(f"{server.url}/count"))
    for light in (canary, read_samples(tmp_path / "p.npz")):
        due = light.due[(light.due >= 0.0) & (light.due < facts["window"])]
        assert len(due) == pytest.approx(50 * facts["window"], abs=1.5)
        assert light.ok.all()
    assert len(load) > 100


def test_users_of_different_generators_do_not_sign_up_with_the_same_address(
    environment: ServingEnvironment, fleet: Child, tmp_path: Path
) -> None:
    with Server(BUILT_IN["async"], environment, "2") as server:
        facts = loaded(fleet, server.url, tmp_path / "s.npz", scenario="users.create", window=0.4)
    assert facts["errors"] == []


def test_loads_of_one_server_do_not_sign_up_with_the_same_address(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, object]], tmp_path: Path
) -> None:
    """Calibrations and the slices of a capacity search have one seed, and the second one failed."""
    with Server(BUILT_IN["async"], environment, "9") as server:
        for number in range(2):
            facts = loaded(
                locust[0], server.url, tmp_path / "s.npz", scenario="users.create", window=0.3,
                names=f"1/probe/{number}",
            )  # fmt: skip
            assert facts["errors"] == []


def test_generators_warm_up_from_the_first_arrival_on(
    environment: ServingEnvironment, fleet: Child, tmp_path: Path
) -> None:
    """Their schedule begins later than the request comes, and the window opened without any warm-up."""
    with Server(app("counting"), environment, "8") as server:
        loaded(fleet, server.url, tmp_path / "s.npz", users=100, rate=200.0, arrivals="constant", warmup=0.3)
    assert read_samples(tmp_path / "s.npz").due.min() < -0.25


def test_a_killed_generator_makes_the_trial_invalid_and_the_next_one_is_complete(
    environment: ServingEnvironment, fleet: Child, tmp_path: Path
) -> None:
    with Server(app("counting"), environment, "3") as server:
        fleet.send(asdict(request(server.url, tmp_path / "s.npz", window=0.5, drain=1.0)))
        expect(fleet, "opened", 30)
        workers(fleet)[0].kill()
        expect(fleet, "closed", 30)
        expect(fleet, "drained", 120)
        facts = expect(fleet, "done", 120)
        assert facts["lost"] == 1
        assert len(read_samples(tmp_path / "s.npz"))
        assert loaded(fleet, server.url, tmp_path / "s.npz", window=0.3)["lost"] == 0
        assert len(workers(fleet)) == 2


def test_generators_listen_only_on_loopback(fleet: Child) -> None:
    family = [psutil.Process(fleet.pid), master(fleet), *workers(fleet)]
    assert {address for process in family for address, _ in listening(process)} == {"127.0.0.1"}


def test_generators_end_when_their_master_is_killed(tmp_path: Path) -> None:
    with generator(tmp_path, {}, GeneratorOptions(generators=2)) as child:
        child.receive(OWN_BOOT)
        family = workers(child)
        assert len(family) == 2
        child._process.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_names_that_generators_number_differently_are_merged(tmp_path: Path) -> None:
    """Each numbers endpoints and errors in order of appearance."""
    code = (
        "import json, numpy as np\n"
        "from dataclasses import replace\n"
        "from loadtests.load.fleet.merging import merged\n"
        "from loadtests.records.arrays import packed, table\n"
        "from loadtests.records.samples import SAMPLE_ROW, Samples\n"
        "def part(endpoint, error, end, endpoints, errors):\n"
        "    n = len(end)\n"
        "    at = np.array(end, dtype=float)\n"
        "    made = Samples(due=at, start=at, end=at, size=np.zeros(n, 'u4'), status=np.zeros(n, 'u2'),\n"
        "                   endpoint=np.array(endpoint, dtype='u2'), error=np.array(error, dtype='u2'))\n"
        "    rows = table(made, SAMPLE_ROW)\n"
        "    return {'samples': packed(rows), 'rows': n, 'endpoints': endpoints, 'errors': errors}\n"
        "whole, endpoints, errors = merged([\n"
        "    part([0, 1], [0, 1], [1, 3], ['a', 'b'], ['X']),\n"
        "    part([0, 1], [2, 1], [2, 4], ['b', 'a'], ['X', 'Y']),\n"
        "])\n"
        "rows = [(endpoints[e], errors[k - 1] if k else '', t)\n"
        "        for e, k, t in zip(whole.endpoint.tolist(), whole.error.tolist(), whole.end.tolist())]\n"
        "print(json.dumps({'rows': rows}), flush=True)\n"
    )
    with Child("merging", ["-c", code], tmp_path / "log", OUR_PACKAGES) as child:
        rows = child.receive(OWN_BOOT)["rows"]
    assert rows == [["a", "", 1], ["b", "Y", 2], ["b", "X", 3], ["a", "X", 4]]


def test_the_clock_of_another_host_is_compared_by_the_fastest_answer() -> None:
    """The other clock is 100 s ahead; two answers were delayed by 40 ms on one of their ways."""
    pings = [RoundTrip(1.00, 101.001, 1.042), RoundTrip(2.0, 102.001, 2.002), RoundTrip(3.00, 103.041, 3.042)]
    found = ClockOffset.of(pings)
    assert found.error == pytest.approx(0.001)
    assert found.seconds == pytest.approx(100.0, abs=found.error)


def test_clocks_that_agree_within_their_error_are_one() -> None:
    """Processes of one host share its clock: their windows must not be moved by what a message took."""
    assert ClockOffset.of([RoundTrip(1.0, 1.0004, 1.001)]).seconds == 0.0
    assert ClockOffset.of([RoundTrip(1.0, 1.0016, 1.001)]).seconds == pytest.approx(0.0011)


def test_a_run_with_two_generators_counts(tmp_path: Path, unseeded: None) -> None:
    done = brisk_here(
        "run", "--app-dir", str(APPS), "-s", "ping", "-u", "8", "-t", "0.4", "--warmup", "0.1",
        "--rounds", "1", "--generators", "2", "--arm", "fast=limiter:fast", "--arm", "slow=limiter:slow",
        "--json", "-", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdicts"]
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert run.plan.generators == 2
    assert {trial.lost for trial in run.trials} == {0}
    assert all(trial.arrays.samples.rows for trial in run.trials)


def test_more_generators_than_users_are_one_clear_error(tmp_path: Path) -> None:
    done = duel_here("run", "-u", "1", "--generators", "2", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "more generators (2) than users (1)" in done.stderr


STRANGER = """
import sys
from locust.rpc.protocol import Message
from locust.rpc.zmqrpc import Client
client = Client("127.0.0.1", int(sys.argv[1]), "stranger")
for kind in ("client_ready", "duel-join", "duel-warm", "duel-done"):
    client.send(Message(kind, {"rate": 1e9, "failed": "forged", "samples": b""}, "stranger"))
import gevent
gevent.sleep(1.0)
"""


def test_messages_of_foreign_processes_on_this_machine_are_not_counted(
    environment: ServingEnvironment, fleet: Child, tmp_path: Path
) -> None:
    """Locust's master accepts messages from any client; a forged one would end the trial as failed. Ours
    accepts those that know its secret."""
    ((_, port),) = listening(master(fleet))
    stranger = subprocess.Popen([sys.executable, "-P", "-c", STRANGER, str(port)])
    try:
        with Server(app("counting"), environment, "6") as server:
            light = {"users": 4, "rate": 50.0, "arrivals": "constant"}
            facts = loaded(fleet, server.url, tmp_path / "s.npz", window=2.0, **light)
    finally:
        stranger.wait(timeout=30)
    assert stranger.returncode == 0
    assert facts["errors"] == []
    assert read_samples(tmp_path / "s.npz").ok.all()


def test_a_fleet_answers_an_inquiry_with_one_user_alone(
    environment: ServingEnvironment, fleet: Child, tmp_path: Path
) -> None:
    with Server(app("counting"), environment, "1.inquiry") as server:
        fleet.send(asdict(Inquiry(server.url, "ping", 1, budget=0.0, answers=str(tmp_path / "a.json"))))
        expect(fleet, "done", 30.0)
        assert get(f"{server.url}/count") == b"2"
    assert [answer["endpoint"] for answer in json.loads((tmp_path / "a.json").read_text())] == ["ping"] * 2
