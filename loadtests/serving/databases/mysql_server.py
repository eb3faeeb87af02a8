"""The child that keeps our own MariaDB server; see keeping.py."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
from pathlib import Path

from loadtests.serving.databases.keeping import OwnServer, free_port, keep, prepare, program

USER = "duel"

PLACES = ("/usr/sbin", "/usr/libexec", "/usr/local/mysql/bin", "/opt/homebrew/opt/mariadb*/bin")
"""Where MariaDB's programs are when they are not on the PATH."""

# An installation lets root in without a password.
FIRST = """\
DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';
DELETE FROM mysql.proxies_priv;
FLUSH PRIVILEGES;
CREATE USER {user}@'127.0.0.1' IDENTIFIED VIA mysql_native_password USING PASSWORD('{password}');
GRANT ALL ON `duel\\_%`.* TO {user}@'127.0.0.1';
"""
"""What the server does before it accepts connections."""


def made(home: Path) -> OwnServer:
    """A server with empty system tables in `home`, on loopback alone, for a user who may use a run's
    databases and nothing else; ends this process where its programs are missing or fail."""
    install, mariadbd = program("mariadb-install-db", PLACES), program("mariadbd", PLACES)
    if install is None or mariadbd is None:
        sys.exit("MariaDB's server is not installed: neither mariadb-install-db nor mariadbd was found")
    # MariaDB refuses to run as root unless it is told to; its own account need not exist.
    root = ["--user=root"] if os.geteuid() == 0 else []
    common = ["--no-defaults", f"--datadir={home / 'data'}", "--skip-name-resolve", *root]
    prepare([install, *common, "--skip-test-db", "--auth-root-authentication-method=normal"], home)
    password, port = secrets.token_urlsafe(24), free_port()
    first = home / "first.sql"
    first.touch(mode=0o600)
    first.write_text(FIRST.format(user=USER, password=password))
    own = (f"--port={port}", f"--socket={home / 'socket'}", f"--pid-file={home / 'pid'}", f"--tmpdir={home}")
    return OwnServer(
        command=[
            mariadbd, *common, *own, "--bind-address=127.0.0.1", "--skip-networking=0",
            f"--init-file={first}", "--max-connections=500",
        ],
        url=f"mysql://{USER}:{password}@127.0.0.1:{port}",
        answers=lambda: answers(port),
        # An orderly shutdown takes a second, for files that are then removed.
        stop=signal.SIGKILL,
    )  # fmt: skip


def answers(port: int) -> bool:
    """Whether the server greets clients."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
            return bool(client.recv(1))
    except OSError:
        return False


if __name__ == "__main__":
    keep("MariaDB", made)
