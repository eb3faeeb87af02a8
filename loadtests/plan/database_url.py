"""Which database and which Redis server a run may use, and how their URLs may be shown."""

from __future__ import annotations

import os
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import parse_qsl, urlsplit

from loadtests.errors import PlanError

EMBEDDED = "sqlite"
OWN = "postgresql"
"""Instead of a URL: start a temporary server."""

OWN_REDIS = "redis"
"""The same, of a Redis server."""

SCHEMES = ("postgresql", "postgres")

HARMLESS = frozenset({"host", "hostaddr", "sslmode", "connect_timeout", "application_name"})
"""Options of a URL that leave each trial its own database; hosts among them are checked."""


def checked(given: str) -> str:
    """A database as `--database` takes it; raises PlanError unless it is one on this machine."""
    if given == OWN:
        return given
    hint = "write postgresql://user:password@127.0.0.1:5432/name, or postgresql alone for a temporary server"
    try:
        url = urlsplit(given)
        options = parse_qsl(url.query)
        hosts = named_hosts(url.hostname, options)
        _ = url.port
    except ValueError:
        # Not its message: it quotes what it takes for a port, which may be a part of the password.
        raise PlanError(
            f"the database URL {without_secrets(given)} cannot be read: check its host and port", hint=hint
        ) from None
    if url.scheme not in SCHEMES:
        raise PlanError(f"the database {without_secrets(given)} is not a postgresql:// URL", hint=hint)
    unusable = sorted({key for key, _ in options} - HARMLESS)
    if unusable:
        # Among them dbname, which would lead every trial into that database and not into its own.
        raise PlanError(
            f"the database URL has options that cannot be used here: {', '.join(unusable)}", hint=hint
        )
    far = [host for host in hosts if not is_here(host)]
    if far:
        raise PlanError(
            f"the database is on {far[0]}, not on this machine",
            hint="load goes to this machine only: run duel beside the database, or use --database postgresql",
        )
    return given


def named_hosts(host: str | None, options: Sequence[tuple[str, str]]) -> list[str]:
    """Every host that libpq could connect to: from the URL, from its options, which take precedence, and from
    the environment where neither names one."""
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
    """A database URL as it may be shown: scheme, host, port and name alone; of anything else nothing, since a
    password may stand anywhere in it."""
    if given in (EMBEDDED, OWN):
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
