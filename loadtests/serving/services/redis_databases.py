"""Redis for a run: a server that was given or one started for it, and an empty database for each server of an
arm."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psutil

from loadtests.errors import ChildFailed, PlanError
from loadtests.plan.database_url import without_secrets
from loadtests.serving.databases.keeping import kept
from loadtests.serving.services.redis_server import PROGRAMS, server_program
from loadtests.system.processes import UNSEEN, Child
from loadtests.system.scratch import lives, owner

if TYPE_CHECKING:
    from redis import Redis

MARK = "fastapi-duel"
"""Key of a database that a run has taken; its value names the run's process."""

USUAL = 16
"""Databases of a server that does not say how many it has."""

INSTALL = "install the package redis-server, or give the URL of a server with --redis-url"


class RedisDatabases:
    """Databases of a run on one Redis server. Only those that are empty are taken, and only those are flushed
    that were taken: by this run, or by one that was killed.

    Raises PlanError when the package redis is missing or there is no connection, ChildFailed when it is lost
    later.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._taken: set[int] = set()

    def __enter__(self) -> Self:
        check_package()
        from redis import RedisError  # noqa: PLC0415  # an extra, and only runs with Redis need it

        try:
            with self.client(0) as client:
                told = client.info("server")
        except RedisError as error:
            raise PlanError(
                f"no connection to the Redis server {without_secrets(self.url)}: {error}",
                hint="check that it runs, and its password; or use --redis, which starts one",
            ) from None
        self.version = f"Redis {told['redis_version']}"
        self._pid = int(told["process_id"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ChildFailed):
            for number in list(self._taken):
                self.drop(number)

    def server_pid(self) -> int | None:
        """The server's process on this machine; None where it is not visible, as in a container."""
        with suppress(*UNSEEN):
            if psutil.Process(self._pid).name() in PROGRAMS:
                return self._pid
        return None

    def fresh(self) -> int:
        """Take an empty database; its number. Raises ChildFailed where none is empty."""
        with lost_if_it_fails():
            for number in range(self._number()):
                if number not in self._taken and self._take(number):
                    self._taken.add(number)
                    return number
        raise ChildFailed(
            "no database of the Redis server is empty",
            cause=f"{without_secrets(self.url)}: duel takes empty databases only",
            hint="use --redis, which starts a server",
        )

    def drop(self, number: int) -> None:
        """Flush a database that was taken."""
        self._taken.discard(number)
        with lost_if_it_fails(), self.client(number) as client:
            client.flushdb()

    def unfinished_jobs(self, number: int) -> int:
        """Jobs in a database that wait or are in progress, of Celery's usual queue and ARQ's together."""
        with lost_if_it_fails(), self.client(number) as client, client.pipeline() as asked:
            asked.llen("celery")
            asked.hlen("unacked")  # taken by the worker, and not in progress yet
            asked.zcard("arq:queue")
            return sum(asked.execute())

    def url_of(self, number: int) -> str:
        """The URL of a database on this server."""
        return f"{self.url}/{number}"

    def client(self, number: int) -> AbstractContextManager[Redis]:
        """A connection to one database."""
        from redis import Redis  # noqa: PLC0415  # as above

        found: AbstractContextManager[Redis] = Redis.from_url(
            self.url_of(number), socket_timeout=10, socket_connect_timeout=10, decode_responses=True
        )
        return found

    def _number(self) -> int:
        """How many databases the server has."""
        from redis import ResponseError  # noqa: PLC0415  # as above

        try:
            with self.client(0) as client:
                told: dict[str, Any] = client.config_get("databases")
                return int(told["databases"])
        except (ResponseError, KeyError):
            return USUAL  # hosts forbid the command

    def _take(self, number: int) -> bool:
        """Take a database, unless it holds what is not a dead run's."""
        with self.client(number) as client:
            if client.set(MARK, owner(os.getpid()), nx=True):
                if client.dbsize() == 1:
                    return True
                client.delete(MARK)
                return False
            with suppress(ValueError, OverflowError):
                if not lives(str(client.get(MARK))):
                    client.flushdb()
                    return bool(client.set(MARK, owner(os.getpid()), nx=True))
            return False


def check_package() -> None:
    """Raises PlanError where the package redis is missing."""
    try:
        import_module("redis")
    except ImportError as error:
        raise PlanError(
            f"Redis needs its package: {error}", hint="pip install 'fastapi-duel[redis]'"
        ) from None


@contextmanager
def lost_if_it_fails() -> Iterator[None]:
    """Raises ChildFailed for an error of the server or the connection."""
    from redis import RedisError  # noqa: PLC0415  # as above

    try:
        yield
    except RedisError as error:
        raise ChildFailed("lost the Redis server", cause=str(error)) from None


@contextmanager
def own_redis(logs: Path, cpus: tuple[int, ...]) -> Iterator[tuple[str, Child]]:
    """The URL of our own server and the child that keeps it, which ends with the block, or with this process.
    Raises PlanError where no server or package is installed."""
    check_package()
    if server_program() is None:
        raise PlanError(f"no Redis server is installed: found none of {', '.join(PROGRAMS)}", hint=INSTALL)
    with kept("Redis", "loadtests.serving.services.redis_server", logs, cpus, INSTALL) as started:
        yield started
