"""Servers that others started, and where load may go: to this machine, unless more is allowed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.answers.equality import ask
from loadtests.measure.answers.questions import SOCKET, Question
from loadtests.plan.addresses import check_target, is_loopback
from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.plan.options import Hooks
from loadtests.records import ServerEnd
from loadtests.records.directory import RunDirectory
from loadtests.serving.databases.keeping import free_port
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import ExternalServer
from loadtests.serving.server import Server, serve
from loadtests.system.accounting import ClockReading, Clocks
from loadtests.system.processes import OUR_PACKAGES
from tests.commands import brisk_here, carried_out, duel, duel_here
from tests.conftest import APPS
from tests.serving import app, get, name_a_proxy

SHORT = ("-u", "4", "-t", "0.3", "--warmup", "0.1", "--rounds", "1")


@contextmanager
def running(name: str) -> Iterator[str]:
    """The address of an external server."""
    command = ["-m", "uvicorn", f"odd:{name}", "--app-dir", str(APPS), "--port", "0", "--no-access-log"]
    words = [sys.executable, "-P", *command]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        if process.stderr is None:
            raise AssertionError("Popen was given a pipe")
        line = next(line for line in process.stderr if "running on" in line)
        address = line.split("running on ")[1].split()[0]
        try:
            yield address
        finally:
            process.terminate()
            process.wait()


def test_external_servers_are_arms_and_the_report_states_the_limitations(tmp_path: Path) -> None:
    with running("counting") as one, running("counting") as other:
        done = brisk_here(
            "run", "-s", "ping", *SHORT, "--arm", f"one={one}", "--arm", f"other={other}",
            cwd=tmp_path,
        )  # fmt: skip
        carried_out(done.returncode, done.stderr)
        assert "external servers" in done.stdout
        (where,) = (tmp_path / "runs").iterdir()
        run = RunDirectory(where).load()
        # Found by its port, so that its CPU time is known, and does not count as foreign work.
        assert all(trial.resources.server_rss for trial in run.trials)
        assert all(trial.resources.server_cpu is not None for trial in run.trials)
        assert all(trial.resources.host_foreign is not None for trial in run.trials)
        # External servers are still running.
        assert get(f"{one}/count")
        assert get(f"{other}/count")


def test_the_work_of_a_known_server_is_its_own_and_that_of_an_unknown_one_is_not_called_foreign() -> None:
    """Of 1.1 seconds of work the server did 0.9, we did 0.1, and another program the rest."""
    us, it = 1, 2
    start = ClockReading(
        at=0.0, host=(10.0, 0.0, 8.0), ours={1: 2.0}, server=1.5, spent={us: (2.0, 0.0), it: (1.5, 0.0)}
    )
    end = ClockReading(
        at=1.0, host=(12.0, 0.0, 8.9), ours={1: 2.1}, server=2.4, spent={us: (2.1, 0.0), it: (2.4, 0.0)}
    )
    use = Clocks([]).between(start, end)
    assert use.server_cpu == pytest.approx(0.9)
    assert use.host_foreign == pytest.approx(0.1)
    unknown = [replace(one, server=None, known=False) for one in (start, end)]
    assert Clocks([]).between(*unknown).host_foreign is None


def test_a_server_that_is_not_running_is_one_clear_error(tmp_path: Path, unseeded: None) -> None:
    done = duel_here(
        "run", "-s", "ping", *SHORT[:-1], "4", "--arm", "a=http://127.0.0.1:9", "--arm", "sync", cwd=tmp_path
    )
    assert done.returncode == 5
    assert "does not accept connections on http://127.0.0.1:9" in done.stderr
    assert "start the server first" in done.stderr


def test_a_server_is_requested_by_its_address_regardless_of_its_name(environment: ServingEnvironment) -> None:
    """Names are resolved for every connection, and may change in between."""
    with running("counting") as address:
        arm = Arm(name="one", app=address.replace("127.0.0.1", "localhost") + "/v1/")
        with ExternalServer(arm, environment) as server:
            assert server.url == f"{address}/v1"


def test_no_question_of_ours_goes_through_a_proxy_that_the_environment_names(
    environment: ServingEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_a_proxy(monkeypatch)
    questions = (
        Question("GET", "/upstream?seconds=0.001"),
        Question(SOCKET, "/plumbing/websocket?seconds=0.001", messages=("Is it late?",)),
    )
    with Server(BUILT_IN["sync"], environment, "3.proxy") as server:
        assert [reply.status for reply in ask(server, questions)] == [200, 101]
    assert len(environment.delays_given("3.proxy")) == 1


RESTARTING = """
import os, socket, sys, time
if os.fork() == 0:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1), os.dup2(nowhere, 2)
    time.sleep(0.5)
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
        server.settimeout(60)
        server.accept()
"""
"""A command that returns before the server that it starts accepts connections."""


def test_a_server_that_the_command_before_it_starts_is_awaited(tmp_path: Path) -> None:
    port = free_port()
    hooks = Hooks(before_trial=(sys.executable, "-c", RESTARTING, str(port)))
    environment = ServingEnvironment(tmp_path, {}, hooks=hooks, boot_timeout=60.0)
    with ExternalServer(Arm(name="one", app=f"http://127.0.0.1:{port}"), environment) as server:
        assert server.url == f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "arm", [Arm(name="one", app="http://127.0.0.1:9"), app("counting", python="/no/such/python")]
)
def test_the_command_after_a_server_runs_where_that_cannot_be_started(
    environment: ServingEnvironment, arm: Arm, tmp_path: Path
) -> None:
    """The command before it may have changed what the other one restores."""
    mine, after = copy(environment), tmp_path / "after"
    mine.hooks, mine.boot_timeout = Hooks(("true",), ("touch", str(after))), 0.2
    with pytest.raises(ChildFailed):
        serve(arm, mine, "e.1")
    assert after.exists()


def test_other_verbs_do_not_connect_to_other_machines_either(tmp_path: Path) -> None:
    checked = duel_here("check", "--arm", "a=http://192.0.2.1:9000", "--arm", "sync", cwd=tmp_path)
    assert checked.returncode == 2
    assert "not a loopback address" in checked.stderr
    for address in ("http://127.0.0.1:9000", "http://192.0.2.1:9000"):
        served = duel_here("serve", f"a={address}", cwd=tmp_path)
        assert served.returncode == 2
        assert "is an external server" in served.stderr


@pytest.mark.parametrize("verb", ["run", "capacity", "resume", "prove", "check", "worker"])
def test_verbs_that_say_to_pass_allow_remote_have_it(tmp_path: Path, verb: str) -> None:
    assert "--allow-remote" in duel_here(verb, "--help", cwd=tmp_path).stdout


def test_a_port_that_is_taken_is_one_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = duel("serve", "sync", "--port", port, cwd=tmp_path)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_restarted_server_is_a_different_one(environment: ServingEnvironment) -> None:
    with running("counting") as address:
        with ExternalServer(Arm(name="one", app=address), environment) as server:
            assert server.pid is not None
            assert server.ended() is None
    assert server.ended() == ServerEnd(during="load")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://0.0.0.0:9000", "not a loopback address"),
        ("http://[::]:9000", "not a loopback address"),
        ("http://192.0.2.1:9000", "not a loopback address"),
        ("http://[::ffff:192.0.2.1]:9000", "not a loopback address"),
        ("https://127.0.0.1:9000", "not http://host:port"),
        ("ftp://127.0.0.1", "not http://host:port"),
        ("http://127.0.0.1:99999", "cannot be read"),
        ("http://127.0.0.1:0", "has no port"),
        ("http://no-such-host.invalid", "has no address"),
        ("http://ada:secret@127.0.0.1", "holds more than"),
        ("http://127.0.0.1/?token=secret", "holds more than"),
    ],
)
def test_load_goes_to_loopback_addresses_and_secrets_stay_out_of_them(address: str, message: str) -> None:
    with pytest.raises(PlanError, match=message) as refused:
        check_target(address)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9000", "http://[::1]:9000/v1", "http://localhost:80"])
def test_loopback_addresses_are_arms(address: str) -> None:
    check_target(address)


def test_other_machines_are_arms_if_allowed() -> None:
    check_target("http://192.0.2.1:9000", allow_remote=True)


FAR = ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "", "x"]  # noqa: S104  # not bound to


def test_every_loopback_address_is_one_and_no_other() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::1%lo"]))
    assert not any(map(is_loopback, FAR))


GUARDED = """
import socket, sys
from loadtests.load.guard import guard
guard()
FAR = (socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "2001:db8::1")
for family, address in FAR:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            socket.socket(family, kind).connect_ex((address, 9))
        except PermissionError:
            continue
        except OSError as error:
            sys.exit(f"{address}: {error}")
        sys.exit(f"connected to {address}")
socket.socket().connect_ex(("127.0.0.1", 9))
"""


def test_a_guarded_process_connects_only_to_loopback() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", GUARDED], env={**os.environ, **OUR_PACKAGES},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
