"""PostgreSQL for a run: databases that are copies of a template, as the server itself makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from loadtests.serving.databases.run_databases import Databases, first_line, lost

if TYPE_CHECKING:
    import psycopg


class PostgresqlDatabases(Databases):
    """Databases on a PostgreSQL server."""

    kind = "postgresql"
    driver = "psycopg"
    extra = "postgres"
    programs = frozenset({"postgres", "postmaster"})

    @property
    def version(self) -> str:
        number = self._keeper.info.server_version
        return f"PostgreSQL {number // 10_000}.{number % 10_000}"

    def connect(self) -> None:
        import psycopg  # noqa: PLC0415  # an extra, and only runs on PostgreSQL need it

        try:
            self._keeper = psycopg.connect(self.url, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            raise ConnectionError(first_line(error)) from None

    def disconnect(self) -> None:
        self._keeper.close()

    def lock(self, key: int) -> bool:
        # An advisory lock belongs to one database of the server, and another run may be connected to another.
        held = self._execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 0"
            " AND objid::bigint = %s AND objsubid = 1)",
            key,
        )
        free = held.fetchone() == (False,)
        return free and self._execute("SELECT pg_try_advisory_lock(%s)", key).fetchone() == (True,)

    def unlock(self, key: int) -> None:
        self._execute("SELECT pg_advisory_unlock(%s)", key)

    def names(self) -> list[str]:
        return [str(name) for (name,) in self._execute("SELECT datname FROM pg_database")]

    def create(self, name: str) -> None:
        self._execute(f'CREATE DATABASE "{name}"')

    def copy(self, name: str) -> None:
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.template}"')

    def drop(self, name: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def seen_pid(self) -> int | None:
        server = psutil.Process(self._keeper.info.backend_pid).parent()
        return None if server is None else server.pid

    def _execute(self, statement: str, *values: object) -> psycopg.Cursor[tuple[object, ...]]:
        from psycopg import Error  # noqa: PLC0415  # as above

        try:
            return self._keeper.execute(statement.encode(), values or None)
        except Error as error:
            raise lost(first_line(error)) from None
