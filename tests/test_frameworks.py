"""What frameworks call, found in apps of many shapes: every line that holds the loop, and no other."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from anyio.to_thread import current_default_thread_limiter
from fastapi import Depends, FastAPI
from flask import Flask

from loadtests.serving.inside.describe_app import started
from loadtests.serving.inside.frameworks import describe
from loadtests.serving.inside.reading import read
from reports.advice.anatomy import Anatomy
from reports.advice.app_advice import BlocksLoop, Finding, advise, coverage, outcomes
from reports.exit_codes import exit_code
from reports.wording.advice.app_advice import closing, coverage_text, finding_text, problem_text
from tests.apps import entries, odd
from tests.commands import duel_here
from tests.conftest import APPS

LINES = Path(entries.__file__).read_text(encoding="utf-8").splitlines()


def anatomy_of(app: Any) -> Anatomy:
    return Anatomy.model_validate({**describe(app, APPS, read), "pools": []})


def findings(app: Any) -> list[Finding]:
    return [one for one in advise(anatomy_of(app), 64) if isinstance(one.problem, BlocksLoop)]


def where(app: Any) -> dict[str, str]:
    """Each finding's place and the function that calls what holds the loop there."""
    found: dict[str, str] = {}
    for one in findings(app):
        assert isinstance(one.problem, BlocksLoop)
        for call in one.problem.calls:
            assert call.line is not None
            assert LINES[call.line - 1].endswith("# wrong"), LINES[call.line - 1]
        found[one.problem.caller.name] = ", ".join(one.routes)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "classes",
            {
                "Report.get": "GET /v1/reports",
                "Talk.on_receive": "WEBSOCKET /talk",
                "with_word": "GET,HEAD /word",
                "OnOneRoute.__call__": "/threaded",
                "OnARouter.__call__": "/routed/*",
                "OnAMount.__call__": "/mounted/*",
                "Raw.__call__": "ASGI /raw",
            },
        ),
        (
            "routed",
            {
                "of_the_app": "GET /filled-in, GET /outer/inner/deep, GET /items, GET /hidden, "
                "WEBSOCKET /ws, GET /decorated",
                "of_the_router": "GET /filled-in, GET /outer/inner/deep",
                "filled_in": "GET /filled-in",
                "deep": "GET /outer/inner/deep",
                "Gatekeeper.__call__": "GET /outer/inner/deep",
                "timed": "/outer/inner/deep",
                "View.items": "GET /items",
                "hidden": "GET /hidden",
                "socket": "WEBSOCKET /ws",
            },
        ),
        (
            "guarded",
            {
                "Accounts.dispatch": "every route",
                "Audit.__call__": "every route",
                "Login.authenticate": "every route",
                "timed_function": "every route",
                "lost": "on LookupError",
            },
        ),
        ("in_a_slot", {"blocks": "GET /inner"}),
        ("in_a_closure", {"called": "every route", "blocks": "GET /inner"}),
        ("in_a_partial", {"blocks": "GET /inner"}),
        ("in_a_dict", {"blocks": "GET /inner"}),
        ("names_a_global", {"blocks": "GET /inner"}),
        (
            "in_socketio",
            {"said": "EVENT / said", "Room.on_enter": "EVENT /room enter", "blocks": "GET /inner"},
        ),
        ("mounted_sockets", {"said": "EVENT /io/ said", "Room.on_enter": "EVENT /io/room enter"}),
        ("bare", {"bare": "ASGI /*"}),
        ("made_here", {"defined": "every route"}),
        (
            "by_methods",
            {
                "Checked.dispatch": "every route",
                "Given.__call__": "every route",
                "Page.get": "GET /page",
                "Hall.on_enter": "EVENT /io/hall enter",
            },
        ),
        ("chooser", {"Chooser.__call__": "ASGI /*"}),
        ("stacked", {"First.__call__": "/", "Given.__call__": "/"}),
        ("working", {}),
        ("refreshed", {"refreshing": "every route"}),
        ("unread", {}),
    ],
)
def test_whatever_a_framework_calls_is_found_with_its_place(name: str, expected: dict[str, str]) -> None:
    assert where(getattr(entries, name)) == expected


def test_methods_of_a_class_are_routes_of_their_own_style() -> None:
    told = {str(one): (one.style, one.hops) for one in anatomy_of(entries.classes).routes}
    assert told["GET /v1/reports"] == ("async def", 0)
    assert told["POST /v1/reports"] == ("def", 1)
    assert told["GET,HEAD /threaded"] == ("def", 1)


def test_a_wsgi_app_is_a_row_that_takes_a_thread() -> None:
    with warnings.catch_warnings(action="ignore"):  # Starlette advises a2wsgi, which has the same object
        from starlette.middleware.wsgi import WSGIMiddleware  # noqa: PLC0415  # it warns at import

    app = FastAPI()
    app.mount("/old", WSGIMiddleware(Flask("old")))
    (row,) = anatomy_of(app).routes
    assert (str(row), row.style, row.hops) == ("WSGI /old/*", "def", 1)
    assert advise(anatomy_of(app), 64) == []


def test_a_lifespan_that_blocks_is_a_fact_and_no_finding() -> None:
    (life,) = anatomy_of(entries.routed).lifespan
    assert life.name == "life"
    assert [one.what for one in life.blocks] == ["time.sleep"]


def test_a_task_that_a_lifespan_starts_runs_beside_the_requests_and_is_a_finding() -> None:
    """Below any number of routers."""
    assert where(entries.polling) == {"beside": "every route", "handed_on": "GET /handed-on"}
    (task,) = [one for one in findings(entries.polling) if one.routes == ("every route",)]
    text = problem_text(task.problem)
    assert text.what.startswith("a task that beside starts calls time.sleep (entries.py:")
    assert text.remedy.startswith("await what waits")


def test_a_task_of_a_lifespan_that_is_not_known_is_no_all_clear() -> None:
    anatomy = anatomy_of(entries.polled)
    assert [one.name for one in coverage(anatomy).unread] == ["app.state.poller.run"]
    assert exit_code(outcomes(anatomy, advise(anatomy, 64)), strict=True) == 4


def test_a_plain_function_is_no_remedy_for_a_coroutine_that_it_would_hand_on() -> None:
    (found,) = [one for one in findings(entries.polling) if one.routes == ("GET /handed-on",)]
    assert "use `def`" not in problem_text(found.problem).remedy


@pytest.mark.parametrize(
    ("name", "caller", "plain"),
    [
        ("classes", "Report.get", True),
        ("classes", "Talk.on_receive", False),
        ("classes", "Raw.__call__", False),
        ("routed", "socket", False),
        ("routed", "timed", False),
        ("routed", "hidden", True),
        ("guarded", "Accounts.dispatch", False),
        ("guarded", "lost", True),
        ("in_socketio", "said", False),
        ("bare", "bare", False),
    ],
)
def test_only_what_would_run_in_a_thread_is_advised_to_be_def(name: str, caller: str, plain: bool) -> None:
    (remedy,) = {
        problem_text(one.problem).remedy
        for one in findings(getattr(entries, name))
        if isinstance(one.problem, BlocksLoop) and one.problem.caller.name == caller
    }
    assert ("use `def`" in remedy) == plain


def test_middleware_that_is_made_later_is_no_all_clear() -> None:
    anatomy = anatomy_of(entries.unread)
    found, covered = advise(anatomy, 64), coverage(anatomy)
    assert found == []
    assert [one.name for one in covered.unread] == ["made_later"]
    assert coverage_text(covered).startswith(
        "looked into 0 of 1 call; not into: made_later (made at run time"
    )
    assert not closing(found, covered).startswith("nothing to change;")
    assert exit_code(outcomes(anatomy, found)) == 0
    assert exit_code(outcomes(anatomy, found), strict=True) == 4


def test_an_app_that_was_read_whole_is_clear_also_when_strict() -> None:
    anatomy = anatomy_of(entries.inner)
    fine = anatomy.model_copy(update={"routes": ()})
    assert coverage_text(coverage(fine)) == ""
    assert closing([], coverage(fine)).startswith("nothing to change;")
    assert exit_code(outcomes(fine, []), strict=True) == 0


@pytest.fixture
def blackbird(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A framework that is not known here, installed as packages are."""
    packages = tmp_path / "site-packages"
    (packages / "blackbird").mkdir(parents=True)
    (packages / "blackbird" / "__init__.py").write_text(
        "class Blackbird:\n    async def __call__(self, scope, receive, send): ...\n"
        "class Recorder:\n    def __init__(self, app): self.app = app\n"
        "    async def __call__(self, scope, receive, send): await self.app(scope, receive, send)\n"
    )
    (tmp_path / "mine.py").write_text(
        "import blackbird\nfrom fastapi import FastAPI\napp = blackbird.Blackbird()\n"
        "mixed = FastAPI()\nmixed.mount('/old', app)\nmixed.add_middleware(blackbird.Recorder)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_an_unknown_framework_is_named_and_libraries_in_front_of_routes_are_too(blackbird: Path) -> None:
    done = duel_here("advise", "mine:app", cwd=blackbird)
    assert done.returncode == 2
    assert "blackbird.Blackbird" in done.stderr
    sys.modules.pop("mine", None)
    import mine  # type: ignore[import-not-found]  # noqa: PLC0415  # written by the fixture

    told = coverage_text(coverage(anatomy_of(mine.mixed)))
    assert "blackbird.Recorder (of a library)" in told
    assert "blackbird.Blackbird (its framework is not known" in told


def test_a_lambda_is_not_advised_to_be_async_def_without_a_way() -> None:
    app = FastAPI(dependencies=[Depends(lambda: 1)])
    app.add_api_route("/", _answer)
    (text,) = map(finding_text, advise(anatomy_of(app), 64))
    assert "a lambda: through a function with a name" in text


async def _answer() -> int:
    return 1


async def _starts(app: Any, interface: str = "asgi3") -> Any:
    return await started(app, interface, list)


def test_a_lifespan_runs_through_wrappers_and_an_app_without_one_has_started() -> None:
    ran = []

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        ran.append("start")
        current_default_thread_limiter().total_tokens = 7
        yield
        ran.append("stop")

    wrapped = entries.Holder(FastAPI(lifespan=life))
    assert asyncio.run(_starts(wrapped)) == {"pools": [], "threads": 7}
    assert ran == ["start", "stop"]
    assert asyncio.run(_starts(odd.failing))["threads"] == 40


def test_a_startup_that_fails_is_told_with_its_reason() -> None:
    with pytest.raises(SystemExit, match="no table called users"):
        asyncio.run(_starts(odd.dying))
