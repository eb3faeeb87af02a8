"""PostgreSQL for a run: a server that was given or one started for it, and a fresh database per trial."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

import psutil

from loadtests.errors import ChildFailed, PlanError
from loadtests.plan.database_url import without_secrets
from loadtests.serving.databases.keeping import kept
from loadtests.system.processes import UNSEEN, Child

if TYPE_CHECKING:
    import psycopg

PREFIX = "duel_"
"""Of the names of a run's databases; nothing else may use it."""


class Databases:
    """Databases of a run on one server: a seeded template, and a copy of it for every trial.

    Raises PlanError when psycopg is missing or there is no connection, ChildFailed when it is lost later.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)

    def __enter__(self) -> Self:
        try:
            import psycopg  # noqa: PLC0415  # an extra, and only runs on PostgreSQL need it
        except ImportError as error:
            raise PlanError(
                f"PostgreSQL needs its drivers: {error}", hint="pip install 'fastapi-duel[postgres]'"
            ) from None
        try:
            self._keeper = psycopg.connect(self.url, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            raise PlanError(
                f"no connection to the database {without_secrets(self.url)}: {first_line(error)}",
                hint="check that it runs, and the user and password; or use --database postgresql",
            ) from None
        # Held while this run lives: a later run drops the databases whose lock is free.
        self._key = secrets.randbelow(2**31)
        self._execute("SELECT pg_advisory_lock(%s)", self._key)
        try:
            self._drop_left_behind()
            self.template = f"{PREFIX}{self._key}_template"
            self._execute(f'CREATE DATABASE "{self.template}"')
        except BaseException:
            self._keeper.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ChildFailed):
            for name in self._ours(self._key):
                self.drop(name)
        self._keeper.close()

    @property
    def version(self) -> str:
        """`PostgreSQL 15.9`."""
        number = self._keeper.info.server_version
        return f"PostgreSQL {number // 10_000}.{number % 10_000}"

    def server_pid(self) -> int | None:
        """The server's process on this machine; None where it is not visible, as in a container."""
        with suppress(*UNSEEN):
            server = psutil.Process(self._keeper.info.backend_pid).parent()
            if server is not None and server.name() in {"postgres", "postmaster"}:
                return server.pid
        return None

    def fresh(self) -> str:
        """Make a copy of the template; its name."""
        name = f"{PREFIX}{self._key}_{next(self._numbers)}"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.template}"')
        return name

    def drop(self, name: str) -> None:
        """Drop one of our databases, closing its connections."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def url_of(self, name: str) -> str:
        """The URL of a database on this server."""
        return urlsplit(self.url)._replace(scheme="postgresql", path=f"/{quote(name)}").geturl()

    def _execute(self, statement: str, *values: object) -> psycopg.Cursor[tuple[object, ...]]:
        from psycopg import Error  # noqa: PLC0415  # as above

        try:
            return self._keeper.execute(statement.encode(), values or None)
        except Error as error:
            raise ChildFailed(
                "lost the database server",
                cause=first_line(error),
                hint="the user needs the right to create databases, and the server must keep running",
            ) from None

    def _ours(self, key: int) -> list[str]:
        rows = self._execute("SELECT datname FROM pg_database")
        return [str(name) for (name,) in rows if str(name).startswith(f"{PREFIX}{key}_")]

    def _drop_left_behind(self) -> None:
        """Drop the databases of runs that were killed: their locks are free."""
        rows = self._execute("SELECT datname FROM pg_database")
        parts = [str(name).split("_") for (name,) in rows if str(name).startswith(PREFIX)]
        for key in {int(part[1]) for part in parts if len(part) == 3 and part[1].isdecimal()} - {self._key}:
            if self._execute("SELECT pg_try_advisory_lock(%s)", key).fetchone() == (True,):
                for name in self._ours(key):
                    self.drop(name)
                self._execute("SELECT pg_advisory_unlock(%s)", key)


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def own_server(logs: Path, cpus: tuple[int, ...]) -> AbstractContextManager[tuple[str, Child]]:
    """The URL and the keeper of our own server, as `kept` yields them."""
    return kept(
        "PostgreSQL",
        "loadtests.serving.databases.postgresql_server",
        logs,
        cpus,
        hint="install PostgreSQL's server, or give the URL of one with --database postgresql://…",
    )
