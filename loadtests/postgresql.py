"""PostgreSQL for a run: a server that was given or one of our own, and a fresh database for every trial."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qsl, quote, urlsplit

import psutil

from loadtests.plan import PlanError
from loadtests.processes import OUR_PACKAGES, UNSEEN, Child, ChildFailed

if TYPE_CHECKING:
    import psycopg

OWN = "postgresql"
"""In the place of a URL: start a server of our own."""
SCHEMES = ("postgresql", "postgres")
HARMLESS = frozenset({"host", "hostaddr", "sslmode", "connect_timeout", "application_name"})
"""Options of a URL that leave each trial its own database; hosts among them are looked at."""
PREFIX = "duel_"
"""Names of the databases that runs make, and nobody else."""
START_TIMEOUT = 30.0
"""Seconds that a server of our own may take, its cluster's making included."""


def checked(given: str) -> str:
    """A database as `--database` takes it; raises PlanError unless it is one on this machine."""
    if given == OWN:
        return given
    hint = "write postgresql://user:password@127.0.0.1:5432/name, or postgresql alone for a server of our own"
    try:
        url = urlsplit(given)
        options = parse_qsl(url.query)
        hosts = named_hosts(url.hostname, options)
        _ = url.port
    except ValueError as error:
        raise PlanError(f"the database URL {without_secrets(given)} cannot be read: {error}", hint) from None
    if url.scheme not in SCHEMES:
        raise PlanError(f"database {without_secrets(given)!r} is not a postgresql:// URL", hint)
    unusable = sorted({key for key, _ in options} - HARMLESS)
    if unusable:
        # Among them dbname, which would lead every trial into that database and not into its own.
        raise PlanError(f"the database URL has options that cannot be used here: {', '.join(unusable)}", hint)
    far = [host for host in hosts if not is_here(host)]
    if far:
        raise PlanError(
            f"the database is on {far[0]}, not on this machine",
            "load goes to this machine only: run duel beside the database, or use --database postgresql",
        )
    return given


def named_hosts(host: str | None, options: Sequence[tuple[str, str]]) -> list[str]:
    """Every host that libpq could be led to: by the URL, by its options, which win over it, and by the
    environment where neither says."""
    named = [host] if host else []
    named += [value for key, value in options if key in ("host", "hostaddr")]
    named += [os.environ.get("PGHOSTADDR", "")]
    return named if any(named) else [os.environ.get("PGHOST", "")]


def is_here(host: str) -> bool:
    """Whether a host is this machine: loopback, or the directory of a socket; "" is the local socket."""
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def without_secrets(given: str) -> str:
    """A database URL as it may be shown: scheme, host, port and name alone."""
    if "://" not in given:
        return given
    scheme, _, rest = given.partition("://")
    rest = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{rest}"


class Databases:
    """Databases of a run on one server: a seeded template, and a copy of it for every trial.

    Raises PlanError when psycopg is missing or the server refuses, ChildFailed when it breaks later.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)

    def __enter__(self) -> Self:
        try:
            import psycopg  # noqa: PLC0415  # an extra, and only runs on PostgreSQL need it
        except ImportError as error:
            raise PlanError(
                f"PostgreSQL needs its drivers: {error}", "pip install 'fastapi-duel[postgres]'"
            ) from None
        try:
            self._keeper = psycopg.connect(self.url, autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            raise PlanError(
                f"no connection to the database {without_secrets(self.url)}: {first_line(error)}",
                "is it running, and are user and password right? --database postgresql starts one of our own",
            ) from None
        # Held as long as this run lives: the mark by which a later run tells what a killed one left behind.
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
        """The server's process on this machine; None where it cannot be told, as from inside a container."""
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
        """Remove one of our databases, whoever is still connected to it."""
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
                "the database server refused to go on",
                first_line(error),
                "the user needs the right to create databases, and the server must keep running",
            ) from None

    def _ours(self, key: int) -> list[str]:
        rows = self._execute("SELECT datname FROM pg_database")
        return [str(name) for (name,) in rows if str(name).startswith(f"{PREFIX}{key}_")]

    def _drop_left_behind(self) -> None:
        """Drop the databases of runs that were killed: nobody holds their lock any more."""
        rows = self._execute("SELECT datname FROM pg_database")
        parts = [str(name).split("_") for (name,) in rows if str(name).startswith(PREFIX)]
        for key in {int(part[1]) for part in parts if len(part) == 3 and part[1].isdecimal()} - {self._key}:
            if self._execute("SELECT pg_try_advisory_lock(%s)", key).fetchone() == (True,):
                for name in self._ours(key):
                    self.drop(name)
                self._execute("SELECT pg_advisory_unlock(%s)", key)


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def own_server(logs: Path, cpus: tuple[int, ...]) -> Iterator[tuple[str, Child]]:
    """The URL and the keeper of a server of our own, which ends with the block, or with us."""
    arguments = ["-m", "loadtests.postgresql_server", *([",".join(map(str, cpus))] if cpus else [])]
    with Child("PostgreSQL", arguments, logs / "postgresql.log", env=OUR_PACKAGES) as child:
        try:
            ready = child.receive(START_TIMEOUT)
        except ChildFailed as failure:
            raise ChildFailed(
                f"a PostgreSQL server of our own did not start: {failure}",
                failure.cause,
                "install PostgreSQL's server, or give the URL of one with --database postgresql://…",
            ) from None
        try:
            yield str(ready["ready"]), child
        finally:
            child.stop()
            # Where the keeper was killed, nobody else would.
            shutil.rmtree(ready["home"], ignore_errors=True)
