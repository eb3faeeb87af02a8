"""The user's own apps, servers, scenarios and commands."""

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

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure import planning
from loadtests.measure.generator import GeneratorOptions, ScenarioFailed, generator, known_scenarios
from loadtests.plan.addresses import check_target, is_loopback
from loadtests.plan.arms import Arm
from loadtests.plan.options import Hooks
from loadtests.records import ServerEnd
from loadtests.records.directory import RunDirectory
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import ExternalServer
from loadtests.serving.hooks import run_before
from loadtests.serving.server import Server
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from tests.commands import brisk_here, carried_out, duel, duel_here, judged_here
from tests.conftest import APPS
from tests.serving import app, get, loaded, read_samples

LOAD = APPS / "own_load.py"
EXAMPLES = APPS.parent.parent / "examples"
PATIENT = 20.0
"""Seconds for the last responses, as other tests run in parallel."""
SHORT = ("-u", "4", "-t", "0.5", "--warmup", "0.3", "--rounds", "1")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A generator with a locustfile."""
    with generator(
        tmp_path_factory.mktemp("logs"), {}, GeneratorOptions(locustfile=str(LOAD), canary=None)
    ) as child:
        child.receive(OWN_BOOT)
        yield child


def test_the_example_runs_as_documented_with_a_canary(tmp_path: Path) -> None:
    """From the examples' own directory, with everything a run of the twins has: heartbeats, cards, charts."""
    done = brisk_here(
        "run", "--arm", "before=shop.sync_main:app", "--arm", "after=shop.main:create_app",
        "--locustfile", "shop_load.py", "--canary", "/health", *SHORT, "-o", str(tmp_path), "--json", "-",
        cwd=EXAMPLES, charts=True,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    told = json.loads(done.stdout)
    assert {verdict["scenario"] for verdict in told["verdicts"]} == {"Reader", "Buyer"}
    assert {verdict["endpoint"] for verdict in told["verdicts"]} >= {"all", "read_article", "create_order"}
    (where,) = tmp_path.iterdir()
    directory = RunDirectory(where)
    run = directory.load()
    assert run.plan.locustfile is not None
    assert {found.scenario for found in run.calibrations} == {"canary", "Reader", "Buyer"}
    assert {name: found.threads for name, found in run.in_force.items()} == {"before": 40, "after": 40}
    for trial in run.trials:
        beats, canary = directory.heartbeats(trial), directory.canary(trial)
        assert beats is not None
        assert canary is not None
        assert len(beats)
        assert canary.ok.all()
    assert (where / "report" / "report.html").exists()


@pytest.fixture(scope="module")
def counting(environment: ServingEnvironment) -> Iterator[Server]:
    """A server that answers everything."""
    with Server(app("counting"), environment, "1.own") as server:
        yield server


CLOSED: dict[str, object] = {"warmup": 0.1, "window": 0.3}
OPEN: dict[str, object] = {"warmup": 0.1, "window": 0.6, "rate": 50.0, "arrivals": "constant"}


@pytest.mark.parametrize(
    ("scenario", "load"),
    [
        *((name, CLOSED) for name in ("Stock", "Fast", "Thinker", "Sequence", "Reading")),
        *((name, OPEN) for name in ("Stock", "Fast", "Thinker", "Reading")),
    ],
)
def test_locusts_own_users_make_load_as_they_do_in_locust(
    counting: Server, own: Child, tmp_path: Path, scenario: str, load: dict[str, object]
) -> None:
    facts = loaded(own, counting.url, tmp_path / "s.npz", scenario=scenario, drain=PATIENT, **load)
    samples = read_samples(tmp_path / "s.npz")
    assert samples.ok.all(), (facts["endpoints"], facts["errors"])
    assert len(samples) > 20
    assert facts["thinks"] == (scenario == "Thinker")
    kinds = {"Stock": "HttpUser", "Sequence": "HttpUser", "Fast": "FastHttpUser"}
    assert facts["client"] == kinds.get(scenario, "LeanUser")
    if scenario == "Thinker" and load is CLOSED:
        # Eight users that wait for 20 ms each time: at most 400 requests per second.
        assert len(samples) / (facts["warmup"] + facts["window"] + facts["drain"]) <= 400


def test_the_weights_of_tasks_are_the_shares_of_their_endpoints(
    counting: Server, own: Child, tmp_path: Path
) -> None:
    facts = loaded(own, counting.url, tmp_path / "s.npz", scenario="Weighted", drain=PATIENT, **CLOSED)
    samples = read_samples(tmp_path / "s.npz")
    assert samples.ok.all()
    assert sorted(facts["endpoints"]) == ["/", "/people"]
    page = float((samples.endpoint == facts["endpoints"].index("/")).mean())
    # Of n requests, within five standard errors.
    assert abs(page - 0.75) < 5 * (0.75 * 0.25 / len(samples)) ** 0.5


def test_a_redirect_to_another_machine_is_not_followed(
    environment: ServingEnvironment, own: Child, tmp_path: Path
) -> None:
    with Server(app("sending_away"), environment, "1.away") as server:
        facts = loaded(own, server.url, tmp_path / "s.npz", scenario="Wanderer", users=1)
    assert not read_samples(tmp_path / "s.npz").ok.any()
    assert any("loopback addresses only" in error for error in facts["errors"])


def test_a_scenario_that_raises_is_reported_and_the_next_one_runs(
    counting: Server, own: Child, tmp_path: Path
) -> None:
    with pytest.raises(ScenarioFailed, match="a fault of the scenario's"):
        loaded(own, counting.url, tmp_path / "s.npz", scenario="Crashing")
    loaded(own, counting.url, tmp_path / "s.npz", scenario="Fast", drain=PATIENT, **CLOSED)
    assert read_samples(tmp_path / "s.npz").ok.all()


def test_scenarios_are_selected_by_name_and_a_wrong_name_suggests_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are described before they run."""
    found = known_scenarios(str(LOAD))
    users = found["scenarios"]
    assert list(users) == [
        "Stock",
        "Fast",
        "Thinker",
        "Sequence",
        "Reading",
        "Wanderer",
        "Weighted",
        "Crashing",
    ]
    assert {name for name, of in users.items() if of["thinks"]} == {"Thinker"}
    assert {name for name, of in users.items() if not of["plain"]} == {"Sequence"}
    assert users["Stock"]["about"] == "A standard Locust user that logs in first."
    # Asked once: each answer takes a generator.
    monkeypatch.setattr(planning, "known_scenarios", lambda *_: found)
    chosen = duel_here("run", "--locustfile", str(LOAD), "-s", "Fast", "-u", "3", "--dry-run", cwd=tmp_path)
    assert chosen.returncode == 0, chosen.stderr
    assert "Fast" in chosen.stdout
    assert "Stock" not in chosen.stdout
    wrong = duel_here("run", "--locustfile", str(LOAD), "-s", "Fats", "--dry-run", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean Fast" in wrong.stderr
    sets = duel_here(
        "run", "--locustfile", str(LOAD), "-s", "Sequence", "--rate", "50", "--dry-run", cwd=tmp_path
    )
    assert sets.returncode == 2
    assert "cannot arrive at a rate" in sets.stderr


USELESS = {
    "def broken(:\n": "SyntaxError",
    "x = 1\n": "holds no Locust user",
    "import nowhere_to_be_found\n": "No module named",
    "from locust import HttpUser, task\nclass A(HttpUser):\n    scenario = 'a b'\n"
    "    @task\n    def t(self): ...\n": "cannot be a scenario's name",
    "from locust import HttpUser\nclass A(HttpUser):\n    pass\n": "has no tasks",
}
"""By the content of a locustfile, what is wrong with it."""
REFUSING = """
import json, sys
from loadtests.load.user_files import loaded
for file in sys.argv[1:]:
    try:
        loaded(file)
    except Exception as reason:
        print(json.dumps(repr(reason)))
"""


def test_a_file_without_scenarios_is_refused_with_the_reason(tmp_path: Path) -> None:
    """All in one child process, since Locust patches sockets; one that raises and one that is unusable are
    errors of the command, too."""
    files = [tmp_path / f"load{number}.py" for number in range(len(USELESS))]
    for file, content in zip(files, USELESS, strict=True):
        file.write_text(content)
    done = subprocess.run(
        [sys.executable, "-P", "-c", REFUSING, *map(str, files)], env={**os.environ, **OUR_PACKAGES},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    reasons = [json.loads(line) for line in done.stdout.splitlines()]
    for reason, message in zip(reasons, USELESS.values(), strict=True):
        assert message in reason
    for file, message in ((files[0], "SyntaxError"), (files[-1], "has no tasks")):
        refused = duel_here("run", "--locustfile", file.name, "--dry-run", cwd=tmp_path)
        assert refused.returncode == 2, refused.stderr
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr.splitlines()[0]


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


@pytest.mark.alone
def test_external_servers_are_arms_and_the_report_states_the_limitations(tmp_path: Path) -> None:
    with running("counting") as one, running("counting") as other:
        done = judged_here(
            "run", "-s", "ping", *SHORT, "--arm", f"one={one}", "--arm", f"other={other}",
            cwd=tmp_path,
        )  # fmt: skip
        carried_out(done.returncode, done.stderr)
        assert "external servers" in done.stdout
        (where,) = (tmp_path / "runs").iterdir()
        run = RunDirectory(where).load()
        # Found by its port, so that its CPU time does not count as foreign work.
        assert all(trial.resources.server_rss for trial in run.trials)
        # A neighbor may disturb one trial or another; the servers would be in all of them.
        assert not all(any(fault.kind == "foreign-work" for fault in trial.faults) for trial in run.trials)
        # External servers are still running.
        assert get(f"{one}/count")
        assert get(f"{other}/count")


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


def test_other_verbs_do_not_connect_to_other_machines_either(tmp_path: Path) -> None:
    checked = duel_here("check", "--arm", "a=http://192.0.2.1:9000", "--arm", "sync", cwd=tmp_path)
    assert checked.returncode == 2
    assert "not a loopback address" in checked.stderr
    served = duel_here("serve", "a=http://127.0.0.1:9000", cwd=tmp_path)
    assert served.returncode == 2
    assert "is an external server" in served.stderr


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


def test_commands_are_run_before_and_after_every_server(tmp_path: Path, unseeded: None) -> None:
    """They get the arm's name, environment and directory."""
    (tmp_path / "there").mkdir()
    note = tmp_path / "note.py"
    note.write_text(
        "import os, sys\nopen('said', 'a').write(os.environ['DUEL_ARM'] + os.environ['MODE'] + sys.argv[1])\n"
    )
    before, after = (shlex.join([sys.executable, str(note), f"{sign} "]) for sign in "+-")
    arm = f"=odd:counting,cwd={tmp_path / 'there'},env.MODE="
    done = brisk_here(
        "run", "-s", "ping", *SHORT, "--app-dir", str(APPS), "--arm", f"a{arm}x", "--arm", f"b{arm}y",
        "--before-trial", before, "--after-trial", after, cwd=tmp_path,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    said = (tmp_path / "there" / "said").read_text().split()
    assert said[:4] == ["ax+", "ax-", "by+", "by-"]
    assert said[0::2] == [word.replace("-", "+") for word in said[1::2]]
    assert {word[0] for word in said[4:]} == {"a", "b"}
    # A command may contain a password.
    (where,) = (tmp_path / "runs").iterdir()
    assert "note.py" not in (where / "run.json").read_text()


def test_a_command_that_fails_ends_the_run_and_says_why(tmp_path: Path, unseeded: None) -> None:
    done = duel_here(
        "run", "-s", "ping", *SHORT[:-1], "4", "--before-trial", "sh -c 'echo no table >&2; exit 3'",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 5
    assert "exit code 3" in done.stderr
    assert "no table" in done.stderr


def test_a_command_that_does_not_exist_says_so(tmp_path: Path) -> None:
    hooks = Hooks(before_trial=("no-such-command-here",))
    with pytest.raises(ChildFailed, match="cannot be run: no-such-command-here"):
        run_before(hooks, app("counting"), tmp_path)


def test_an_arm_is_served_by_the_interpreter_and_in_the_directory_it_names(
    tmp_path: Path, environment: ServingEnvironment
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "$PWD" >> "{tmp_path}/started"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    there = tmp_path / "there"
    there.mkdir()
    with Server(app("counting", python=str(python), cwd=str(there)), environment, "1.python"):
        pass
    assert (tmp_path / "started").read_text().split() == [str(there)]
    with pytest.raises(ChildFailed, match="cannot be started"):
        Server(app("counting", python=str(tmp_path / "no-python")), environment, "1.none").become_ready()
    with pytest.raises(ChildFailed, match="cannot be started"):
        Server(app("counting", cwd=str(tmp_path / "nowhere")), environment, "1.nowhere").become_ready()


def test_the_latency_of_a_first_arrival_includes_what_its_user_does_once(
    counting: Server, own: Child, tmp_path: Path
) -> None:
    """A request is timed from its due moment, regardless of what its user does first."""
    loaded(own, counting.url, tmp_path / "s.npz", scenario="Stock", rate=20.0, arrivals="constant")
    samples = read_samples(tmp_path / "s.npz")
    looks = samples.endpoint == 1
    assert np.all(samples.start[looks] >= samples.due[looks])
