"""MySQL and MariaDB for a run: databases whose tables are filled from those of a template.

Neither server copies a database. `CREATE TABLE … LIKE` would leave the foreign keys out, hence the
statements that `SHOW CREATE TABLE` returns, which also hold the next generated id.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from loadtests.errors import ChildFailed
from loadtests.serving.databases.run_databases import PREFIX, Databases, first_line, lost

IDLE = 31_536_000
"""Seconds that the server lets our connection be idle between trials: its longest."""

TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
"""Any character, and texts that compare as in SQLite and PostgreSQL: the servers' own collation takes `A` for
`a`, in unique emails too."""


class MysqlDatabases(Databases):
    """Databases on a MySQL or MariaDB server."""

    kind = "mysql"
    driver = "pymysql"
    extra = "mysql"
    programs = frozenset({"mariadbd", "mysqld"})

    @property
    def version(self) -> str:
        """`MariaDB 10.11.6` or `MySQL 8.4.2`."""
        told = str(self._execute("SELECT VERSION()").scalar())
        number = re.match(r"[\d.]*", told)
        return f"{'MariaDB' if 'mariadb' in told.lower() else 'MySQL'} {number[0] if number else told}"

    def connect(self) -> None:
        url = make_url(self.url).set(drivername="mysql+pymysql").update_query_dict({"connect_timeout": "10"})
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        try:
            self._keeper: Connection = engine.connect()
        except SQLAlchemyError as error:
            raise ConnectionError(said(error)) from None
        # A copy's tables come in no order that suits their foreign keys, and its rows are the template's.
        self._execute(f"SET SESSION wait_timeout = {IDLE}, foreign_key_checks = 0")

    def disconnect(self) -> None:
        self._keeper.close()

    def lock(self, key: int) -> bool:
        return bool(self._execute(f"SELECT GET_LOCK('{PREFIX}{key}', 0)").scalar())

    def unlock(self, key: int) -> None:
        self._execute(f"SELECT RELEASE_LOCK('{PREFIX}{key}')")

    def names(self) -> list[str]:
        return [str(name) for (name,) in self._execute("SHOW DATABASES")]

    def create(self, name: str) -> None:
        self._execute(f"CREATE DATABASE `{name}` {TEXT}")

    def copy(self, name: str) -> None:
        self.create(name)
        self._execute(f"USE `{name}`")
        for (table,) in self._execute(f"SHOW TABLES FROM `{self.template}`").all():
            _, statement = self._execute(f"SHOW CREATE TABLE `{self.template}`.`{table}`").one()
            self._execute(statement)
            self._execute(f"INSERT INTO `{table}` SELECT * FROM `{self.template}`.`{table}`")  # noqa: S608  # our own tables
            self._execute(f"ANALYZE TABLE `{table}`")

    def drop(self, name: str) -> None:
        # A transaction would have it wait. Our own connection may be in that database, too, since its copy.
        clients = f"FROM information_schema.processlist WHERE db = '{name}' AND id <> CONNECTION_ID()"
        for (client,) in self._execute(f"SELECT id {clients}").all():
            with suppress(ChildFailed):  # it may have ended by itself
                self._execute(f"KILL {client}")
        self._execute(f"DROP DATABASE IF EXISTS `{name}`")

    def seen_pid(self) -> int | None:
        directory, file = self._execute("SELECT @@datadir, @@pid_file").one()
        text = Path(directory, file).read_text().strip()
        return int(text) if text.isdecimal() else None

    def _execute(self, statement: str) -> CursorResult[*tuple[Any, ...]]:
        try:
            return self._keeper.exec_driver_sql(statement.replace("%", "%%"))
        except SQLAlchemyError as error:
            raise lost(said(error)) from None


def said(error: SQLAlchemyError) -> str:
    """What the server or the driver said, in one line, without its number."""
    original = getattr(error, "orig", None) or error
    return first_line(original.args[-1] if original.args else original)
