"""Which database and which Redis server a run may use, and how their URLs may be shown."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from loadtests.errors import PlanError

Backend = Literal["sqlite", "postgresql", "mysql"]
"""What a database is, as plans record it; SQLite is embedded in the app's process."""

EMBEDDED: Backend = "sqlite"

OWN_REDIS = "redis"
"""Instead of the URL of a Redis server: start a temporary one."""

ServerBackend = Literal["postgresql", "mysql"]


@dataclass(frozen=True)
class DatabaseServers:
    """What may be said of a kind of database server."""

    title: str
    example: str
    """A URL, for hints."""
    schemes: frozenset[str]
    """Of its URLs."""
    harmless: frozenset[str]
    """Options of a URL that leave each trial its own database; hosts among them are checked."""
    drivers: frozenset[str]
    """What DUEL_APP_DRIVER may name."""
    hosts: tuple[str, ...] = ()
    """Variables that name a host where a URL names none, the one that takes precedence first."""


SERVERS: Mapping[ServerBackend, DatabaseServers] = {
    "postgresql": DatabaseServers(
        title="PostgreSQL",
        example="postgresql://user:password@127.0.0.1:5432/name",
        schemes=frozenset({"postgresql", "postgres"}),
        harmless=frozenset({"host", "hostaddr", "sslmode", "connect_timeout", "application_name"}),
        drivers=frozenset({"psycopg", "asyncpg"}),
        hosts=("PGHOSTADDR", "PGHOST"),
    ),
    "mysql": DatabaseServers(
        title="MySQL",
        example="mysql://user:password@127.0.0.1:3306/name",
        schemes=frozenset({"mysql", "mariadb"}),
        harmless=frozenset({"unix_socket", "connect_timeout"}),
        drivers=frozenset({"pymysql", "aiomysql", "asyncmy"}),
    ),
}
"""By the word that stands for a temporary server, in place of a URL."""

OPTIONS: Mapping[str, tuple[str, ...]] = {"asyncpg": ("host",)}
"""By driver, the harmless options that it knows, where these are not all."""

HOSTS = ("host", "hostaddr", "unix_socket")
"""Options of a URL that lead to another server than its host."""


def backend(given: str | None) -> Backend:
    """What a checked `--database` is; None: SQLite."""
    return EMBEDDED if given is None else server_backend(given)


def server_backend(given: str) -> ServerBackend:
    """The kind of a database server by its word or URL. Raises ValueError for another scheme."""
    scheme = given.partition("://")[0]
    for name, servers in SERVERS.items():
        if given == name or ("://" in given and scheme in servers.schemes):
            return name
    raise ValueError(f"no database server is called {scheme}")


def options_of(given: str | None) -> list[str]:
    """The names of the options of a database's URL."""
    return [key for key, _ in parse_qsl(urlsplit(given or "").query)]


def checked(given: str) -> str:
    """A database as `--database` takes it; raises PlanError unless it is one on this machine."""
    if given in SERVERS:
        return given
    try:
        kind = server_backend(given)
    except ValueError:
        raise PlanError(
            f"the database {without_secrets(given)} is neither a postgresql:// nor a mysql:// URL",
            hint=f"write {' or '.join(one.example for one in SERVERS.values())}; or {' or '.join(SERVERS)} "
            "alone, for a temporary server",
        ) from None
    servers = SERVERS[kind]
    hint = f"write {servers.example}, or {kind} alone for a temporary server"
    try:
        url = urlsplit(given)
        options = parse_qsl(url.query)
        hosts = named_hosts(servers, url.hostname, options)
        _ = url.port
    except ValueError:
        # Not its message: it quotes what it takes for a port, which may be a part of the password.
        raise PlanError(
            f"the database URL {without_secrets(given)} cannot be read: check its host and port", hint=hint
        ) from None
    unusable = sorted({key for key, _ in options} - servers.harmless)
    if unusable:
        # Among them dbname, which would lead every trial into that database and not into its own.
        raise PlanError(
            f"the database URL has options that cannot be used here: {', '.join(unusable)}", hint=hint
        )
    far = [host for host in hosts if not is_here(host)]
    if far:
        raise PlanError(
            f"the database is on {far[0]}, not on this machine",
            hint=f"load goes to this machine only: run duel beside the database, or use --database {kind}",
        )
    return given


def named_hosts(servers: DatabaseServers, host: str | None, options: Sequence[tuple[str, str]]) -> list[str]:
    """Every host that a driver could connect to: from the URL, from its options, which take precedence, and
    from the environment where neither names one."""
    named = [host] if host else []
    named += [value for key, value in options if key in HOSTS]
    if not servers.hosts:
        return named
    first, last = servers.hosts
    named += [os.environ.get(first, "")]
    return named if any(named) else [os.environ.get(last, "")]


def is_here(host: str) -> bool:
    """Whether a host is this machine: loopback, or the directory of a socket; "" is the local socket."""
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def without_secrets(given: str) -> str:
    """A database URL as it may be shown: scheme, host, port and name alone; of anything else nothing, since a
    password may stand anywhere in it."""
    if given == EMBEDDED or given in SERVERS:
        return given
    scheme, separator, rest = given.partition("://")
    if not separator or not scheme.isalpha():
        return "(not a URL)"
    rest = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{rest}"


def checked_redis(given: str) -> str:
    """A server as `--redis-url` takes it; raises PlanError unless it is one on this machine."""
    hint = "write redis://:password@127.0.0.1:6379, or use --redis, which starts a server"
    shown = without_secrets(given)
    try:
        url = urlsplit(given)
        host, _ = url.hostname, url.port
    except ValueError:
        # Not its message: it quotes what it takes for a port, which may be a part of the password.
        raise PlanError(f"the Redis URL {shown} cannot be read: check its host and port", hint=hint) from None
    if url.scheme != "redis":
        raise PlanError(f"the Redis server {shown} is not a redis:// URL", hint=hint)
    if url.path.strip("/") or url.query or url.fragment:
        raise PlanError(
            f"the Redis URL {shown} names more than a server",
            cause="every server of an arm gets an empty database of its own, which is flushed afterwards",
            hint="leave out the database and options",
        )
    if not host or not is_here(host):
        raise PlanError(
            f"the Redis server is on {host or 'no host'}, not on this machine",
            hint="load goes to this machine only: run duel beside the server, or use --redis",
        )
    return given
