"""Arms that are served by Granian and Hypercorn."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from loadtests.errors import PlanError
from loadtests.measure.in_force import in_force
from loadtests.plan.arms import Serving, parse_arm, swept
from loadtests.records import RunDirectory
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import DidNotStart
from loadtests.serving.server import Server
from loadtests.system import interpreters
from loadtests.system.interpreters import with_servers
from tests.commands import brisk_here, carried_out
from tests.serving import app, get


@pytest.mark.parametrize(("name", "workers"), [("granian", 2), ("hypercorn", 1)])
def test_every_worker_is_seen_from_inside_and_the_server_ends_when_it_is_asked_to(
    environment: ServingEnvironment, name: str, workers: int
) -> None:
    """Whichever worker answers: Granian's share an address, and each listens by itself."""
    arm = app("limiting", "starting", serving=Serving.model_validate({"server": name, "workers": workers}))
    with Server(arm, environment, f"se.{name}") as server:
        found = in_force(server)
        assert found is not None
        assert found.server is not None
        # The limit that the app set in its lifespan.
        assert (found.server.partition(" ")[0], found.workers, found.threads) == (name, workers, 12)
        assert get(f"{server.url}{server.pulse}") == b""
        assert get(f"{server.url}/any") == b"ok"
        began = time.perf_counter()
        while len(min(server.heartbeats(0.0), key=len)) < 5:
            assert time.perf_counter() - began < 20
        # The watchdogs are there, too.
        assert len(server.held(0.0, 1.0)) == workers
    assert server.child.code == 0


@pytest.mark.parametrize("name", ["granian", "hypercorn"])
def test_an_app_whose_lifespan_fails_does_not_start_and_the_cause_is_named(
    environment: ServingEnvironment, name: str
) -> None:
    arm = app("needs_variable_late", "starting", serving=Serving.model_validate({"server": name}))
    with pytest.raises(DidNotStart, match="did not start") as caught:
        Server(arm, environment, f"sf.{name}").become_ready()
    assert "AssertionError: no token" in caught.value.cause


def test_an_app_of_the_older_interface_is_served_by_granian(environment: ServingEnvironment) -> None:
    with Server(
        app("Second", "starting", serving=Serving(server="granian", loop="asyncio")), environment, "se.2"
    ) as server:
        assert get(f"{server.url}/any") == b"ok"


def test_one_app_under_two_servers_answers_alike_and_is_measured(tmp_path: Path) -> None:
    done = brisk_here(
        "run", "-s", "ping", "-u", "4", "-t", "0.3", "--warmup", "0.1", "--rounds", "1",
        "--arm", "one=async", "--arm", "other=async,server=granian", "-o", str(tmp_path), "--json", "-",
        cwd=tmp_path,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    assert "other: served by duel's own Python, with granian on uvloop." in done.stderr
    (where,) = tmp_path.iterdir()
    run = RunDirectory(where).load()
    assert run.answers_compared
    assert {name: (found.server or "").partition(" ")[0] for name, found in run.in_force.items()} == {
        "one": "uvicorn", "other": "granian",
    }  # fmt: skip
    assert {trial.errors for trial in run.trials} == {()}
    assert {(verdict["arm"], verdict["reference"]) for verdict in json.loads(done.stdout)["verdicts"]} == {
        ("other", "one")
    }


def test_only_uvicorn_has_a_choice_of_parsers() -> None:
    arm = parse_arm("a=async,server=granian", ".")
    assert (arm.serving.server, arm.serving.http) == ("granian", None)
    assert "--http" not in arm.serving.arguments()
    assert parse_arm("a=async", ".").serving.http == "httptools"
    with pytest.raises(PlanError, match="http is a setting of uvicorn, and granian has a parser of its own"):
        parse_arm("a=async,server=granian,http=h11", ".")


def test_servers_can_be_swept_from_either() -> None:
    one, other = swept([parse_arm("a=async,server=granian", ".")], ["server=granian,uvicorn"])
    assert [(arm.serving.server, arm.serving.http) for arm in (one, other)] == [
        ("granian", None), ("uvicorn", "httptools"),
    ]  # fmt: skip
    assert Serving.model_validate(one.serving.model_dump()) == one.serving


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a=async,server=granian", "'a' needs granian, which is not installed", "fastapi-duel[servers]"),
        ("a=sync,client=httpx2", "'a' needs httpx2, which is not installed", "fastapi-duel[clients]"),
    ],
)
def test_what_is_not_installed_is_refused_before_any_load(
    monkeypatch: pytest.MonkeyPatch, text: str, message: str, hint: str
) -> None:
    monkeypatch.setattr(interpreters, "find_spec", lambda name: name == "uvicorn" or None)
    arm = parse_arm(text, ".")
    with pytest.raises(PlanError, match=message) as caught:
        with_servers([arm])
    assert hint in caught.value.hint
