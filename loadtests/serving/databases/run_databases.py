"""The databases of a run on one server: a seeded template, and a copy of it for every trial."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib import import_module
from itertools import count
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import quote, urlsplit

import psutil

from loadtests.errors import ChildFailed, PlanError
from loadtests.plan.database_url import SERVERS, ServerBackend, without_secrets
from loadtests.system.processes import UNSEEN

PREFIX = "duel_"
"""Of the names of a run's databases; nothing else may use it."""


class Databases(ABC):
    """Databases of a run on one server. What one kind of server says otherwise than another is abstract.

    Raises PlanError when the driver is missing or there is no connection, ChildFailed when it is lost later.
    """

    kind: ClassVar[ServerBackend]
    driver: ClassVar[str]
    """The module that connects us to it."""
    extra: ClassVar[str]
    """Of our package, with its drivers."""
    programs: ClassVar[frozenset[str]]
    """Names of the server's process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._numbers = count(1)
        self._key = secrets.randbelow(2**31)
        self.template = f"{PREFIX}{self._key}_template"

    def __enter__(self) -> Self:
        self.check_driver()
        try:
            self.connect()
        except ConnectionError as error:
            raise PlanError(
                f"no connection to the database {without_secrets(self.url)}: {error}",
                hint=f"check that it runs, and the user and password; or use --database {self.kind}",
            ) from None
        try:
            # Held while this run lives: a later run drops the databases whose lock is free.
            self.lock(self._key)
            self._drop_left_behind()
            self.create(self.template)
        except BaseException:
            self.disconnect()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ChildFailed):
            for name in self._ours(self._key):
                self.drop(name)
        self.disconnect()

    @classmethod
    def check_driver(cls) -> None:
        """Raises PlanError where we cannot connect to such a server at all."""
        try:
            import_module(cls.driver)
        except ImportError as error:
            raise PlanError(
                f"{SERVERS[cls.kind].title} needs its drivers: {error}",
                hint=f"pip install 'fastapi-duel[{cls.extra}]'",
            ) from None

    def fresh(self) -> str:
        """Make a copy of the template; its name."""
        name = f"{PREFIX}{self._key}_{next(self._numbers)}"
        self.copy(name)
        return name

    def url_of(self, name: str) -> str:
        """The URL of a database on this server."""
        return urlsplit(self.url)._replace(scheme=self.kind, path=f"/{quote(name)}").geturl()

    def server_pid(self) -> int | None:
        """The server's process on this machine; None where it is not visible, as in a container."""
        with suppress(*UNSEEN):
            pid = self.seen_pid()
            if pid is not None and psutil.Process(pid).name() in self.programs:
                return pid
        return None

    @property
    @abstractmethod
    def version(self) -> str:
        """`PostgreSQL 15.9`."""

    @abstractmethod
    def connect(self) -> None:
        """Keep a connection, whose transactions end with each statement. Raises ConnectionError with one line
        that says why there is none."""

    @abstractmethod
    def disconnect(self) -> None:
        """Close it."""

    @abstractmethod
    def lock(self, key: int) -> bool:
        """Take the lock of a run, which goes with the connection; whether it was free."""

    @abstractmethod
    def unlock(self, key: int) -> None:
        """Give it back."""

    @abstractmethod
    def names(self) -> list[str]:
        """All databases of the server."""

    @abstractmethod
    def create(self, name: str) -> None:
        """Create an empty database."""

    @abstractmethod
    def copy(self, name: str) -> None:
        """Create a copy of the template, with equal statistics for the query planner."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Drop one of our databases, closing its connections."""

    @abstractmethod
    def seen_pid(self) -> int | None:
        """The server's process as the server itself knows it, which may be another one here. May raise what
        `UNSEEN` lists."""

    def _ours(self, key: int) -> list[str]:
        return [name for name in self.names() if name.startswith(f"{PREFIX}{key}_")]

    def _drop_left_behind(self) -> None:
        """Drop the databases of runs that were killed: their locks are free."""
        parts = [name.split("_") for name in self.names() if name.startswith(PREFIX)]
        for key in {int(part[1]) for part in parts if len(part) == 3 and part[1].isdecimal()} - {self._key}:
            if self.lock(key):
                # Another run may be dropping them as well, which is no reason to fail.
                with suppress(ChildFailed):
                    for name in self._ours(key):
                        self.drop(name)
                self.unlock(key)


def lost(cause: str) -> ChildFailed:
    """The error for a server that no longer does what it is asked to."""
    return ChildFailed(
        "lost the database server",
        cause=cause,
        hint="the user needs the right to create databases, and the server must keep running",
    )


def first_line(error: object) -> str:
    """The first line of what an error says."""
    return str(error).strip().partition("\n")[0]
