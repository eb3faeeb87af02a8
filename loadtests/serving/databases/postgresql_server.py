"""The child that keeps our own PostgreSQL server; see keeping.py."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
from pathlib import Path

from loadtests.serving.databases.keeping import OwnServer, free_port, keep, prepare, program

ACCOUNT = "postgres"
"""The account that runs the server where we are root: PostgreSQL refuses to run as root."""

USER = "duel"

PLACES = (
    "/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/*/bin", "/usr/*/bin",
)  # fmt: skip
"""Where PostgreSQL's programs are when they are not on the PATH."""


def made(home: Path) -> OwnServer:
    """A server with an empty cluster in `home`, on loopback alone; ends this process where its programs are
    missing or fail."""
    initdb, postgres = program("initdb", PLACES), program("postgres", PLACES)
    if initdb is None or postgres is None:
        sys.exit("PostgreSQL's server is not installed: neither initdb nor postgres was found")
    password, port = make_cluster(initdb, home), free_port()
    url = f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"
    where = ("-D", str(home / "data"), "-h", "127.0.0.1", "-p", str(port), "-k", "")
    return OwnServer(
        command=[postgres, *where, "-c", "max_connections=500"],
        url=url,
        answers=lambda: answers(url),
        account=account(),
        stop=signal.SIGINT,  # its "fast" shutdown
    )


def account() -> str | None:
    """PostgreSQL's account, where we are root."""
    return ACCOUNT if os.geteuid() == 0 else None


def make_cluster(initdb: str, home: Path) -> str:
    """Write an empty cluster to `home`; the password of its user."""
    password = secrets.token_urlsafe(24)
    file = home / "password"
    file.touch(mode=0o600)
    file.write_text(password)
    if account():
        for path in (home, file):
            shutil.chown(path, ACCOUNT, ACCOUNT)
    command = [initdb, "-D", str(home / "data"), "-U", USER, "--auth=scram-sha-256", f"--pwfile={file}"]
    prepare([*command, "--encoding=UTF8", "--locale=C", "--no-sync"], home, account())
    return password


def answers(url: str) -> bool:
    """Whether the server accepts connections."""
    import psycopg  # noqa: PLC0415  # an extra, and only runs on PostgreSQL need it

    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


if __name__ == "__main__":
    keep("PostgreSQL", made)
