"""A server of our own, kept by a child: its files, password and port are new, and go with it.

The child runs a module that calls `keep` with how its server is made; the run's process starts it with
`kept`. The child ends when its stdin does, and the server when the child does, in whatever way.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.cpus import bind, cpus_flag
from loadtests.errors import ChildFailed
from loadtests.system.processes import OUR_PACKAGES, Child
from loadtests.system.scratch import OWNER, owner, remove_left_behind

SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""

BOOT = 30.0
"""Seconds that a server of ours may take to start, the making of its files included."""

READY = 25.0
"""Seconds of these that it may take until it accepts connections."""

STOP = 3.0
"""Seconds from the signal that stops a server to SIGKILL."""


@dataclass(frozen=True)
class OwnServer:
    """A server whose files are made, and how it is started on them."""

    command: Sequence[str]
    url: str
    """Where clients connect; may hold its password."""
    answers: Callable[[], bool]
    """Whether it accepts connections by now."""
    account: str | None = None
    """The account that runs it; None: ours."""
    stop: signal.Signals = signal.SIGTERM
    """Asks it to end at once, without waiting for its clients."""


def keep(name: str, made: Callable[[Path], OwnServer]) -> None:
    """Be the child: serve what `made` made in an empty directory until stdin ends or SIGTERM comes, then
    remove it. Writes `ready` (its URL) and `home` (the directory) as one JSON line on stdout."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpus", help="comma-separated CPUs to run on")
    bind(parser.parse_args().cpus)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    home = scratch(name)
    process: subprocess.Popen[bytes] | None = None
    try:
        server = made(home)
        process = subprocess.Popen(
            server.command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),  # the log, which the run quotes where it fails
            cwd=home,
            preexec_fn=lambda: go_with_parent(server.stop),  # noqa: PLW1509  # this process has no threads
            **identity(server.account),
        )
        wait_until_ready(name, server, process)
        print(json.dumps({"ready": server.url, "home": str(home)}), flush=True)
        while os.read(0, 4096):
            pass
    finally:
        if process is not None and process.poll() is None:
            process.send_signal(server.stop)
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def kept(name: str, module: str, logs: Path, cpus: Sequence[int], hint: str) -> Iterator[tuple[str, Child]]:
    """The URL of a server of ours and the child that keeps it, which ends with the block, or with this
    process. `module` calls `keep`. Raises ChildFailed with `hint` where it does not start."""
    arguments = ["-m", module, *cpus_flag(cpus)]
    with Child(name, arguments, logs / f"{name.lower()}.log", env=OUR_PACKAGES) as child:
        try:
            ready = child.receive(BOOT)
        except ChildFailed as failure:
            raise ChildFailed(
                f"our own {name} server did not start: {failure}", cause=failure.cause, hint=hint
            ) from None
        try:
            yield str(ready["ready"]), child
        finally:
            child.stop()
            # The child does this, unless it was killed.
            shutil.rmtree(ready["home"], ignore_errors=True)


def scratch(name: str) -> Path:
    """A new directory for a server's files, in memory where there is room; removes what killed runs left.
    Not inside another private directory: the server's account must be able to reach it."""
    shm = Path("/dev/shm")  # noqa: S108  # a private directory is made in it
    roomy = shm.is_dir() and os.access(shm, os.W_OK) and shutil.disk_usage(shm).free > 2**30
    home = Path(tempfile.mkdtemp(prefix=f"duel-{name.lower()}-", dir=shm if roomy else None))
    remove_left_behind(home.parent)
    (home / OWNER).write_text(owner(os.getpid()))
    return home


def program(name: str, elsewhere: Sequence[str] = ()) -> str | None:
    """The path of a server's program; where it is not on the PATH the newest that one of these patterns of
    directories holds, such as `/usr/lib/postgresql/*/bin`. None without any."""
    found = shutil.which(name)
    if found:
        return found
    root = Path("/")
    candidates = [path for pattern in elsewhere for path in root.glob(f"{pattern.lstrip('/')}/{name}")]
    newest = max(
        candidates, key=lambda path: [int(part) for part in path.parts if part.isdecimal()], default=None
    )
    return str(newest) if newest else None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def identity(account: str | None) -> dict[str, Any]:
    """Options of Popen for a server's programs: its account's, where it has one."""
    return {"user": account, "group": account, "extra_groups": ()} if account else {}


def go_with_parent(stop: signal.Signals) -> None:
    """Have the kernel stop the server when its keeper dies (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, stop)


def prepare(command: Sequence[str], home: Path, account: str | None = None) -> None:
    """Run the program that makes a server's files; ends this process where it fails. Its output goes to the
    log, whose end the run quotes."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), cwd=home, check=False,
        **identity(account),
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{Path(command[0]).name} ended with exit code {done.returncode}")


def wait_until_ready(name: str, server: OwnServer, process: subprocess.Popen[bytes]) -> None:
    """Return once the server accepts connections; ends this process when it never does."""
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and process.poll() is None:
        if server.answers():
            return
        time.sleep(0.05)
    sys.exit(f"{name} does not accept connections")
