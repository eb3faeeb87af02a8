"""Advice on an app without load, checked against what FastAPI really does with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI

from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.serving.inspection import inspect_app
from reports.advice.anatomy import Anatomy
from reports.advice.app_advice import StreamsPieces, Wedges, advise
from reports.wording.advice.app_advice import finding_text, problem_text
from tests.apps import hopping, in_pieces
from tests.commands import duel_here
from tests.conftest import APPS


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return Anatomy.model_validate(inspect_app(Arm(name="a", app="hopping:app", app_dir=str(APPS))))


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> Callable[[FastAPI, Sequence[str]], dict[str, int]]:
    """Requests paths of an app, and counts by path how many calls it hands to threads meanwhile."""
    calls: list[Any] = []
    original = anyio.to_thread.run_sync

    async def counted(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return await original(*args, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", counted)

    async def ask(app: FastAPI, paths: Sequence[str]) -> dict[str, int]:
        found = {}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            for path in paths:
                calls.clear()
                assert (await client.get(path)).status_code == 200
                found[path] = len(calls)
        return found

    return lambda app, paths: asyncio.run(ask(app, paths))


def test_thread_hops_are_counted_as_fastapi_makes_them(
    anatomy: Anatomy, hops: Callable[[FastAPI, Sequence[str]], dict[str, int]]
) -> None:
    """Counted while the same app handles requests."""
    measured = hops(hopping.app, [route.path for route in anatomy.routes if route.path.startswith("/v1")])
    told = {route.path: route.hops for route in anatomy.routes if route.path in measured}
    assert told == measured
    assert [told[f"/v1/{name}"] for name in ("def", "def-model", "def-yield", "def-yield-def")] == [
        1,
        2,
        4,
        5,
    ]
    assert [told[f"/v1/{name}"] for name in ("async-yield", "async-class", "async")] == [2, 1, 0]


def test_blocking_calls_are_reported_with_their_line_also_in_dependencies_and_helpers(
    anatomy: Anatomy,
) -> None:
    wrong = {
        one.routes[0].removeprefix("GET /v1/"): problem_text(one.problem).what
        for one in advise(anatomy, 64)
        if one.weight == "wrong"
    }
    assert set(wrong) == {"async-session", "shell", "indirect", "decorated", "wedge"}
    assert "Session.scalar (hopping.py:" in wrong["async-session"]
    assert "subprocess.run" in wrong["shell"]
    lines = Path(hopping.__file__).read_text().splitlines()
    number = int(wrong["decorated"].partition("hopping.py:")[2].partition(")")[0])
    assert "time.sleep(0)" in lines[number - 1]
    everything = " ".join(map(finding_text, advise(anatomy, 64)))
    assert "in its dependency sleepy" in everything
    # A function that is only defined there may run elsewhere.
    assert "given-away" not in everything


def test_a_pool_smaller_than_the_requests_in_flight_wedges_a_route_that_holds_its_session(
    anatomy: Anatomy,
) -> None:
    (pool,) = anatomy.pools
    assert pool.most == 5
    (found,) = (one for one in advise(anatomy, 64) if isinstance(one.problem, Wedges))
    assert "GET /v1/wedge" in found.routes
    assert found.problem == Wedges("session", None, 64, 5)
    # Five requests hold a connection, forty wait for one in all threads: with one less there is a thread.
    assert any(isinstance(one.problem, Wedges) for one in advise(anatomy, 45))
    assert not any(isinstance(one.problem, Wedges) for one in advise(anatomy, 44))
    assert "another of the 40 threads" in problem_text(found.problem).why


def test_the_thread_limit_is_the_apps_own(anatomy: Anatomy) -> None:
    own = anatomy.model_copy(update={"threads": 100})
    (found,) = (one for one in advise(own, 105) if isinstance(one.problem, Wedges))
    assert "another of the 100 threads" in problem_text(found.problem).why


def test_mounted_apps_and_apps_behind_middleware_are_inspected(anatomy: Anatomy) -> None:
    paths = {route.path for route in anatomy.routes}
    assert {path.removeprefix("/v1") for path in paths if path.startswith("/v1")} == {
        path.removeprefix("/mounted") for path in paths if path.startswith("/mounted")
    }
    below = inspect_app(Arm(name="a", app="hopping:middleware", app_dir=str(APPS)))
    assert len(below["routes"]) == len(anatomy.routes)


def test_a_stream_that_takes_a_thread_for_every_piece_without_need_is_told(
    hops: Callable[[FastAPI, Sequence[str]], dict[str, int]],
) -> None:
    """It takes them while it streams; so do those whose generator waits, which need them."""
    streams = Anatomy.model_validate(inspect_app(Arm(name="a", app="in_pieces:app", app_dir=str(APPS))))
    measured = hops(in_pieces.app, [route.path for route in streams.routes])
    found = [one for one in advise(streams, 64) if isinstance(one.problem, StreamsPieces)]
    told = {route.removeprefix("GET ") for one in found for route in one.routes}
    assert told == {path for path in measured if path.startswith("/needless/")}
    assert {one.weight for one in found} == {"consider"}
    for path, count in measured.items():
        assert (count > in_pieces.PIECES) == path.startswith(("/needless/", "/fine/needed")), path
    assert [problem_text(one.problem).what for one in found] == [
        "streams words with a thread hop for every piece (in_pieces.py:45)",
        "streams words with a thread hop for every piece (in_pieces.py:50)",
        "streams a generator expression with a thread hop for every piece (in_pieces.py:55)",
        "streams io.BytesIO with a thread hop for every line (in_pieces.py:62)",
    ]


@pytest.mark.parametrize(
    ("twin", "expected"),
    [
        ("sync", {"GET /pitfalls/session-dependency/{post_id}"}),
        ("async", {"GET /pitfalls/blocking", "GET /pitfalls/session-blocking/{post_id}", "GET /hash"}),
    ],
)
def test_only_the_pitfalls_of_the_twins_are_reported(tmp_path: Path, twin: str, expected: set[str]) -> None:
    """In the sync twin the session dependency; in the async twin blocking calls, and the hash, which holds
    the loop for milliseconds."""
    arm = BUILT_IN[twin].model_copy(update={"env": {"DUEL_APP_DATA": str(tmp_path)}})
    told = inspect_app(arm, start=True)
    assert told["threads"] == 40
    found = advise(Anatomy.model_validate(told), 64)
    wrong = [one for one in found if one.weight == "wrong"]
    assert {route for one in wrong for route in one.routes} == expected
    minded = [", ".join(one.routes) for one in found if one.weight == "mind"]
    assert minded == ([] if twin == "sync" else ["GET /pitfalls/file-inline"])
    streamed = [one.routes for one in found if isinstance(one.problem, StreamsPieces)]
    stream = [("GET /plumbing/stream",)] if twin == "sync" else []
    assert streamed == [*stream, ("GET /plumbing/stream-lines",)]


def test_the_exit_code_says_whether_something_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(
        "from fastapi import FastAPI\napp = FastAPI()\n"
        "@app.get('/')\nasync def home() -> int:\n    return 1\n"
    )
    good = duel_here("advise", "good:app", cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    assert "nothing to change" in good.stdout
    bad = duel_here("advise", "hopping:app", "--app-dir", str(APPS), "--json", "-", cwd=tmp_path)
    assert bad.returncode == 3, bad.stderr
    told = json.loads(bad.stdout)
    assert told["schema"] == "duel-advice/1"
    assert told["findings"][0]["weight"] == "wrong"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:app", "there is no module 'nowhere'"),
        ("odd:nothing", "has no attribute"),
        ("odd", "names no app"),
    ],
)
def test_a_target_that_is_not_an_app_is_one_clear_error(tmp_path: Path, target: str, message: str) -> None:
    done = duel_here("advise", target, "--app-dir", str(APPS), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr.splitlines()[0]
    assert done.stdout == ""
