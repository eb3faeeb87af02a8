"""Which Redis server a run may use."""

from __future__ import annotations

from urllib.parse import urlsplit

from loadtests.errors import PlanError
from loadtests.plan.database_url import is_here, without_secrets

OWN_REDIS = "redis"
"""Instead of a URL: start a temporary server."""


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
