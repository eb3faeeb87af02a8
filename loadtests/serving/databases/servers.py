"""The kinds of database servers by the words that `--database` takes."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from loadtests.plan.database_url import SERVERS, ServerBackend, server_backend
from loadtests.serving.databases.keeping import kept
from loadtests.serving.databases.mysql import MysqlDatabases
from loadtests.serving.databases.postgresql import PostgresqlDatabases
from loadtests.serving.databases.run_databases import Databases
from loadtests.system.processes import Child

KINDS: Mapping[ServerBackend, type[Databases]] = {
    kind.kind: kind for kind in (PostgresqlDatabases, MysqlDatabases)
}


@dataclass(frozen=True)
class Keeping:
    """How a server of our own is kept."""

    name: str
    module: str
    """Calls `keep`."""
    packages: str
    """What to install, in words."""


KEEPING: Mapping[ServerBackend, Keeping] = {
    "postgresql": Keeping(
        "PostgreSQL", "loadtests.serving.databases.postgresql_server", "PostgreSQL's server"
    ),
    "mysql": Keeping(
        "MariaDB",
        "loadtests.serving.databases.mysql_server",
        "MariaDB's server (on Debian and Ubuntu: mariadb-server-core and mariadb-client-core)",
    ),
}


def databases(url: str) -> Databases:
    """The databases of a run on the server with this URL."""
    return KINDS[server_backend(url)](url)


def own_server(
    kind: ServerBackend, logs: Path, cpus: tuple[int, ...]
) -> AbstractContextManager[tuple[str, Child]]:
    """The URL and the keeper of our own server, as `kept` yields them. Raises PlanError without its driver,
    which the keeper needs as well, and could not name."""
    KINDS[kind].check_driver()
    how = KEEPING[kind]
    scheme = SERVERS[kind].example.partition("://")[0]
    hint = f"install {how.packages}, or give the URL of one with --database {scheme}://…"
    return kept(how.name, how.module, logs, cpus, hint)
