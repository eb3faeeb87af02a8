"""PostgreSQL for a run: one database per trial, nothing left behind, no secrets shown."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest

from loadtests.errors import ChildFailed, PlanError
from loadtests.plan.arms import BUILT_IN
from loadtests.plan.database_url import OWN, checked, without_secrets
from loadtests.records.directory import RunDirectory
from loadtests.serving.databases.postgresql import Databases, own_server
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system import accounting
from shared_models.seed import POSTS
from tests.commands import brisk_here, carried_out, duel_here
from tests.serving import app


def names(url: str) -> set[str]:
    """The databases that runs have created on a server."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT datname FROM pg_database").fetchall()
    return {str(name) for (name,) in rows if str(name).startswith("duel_")}


def test_every_trial_gets_its_own_seeded_database_and_leaves_none(postgresql: Databases) -> None:
    before = names(postgresql.url)
    first, second = postgresql.fresh(), postgresql.fresh()
    with psycopg.connect(postgresql.url_of(first)) as connection:
        connection.execute("DELETE FROM posts")
    connected = psycopg.connect(postgresql.url_of(second))
    assert connected.execute("SELECT count(*) FROM posts").fetchone() == (POSTS,)
    for name in (first, second):
        postgresql.drop(name)  # although a client is still connected
    connected.close()
    assert names(postgresql.url) == before


def test_databases_of_a_killed_run_are_dropped_by_the_next_one_and_a_running_one_keeps_its_own(
    postgresql: Databases,
) -> None:
    left = f"duel_{2**31 - 1}_3"
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{left}"'.encode())
    ours = names(postgresql.url) - {left}
    with Databases(postgresql.url) as other:
        assert names(postgresql.url) == ours | {other.template}
    assert names(postgresql.url) == ours


def test_the_work_of_the_server_counts_as_own_work(postgresql: Databases) -> None:
    pid = postgresql.server_pid()
    assert pid is not None
    assert psutil.Process(pid).name() in {"postgres", "postmaster"}


def test_with_an_unobservable_database_no_work_is_called_foreign() -> None:
    clocks = accounting.Clocks([], all_known=False)
    start = clocks.read(1)
    assert clocks.between(start, clocks.read(1)).host_foreign is None


def test_a_temporary_server_ends_with_its_keeper_and_removes_its_files(tmp_path: Path) -> None:
    with own_server(tmp_path, ()) as (url, keeper):
        family = psutil.Process(keeper.pid).children(recursive=True)
        homes = set()
        for process in family:
            with suppress(psutil.NoSuchProcess):  # PostgreSQL starts short-lived workers
                if process.name() == "postgres":
                    homes.add(Path(process.cwd()).parent)
        (home,) = homes
        assert home.is_dir()
        assert names(url) == set()
        keeper._stdin.close()  # like the death of the parent, for any reason
        psutil.Process(keeper.pid).wait(timeout=20)
    assert not home.exists()
    assert not [process for process in family if process.is_running() and process.status() != "zombie"]


def test_an_arm_on_postgresql_has_its_own_database_and_the_driver_it_names(
    postgresql: Databases, tmp_path: Path
) -> None:
    """A nonexistent driver shows that the arm's own is used; a run, below, that asyncpg answers."""
    arm = BUILT_IN["async-asyncpg"].model_copy(update={"env": {"DUEL_APP_DRIVER": "no_such_driver"}})
    with ServingEnvironment(tmp_path, {}, postgresql.url) as environment:
        with Server(app("counting"), environment, "1.1") as server:
            assert server.database_url is not None
            assert urlsplit(server.database_url).path != urlsplit(postgresql.url).path
        with pytest.raises(ChildFailed, match="did not start") as caught:
            Server(arm, environment, "1.2").become_ready()
    assert "no_such_driver" in caught.value.cause


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://root@127.0.0.1/x", "is not a postgresql:// URL"),
        ("duel.db", "is not a postgresql:// URL"),
        ("postgresql://u:secret@db.example.org/x", "is on db.example.org, not on this machine"),
        ("postgresql://u:secret@127.0.0.1/x?hostaddr=192.0.2.1", "is on 192.0.2.1"),
        ("postgresql://u:secret@127.0.0.1/x?host=192.0.2.1", "is on 192.0.2.1"),
        ("postgresql://u:secret@127.0.0.1/x?dbname=precious", "options that cannot be used here: dbname"),
        ("postgresql://u:secret@127.0.0.1/x?service=elsewhere", "cannot be used here: service"),
        ("postgresql://u:secret@192.0.2.1:5432/x", "is on 192.0.2.1"),
        ("postgresql://u:secret@127.0.0.1:port/x", "cannot be read"),
        ("postgresql://u:secret@127.0.0.1,db.example.org/x", "not on this machine"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused_without_telling_its_password(
    given: str, said: str
) -> None:
    with pytest.raises(PlanError) as caught:
        checked(given)
    assert said in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("variable", "given"), [("PGHOST", "postgresql:///x"), ("PGHOSTADDR", "postgresql://127.0.0.1/x")]
)
def test_a_host_in_the_environment_is_checked_too(
    variable: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "192.0.2.1")
    with pytest.raises(PlanError, match=r"is on 192\.0\.2\.1"):
        checked(given)


@pytest.mark.parametrize(
    "given", [OWN, "postgresql://127.0.0.1/x", "postgres://u:p@[::1]:5432/x", "postgresql:///x?host=/run/pg"]
)
def test_a_database_on_this_machine_is_accepted(given: str) -> None:
    assert checked(given) == given


def test_a_database_is_shown_without_user_password_and_options() -> None:
    assert (
        without_secrets("postgresql://u:p%40@127.0.0.1:5432/x?password=q") == "postgresql://127.0.0.1:5432/x"
    )


def test_a_server_that_refuses_us_is_one_clear_error_without_the_password(tmp_path: Path) -> None:
    url = "postgresql://duel:secret@127.0.0.1:9/postgres"
    done = duel_here("check", "--database", url, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no connection to the database postgresql://127.0.0.1:9/postgres")
    assert "secret" not in done.stderr


def test_asyncpg_without_postgresql_is_refused_with_a_hint(tmp_path: Path) -> None:
    done = duel_here("run", "--arm", "sync", "--arm", "async-asyncpg", cwd=tmp_path)
    assert done.returncode == 2
    assert "hint: add --database postgresql" in done.stderr


def test_a_run_on_postgresql_records_its_version_and_not_the_password(
    postgresql: Databases, tmp_path: Path
) -> None:
    arms = ("--arm", "sync", "--arm", "async", "--arm", "async-asyncpg")
    done = brisk_here(
        "run", "-s", "users.update", "-u", "4", "-t", "0.3", "--warmup", "0.1", "--rounds", "1", *arms,
        cwd=tmp_path, DUEL_DATABASE=postgresql.url,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    (where,) = (tmp_path / "runs").iterdir()
    run = RunDirectory(where).load()
    assert run.plan.database == "postgresql"
    assert run.machine.database == postgresql.version
    assert run.answers_compared
    assert not any(trial.errors for trial in run.trials)
    password = urlsplit(postgresql.url).password or ""
    assert password
    for file in where.rglob("*"):
        assert file.is_dir() or password.encode() not in file.read_bytes(), file
    shown = duel_here("config", cwd=tmp_path, DUEL_DATABASE=postgresql.url)
    assert "database = postgresql://127.0.0.1" in shown.stdout
    assert password not in shown.stdout
    assert "PostgreSQL ran on this machine" in done.stdout
    assert json.loads((where / "report" / "summary.json").read_text())["machine"]["database"]
