"""The user's own apps, servers, scenarios and commands."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from loadtests.errors import ChildFailed
from loadtests.measure import planning
from loadtests.measure.generator import GeneratorOptions, ScenarioFailed, generator, known_scenarios
from loadtests.plan.options import Hooks
from loadtests.records.directory import RunDirectory
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.hooks import run_before
from loadtests.serving.server import Server
from loadtests.system.processes import OWN_BOOT, Child
from tests.commands import brisk_here, carried_out, duel_here
from tests.conftest import APPS, InPatched
from tests.serving import app, loaded, read_samples

LOAD = APPS / "own_load.py"
EXAMPLES = APPS.parent.parent / "examples"
PATIENT = 20.0
"""Seconds for the last responses, as other tests run in parallel."""
SHORT = ("-u", "4", "-t", "0.3", "--warmup", "0.1", "--rounds", "1")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A generator with a locustfile."""
    with generator(
        tmp_path_factory.mktemp("logs"), {}, GeneratorOptions(locustfile=str(LOAD), canary=None)
    ) as child:
        child.receive(OWN_BOOT)
        yield child


def test_the_example_runs_as_documented_with_a_canary(tmp_path: Path) -> None:
    """From the examples' own directory, with everything a run of the twins has: heartbeats, cards, a page."""
    done = brisk_here(
        "run", "--arm", "before=shop.sync_main:app", "--arm", "after=shop.main:create_app",
        "--locustfile", "shop_load.py", "--canary", "/health", *SHORT, "-o", str(tmp_path), "--json", "-",
        cwd=EXAMPLES,
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


PLUGINS = """
from importlib import metadata
from loadtests.load.patched import entry_points_read_once
there = {group: set(metadata.entry_points(group=group)) for group in ("console_scripts", "pytest11", "none")}
with entry_points_read_once():
    assert all(set(metadata.entry_points(group=group)) == found for group, found in there.items())
assert there["console_scripts"] and not there["none"]
print("the same")
"""


def test_plugins_of_gevent_are_found_as_without_the_quicker_import(in_patched: InPatched) -> None:
    assert in_patched(PLUGINS) == "the same\n"


def test_a_file_without_scenarios_is_refused_with_the_reason(tmp_path: Path, in_patched: InPatched) -> None:
    """All in one child process, since Locust patches sockets; one that raises and one that is unusable are
    errors of the command, too."""
    files = [tmp_path / f"load{number}.py" for number in range(len(USELESS))]
    for file, content in zip(files, USELESS, strict=True):
        file.write_text(content)
    printed = in_patched(REFUSING, *map(str, files))
    reasons = [json.loads(line) for line in printed.splitlines()]
    for reason, message in zip(reasons, USELESS.values(), strict=True):
        assert message in reason
    for file, message in ((files[0], "SyntaxError"), (files[-1], "has no tasks")):
        refused = duel_here("run", "--locustfile", file.name, "--dry-run", cwd=tmp_path)
        assert refused.returncode == 2, refused.stderr
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr.splitlines()[0]


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


def test_what_a_command_starts_in_the_background_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script that restarts a server was said to take more than 120 s: the server held its output open."""
    monkeypatch.setattr("loadtests.serving.hooks.PATIENCE", 8.0)
    run_before(Hooks(before_trial=("sh", "-c", "echo restarted; sleep 16 &")), app("counting"), tmp_path)
    assert (tmp_path / "hooks.log").read_text() == "restarted\n"
