"""What is MySQL's own: copies made table by table, texts that compare by their bytes, and who may enter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import IntegrityError, OperationalError

from loadtests.errors import ChildFailed
from loadtests.serving.databases.run_databases import Databases
from loadtests.serving.databases.servers import own_server
from loadtests.serving.inside.reading import read
from shared_models import blocking
from shared_models.seed import USERS
from shared_models.settings import Settings
from tests.apps import mysql_clients
from tests.conftest import APPS, skip_without


@pytest.fixture
def copied(mysql: Databases) -> Iterator[Engine]:
    """The engine of a twin on a copy of its own."""
    name = mysql.fresh()
    engine = blocking.engine(replace(Settings(), database=mysql.url_of(name)))
    yield engine
    engine.dispose()
    mysql.drop(name)


def test_a_copy_generates_the_next_id_and_cascades(copied: Engine) -> None:
    with copied.begin() as connection:
        connection.execute(text("INSERT INTO users (name, email) VALUES ('Ada', 'ada@example.org')"))
        assert connection.execute(text("SELECT max(id) FROM users")).scalar() == USERS + 1
        connection.execute(text("DELETE FROM users WHERE id = 9"))
        assert connection.execute(text("SELECT count(*) FROM posts WHERE author_id = 9")).scalar() == 0
    with copied.connect() as connection, pytest.raises(IntegrityError, match="foreign key"):
        connection.execute(text("INSERT INTO orders (user_id, post_id, receipt) VALUES (9, 1, '')"))


def test_emails_that_differ_in_case_or_accents_are_different_as_elsewhere(copied: Engine) -> None:
    insert = text("INSERT INTO users (name, email) VALUES ('Ada', :email)")
    with copied.begin() as connection:
        for email in ("ada@example.org", "Ada@example.org", "ádá@example.org"):
            connection.execute(insert, {"email": email})
        with pytest.raises(IntegrityError, match="Duplicate"):
            connection.execute(insert, {"email": "Ada@example.org"})


def test_a_driver_that_blocks_is_found_in_a_coroutine_and_an_asynchronous_one_is_not() -> None:
    found = [one["what"] for one in read(mysql_clients.blocks, APPS)["blocks"]]
    assert found == ["pymysql.connect", "pymysql.Cursor.execute", "pymysql.Connection.commit"]
    for fine in (mysql_clients.waits_in_aiomysql, mysql_clients.waits_in_asyncmy):
        assert read(fine, APPS)["blocks"] == []


def test_transactions_are_isolated_as_on_postgresql(copied: Engine) -> None:
    """A transaction sees what others have committed since it began."""
    count = text("SELECT count(*) FROM mails")
    with copied.connect() as reader, copied.connect() as writer:
        assert reader.execute(count).scalar() == 0
        writer.execute(text("INSERT INTO mails (recipient) VALUES ('ada@example.org')"))
        writer.commit()
        assert reader.execute(count).scalar() == 1


def test_a_machine_without_mariadb_is_told_which_packages_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ChildFailed, match="our own MariaDB server did not start") as caught:
        with own_server("mysql", tmp_path, ()):
            pass
    assert "MariaDB's server is not installed" in caught.value.cause
    assert "mariadb-server-core and mariadb-client-core" in caught.value.hint


def test_nobody_but_its_own_user_enters_a_temporary_server_and_uses_only_databases_of_runs(
    tmp_path: Path,
) -> None:
    skip_without("mysql")
    with own_server("mysql", tmp_path, ()) as (url, keeper):
        own = make_url(url).set(drivername="mysql+pymysql")
        (server,) = psutil.Process(keeper.pid).children()
        (socket,) = [word.partition("=")[2] for word in server.cmdline() if word.startswith("--socket=")]
        for user in ("root", "", "mysql", "duel"):
            for way in ({}, {"unix_socket": socket}):
                stranger = create_engine(own.set(username=user, password="", query=way))
                with pytest.raises(OperationalError, match="Access denied"):
                    stranger.connect()
        engine = create_engine(own)
        with engine.connect() as connection:
            connection.execute(text("CREATE DATABASE duel_1"))
            for forbidden in (
                "CREATE DATABASE shop",
                "SELECT * FROM mysql.global_priv",
                f"SELECT 1 INTO OUTFILE '{tmp_path / 'written'}'",
            ):
                with pytest.raises(OperationalError, match="denied"):
                    connection.execute(text(forbidden))
        engine.dispose()
        assert {one.laddr.ip for one in server.net_connections() if one.status == "LISTEN"} == {"127.0.0.1"}
        assert str(own.password) not in " ".join(server.cmdline())
