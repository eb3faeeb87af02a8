"""The twins are equal in everything but style."""

from __future__ import annotations

import ast
import inspect
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute, iter_route_contexts

import async_app.main
import sync_app.main
from benchmarks.findings import FAMILIES
from loadtests.measure.answers.equality import ask, check_equal
from loadtests.measure.answers.questions import QUESTIONS, SOCKET
from loadtests.plan.arms import built_in_arms
from loadtests.plan.profiles import ENDPOINTS, MIXES, SERVICES
from loadtests.records import Compared
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import serve
from loadtests.system import placement
from reports.analysis.catalogue import DATABASE, RELEASES_GIL
from shared_models import work
from shared_models.settings import Settings
from tests.conftest import Talk

ROOT = Path(__file__).parent.parent

WAITS_FOR_NOTHING = {
    "get_reading", "get_writing", "get_upstream", "get_plain_upstream", "get_processes", "get_threads",
    "get_blocking", "get_cache", "get_queue",
}  # fmt: skip
"""Dependencies that are coroutines in both twins: as `def`, each would cost a thread hop."""

ALLOWED = {
    "main.py": {
        "connection.run_sync(Base.metadata.create_all)": "Base.metadata.create_all(connection)",
    },
    "cache.py": {
        "asynccontextmanager": "contextmanager",
        "AsyncIterator[Cache | None]": "Iterator[Cache | None]",
    },
    "database.py": {
        "engine.sync_engine": "engine",
    },
    "jobs.py": {
        "asynccontextmanager": "contextmanager",
        "AsyncIterator[Queue | None]": "Iterator[Queue | None]",
        "enqueue_job(jobs.SEND_MAIL, recipient)": "send_task(jobs.SEND_MAIL, [recipient])",
        "create_pool(broker_of(settings))": "broker_of(settings)",
    },
    "routers/pitfalls.py": {
        "AsyncIterator[Session]": "Iterator[Session]",
        "run_in_threadpool(sleep, seconds)": "sleep(seconds)",
        "get_running_loop().run_in_executor(processes, work.python, iterations)": (
            "processes.submit(work.python, iterations).result()"
        ),
        "get_running_loop().run_in_executor(threads, sleep, seconds)": (
            "threads.submit(sleep, seconds).result()"
        ),
    },
    "routers/plumbing.py": {
        "AsyncIterator[bytes]": "Iterator[bytes]",
        "file.read()": "file.file.read()",
        # In a WebSocket route, which cannot be `def`: what blocks is handed to a thread by hand.
        "sleep(seconds)": "run_in_threadpool(sleep, seconds)",
    },
    "upstream.py": {
        "library.AsyncClient": "library.Client",
        "library.AsyncHTTPTransport": "library.HTTPTransport",
        "AsyncIterator[Get]": "Iterator[Get]",
        "AsyncIterator[Upstream]": "Iterator[Upstream]",
        "AbstractAsyncContextManager": "AbstractContextManager",
        "asynccontextmanager": "contextmanager",
        "Awaitable[str]": "str",
        "'httpx-aiohttp'": "'httpx'",
        "bound: Semaphore": "bound: ThreadPoolExecutor",
    },
}
"""Allowed differences after removing `async` and `await`: the other style's name for the same thing."""

OWN_WAY = {
    ("upstream.py", "call_many"), ("upstream.py", "open_upstream"), ("upstream.py", "opening"),
    ("jobs.py", "broker_of"), ("worker.py", "main"),
}  # fmt: skip
"""Functions that differ on purpose: a gather with a semaphore against a bounded thread pool; the HTTP clients
that a style has; Celery's settings and worker against ARQ's."""

ASYNC_ONLY = {"open_aiohttp"}
"""Functions that the sync twin has no counterpart of: aiohttp has no other style."""


class Styleless(ast.NodeTransformer):
    """Removes `async`, `await`, imports and docstrings from a syntax tree."""

    def __init__(self, own_way: set[str]) -> None:
        self.own_way = own_way

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST | None:  # ast's own name
        return self.visit_FunctionDef(ast.FunctionDef(**{name: getattr(node, name) for name in node._fields}))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:  # as above
        if node.name in ASYNC_ONLY:
            return None
        if node.name in self.own_way:
            node.body = [ast.Pass()]
        return self.without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:  # as above
        return self.without_docstring(node)

    def visit_Module(self, node: ast.Module) -> ast.AST:  # as above
        return self.without_docstring(node)

    def without_docstring(self, node: ast.FunctionDef | ast.ClassDef | ast.Module) -> ast.AST:
        self.generic_visit(node)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:  # as above
        return self.generic_visit(ast.With(items=node.items, body=node.body))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:  # as above
        return self.generic_visit(ast.For(**{name: getattr(node, name) for name in node._fields}))

    def visit_Await(self, node: ast.Await) -> ast.AST:  # as above
        self.generic_visit(node)
        return node.value

    def visit_Import(self, node: ast.Import) -> None:  # as above
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:  # as above
        return None


def files(app: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT / app)) for path in (ROOT / app).rglob("*.py"))


def styleless(path: Path, own_way: set[str]) -> str:
    tree = Styleless(own_way).visit(ast.parse(path.read_text(encoding="utf-8")))
    return ast.unparse(ast.fix_missing_locations(tree))


def test_both_twins_have_the_same_files() -> None:
    assert files("sync_app") == files("async_app")


@pytest.mark.parametrize("name", files("sync_app"))
def test_the_twins_differ_only_in_style(name: str) -> None:
    """Equal syntax trees without async and await; every allowed difference is listed, and is used."""
    own_way = {function for file, function in OWN_WAY if file == name}
    ours = styleless(ROOT / "sync_app" / name, own_way)
    theirs = styleless(ROOT / "async_app" / name, own_way)
    for there, here in ALLOWED.get(name, {}).items():
        changed = theirs.replace(there, here)
        assert changed != theirs, f"the allowed difference {there!r} is no longer used"
        theirs = changed
    assert theirs == ours


@pytest.mark.parametrize(("name", "function"), sorted(OWN_WAY))
def test_a_listed_exception_really_differs(name: str, function: str) -> None:
    """An exception that is no longer needed must be removed."""
    own_way = {other for file, other in OWN_WAY if file == name and other != function}
    bodies = []
    for app in ("sync_app", "async_app"):
        text = styleless(ROOT / app / name, own_way)
        for there, here in ALLOWED.get(name, {}).items():
            text = text.replace(there, here)
        bodies.append(text)
    assert bodies[0] != bodies[1]


def routes(app: FastAPI) -> Iterator[APIRoute]:
    for context in iter_route_contexts(app.router.routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            yield route


def sockets(app: FastAPI) -> dict[str, Callable[..., Any]]:
    """By path, the functions of the WebSocket routes."""
    several = (context.original_route for context in iter_route_contexts(app.router.routes))
    return {route.path: route.endpoint for route in several if isinstance(route, APIWebSocketRoute)}


def dependencies(dependant: Dependant) -> Iterator[Callable[..., Any]]:
    """Those of every depth."""
    for one in dependant.dependencies:
        assert one.call is not None
        yield one.call
        yield from dependencies(one)


def test_every_route_and_dependency_has_its_twins_style() -> None:
    """`def` in the sync twin, `async def` in the async twin; only code that waits for nothing is async in
    both."""
    for create, is_async in ((sync_app.main.create_app, False), (async_app.main.create_app, True)):
        found = list(routes(create(Settings())))
        assert len(found) > 20
        for route in found:
            assert inspect.iscoroutinefunction(route.endpoint) is is_async, route.path
            for call in dependencies(route.dependant):
                name = call.__name__
                if name in WAITS_FOR_NOTHING:
                    assert inspect.iscoroutinefunction(call)
                else:
                    either = inspect.isasyncgenfunction(call) or inspect.iscoroutinefunction(call)
                    assert either is is_async, name


def test_the_routes_of_web_sockets_are_coroutines_in_both_twins_and_say_what_to_expect() -> None:
    """FastAPI awaits them: a `def` one fails with the first connection. The docstrings are in no OpenAPI
    document, and are equal."""
    ours, theirs = sockets(sync_app.main.create_app()), sockets(async_app.main.create_app())
    assert ours
    assert ours.keys() == theirs.keys()
    for path, endpoint in ours.items():
        assert inspect.iscoroutinefunction(endpoint)
        assert inspect.iscoroutinefunction(theirs[path])
        assert endpoint.__doc__ == theirs[path].__doc__
        assert "xpect" in (endpoint.__doc__ or ""), path


SAYS_SO = re.compile(r"[Rr]eleases the GIL|GIL\s+released|neither the GIL")


def scenario_of(path: str) -> str:
    """`posts.` for the routes of one thing, else the last part of the path, as the catalogue has them."""
    first, *_, last = (*path.strip("/").split("/"), "")
    parts = [part for part in path.strip("/").split("/") if not part.startswith("{")]
    return f"{first}." if first in ("users", "posts", "pages") else parts[-1] if parts else last


def test_the_catalogue_of_caveats_knows_every_route_that_uses_the_database_or_releases_the_gil() -> None:
    """The report warns where a verdict rests on one core, or on one database."""
    for app in (sync_app.main.create_app(), async_app.main.create_app()):
        for route in routes(app):
            name, source = scenario_of(route.path), inspect.getsource(route.endpoint)
            assert bool(DATABASE.match(name)) == ("session" in source.lower()), route.path
            called = [getattr(work, function) for function in re.findall(r"\bwork\.(\w+)\(", source)]
            said = any(SAYS_SO.search(one.__doc__ or "") for one in (route.endpoint, *called))
            assert (name in RELEASES_GIL) == said, f"{route.path}: RELEASES_GIL, or its docstrings"


def test_the_findings_have_a_family_for_every_scenario() -> None:
    listed = [name for names in FAMILIES.values() for name in names]
    assert sorted(listed) == sorted([*ENDPOINTS, *MIXES, *SERVICES])


def test_both_twins_publish_the_same_openapi_document() -> None:
    """The docstrings are part of it, so they too must be equal."""
    assert sync_app.main.create_app(Settings()).openapi() == async_app.main.create_app(Settings()).openapi()


def test_every_endpoint_says_what_it_stands_for_and_what_to_expect_of_each_style() -> None:
    for route in routes(sync_app.main.create_app(Settings())):
        assert "xpect" in route.description, route.path


def test_the_served_twins_give_equal_responses_to_the_fixed_requests() -> None:
    """Real servers, responses compared byte for byte, including 404, 405, 409 and 422."""
    with (
        tempfile.TemporaryDirectory() as logs,
        ServingEnvironment(Path(logs), placement.place(())) as environment,
    ):
        assert check_equal(built_in_arms(), environment, QUESTIONS) == Compared(requests=len(QUESTIONS))


def test_valid_ones_of_the_fixed_requests_reach_every_route() -> None:
    """A route that no request reaches, or none but one that is refused, could differ unnoticed."""
    app, arm = sync_app.main.create_app(Settings()), built_in_arms()[0]
    with (
        tempfile.TemporaryDirectory() as logs,
        ServingEnvironment(Path(logs), placement.place(())) as environment,
        serve(arm, environment, "questions") as server,
    ):
        replies = ask(server, QUESTIONS)
    reached: set[tuple[str, ...]] = set()
    for question, reply in zip(QUESTIONS, replies, strict=True):
        path = question.path.partition("?")[0]
        if question.method == SOCKET:
            reached.add((path, SOCKET))
            continue
        scope = {"type": "http", "method": question.method, "path": path}
        for route in routes(app):
            match, _ = route.matches(scope)
            if match.name == "FULL" and reply.status not in range(400, 500):
                reached.add((route.path, *sorted(route.methods or ())))
    expected = {(route.path, *sorted(route.methods or ())) for route in routes(app)}
    assert reached == expected | {(path, SOCKET) for path in sockets(app)}


def test_no_coroutine_is_left_unawaited(talk_of_twin: Callable[[Talk], None]) -> None:
    """Warnings are errors here, so starting and stopping each app is enough to show one; test_apps.py does so
    with every driver."""

    async def conversation(client: httpx.AsyncClient) -> None:
        assert (await client.get("/ping")).json() == {"result": "pong"}

    talk_of_twin(conversation)


def test_a_misspelt_setting_of_the_twins_is_refused() -> None:
    """The usual pool was measured, under a record that named another one."""
    with pytest.raises(ValueError, match="DUEL_APP_POOLSIZE is not a setting of this app"):
        Settings.from_environment({"DUEL_APP_POOLSIZE": "5"})
    # Our own app-dir.
    assert Settings.from_environment({"DUEL_APP_DIR": "src"}) == Settings()
