"""Several generators as one: nothing lost between their sockets and the file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from loadtests.bench import Making, expect, generator
from loadtests.plan import BUILT_IN
from loadtests.processes import OUR_PACKAGES, Child
from loadtests.records import RunDirectory, read_samples
from loadtests.servers import BOOT_TIMEOUT, Server, Surroundings
from tests.conftest import APPS
from tests.serving import app, get, loaded
from tests.test_cli import duel, measured


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with Surroundings(tmp_path_factory.mktemp("logs"), {}) as surroundings:
        yield surroundings


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    with generator(tmp_path_factory.mktemp("logs"), {}, Making(generators=2)) as child:
        child.receive(BOOT_TIMEOUT)
        yield child


def workers(fleet: Child) -> list[psutil.Process]:
    return psutil.Process(fleet.pid).children()


@pytest.mark.parametrize(
    "load", [{"users": 17}, {"users": 200, "rate": 300.0, "arrivals": "poisson"}], ids=["closed", "open"]
)
def test_the_server_counts_as_many_requests_as_all_generators_together(
    around: Surroundings, fleet: Child, tmp_path: Path, load: dict[str, object]
) -> None:
    """Warm-up and drain included; and an open load's arrivals are those of one generator, shared out."""
    with Server(app("counting"), around, "1") as server:
        facts = loaded(fleet, server.url, tmp_path / "s.npz", **load)
        samples = read_samples(tmp_path / "s.npz")
        assert len(samples) == int(get(f"{server.url}/count"))
    assert facts["errors"] == []
    assert facts["lost"] == 0
    assert (np.diff(samples.end) >= 0).all()
    inside = (samples.due >= 0) & (samples.due < facts["window"])
    if "rate" in load:
        assert facts["arrivals"] == int(inside.sum())
        assert facts["arrivals"] == pytest.approx(300 * facts["window"], rel=0.25)


def test_one_canary_sings_beside_all_generators_and_one_user_can_be_shared(
    around: Surroundings, fleet: Child, tmp_path: Path
) -> None:
    """The master sends it, who makes no load; of two generators one has the only user."""
    with Server(app("counting"), around, "4") as server:
        facts = loaded(
            fleet, server.url, tmp_path / "s.npz", users=1, scenario="sleep", canary=str(tmp_path / "c.npz")
        )
        canary = read_samples(tmp_path / "c.npz")
        load = read_samples(tmp_path / "s.npz")
        assert len(load) + len(canary) == int(get(f"{server.url}/count"))
    due = canary.due[(canary.due >= 0.0) & (canary.due < facts["window"])]
    assert len(due) == pytest.approx(50 * facts["window"], abs=1.5)
    assert len(load) > 100


def test_users_of_different_generators_do_not_sign_up_with_the_same_address(
    around: Surroundings, fleet: Child, tmp_path: Path
) -> None:
    with Server(BUILT_IN["async"], around, "2") as server:
        facts = loaded(fleet, server.url, tmp_path / "s.npz", scenario="users.create")
    assert facts["errors"] == []


def test_a_generator_that_is_killed_makes_the_trial_invalid_and_the_next_one_is_whole(
    around: Surroundings, fleet: Child, tmp_path: Path
) -> None:
    with Server(app("counting"), around, "3") as server:
        order = {
            "host": server.url, "scenario": "ping", "users": 8, "warmup": 0.3, "window": 1.0, "drain": 1.0,
            "seed": 1, "samples": str(tmp_path / "s.npz"),
        }  # fmt: skip
        fleet.send(order)
        expect(fleet, "opened", 30)
        workers(fleet)[0].kill()
        expect(fleet, "closed", 30)
        facts = expect(fleet, "done", 120)
        assert facts["lost"] == 1
        assert len(read_samples(tmp_path / "s.npz"))
        assert loaded(fleet, server.url, tmp_path / "s.npz")["lost"] == 0
        assert len(workers(fleet)) == 2


def test_generators_listen_on_loopback_alone(fleet: Child) -> None:
    family = [psutil.Process(fleet.pid), *workers(fleet)]
    listening = [c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening
    assert set(listening) == {"127.0.0.1"}


def test_generators_go_when_their_master_is_killed(tmp_path: Path) -> None:
    with generator(tmp_path, {}, Making(generators=2)) as child:
        child.receive(BOOT_TIMEOUT)
        family = workers(child)
        assert len(family) == 2
        child._process.kill()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_names_that_generators_number_differently_are_put_together(tmp_path: Path) -> None:
    """Each numbers endpoints and errors as it met them."""
    code = (
        "import json, numpy as np\n"
        "from dataclasses import replace\n"
        "from loadtests.fleet import merged, packed\n"
        "from loadtests.records import Samples\n"
        "def part(endpoint, error, end, endpoints, errors):\n"
        "    n = len(end)\n"
        "    at = np.array(end, dtype=float)\n"
        "    kinds = [np.zeros(n, 'u2'), np.zeros(n, 'u4'), np.array(error, dtype='u2')]\n"
        "    made = Samples(np.array(endpoint, dtype='u2'), at, at, at, *kinds)\n"
        "    return {'samples': packed(made), 'endpoints': endpoints, 'errors': errors}\n"
        "whole, endpoints, errors = merged([\n"
        "    part([0, 1], [0, 1], [1, 3], ['a', 'b'], ['X']),\n"
        "    part([0, 1], [2, 1], [2, 4], ['b', 'a'], ['X', 'Y']),\n"
        "])\n"
        "rows = [(endpoints[e], errors[k - 1] if k else '', t)\n"
        "        for e, k, t in zip(whole.endpoint.tolist(), whole.error.tolist(), whole.end.tolist())]\n"
        "print(json.dumps({'rows': rows}), flush=True)\n"
    )
    with Child("merging", ["-c", code], tmp_path / "log", OUR_PACKAGES) as child:
        rows = child.receive(BOOT_TIMEOUT)["rows"]
    assert rows == [["a", "", 1], ["b", "Y", 2], ["b", "X", 3], ["a", "X", 4]]


def test_a_run_with_two_generators_counts(tmp_path: Path) -> None:
    done = measured(
        "--app-dir", str(APPS), "-s", "ping", "-u", "8", "-t", "1", "--warmup", "0.3",
        "--rounds", "1", "--generators", "2", "--arm", "fast=gate:fast", "--arm", "slow=gate:slow",
        "--json", "-", cwd=tmp_path,
    )  # fmt: skip
    assert json.loads(done.stdout)["verdicts"]
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert run.plan.generators == 2
    assert {trial.lost for trial in run.trials} == {0}
    assert run.ceilings["ping"] > 1000


def test_more_generators_than_users_are_one_clear_error(tmp_path: Path) -> None:
    done = duel("run", "-u", "1", "--generators", "2", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "2 generators cannot share 1 user" in done.stderr


STRANGER = """
import sys
from locust.rpc.protocol import Message
from locust.rpc.zmqrpc import Client
client = Client("127.0.0.1", int(sys.argv[1]), "stranger")
for token in (None, "", "guess"):
    for kind in ("duel-warm", "duel-done"):
        data = {"part": 0, "rate": 1e9, "failed": "forged", "samples": b"", "token": token}
        client.send(Message(kind, data, "stranger"))
import gevent
gevent.sleep(1.0)
"""


def test_what_a_stranger_on_this_machine_answers_is_not_counted(
    around: Surroundings, fleet: Child, tmp_path: Path
) -> None:
    """Locust's master listens to whoever connects; a forged answer would end the trial as failed."""
    connections = psutil.Process(fleet.pid).net_connections()
    (port,) = {found.laddr.port for found in connections if found.status == psutil.CONN_LISTEN}
    stranger = subprocess.Popen([sys.executable, "-P", "-c", STRANGER, str(port)])
    try:
        with Server(app("counting"), around, "6") as server:
            facts = loaded(fleet, server.url, tmp_path / "s.npz", users=4, window=2.0)
    finally:
        stranger.wait(timeout=30)
    assert stranger.returncode == 0
    assert facts["errors"] == []
    assert read_samples(tmp_path / "s.npz").ok.all()
