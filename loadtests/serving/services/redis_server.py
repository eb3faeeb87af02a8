"""The child that keeps our own Redis server, which writes nothing to disk.

`python -m loadtests.serving.services.redis_server [--cpus CPUS]`; see `keeping`.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from loadtests.serving.databases.keeping import OwnServer, free_port, keep, program

PROGRAMS = ("redis-server", "valkey-server")
"""Names of the server's program: Valkey speaks the same protocol."""

PLACES = ("/usr/local/bin", "/opt/homebrew/bin")
"""Where it is when it is not on the PATH."""

DATABASES = 64
"""Databases of our own server: one for each server of an arm that runs at a time."""


def server_program() -> str | None:
    """The path of the server's program; None where there is none."""
    return next((found for name in PROGRAMS if (found := program(name, PLACES))), None)


def made(home: Path) -> OwnServer:
    """A server with a password and a port of its own; ends this process where its program is missing."""
    from redis import Redis, RedisError  # noqa: PLC0415  # an extra, and only runs with Redis need it

    server = server_program()
    if server is None:
        sys.exit(f"Redis's server is not installed: found none of {', '.join(PROGRAMS)}")
    password, port = secrets.token_urlsafe(24), free_port()
    settings = home / "redis.conf"
    # In a file, since every user of the machine can read a command line.
    settings.touch(mode=0o600)
    settings.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndatabases {DATABASES}\n"
        f'dir {home}\nsave ""\nappendonly no\n'
    )
    url = f"redis://:{password}@127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with Redis.from_url(url, socket_timeout=2) as client:
                return bool(client.ping())
        except RedisError:
            return False

    return OwnServer([server, str(settings)], url, answers)


if __name__ == "__main__":
    keep("Redis", made)
