"""An arm made of two others: which app gets which request, and what is the same as in one app."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import create_model
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route, Router

from loadtests.errors import PlanError
from loadtests.measure.answers.equality import ask
from loadtests.measure.answers.questions import NEW_USER, QUESTIONS, Question, fixed_questions
from loadtests.plan.arms import BUILT_IN, Arm, Hybrid
from loadtests.plan.hybrids.parsing import parse_arms
from loadtests.plan.values import lines
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inside import loading
from loadtests.serving.inside.frameworks import routes
from loadtests.serving.inside.hybrid import join
from loadtests.serving.inside.hybrid.app import HybridApp, JoinedApp
from loadtests.serving.server import serve

TWINS = "hybrid=sync+async,sync=/python;/users;GET /posts/{post_id}"


def described(*texts: str, others: Sequence[str] = ()) -> Arm:
    """The last arm of those that are described."""
    return parse_arms(texts, "/here", others=others)[-1]


def test_a_hybrid_is_read_with_its_table_and_the_settings_of_its_process() -> None:
    arm = described("both=sync+async,sync=/python; get  /users/{id},async=/ping,threads=80,env.A=b")
    assert arm.hybrid == Hybrid(
        arms=("sync", "async"), app=BUILT_IN["sync"].app, routes=("/python", "GET /users/{id}"),
        rest=("/ping",),
    )  # fmt: skip
    assert (arm.name, arm.app) == ("both", BUILT_IN["async"].app)
    assert (arm.serving.threads, arm.env) == (80, {"A": "b"})


def test_a_hybrid_is_made_of_described_arms_wherever_they_are_described() -> None:
    texts = ["old=shop:old,threads=7", "new=shop:new,threads=7"]
    for arm in (described(*texts, "h=old+new,old=/a"), described("h=old+new,old=/a", others=texts)):
        assert arm.apps == ("shop:new", "shop:old")
        assert (arm.serving.threads, arm.app_dirs) == (7, ("/here",))


def test_a_table_with_commas_and_arms_in_one_string_are_quoted() -> None:
    one, other = lines('hybrid=sync+async,sync="/a,b;/c";async')
    made = described(one).hybrid
    assert made is not None
    assert made.routes == ("/a,b", "/c")
    assert other == "async"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h=synk+async,synk=/python", "there is no arm 'synk'"),
        ("h=sync+async", "no routes are named for 'sync'"),
        ("h=sync+async,async=/python", "no routes are named for 'sync'"),
        ("h=sync+async,sync=python", "'python' is not a route"),
        ("h=sync+async,sync=", "'' is not a route"),
        ("h=sync+async,sync=/a;/b/{x},async=GET /b/{y}", "both tables name /b/{x}"),
        ("h=sync+sync,sync=/python", "are the same app"),
        ("h=far+async,far=/python", "'far' is an external server"),
        ("h=slow+async,slow=/python", "cannot share a process: threads=5 and threads=40"),
        ("h=wide+async,wide=/python", "cannot share a process: workers=2 and workers=1"),
        ("h=there+async,there=/python", "cannot share a process: cwd=/srv and cwd="),
        ("h=other+async,other=/python", "cannot share a process: python=/bin/python3 and python="),
        ("h=secret+async,secret=/python", "cannot share a process: another env.KEY"),
        ("h=sync+async,sync=/python,app-dir=/srv", "app-dir= is a setting of the arms"),
        ("h=sync+async,sync=/python,thread=5", "unknown setting 'thread'"),
    ],
)
def test_a_hybrid_that_cannot_be_is_one_clear_error(text: str, message: str) -> None:
    others = [
        "far=http://127.0.0.1:9", "slow=sync,threads=5", "wide=sync,workers=2", "there=sync,cwd=/srv",
        "other=sync,python=/bin/python3", "secret=sync,env.KEY=hidden",
    ]  # fmt: skip
    with pytest.raises(PlanError) as caught:
        described(text, others=others)
    assert message in str(caught.value)
    assert "hidden" not in f"{caught.value} {caught.value.hint}"


def test_what_the_arms_of_a_hybrid_do_not_share_can_be_said_for_its_process() -> None:
    text = "h=slow+async,slow=/python,threads=9,env.KEY=x"
    arm = described(text, others=["slow=sync,threads=5,env.KEY=a"])
    assert (arm.serving.threads, arm.env) == (9, {"KEY": "x"})


def test_a_hybrid_of_the_twins_is_asked_what_the_twins_are_asked() -> None:
    assert fixed_questions([BUILT_IN["sync"], described(TWINS)]) == QUESTIONS
    assert fixed_questions([described("a=shop:a", "h=a+async,a=/python,python=/x", others=[])]) == ()


Talk = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]


def talk(app: Any, conversation: Talk) -> None:
    async def connected() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            await conversation(client)

    asyncio.run(connected())


def joined(other: Any, default: Any, *table: str, rest: Sequence[str] = ()) -> HybridApp:
    """The hybrid of two apps; the table names routes of the first."""
    sides = ((default, rest), (other, table))
    return HybridApp(*(JoinedApp(app, loading.interface(app), routes.routes(app), of) for app, of in sides))


PATHS = (
    "/users/me", "/users/{name}", "/users/{number:int}", "/users/{name}/posts", "/{rest:path}", "/about",
)  # fmt: skip
ASKED = ("/users/me", "/users/7", "/users/ann", "/users/ann/posts", "/about", "/elsewhere", "/users/", "/")
Choice = list[tuple[str, str]]
CHOICES = st.lists(
    st.tuples(st.sampled_from(["GET", "POST"]), st.sampled_from(PATHS)), unique=True, min_size=1, max_size=8
)


def routed(name: str, choice: Choice) -> Router:
    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(name)

    return Router([Route(path, answer, methods=[method]) for method, path in choice])


@given(theirs=CHOICES, ours=CHOICES, data=st.data())
def test_a_request_goes_where_the_app_s_own_router_finds_a_route_of_the_table(
    theirs: Choice, ours: Choice, data: st.DataObject
) -> None:
    """Also where a route that is tried earlier hides it, and one path has several methods."""
    table = data.draw(st.lists(st.sampled_from(theirs), unique=True, min_size=1))
    other, default = routed("other", theirs), routed("default", ours)
    hybrid = joined(other, default, *(f"{method} {path}" for method, path in table))
    for method in ("GET", "POST", "DELETE"):
        for path in ASKED:
            scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": []}
            found = next((one for one in other.routes if one.matches(scope)[0] is Match.FULL), None)
            exact, patterns = hybrid.switches.get(method, hybrid.unlisted)
            owner = exact.get(path) or next((app for match, app in patterns if match(path)), hybrid.default)
            named = isinstance(found, Route) and (method, found.path) in table
            assert (owner is hybrid.other) == named, (method, path)


def test_each_request_is_answered_by_the_app_of_its_route() -> None:
    def side(name: str, *paths: str) -> FastAPI:
        app, router = FastAPI(), APIRouter(prefix="/users")
        app.root_path = "/v1"
        for path in paths:
            router.add_api_route(path, lambda: name, methods=["GET", "PUT"])
        app.include_router(router)
        app.mount("/sub", Router([Route("/x", lambda _: PlainTextResponse(f'"{name}"'))]))
        return app

    async def conversation(client: httpx.AsyncClient) -> None:
        for method, path, expected in (
            ("GET", "/users/7", "other"), ("GET", "/v1/users/7", "other"), ("PUT", "/users/7", "default"),
            # Both have a route of their table: the exact path counts.
            ("GET", "/users/me", "default"), ("GET", "/v1/sub/x", "other"),
        ):  # fmt: skip
            assert (await client.request(method, path)).json() == expected, (method, path)
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.delete("/users/7")).status_code == 405

    both = side("other", "/{user_id}", "/me"), side("default", "/me", "/{user_id}")
    talk(joined(*both, "GET /users/{id}", "/sub/x", rest=["/users/me"]), conversation)


def test_an_app_whose_routes_are_not_known_gets_the_paths_of_its_table() -> None:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("bare")(scope, receive, send)

    async def conversation(client: httpx.AsyncClient) -> None:
        assert (await client.get("/items/7")).text == "bare"
        assert (await client.get("/items/7/more")).status_code == 404

    talk(joined(bare, FastAPI(), "/items/{id:int}"), conversation)
    assert joined(bare, FastAPI(), "/items/{id}").duel_routes()[-1][0] == "/items/{id}"


def test_a_request_costs_no_coroutine_of_its_own() -> None:
    def answering(scope: Any, receive: Any, send: Any) -> Any:
        return (scope["path"], scope["state"])

    hybrid = joined(answering, answering, "/a")
    scope = {"type": "http", "method": "GET", "path": "/a", "state": {}}
    answered: Any = hybrid(scope, None, None)
    assert answered == ("/a", {})


class Recorded:
    """An app that notes its lifespan, and answers with its state."""

    def __init__(self, name: str, log: list[str], fails: str = "") -> None:
        self.name, self.log, self.fails = name, log, fails

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await PlainTextResponse(str(scope["state"]))(scope, receive, send)
            return
        for moment in ("startup", "shutdown"):
            await receive()
            self.log.append(f"{self.name} {moment}")
            scope["state"]["name"] = self.name
            word = "failed" if moment == self.fails else "complete"
            await send({"type": f"lifespan.{moment}.{word}"})
            if word == "failed":
                raise RuntimeError(f"{self.name} fails")


def lived(app: Any, between: Talk | None = None) -> list[str]:
    """The messages that an app's lifespan sends."""
    told: list[str] = []

    async def life() -> None:
        asked: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        progress = asyncio.Event()

        async def send(message: dict[str, Any]) -> None:
            told.append(message["type"])
            progress.set()

        running = asyncio.ensure_future(app({"type": "lifespan", "state": {}}, asked.get, send))
        await asked.put({"type": "lifespan.startup"})
        await progress.wait()
        if between is not None:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                await between(client)
        await asked.put({"type": "lifespan.shutdown"})
        await running

    asyncio.run(asyncio.wait_for(life(), 10))
    return told


def test_both_lifespans_run_and_each_app_sees_its_own_state() -> None:
    log: list[str] = []

    async def conversation(client: httpx.AsyncClient) -> None:
        assert (await client.get("/a")).text == "{'name': 'other'}"
        assert (await client.get("/b")).text == "{'name': 'default'}"

    hybrid = joined(Recorded("other", log), Recorded("default", log), "/a")
    assert lived(hybrid, conversation) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log == ["other startup", "default startup", "default shutdown", "other shutdown"]


def test_a_lifespan_that_fails_ends_the_hybrid_and_the_other_lifespan() -> None:
    log: list[str] = []
    starting = joined(Recorded("other", log), Recorded("default", log, "startup"), "/a")
    assert lived(starting) == ["lifespan.startup.failed"]
    assert log == ["other startup", "default startup", "other shutdown"]
    ending = joined(Recorded("other", log, "shutdown"), Recorded("default", log), "/a")
    assert lived(ending) == ["lifespan.startup.complete", "lifespan.shutdown.failed"]


def test_an_app_without_a_lifespan_is_served_beside_one_that_has_one() -> None:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError

    log: list[str] = []
    told = lived(joined(bare, Recorded("default", log), "/a"))
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert log == ["default startup", "default shutdown"]


def test_the_openapi_document_has_each_operation_from_the_app_that_serves_it() -> None:
    def side(name: str, field: str) -> FastAPI:
        app = FastAPI(title=name)
        fields: dict[str, Any] = {field: (int, ...)}
        item: Any = create_model("Item", **fields)
        for path in ("/items/{id}", f"/{name}"):
            for method in ("GET", "PUT"):
                app.add_api_route(path, lambda: None, methods=[method], summary=name, response_model=item)
        return app

    document: dict[str, Any] = {}

    async def conversation(client: httpx.AsyncClient) -> None:
        document.update((await client.get("/openapi.json")).json())

    hybrid = joined(side("other", "cents"), side("default", "euros"), "GET /items/{number}", "/other")
    talk(hybrid, conversation)
    served = {
        f"{method} {path}": found["summary"]
        for path, several in document["paths"].items() for method, found in several.items()
    }  # fmt: skip
    assert served == {
        "get /items/{id}": "other", "put /items/{id}": "default", "get /default": "default",
        "put /default": "default", "get /other": "other", "put /other": "other",
    }  # fmt: skip
    answers = document["paths"]["/items/{id}"]["get"]["responses"]["200"]["content"]["application/json"]
    name = answers["schema"]["$ref"].rpartition("/")[2]
    assert list(document["components"]["schemas"][name]["properties"]) == ["cents"]
    paths = [(path, sorted(route.methods or ())) for path, route in hybrid.duel_routes() if "items" in path]
    assert paths == [("/items/{id}", ["GET"]), ("/items/{id}", ["PUT"])]


@pytest.fixture
def second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A second app in a directory of its own, as a server gets it, beside `one_app` in another one."""
    text = "from starlette.routing import Route, Router\napp = Router([Route('/python', lambda _: None)])\n"
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_app.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "one"))
    for name in ("one_app", "other_app", "helper"):
        # Forgotten again at the end.
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
        del sys.modules[name]
    return {"arms": ["b", "a"], "app": "other_app:app", "app_dir": str(tmp_path / "other"), "rest": []}


def test_a_route_of_the_table_that_its_app_does_not_have_is_named(
    tmp_path: Path, second: dict[str, Any]
) -> None:
    app, place = loading.load("one_app:app"), str(tmp_path / "one")
    with pytest.raises(loading.UnusableApp, match="the app of arm 'b' has no route /pythn") as caught:
        join(app, place, {**second, "routes": ["/pythn"]}, loading, routes)
    assert caught.value.hint == "did you mean /python?"
    hybrid = join(app, place, {**second, "routes": ["/python"]}, loading, routes)
    assert hybrid.switches["GET"].exact["/python"] is hybrid.other


def test_a_module_that_both_directories_have_is_not_imported_for_both(
    tmp_path: Path, second: dict[str, Any]
) -> None:
    """The second app would run the first one's code."""
    for name in ("one", "other"):
        with (tmp_path / name / f"{name}_app.py").open("a") as file:
            file.write("import helper\n")
        (tmp_path / name / "helper.py").write_text("")
    app = loading.load("one_app:app")
    with pytest.raises(loading.UnusableApp, match="each have a module 'helper'"):
        join(app, str(tmp_path / "one"), {**second, "routes": ["/python"]}, loading, routes)


def test_a_served_hybrid_is_one_app_with_one_database_and_reports_the_routes_of_both(
    tmp_path: Path,
) -> None:
    """What one app writes the other one reads: `def` routes make users, `async def` ones read them."""
    arm = described(f"{TWINS},workers=2")
    questions = [Question("POST", "/users", NEW_USER), Question("GET", "/users/201")]
    with ServingEnvironment(tmp_path, {}) as environment, serve(arm, environment, "1") as server:
        made, found = ask(server, questions)
        assert (made.status, found.status, found.body) == (201, 200, made.body)
        files = {f"{methods[0]} {path}": Path(file).parts for methods, path, file, _ in server.places()}
        named = ("GET /python", "POST /users", "GET /users/{user_id}", "GET /ping")
        assert ["sync_app" in files[one] for one in named] == [True, True, False, False]
        assert {"/python", "/posts/{post_id}", "/pages"} <= {*server.routes()}
        assert (len(server.heartbeats(0.0)), len(server.held(0.0, 1.0))) == (2, 2)
