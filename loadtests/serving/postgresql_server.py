"""The child that keeps our own PostgreSQL server: its cluster, password and port are new, and go with it.

`python -m loadtests.serving.postgresql_server [--cpus CPUS]` writes its URL as one JSON line on stdout, and
ends when stdin does.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from loadtests.cpus import bind

ACCOUNT = "postgres"
"""The account that runs the server where we are root: PostgreSQL refuses to run as root."""

USER = "duel"

PLACES = ("/usr/lib/postgresql", "/usr/local/pgsql", "/opt/homebrew/opt", "/usr")
"""Where PostgreSQL's programs are when they are not on the PATH."""

SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""

START_TIMEOUT = 25.0
"""Seconds that the server may take until it accepts connections."""


def program(name: str) -> str | None:
    """The path of one of PostgreSQL's programs, the newest where there are several; None without any."""
    found = shutil.which(name)
    if found:
        return found
    candidates = [path for place in PLACES for path in Path(place).glob(f"*/bin/{name}")]
    newest = max(
        candidates, key=lambda path: [int(part) for part in path.parts if part.isdecimal()], default=None
    )
    return str(newest) if newest else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def identity() -> dict[str, Any]:
    """Options of Popen for the server's programs: PostgreSQL's account, where we are root."""
    return {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": ()} if os.geteuid() == 0 else {}


def keep() -> None:
    """Make a cluster, serve it until stdin ends or a signal comes, and remove it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpus", help="comma-separated CPUs to run on")
    bind(parser.parse_args().cpus)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    initdb, postgres = program("initdb"), program("postgres")
    if initdb is None or postgres is None:
        sys.exit("PostgreSQL's server is not installed: neither initdb nor postgres was found")
    shm = Path("/dev/shm")  # noqa: S108  # a private directory is made in it
    roomy = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 2**30
    # Not inside another private directory: the account must be able to reach it.
    home = Path(tempfile.mkdtemp(prefix="duel-postgresql-", dir=shm if roomy else None))
    server: subprocess.Popen[bytes] | None = None
    try:
        password = make_cluster(initdb, home)
        server, port = started(postgres, home)
        url = f"postgresql://{USER}:{password}@127.0.0.1:{port}/postgres"
        wait_until_ready(server, url)
        print(json.dumps({"ready": url, "home": str(home)}), flush=True)
        while os.read(0, 4096):
            pass
    finally:
        if server is not None and server.poll() is None:
            server.send_signal(signal.SIGINT)  # its "fast" shutdown
            try:
                server.wait(3)
            except subprocess.TimeoutExpired:
                server.kill()
        shutil.rmtree(home, ignore_errors=True)


def make_cluster(initdb: str, home: Path) -> str:
    """Write an empty cluster to `home`; the password of its user."""
    password = secrets.token_urlsafe(24)
    file = home / "password"
    file.touch(mode=0o600)
    file.write_text(password)
    account = identity()
    if account:
        for path in (home, file):
            shutil.chown(path, ACCOUNT, ACCOUNT)
    command = [initdb, "-D", str(home / "data"), "-U", USER, "--auth=scram-sha-256", f"--pwfile={file}"]
    # Its output goes to the log, which the parent quotes when this fails.
    subprocess.run(
        [*command, "--encoding=UTF8", "--locale=C", "--no-sync"],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        cwd=home,
        **account,
    )
    return password


def started(postgres: str, home: Path) -> tuple[subprocess.Popen[bytes], int]:
    """The server on the cluster in `home`, on loopback alone, and its port."""
    port = free_port()
    command = [postgres, "-D", str(home / "data"), "-h", "127.0.0.1", "-p", str(port), "-k", ""]
    server = subprocess.Popen(
        [*command, "-c", "max_connections=500"],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        cwd=home,
        preexec_fn=go_with_parent,  # noqa: PLW1509  # this process has no threads
        **identity(),
    )
    return server, port


def go_with_parent() -> None:
    """Have the kernel stop the server when its keeper dies (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGINT)


def wait_until_ready(server: subprocess.Popen[bytes], url: str) -> None:
    """Return once the server accepts connections; ends this process when it never does."""
    import psycopg  # noqa: PLC0415  # an extra, and only runs on PostgreSQL need it

    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(url, connect_timeout=2).close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    sys.exit("PostgreSQL does not accept connections")


if __name__ == "__main__":
    keep()
