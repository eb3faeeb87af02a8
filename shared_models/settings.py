"""The settings of the apps, the same for both, read once from the environment.

How an app is served (workers, loop, thread tokens, GC) is not set here: that works for any ASGI app
and lives in `loadtests/serving/inside/serve.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, make_url

PREFIX = "DUEL_APP_"
APP_DIR = "DUEL_APP_DIR"
"""A setting of `duel` itself: where it imports apps from."""
SQLITE_FILE = "duel.db"
DOCUMENT = "document.txt"

BLOCKING = {"sqlite": "pysqlite", "postgresql": "psycopg", "mysql": "pymysql"}
"""By database, the driver of the sync app."""

ASYNCHRONOUS = {"sqlite": "aiosqlite", "postgresql": "psycopg", "mysql": "aiomysql"}
"""Of the async app: where there is one, the same wire code as in the sync app."""

ALIASES = {"postgres": "postgresql", "mariadb": "mysql"}
"""Other schemes of URLs."""


@dataclass(frozen=True)
class Settings:
    """One field per setting; the environment variable `DUEL_APP_<FIELD>` sets it."""

    data: str = "duel-data"
    """Directory that `shared_models.seed` filled: the SQLite file and the document that `file` reads."""
    database: str = ""
    """URL of a PostgreSQL or MySQL database; empty: the SQLite file in `data`."""
    driver: str = ""
    """Driver of such a database, in the async app asyncpg or asyncmy too; empty: the style's usual one."""
    pool_size: int = 20
    """Connections kept open."""
    max_overflow: int = 0
    """Connections opened beyond pool_size when all are in use."""
    pool_timeout: float = 30.0
    """Seconds a request may queue for a connection."""
    busy_timeout: float = 30.0
    """Seconds a statement waits for SQLite's write lock before "database is locked"."""
    redis: str = ""
    """URL of a Redis database; empty: there is neither cache nor queue, and the routes that
    need one answer 503."""
    cache_seconds: float = 1.0
    """Seconds after which an entry of the cache expires."""
    queue_connections: int = 40
    """Connections that Celery may hold to the queue: one for each thread of the usual limit."""
    synchronous: str = "NORMAL"
    """SQLite's fsync level; NORMAL is durable enough under WAL."""
    upstream: str = "http://127.0.0.1:9/"
    """URL of the slow service, with its trailing slash."""
    client: str = ""
    """HTTP client that calls the slow service: httpx, httpx2, and in the async app httpx-aiohttp (httpx over
    aiohttp's connector) and aiohttp; empty: the usual one of the style."""
    upstream_connections: int = 256
    """Connections that the HTTP client may hold to the slow service."""
    upstream_timeout: float = 10.0
    """Seconds one call to the slow service may take."""
    fan_out_limit: int = 40
    """Calls that all `fan-out` requests together may have in flight."""
    processes: int = 2
    """Processes of the pool that `process` computes in."""
    executor_threads: int = 64
    """Threads of the pool that `executor` waits in."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Settings from `DUEL_APP_*`; raises ValueError that names the invalid or unknown variable."""
        values: dict[str, str | int | float] = {}
        known = {PREFIX + field.name.upper() for field in fields(cls)} | {APP_DIR}
        unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
        if unknown:
            raise ValueError(f"{unknown[0]} is not a setting of this app; known: {', '.join(sorted(known))}")
        for field in fields(cls):
            variable = PREFIX + field.name.upper()
            text = environment.get(variable)
            if text is None:
                continue
            kind: Any = type(field.default)
            try:
                values[field.name] = kind(text)
            except ValueError:
                raise ValueError(f"{variable}={text!r} is not {kind.__name__}") from None
        return cls(**values)  # type: ignore[arg-type]  # each value was made by its field's own type

    def url(self, drivers: Mapping[str, str]) -> URL:
        """The URL for SQLAlchemy. `drivers`: the usual ones of a style, by database."""
        if not self.database:
            return URL.create(f"sqlite+{drivers['sqlite']}", database=str(self.sqlite_file))
        url = make_url(self.database)
        database = ALIASES.get(url.get_backend_name(), url.get_backend_name())
        return url.set(drivername=f"{database}+{self.driver or drivers[database]}")

    def blocking_url(self) -> URL:
        """The same with a driver that blocks, whatever `driver` says."""
        return replace(self, driver="").url(BLOCKING)

    def engine_options(self) -> dict[str, Any]:
        """Arguments of `create_engine`: the pool, and on MySQL the isolation that PostgreSQL has. Its own,
        REPEATABLE READ, locks the gaps between rows too, where inserts of others wait or deadlock."""
        pool = {
            "pool_size": self.pool_size, "max_overflow": self.max_overflow, "pool_timeout": self.pool_timeout
        }  # fmt: skip
        on_mysql = self.blocking_url().get_backend_name() == "mysql"
        return {**pool, "isolation_level": "READ COMMITTED"} if on_mysql else pool

    @property
    def sqlite_file(self) -> Path:
        """The SQLite database."""
        return Path(self.data, SQLITE_FILE)

    @property
    def document(self) -> Path:
        """The file that `file` reads, about 16 KB of text."""
        return Path(self.data, DOCUMENT)

    @property
    def pragmas(self) -> tuple[str, ...]:
        """The statements that every new SQLite connection runs first."""
        return (
            "PRAGMA journal_mode=WAL",
            f"PRAGMA synchronous={self.synchronous}",
            f"PRAGMA busy_timeout={round(self.busy_timeout * 1000)}",
            "PRAGMA foreign_keys=ON",
        )
