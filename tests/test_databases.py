"""Database servers of a run: one database per trial, nothing left behind, no secrets shown."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from sqlalchemy import Engine, create_engine, text

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.bench import Bench
from loadtests.plan.arms import BUILT_IN
from loadtests.plan.database_url import SERVERS, ServerBackend, server_backend
from loadtests.records.directory import RunDirectory
from loadtests.serving.databases.run_databases import Databases
from loadtests.serving.databases.servers import databases, own_server
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system import accounting
from shared_models.seed import POSTS
from shared_models.settings import Settings
from tests.commands import brisk_here, carried_out, duel_here
from tests.conftest import skip_without
from tests.serving import app

THIRD = {"postgresql": "async-asyncpg", "mysql": "async-asyncmy"}
"""The arm with a driver that only the async twin can use."""


@pytest.fixture(params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Databases:
    """Seeded databases on each kind of server."""
    opened: Databases = request.getfixturevalue(request.param)
    return opened


def engine(server: Databases, name: str) -> Engine:
    """Of one database of a run, through the driver of the sync twin."""
    return create_engine(replace(Settings(), database=server.url_of(name)).blocking_url())


def of_runs(server: Databases) -> set[str]:
    """The databases that runs have created on a server."""
    return {name for name in server.names() if name.startswith("duel_")}


def test_every_trial_gets_its_own_seeded_database_and_leaves_none(server: Databases) -> None:
    before = of_runs(server)
    first, second = server.fresh(), server.fresh()
    engines = [engine(server, name) for name in (first, second)]
    with engines[0].begin() as connection:
        connection.execute(text("DELETE FROM posts"))
    with engines[1].connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM posts")).scalar() == POSTS
        for name in (first, second):
            server.drop(name)  # although a client is still connected, in a transaction
        connection.invalidate()
    for one in engines:
        one.dispose()
    assert of_runs(server) == before


def test_databases_of_a_killed_run_are_dropped_by_the_next_one_and_a_running_one_keeps_its_own(
    server: Databases,
) -> None:
    left = f"duel_{2**31 - 1}_3"
    server.create(left)
    ours = of_runs(server) - {left}
    with databases(server.url) as other:
        assert of_runs(server) == ours | {other.template}
    assert of_runs(server) == ours


def test_a_running_run_keeps_its_databases_whichever_database_another_one_is_connected_to(
    server: Databases,
) -> None:
    elsewhere = "duel_elsewhere"
    server.create(elsewhere)
    try:
        before = of_runs(server)
        with databases(server.url_of(elsewhere)) as other:
            assert of_runs(server) == before | {other.template}
    finally:
        server.drop(elsewhere)


def test_the_work_of_the_server_counts_as_own_work(server: Databases) -> None:
    pid = server.server_pid()
    assert pid is not None
    assert psutil.Process(pid).name() in server.programs


def test_with_an_unobservable_database_no_work_is_called_foreign() -> None:
    clocks = accounting.Clocks([], all_known=False)
    start = clocks.read(1)
    assert clocks.between(start, clocks.read(1)).host_foreign is None


@pytest.mark.parametrize("kind", SERVERS)
def test_a_temporary_server_ends_with_its_keeper_and_removes_its_files(
    kind: ServerBackend, tmp_path: Path
) -> None:
    skip_without(kind)
    with own_server(kind, tmp_path, ()) as (url, keeper), databases(url) as opened:
        family = psutil.Process(keeper.pid).children(recursive=True)
        homes = set()
        for process in family:
            with suppress(psutil.NoSuchProcess):  # PostgreSQL starts short-lived workers
                if process.name() in opened.programs:
                    homes.add(Path(process.cwd()).parent)
        (home,) = homes
        assert home.is_dir()
        assert of_runs(opened) == {opened.template}
        keeper._stdin.close()  # like the death of the parent, for any reason
        psutil.Process(keeper.pid).wait(timeout=20)
        with pytest.raises(ChildFailed, match="lost the database server"):
            opened.fresh()
    assert not home.exists()
    assert not [process for process in family if process.is_running() and process.status() != "zombie"]


@pytest.mark.parametrize(("kind", "driver"), [("postgresql", "psycopg"), ("mysql", "pymysql")])
def test_a_missing_driver_is_named_before_a_server_is_started(
    kind: ServerBackend, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(PlanError, match="needs its drivers") as caught, own_server(kind, tmp_path, ()):
        pass
    assert "pip install 'fastapi-duel[" in caught.value.hint


def test_an_arm_has_its_own_database_and_the_driver_it_names(server: Databases, tmp_path: Path) -> None:
    """A nonexistent driver shows that the arm's own is used; a run, below, that a third one answers."""
    arm = BUILT_IN["async"].model_copy(update={"env": {"DUEL_APP_DRIVER": "no_such_driver"}})
    with ServingEnvironment(tmp_path, {}, server.url) as environment:
        with Server(app("counting"), environment, "1.1") as started:
            assert started.database_url is not None
            assert urlsplit(started.database_url).path != urlsplit(server.url).path
        with pytest.raises(ChildFailed, match="did not start") as caught:
            Server(arm, environment, "1.2").become_ready()
    assert "no_such_driver" in caught.value.cause


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_refuses_us_is_one_clear_error_without_the_password(
    kind: ServerBackend, tmp_path: Path
) -> None:
    done = duel_here("check", "--database", f"{kind}://duel:secret@127.0.0.1:9/shop", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: no connection to the database {kind}://127.0.0.1:9/shop")
    assert "secret" not in done.stderr


@pytest.mark.parametrize(
    ("arm", "database", "needed"),
    [
        ("async-asyncpg", "sqlite", "postgresql"),
        ("async-asyncpg", "mysql", "postgresql"),
        ("async-asyncmy", "sqlite", "mysql"),
        ("async-asyncmy", "postgresql", "mysql"),
    ],
)
def test_a_driver_of_another_database_is_refused_with_a_hint(
    arm: str, database: str, needed: str, tmp_path: Path
) -> None:
    done = duel_here("run", "--arm", "sync", "--arm", arm, "--database", database, cwd=tmp_path)
    assert done.returncode == 2
    assert f"hint: add --database {needed}" in done.stderr


def test_a_run_records_the_server_s_version_and_not_the_password(
    server: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without calibrations, of which databases are no part: runs on SQLite and with Redis have them."""
    monkeypatch.setattr(Bench, "calibrations", lambda *_: [])
    kind = server_backend(server.url)
    arms = ("--arm", "sync", "--arm", "async", "--arm", THIRD[kind])
    done = brisk_here(
        "run", "-s", "users.update", "-u", "4", "-t", "0.3", "--warmup", "0.1", "--rounds", "1", *arms,
        cwd=tmp_path, DUEL_DATABASE=server.url,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert run.plan.database == kind
    assert run.machine.database == server.version
    assert run.answers_compared
    assert not any(trial.errors for trial in run.trials)
    password = urlsplit(server.url).password or ""
    assert password
    for file in where.rglob("*"):
        assert file.is_dir() or password.encode() not in file.read_bytes(), file
    shown = duel_here("config", cwd=tmp_path, DUEL_DATABASE=server.url)
    assert f"database = {kind}://127.0.0.1" in shown.stdout
    assert password not in shown.stdout
    assert f"{SERVERS[kind].title} ran on this machine" in done.stdout
    assert json.loads((where / "report" / "summary.json").read_text())["machine"]["database"]
