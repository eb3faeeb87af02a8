"""What an app is told without load, by what FastAPI really does with it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest

from loadtests.inspection import inspect_app
from loadtests.plan import BUILT_IN, Arm
from reports.advice import Anatomy, advise
from tests.apps import hopping
from tests.conftest import APPS
from tests.test_cli import duel


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return Anatomy.model_validate(inspect_app(Arm(name="a", app="hopping:app", app_dir=str(APPS))))


def test_thread_hops_are_as_many_as_fastapi_makes(anatomy: Anatomy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted while the same app answers."""
    calls: list[Any] = []
    original = anyio.to_thread.run_sync

    async def counted(*args: Any, **options: Any) -> Any:
        calls.append(args)
        return await original(*args, **options)

    monkeypatch.setattr(anyio.to_thread, "run_sync", counted)

    async def ask() -> dict[str, int]:
        found = {}
        transport = httpx.ASGITransport(hopping.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for route in anatomy.routes:
                if route.path.startswith("/v1"):
                    calls.clear()
                    assert (await client.get(route.path)).status_code == 200
                    found[route.path] = len(calls)
        return found

    measured = asyncio.run(ask())
    told = {route.path: route.hops for route in anatomy.routes if route.path in measured}
    assert told == measured
    assert [told[f"/v1/{name}"] for name in ("def", "def-model", "def-yield", "def-yield-def")] == [
        1,
        2,
        4,
        5,
    ]
    assert [told[f"/v1/{name}"] for name in ("async-yield", "async-class", "async")] == [2, 1, 0]


def test_what_blocks_the_loop_is_named_with_its_line_also_in_dependencies_and_helpers(
    anatomy: Anatomy,
) -> None:
    wrong = {one.where: one.what for one in advise(anatomy, 64) if one.weight == "wrong"}
    wrong = {where.removeprefix("GET /v1/").partition(",")[0]: what for where, what in wrong.items()}
    assert set(wrong) == {"async-session", "shell", "indirect", "decorated", "wedge"}
    assert "opened.scalar of a synchronous Session (hopping.py:" in wrong["async-session"]
    assert "subprocess.run" in wrong["shell"]
    lines = Path(hopping.__file__).read_text().splitlines()
    number = int(wrong["decorated"].rpartition(":")[2].rstrip(")"))
    assert "time.sleep(0)" in lines[number - 1]
    everything = " ".join(f"{one.where} {one.what}" for one in advise(anatomy, 64))
    assert "in its dependency sleepy" in everything
    # A function that is only defined there may be run elsewhere.
    assert "given-away" not in everything


def test_a_pool_smaller_than_the_requests_in_flight_wedges_a_route_that_holds_its_session(
    anatomy: Anatomy,
) -> None:
    (pool,) = anatomy.pools
    assert pool.most == 5
    (found,) = (one for one in advise(anatomy, 64) if "stands still under" in one.what)
    assert "GET /v1/wedge" in found.where
    assert "64 requests at once on 5 connections" in found.what
    assert not any("stands still under" in one.what for one in advise(anatomy, 5))


def test_mounted_apps_and_apps_below_middleware_are_seen(anatomy: Anatomy) -> None:
    paths = {route.path for route in anatomy.routes}
    assert {path.removeprefix("/v1") for path in paths if path.startswith("/v1")} == {
        path.removeprefix("/mounted") for path in paths if path.startswith("/mounted")
    }
    below = inspect_app(Arm(name="a", app="hopping:middleware", app_dir=str(APPS)))
    assert len(below["routes"]) == len(anatomy.routes)


@pytest.mark.parametrize(("twin", "expected"), [("sync", 1), ("async", 1)])
def test_of_the_twins_the_pitfalls_alone_are_wrong(tmp_path: Path, twin: str, expected: int) -> None:
    """In the sync twin the session that is a dependency, in the async one the call that blocks."""
    arm = BUILT_IN[twin].model_copy(update={"env": {"DUEL_APP_DATA": str(tmp_path)}})
    found = advise(Anatomy.model_validate(inspect_app(arm, start=True)), 64)
    wrong = [one for one in found if one.weight == "wrong"]
    assert len(wrong) == expected
    assert all("/pitfalls/" in one.where for one in wrong)
    minded = [one.where for one in found if one.weight == "mind"]
    assert minded == ([] if twin == "sync" else ["GET /pitfalls/file-inline"])


def test_the_exit_code_says_whether_something_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(
        "from fastapi import FastAPI\napp = FastAPI()\n"
        "@app.get('/')\nasync def home() -> int:\n    return 1\n"
    )
    good = duel("advise", "good:app", cwd=tmp_path)
    assert good.returncode == 0, good.stderr
    assert "nothing to change is seen" in good.stdout
    bad = duel("advise", "hopping:app", "--app-dir", str(APPS), "--json", "-", cwd=tmp_path)
    assert bad.returncode == 3, bad.stderr
    told = json.loads(bad.stdout)
    assert told["schema"] == "duel-advice/1"
    assert told["findings"][0]["weight"] == "wrong"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere:app", "No module named 'nowhere'"),
        ("odd:counting", "has no routes"),
        ("odd:nothing", "has no attribute"),
        ("odd", "names no app"),
    ],
)
def test_what_is_no_app_is_one_clear_error(tmp_path: Path, target: str, message: str) -> None:
    done = duel("advise", target, "--app-dir", str(APPS), cwd=tmp_path)
    assert done.returncode in (2, 5), done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr.splitlines()[0]
    assert done.stdout == ""
