"""What the tests share: the seeded data, the twin apps in this process, a run made of scripted numbers."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import settings as examples
from sqlalchemy import create_engine, text

import async_app.main
import sync_app.main
from loadtests.bench import generator
from loadtests.postgresql import Databases, own_server
from loadtests.postgresql_server import program
from loadtests.processes import Child
from loadtests.servers import BOOT_TIMEOUT, Surroundings, seed
from shared_models.seed import build
from shared_models.settings import Settings

examples.register_profile("long", print_blob=True)

APPS = Path(__file__).parent / "apps"

ALONE = {"arrivals", "bottlenecks", "fleet", "machine", "serving", "validity", "vitals"}
"""Tests that measure, or start what measures: they need the machine for themselves. All others may run beside
one another."""


def pytest_configure(config: pytest.Config) -> None:
    """Beside one another, tests agree with themselves alone on whose turn it is to measure."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is not None:
        private = TemporaryDirectory(prefix=f"duel-tests-{worker}-")
        config.add_cleanup(private.cleanup)
        os.environ["TMPDIR"] = tempfile.tempdir = private.name


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--interrupts", type=int, default=10, help="at how many moments a run is interrupted")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "interrupt" in metafunc.fixturenames:
        metafunc.parametrize("interrupt", range(metafunc.config.getoption("--interrupts")))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem.removeprefix("test_") in ALONE:
            item.add_marker(pytest.mark.alone)


CREATE: dict[str, Callable[[Settings], FastAPI]] = {
    "sync": sync_app.main.create_app,
    "async": async_app.main.create_app,
}


@dataclass(frozen=True)
class Variant:
    """A twin on a database, through a driver."""

    style: str
    database: str = "sqlite"
    driver: str = "psycopg"

    def __str__(self) -> str:
        return f"{self.style}-{self.database if self.database == 'sqlite' else self.driver}"

    def app(self, settings: Settings) -> FastAPI:
        return CREATE[self.style](settings)


VARIANTS = (
    Variant("sync"),
    Variant("async"),
    Variant("sync", "postgresql"),
    Variant("async", "postgresql"),
    Variant("async", "postgresql", "asyncpg"),
)

Talk = Callable[[httpx.AsyncClient], Coroutine[Any, Any, None]]
Opening = Callable[[Variant], AbstractContextManager[Settings]]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded data, built once; nobody writes to it."""
    directory = tmp_path_factory.mktemp("seeded")
    build(directory)
    return directory


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Seeded databases on the server that DUEL_TEST_DATABASE names, or on one of our own."""
    given = os.environ.get("DUEL_TEST_DATABASE")
    if not given and not program("postgres") and not os.environ.get("CI"):
        pytest.skip("PostgreSQL's server is not installed, and DUEL_TEST_DATABASE names none")
    logs = tmp_path_factory.mktemp("postgresql")
    with (
        nullcontext((given, None)) if given else own_server(logs, ()) as (url, _),
        Databases(url) as databases,
    ):
        seed(logs, databases)
        yield databases


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    with Surroundings(tmp_path_factory.mktemp("logs"), {}) as surroundings:
        yield surroundings


@pytest.fixture(scope="module")
def locust(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Child, dict[str, Any]]]:
    """The generator, and what it says when it is ready."""
    with generator(tmp_path_factory.mktemp("logs"), {}) as child:
        yield child, child.receive(BOOT_TIMEOUT)


@pytest.fixture
def fresh(seeded: Path, request: pytest.FixtureRequest) -> Opening:
    """Knobs on a fresh copy of the data, for one variant of the twins, as long as the block lasts."""

    @contextmanager
    def opening(variant: Variant) -> Iterator[Settings]:
        with TemporaryDirectory() as scratch:
            data = Path(scratch, "data")
            shutil.copytree(seeded, data)
            if variant.database == "sqlite":
                yield replace(Settings(), data=str(data))
                return
            databases: Databases = request.getfixturevalue("postgresql")
            name = databases.fresh()
            try:
                url = databases.url_of(name)
                yield replace(Settings(), data=str(data), database=url, driver=variant.driver)
            finally:
                databases.drop(name)

    return opening


@pytest.fixture(params=VARIANTS, ids=str)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Every twin on every database through every driver, in turn."""
    chosen: Variant = request.param
    return chosen


@pytest.fixture
def settings(fresh: Opening, variant: Variant) -> Iterator[Settings]:
    """The variant's knobs, on a fresh copy of the data."""
    with fresh(variant) as knobs:
        yield knobs


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """What a query finds in the database of `settings`."""
    engine = create_engine(replace(settings, driver="psycopg").url("pysqlite"))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


@asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client that speaks to `app` in this process, its lifespan run as a server would."""
    async with app.router.lifespan_context(app) as state:
        transport = httpx.ASGITransport(app=StateApp(app, dict(state or {})), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://duel") as client:
            yield client


class StateApp:
    """Puts the lifespan's state into every request's scope, as a server does."""

    def __init__(self, app: FastAPI, state: dict[str, Any]) -> None:
        self.app = app
        self.state = state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "state": dict(self.state)}, receive, send)


@pytest.fixture
def talk(variant: Variant, settings: Settings) -> Callable[[Talk], None]:
    """Runs a conversation with each variant of the twins in turn."""

    def converse(conversation: Talk) -> None:
        async def main() -> None:
            async with opened(variant.app(settings)) as client:
                await conversation(client)

        asyncio.run(main())

    return converse
