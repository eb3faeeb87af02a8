"""Shared fixtures: the seeded data, the twin apps in this process, runs with scripted numbers."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, replace
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import certifi
import httpx
import pytest
from fastapi import FastAPI
from hypothesis import settings as examples
from sqlalchemy import create_engine, text

import async_app.main
import sync_app.main
from loadtests.measure import opening
from loadtests.measure.generator import generator
from loadtests.plan.database_url import SERVERS, ServerBackend, server_backend
from loadtests.serving.databases import mysql_server, postgresql_server
from loadtests.serving.databases.keeping import program
from loadtests.serving.databases.run_databases import Databases
from loadtests.serving.databases.servers import databases, own_server
from loadtests.serving.environment import ServingEnvironment, seed
from loadtests.serving.services.redis_databases import own_redis
from loadtests.serving.services.redis_server import server_program
from loadtests.serving.used.files import UsedFiles
from loadtests.serving.versions import Sources
from loadtests.system import lock
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from reports.conclusions import Conclusions
from shared_models.seed import build
from shared_models.settings import Settings
from tests.brisk import copy_data, leave_data_out
from tests.shapes import told

examples.register_profile("long", print_blob=True)

APPS = Path(__file__).parent / "apps"
CERTIFICATES = os.environ.get("SSL_CERT_FILE")

PATCHED = """
import contextlib, io, json, sys
import loadtests.load.user_files

for line in sys.stdin:
    asked = json.loads(line)
    sys.argv[1:] = asked["arguments"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(asked["code"], {"__name__": "__main__"})
    print(json.dumps({"printed": printed.getvalue()}), flush=True)
"""

InPatched = Callable[..., str]


def pytest_configure(config: pytest.Config) -> None:
    """Give each process of tests its own queue of measurements, so that they do not wait for each other."""
    private = TemporaryDirectory(prefix="duel-tests-")
    config.add_cleanup(private.cleanup)
    os.environ[lock.VARIABLE] = private.name


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run only the tests marked long")
    parser.addoption("--interrupts", type=int, default=50, help="number of interrupted runs, with --long")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "interrupt" in metafunc.fixturenames:
        metafunc.parametrize("interrupt", range(metafunc.config.getoption("--interrupts")))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = config.getoption("--long")
    left_out = [item for item in items if (item.get_closest_marker("long") is not None) != long]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have garbage collection leave out what importing and collecting the tests has made, and pause longer:
    searching it again and again takes a quarter of the time of tests that compute."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


CREATE: dict[str, Callable[[Settings], FastAPI]] = {
    "sync": sync_app.main.create_app,
    "async": async_app.main.create_app,
}


@dataclass(frozen=True)
class Variant:
    """A twin with its database and driver."""

    style: str
    database: str = "sqlite"
    driver: str = ""
    """Empty: the style's usual one."""

    def __str__(self) -> str:
        return f"{self.style}-{self.driver or self.database}"

    def app(self, settings: Settings) -> FastAPI:
        return CREATE[self.style](settings)


VARIANTS = (
    Variant("sync"),
    Variant("async"),
    Variant("sync", "postgresql"),
    Variant("async", "postgresql"),
    Variant("async", "postgresql", "asyncpg"),
    Variant("sync", "mysql"),
    Variant("async", "mysql"),
    Variant("async", "mysql", "asyncmy"),
)

Talk = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]
Opening = Callable[[Variant], AbstractContextManager[Settings]]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded data, built once; read-only."""
    directory = tmp_path_factory.mktemp("seeded")
    build(directory)
    return directory


@pytest.fixture(scope="session", autouse=True)
def data_is_copied(seeded: Path) -> None:
    """Runs and servers of these tests copy the seeded data: building it takes as long as a server's start."""
    copy_data(seeded)


@pytest.fixture(scope="session", autouse=True)
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The HTTP clients of every app, here and in servers, read one certificate and not all: that takes 36 ms
    for each client, none of which uses any. See `downloads`."""
    first, end, _ = Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----\n")
    file = tmp_path_factory.mktemp("certificates") / "first.pem"
    file.write_text(first + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    """All certificates, for tests that download packages."""
    if CERTIFICATES is None:
        monkeypatch.delenv("SSL_CERT_FILE")
    else:
        monkeypatch.setenv("SSL_CERT_FILE", CERTIFICATES)


class Known(dict[str, Conclusions]):
    """Conclusions by shape of tests/shapes.py. Each is drawn on first use, by one of the processes of tests,
    which leaves it for the others in `shared`."""

    def __init__(self, shared: Path) -> None:
        super().__init__()
        self.shared = shared

    def __missing__(self, shape: str) -> Conclusions:
        home = self.shared / shape
        home.mkdir(exist_ok=True, parents=True)
        with Path(home, "lock").open("w") as alone:
            flock(alone, LOCK_EX)
            kept = home / "conclusions"
            if not kept.exists():
                kept.write_bytes(pickle.dumps(told(home, shape)))
            self[shape] = pickle.loads(kept.read_bytes())  # noqa: S301  # our own
        return self[shape]


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Conclusions of every shape of run, for tests that only read."""
    own = tmp_path_factory.getbasetemp()
    return Known((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shapes")


PROGRAMS = {
    "postgresql": lambda: program("postgres", postgresql_server.PLACES),
    "mysql": lambda: program("mariadbd", mysql_server.PLACES),
}
"""Where the database servers of this machine are."""


def skip_without(kind: ServerBackend, also: str = "") -> None:
    """Skips the test where a database server is not installed, but not in CI."""
    if PROGRAMS[kind]() is None and not os.environ.get("CI"):
        pytest.skip(f"no {SERVERS[kind].title} server is installed{also}")


@contextmanager
def on_server(kind: ServerBackend, logs: Path) -> Iterator[Databases]:
    """Seeded databases on the server that DUEL_TEST_DATABASE names, or else on a temporary one; skips the
    test where there is neither, but not in CI."""
    given = os.environ.get("DUEL_TEST_DATABASE", "")
    there = server_backend(given) == kind if given else False
    if not there:
        skip_without(kind, ", and DUEL_TEST_DATABASE names none")
    with (
        nullcontext((given, None)) if there else own_server(kind, logs, ()) as (url, _),
        databases(url) as opened,
    ):
        seed(logs, opened)
        yield opened


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Seeded databases on a PostgreSQL server."""
    with on_server("postgresql", tmp_path_factory.mktemp("postgresql")) as opened:
        yield opened


@pytest.fixture(scope="session")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Seeded databases on a MariaDB server."""
    with on_server("mysql", tmp_path_factory.mktemp("mysql")) as opened:
        yield opened


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a temporary Redis server."""
    if not os.environ.get("CI"):
        pytest.importorskip("redis")
        if not server_program():
            pytest.skip("no Redis server is installed: the package redis-server")
    with own_redis(tmp_path_factory.mktemp("redis"), ()) as (url, _):
        yield url


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingEnvironment]:
    """The data and the slow service of all servers of these tests."""
    with ServingEnvironment(tmp_path_factory.mktemp("logs"), {}) as opened:
        yield opened


@pytest.fixture(scope="module")
def environment(
    surroundings: ServingEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> ServingEnvironment:
    """The same with logs of its own, as it is before any server has shown what its code is."""
    mine = copy(surroundings)
    mine.logs, mine.sources, mine.files = tmp_path_factory.mktemp("logs"), Sources(), UsedFiles()
    return mine


@pytest.fixture(scope="session")
def locust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Child, dict[str, Any]]]:
    """The generator, and its first message. Every load has a process of its own, as in a run."""
    with generator(tmp_path_factory.mktemp("logs"), {}) as child:
        yield child, child.receive(OWN_BOOT)


@pytest.fixture(scope="session")
def in_patched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InPatched]:
    """Runs code with arguments in one process that Locust has patched, and returns what it prints."""
    log = tmp_path_factory.mktemp("logs") / "patched.log"
    with Child("the patched process", ["-W", "error", "-c", PATCHED], log, env=OUR_PACKAGES) as child:

        def run(code: str, *arguments: str) -> str:
            child.send({"code": code, "arguments": arguments})
            printed: str = child.receive(60.0)["printed"]
            return printed

        yield run


@pytest.fixture
def unprepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process begin with their first round: answers are not compared, arms not calibrated."""
    monkeypatch.setattr(opening, "prepared", lambda run, *_: run)


@pytest.fixture
def unseeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers started from this process have no data: for arms that need none."""
    leave_data_out(monkeypatch.setattr)


@pytest.fixture
def fresh(seeded: Path, request: pytest.FixtureRequest) -> Opening:
    """A context manager: settings on a fresh copy of the data for one variant of the twins."""

    @contextmanager
    def opening(variant: Variant) -> Iterator[Settings]:
        with TemporaryDirectory() as scratch:
            data = Path(scratch, "data")
            shutil.copytree(seeded, data)
            if variant.database == "sqlite":
                yield replace(Settings(), data=str(data))
                return
            server: Databases = request.getfixturevalue(variant.database)
            name = server.fresh()
            try:
                url = server.url_of(name)
                yield replace(Settings(), data=str(data), database=url, driver=variant.driver)
            finally:
                server.drop(name)

    return opening


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Each twin with each database and driver."""
    chosen: Variant = request.param
    return chosen


@pytest.fixture
def settings(fresh: Opening, variant: Variant) -> Iterator[Settings]:
    """The variant's settings, on a fresh copy of the data."""
    with fresh(variant) as knobs:
        yield knobs


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """The rows a query returns from the database of `settings`."""
    engine = create_engine(settings.blocking_url())
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client for `app` in this process, with its lifespan run as a server would."""
    async with app.router.lifespan_context(app) as state:
        transport = httpx.ASGITransport(app=StateApp(app, dict(state or {})), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://duel") as client:
            yield client


class StateApp:
    """Copies the lifespan's state into every request's scope, as a server does."""

    def __init__(self, app: FastAPI, state: dict[str, Any]) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "state": dict(self.state)}, receive, send)


def conversing(variant: Variant, settings: Settings) -> Callable[[Talk], None]:
    """Runs a conversation with a variant of the twins."""

    def converse(conversation: Talk) -> None:
        async def main() -> None:
            async with opened(variant.app(settings)) as client:
                await conversation(client)

        asyncio.run(main())

    return converse


@pytest.fixture
def talk(variant: Variant, settings: Settings) -> Callable[[Talk], None]:
    """Runs a conversation with each variant of the twins."""
    return conversing(variant, settings)


@pytest.fixture(params=VARIANTS[:2], ids=str)
def talk_of_twin(request: pytest.FixtureRequest, fresh: Opening) -> Iterator[Callable[[Talk], None]]:
    """Runs a conversation with each twin, on SQLite: for routes that use no database."""
    with fresh(request.param) as settings:
        yield conversing(request.param, settings)
