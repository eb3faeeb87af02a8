"""Somebody else's apps, servers, scenarios and commands."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from loadtests.addresses import check_target, is_loopback
from loadtests.bench import Making, ScenarioFailed, generator, known_scenarios
from loadtests.plan import Arm, PlanError
from loadtests.processes import OUR_PACKAGES, Child, ChildFailed
from loadtests.records import RunDirectory, read_samples
from loadtests.servers import BOOT_TIMEOUT, Running, Server, Surroundings
from tests.conftest import APPS
from tests.serving import app, get, loaded
from tests.test_cli import carried_out, duel

LOAD = APPS / "own_load.py"
EXAMPLES = APPS.parent.parent / "examples"
PATIENT = 20.0
"""Seconds for the last answers, where other tests run beside these."""
SHORT = ("-u", "4", "-t", "0.5", "--warmup", "0.3", "--rounds", "1")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A generator of somebody's own scenarios."""
    with generator(tmp_path_factory.mktemp("logs"), {}, Making(scenarios=str(LOAD), canary=None)) as child:
        child.receive(BOOT_TIMEOUT)
        yield child


@pytest.mark.alone
def test_the_example_runs_as_its_page_says_and_the_canary_sings(tmp_path: Path) -> None:
    """From the examples' own directory, with all that a run of our twins has: vitals, cards, charts."""
    done = duel(
        "run", "--arm", "before=shop.sync_main:app", "--arm", "after=shop.main:create_app",
        "--scenarios", "shop_load.py", "--canary", "/health", *SHORT, "-o", str(tmp_path), "--json", "-",
        cwd=EXAMPLES,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    told = json.loads(done.stdout)
    assert {verdict["scenario"] for verdict in told["verdicts"]} == {"Reader", "Buyer"}
    assert {verdict["endpoint"] for verdict in told["verdicts"]} >= {"all", "read_article", "create_order"}
    (where,) = tmp_path.iterdir()
    directory = RunDirectory(where)
    run = directory.load()
    assert run.plan.scenarios is not None
    assert {found.scenario for found in run.calibrations} == {"canary", "Reader", "Buyer"}
    for trial in run.trials:
        beats, canary = directory.beats(trial), directory.canary(trial)
        assert beats is not None
        assert canary is not None
        assert len(beats)
        assert canary.ok.all()
    assert (where / "report" / "report.html").exists()


CLOSED: dict[str, object] = {}
OPEN: dict[str, object] = {"rate": 50.0, "arrivals": "constant"}


@pytest.mark.parametrize(
    ("scenario", "load"),
    [
        *((name, CLOSED) for name in ("Stock", "Fast", "Thinker", "Sequence", "Reading")),
        *((name, OPEN) for name in ("Stock", "Fast", "Thinker", "Reading")),
    ],
)
def test_locusts_own_users_make_load_as_they_do_in_locust(
    around: Surroundings, own: Child, tmp_path: Path, scenario: str, load: dict[str, object]
) -> None:
    with Server(app("counting"), around, "1.own") as server:
        facts = loaded(own, server.url, tmp_path / "s.npz", scenario=scenario, drain=PATIENT, **load)
    samples = read_samples(tmp_path / "s.npz")
    assert samples.ok.all(), (facts["endpoints"], facts["errors"])
    assert len(samples) > 20
    assert facts["thinks"] == (scenario == "Thinker")
    kinds = {"Stock": "HttpUser", "Sequence": "HttpUser", "Fast": "FastHttpUser"}
    assert facts["client"] == kinds.get(scenario, "LeanUser")
    if scenario == "Thinker" and not load:
        # Eight users who wait for 20 ms each time: 400 a second at most.
        assert len(samples) / (facts["warmup"] + facts["window"] + facts["drain"]) <= 400


def test_a_redirect_to_another_machine_leads_nowhere(
    around: Surroundings, own: Child, tmp_path: Path
) -> None:
    with Server(app("sending_away"), around, "1.away") as server:
        facts = loaded(own, server.url, tmp_path / "s.npz", scenario="Wanderer", users=1)
    assert not read_samples(tmp_path / "s.npz").ok.any()
    assert any("loopback addresses only" in error for error in facts["errors"])


def test_a_scenario_that_raises_is_told_and_the_next_one_runs(
    around: Surroundings, own: Child, tmp_path: Path
) -> None:
    with Server(app("counting"), around, "1.crash") as server:
        with pytest.raises(ScenarioFailed, match="a fault of the scenario's"):
            loaded(own, server.url, tmp_path / "s.npz", scenario="Crashing")
        loaded(own, server.url, tmp_path / "s.npz", scenario="Fast", drain=PATIENT)
    assert read_samples(tmp_path / "s.npz").ok.all()


def test_what_scenarios_are_is_told_before_they_run() -> None:
    found = known_scenarios(str(LOAD))
    assert list(found) == ["Stock", "Fast", "Thinker", "Sequence", "Reading", "Wanderer", "Crashing"]
    assert {name for name, of in found.items() if of["thinks"]} == {"Thinker"}
    assert {name for name, of in found.items() if not of["plain"]} == {"Sequence"}
    assert found["Stock"]["about"] == "Locust's usual user, who logs in first."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("x = 1\n", "holds no Locust user"),
        ("import nowhere_to_be_found\n", "No module named"),
        (
            "from locust import HttpUser, task\nclass A(HttpUser):\n    scenario = 'a b'\n"
            "    @task\n    def t(self): ...\n",
            "cannot be a scenario's name",
        ),
        ("from locust import HttpUser\nclass A(HttpUser):\n    pass\n", "has no tasks"),
    ],
)
def test_a_file_without_scenarios_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "load.py").write_text(content)
    done = duel("run", "--scenarios", "load.py", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr.splitlines()[0]


def test_scenarios_are_picked_by_name_and_a_wrong_name_gets_the_nearest(tmp_path: Path) -> None:
    chosen = duel("run", "--scenarios", str(LOAD), "-s", "Fast", "-u", "3", "--dry-run", cwd=tmp_path)
    assert chosen.returncode == 0, chosen.stderr
    assert "Fast" in chosen.stdout
    assert "Stock" not in chosen.stdout
    wrong = duel("run", "--scenarios", str(LOAD), "-s", "Fats", "--dry-run", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean Fast" in wrong.stderr
    sets = duel("run", "--scenarios", str(LOAD), "-s", "Sequence", "--rate", "50", "--dry-run", cwd=tmp_path)
    assert sets.returncode == 2
    assert "cannot arrive at a rate" in sets.stderr


@contextmanager
def running(name: str) -> Iterator[str]:
    """A server that somebody else runs: its address."""
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


@pytest.mark.alone
def test_servers_that_run_already_are_arms_and_the_report_says_what_that_takes(tmp_path: Path) -> None:
    with running("counting") as one, running("counting") as other:
        done = duel(
            "run", "-s", "ping", *SHORT, "--arm", f"one={one}", "--arm", f"other={other}", cwd=tmp_path
        )
        carried_out(done.returncode, done.stderr)
        assert "servers that ran already" in done.stdout
        (where,) = (tmp_path / "runs").iterdir()
        run = RunDirectory(where).load()
        # Known by who listens there, so that its work is not taken for somebody else's.
        assert all(trial.vitals.server_rss for trial in run.trials)
        assert not any("other processes" in fault for trial in run.trials for fault in trial.invalid)
        # Nobody stopped what was not ours.
        assert get(f"{one}/count")
        assert get(f"{other}/count")


def test_a_server_that_does_not_run_is_one_clear_error(tmp_path: Path) -> None:
    done = duel("run", "-s", "ping", *SHORT, "--arm", "a=http://127.0.0.1:9", "--arm", "sync", cwd=tmp_path)
    assert done.returncode == 5
    assert "does not answer on http://127.0.0.1:9" in done.stderr
    assert "start the server first" in done.stderr


def test_a_server_is_asked_by_its_address_whatever_its_name(around: Surroundings) -> None:
    """Names are looked up anew for every connection, and may lead elsewhere then."""
    with running("counting") as address:
        arm = Arm(name="one", app=address.replace("127.0.0.1", "localhost") + "/v1/")
        with Running(arm, around) as server:
            assert server.url == f"{address}/v1"


def test_other_verbs_do_not_reach_other_machines_either(tmp_path: Path) -> None:
    checked = duel("check", "--arm", "a=http://192.0.2.1:9000", "--arm", "sync", cwd=tmp_path)
    assert checked.returncode == 2
    assert "not a loopback address" in checked.stderr
    served = duel("serve", "a=http://127.0.0.1:9000", cwd=tmp_path)
    assert served.returncode == 2
    assert "runs already" in served.stderr


def test_a_port_that_somebody_else_holds_is_one_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = duel("serve", "sync", "--port", port, cwd=tmp_path)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_was_started_again_is_another_one(around: Surroundings) -> None:
    with running("counting") as address:
        with Running(Arm(name="one", app=address), around) as server:
            before = server.identity
            assert before is not None
            assert server.identity == before
    assert server.identity is None


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


def test_other_machines_are_arms_where_somebody_says_so() -> None:
    check_target("http://192.0.2.1:9000", allow_remote=True)


FAR = ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "", "x"]  # noqa: S104  # not bound to


def test_every_loopback_address_is_one_and_no_other() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "::1%lo"]))
    assert not any(map(is_loopback, FAR))


GUARDED = """
import socket, sys
from loadtests.addresses import guard
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


def test_a_guarded_process_connects_to_loopback_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", GUARDED], env={**os.environ, **OUR_PACKAGES},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_commands_are_run_before_and_after_every_server(tmp_path: Path) -> None:
    """Theirs are the arm's name, environment and directory."""
    (tmp_path / "there").mkdir()
    note = tmp_path / "note.py"
    note.write_text(
        "import os, sys\nopen('said', 'a').write(os.environ['DUEL_ARM'] + os.environ['MODE'] + sys.argv[1])\n"
    )
    before, after = (shlex.join([sys.executable, str(note), f"{sign} "]) for sign in "+-")
    arm = f"=odd:counting,cwd={tmp_path / 'there'},env.MODE="
    done = duel(
        "run", "-s", "ping", *SHORT, "--app-dir", str(APPS), "--arm", f"a{arm}x", "--arm", f"b{arm}y",
        "--before-trial", before, "--after-trial", after, cwd=tmp_path,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    said = (tmp_path / "there" / "said").read_text().split()
    assert said[:4] == ["ax+", "ax-", "by+", "by-"]
    assert said[0::2] == [word.replace("-", "+") for word in said[1::2]]
    assert {word[0] for word in said[4:]} == {"a", "b"}
    # A command's words may hold a password.
    (where,) = (tmp_path / "runs").iterdir()
    assert "note.py" not in (where / "run.json").read_text()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("sh -c 'echo no table >&2; exit 3'", "exit code 3"),
        ("no-such-command-here", "cannot be run"),
    ],
)
def test_a_command_that_fails_ends_the_run_and_says_why(tmp_path: Path, command: str, message: str) -> None:
    done = duel("run", "-s", "ping", *SHORT, "--before-trial", command, cwd=tmp_path)
    assert done.returncode == 5
    assert message in done.stderr
    assert ("no table" in done.stderr) == ("sh" in command)


def test_an_arm_is_served_by_the_interpreter_and_in_the_directory_it_names(
    tmp_path: Path, around: Surroundings
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$PWD" >> "{tmp_path}/started"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    there = tmp_path / "there"
    there.mkdir()
    with Server(app("counting", python=str(python), cwd=str(there)), around, "1.python"):
        pass
    assert (tmp_path / "started").read_text().split() == [str(there)]
    with pytest.raises(ChildFailed, match="cannot be started"):
        Server(app("counting", python=str(tmp_path / "no-python")), around, "1.none")
    with pytest.raises(ChildFailed, match="cannot be started"):
        Server(app("counting", cwd=str(tmp_path / "nowhere")), around, "1.nowhere")


def test_latencies_of_a_first_arrival_hold_what_its_user_does_once(
    around: Surroundings, own: Child, tmp_path: Path
) -> None:
    """A request counts from its due moment, whatever had to come first."""
    with Server(app("counting"), around, "1.login") as server:
        loaded(own, server.url, tmp_path / "s.npz", scenario="Stock", rate=20.0, arrivals="constant")
    samples = read_samples(tmp_path / "s.npz")
    looks = samples.endpoint == 1
    assert np.all(samples.start[looks] >= samples.due[looks])
