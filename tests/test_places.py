"""What an annotation points at: the route that became slower."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from loadtests.measure.answers.answering import Handler, finder
from loadtests.plan.base.commit import BaseCommit
from loadtests.records import AnswerCheck, AnsweringRoute
from loadtests.serving.inside.frameworks.routes import places
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.export.formats import write
from tests import scripted
from tests.scripted import Scripted

HERE = Path(__file__)


def line_of(text: str) -> int:
    """The number of the first line of this file that is `text`."""
    return [line.strip() for line in HERE.read_text().splitlines()].index(text) + 1


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*words: Any, **named: Any) -> Any:
        return function(*words, **named)

    return wrapper


def shop() -> FastAPI:
    """A router below a prefix, and a function under a decorator of its own."""
    router = APIRouter()

    @router.get("/items/{item_id}")
    def read(item_id: int) -> int:
        return item_id

    @router.post("/items")
    @logged
    def create() -> None:
        """Creates nothing."""

    app = FastAPI(openapi_url=None)
    app.include_router(router, prefix="/v1")
    app.add_api_route("/partial", functools.partial(read, 1))
    return app


def test_the_routes_of_an_app_are_told_with_the_lines_where_they_begin() -> None:
    read, create = (line_of(f"@router.{one}") for one in ('get("/items/{item_id}")', 'post("/items")'))
    assert places(shop()) == [
        [["GET"], "/v1/items/{item_id}", str(HERE), read],
        [["POST"], "/v1/items", str(HERE), create],
        [["GET"], "/partial", str(HERE), read],
    ]
    assert places(lambda: None) == []


@pytest.mark.parametrize(
    ("method", "path", "line"),
    [
        ("GET", "/items?page=2", 1),
        ("POST", "/items", 2),
        # The first that matches, as the app itself chooses.
        ("GET", "/items/new", 3),
        ("GET", "/items/7", 4),
        # A route without methods has all.
        ("PUT", "/ws", 5),
        ("DELETE", "/items", None),
        ("GET", "/nowhere", None),
    ],
)
def test_a_request_is_answered_by_the_first_route_with_its_method_and_path(
    method: str, path: str, line: int | None
) -> None:
    find = finder(
        [
            Handler(["GET"], "/items", "a.py", 1),
            Handler(["POST"], "/items", "a.py", 2),
            Handler(["GET"], "/items/new", "a.py", 3),
            Handler(["GET"], "/items/{item_id}", "a.py", 4),
            Handler([], "/ws", "a.py", 5),
        ]
    )
    found = find(method, path)
    assert (found.line if found is not None else None) == line


def annotated(tmp_path: Path, endpoints: tuple[str, ...], slower: tuple[float, ...]) -> list[str]:
    """The places of the errors of a service in a monorepo whose endpoints take that many times as long."""
    service = tmp_path / "services" / "orders"
    service.mkdir(parents=True)
    (service / "main.py").touch()
    plan = scripted.plan(["base", "head"], cells=[("Shopper", 8)], rounds=8)
    arms = tuple(arm.model_copy(update={"app": "main:app", "app_dir": str(service)}) for arm in plan.arms)
    base = BaseCommit(commit="a" * 40, repository=str(tmp_path), head="b" * 12)
    plan = plan.model_copy(update={"arms": arms, "base": base, "gate": True, "against": {"head": "base"}})

    def script(arm: str, _: object, round: int) -> Scripted:
        here = slower if arm == "head" else tuple(1.0 for _ in slower)
        return Scripted(requests=int(1_000 / max(here)) + round, endpoints=endpoints, slower=here)

    run, directory = scripted.run(tmp_path / "runs", plan, script, rounds=8)
    routes = [
        ("list", "/items", "main.py", 10), ("read", "/items/{item_id}", "routers/items.py", 20),
        ("pay", "/pay", "routers/pay.py", 30), ("pay", "/refund", "routers/pay.py", 40),
    ]  # fmt: skip
    seen = tuple(
        AnsweringRoute(
            arm="head", scenario="Shopper", endpoint=name, path=path, file=str(service / file), line=line
        )
        for name, path, file, line in routes
    )
    check = AnswerCheck(requests=8, endpoints=(), routes=seen)
    run = run.model_copy(update={"answers": check})
    text = write("github-annotations", conclude(run, Readings(directory)))
    return [line.split("title=")[0] for line in text.splitlines() if line.startswith("::error")]


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("read", "services/orders/routers/items.py,line=20"),
        # Requests without a name are called by their path, or by the route that groups them.
        ("/items/17", "services/orders/routers/items.py,line=20"),
        ("/items/{item_id}", "services/orders/routers/items.py,line=20"),
        # Two routes answer what is called so: neither is blamed.
        ("pay", "services/orders/main.py,line=1"),
        ("unknown", "services/orders/main.py,line=1"),
    ],
)
def test_an_annotation_points_at_the_route_from_the_root_of_the_repository(
    tmp_path: Path, endpoint: str, place: str
) -> None:
    assert annotated(tmp_path, (endpoint,), (2.0,)) == [f"::error file={place},"]


def test_a_mixture_as_a_whole_is_no_route_and_each_of_its_endpoints_is(tmp_path: Path) -> None:
    places = annotated(tmp_path, ("list", "read"), (1.0, 2.0))
    assert "::error file=services/orders/routers/items.py,line=20," in places
    assert not any("line=10" in one for one in places)
