"""Child processes: start, exchange messages, stop, and leave none behind.

Every child reads its stdin to the end, so it ends when its parent ends, in whatever way.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from loadtests.errors import ChildFailed
from loadtests.records.files import open_log, writing

OWN_BOOT = 90.0
"""Seconds that a process of our own may take to start. A guard against a hang only: on a busy host, imports
alone take ten. An arm's server has the plan's `boot_timeout`."""

ROOT = Path(__file__).resolve().parents[2]
"""Where our packages are: the checkout, or site-packages."""

OUR_PACKAGES = {"PYTHONPATH": str(ROOT)}
"""Environment in which a child finds our packages, also from a checkout that is not installed."""

UNSEEN = (psutil.Error, OSError, IndexError)
"""What psutil raises for a process that is gone, and where the platform shows no processes: an empty /proc
is an IndexError."""

LINES_SHOWN = 3

TEXT_READ = 2**15
"""Bytes at the end of a log that are searched for a cause."""

DYING = 5.0
"""Seconds from the end of a child's pipe to its own."""

TIDYING = 1.0
"""Seconds that the children of a child get to end by themselves once it has ended."""


class NoResponse(ChildFailed):
    """A child sent no message in time."""


class Child:
    """A Python process that exchanges JSON lines on its pipes and logs to a file."""

    grace = 4.0
    """Seconds from SIGTERM to SIGKILL."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        python: str | None = None,
    ) -> None:
        """`cwd` and `python`: None for this process's own. Raises ChildFailed where they cannot be used, and
        CannotWrite where the log cannot be written."""
        self.name = name
        self.log = log
        with writing(log):
            self._file = open_log(log)
        self._log_start = self._file.tell()
        """Where this child's part of the log begins: others before it wrote to the same file."""
        try:
            # -P: neither the working directory nor the script's own may shadow a package.
            self._process = subprocess.Popen(
                [python or sys.executable, "-P", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._file,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                # Ctrl-C reaches us alone, and we stop our children in order.
                start_new_session=True,
            )
        except OSError as error:
            self._file.close()
            raise ChildFailed(
                f"{name} cannot be started", cause=f"{error.filename}: {error.strerror}"
            ) from None
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("Popen was given pipes")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._pending = b""
        self._started: list[psutil.Process] | None = None
        """What it had started when it was asked to end; None: it was not."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self.code is None

    @property
    def code(self) -> int | None:
        """Its exit code, or minus the number of the signal that ended it; None while it runs."""
        return self._process.poll()

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises ChildFailed when the child is gone."""
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()
        except OSError:
            raise self._ended() from None

    def receive(self, timeout: float) -> dict[str, Any]:
        """The child's next message. Raises ChildFailed when it ends, NoResponse after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise NoResponse(f"{self.name}: no response within {timeout:g} s", cause=self.log_tail())
                data = os.read(self._stdout.fileno(), 65_536)
                if not data:
                    raise self._ended()
                self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            # An app may print while it is imported: not a message.
            return self.receive(max(0.001, deadline - time.monotonic()))
        return message

    def _ended(self) -> ChildFailed:
        """The error for a child that has ended, with how it ended."""
        try:
            said = f"ended {how(self._process.wait(DYING))}"
        except subprocess.TimeoutExpired:
            said = "closed its pipe but is still running"
        return ChildFailed(f"{self.name} {said}", cause=self.log_tail())

    def log_tail(self) -> str:
        """The last lines of the child's log, which usually hold the cause."""
        return "\n".join(self.last_lines())

    def last_lines(self) -> list[str]:
        """The same, line by line."""
        return [line.strip() for line in self.log_text().strip().splitlines()[-LINES_SHOWN:]]

    def log_text(self) -> str:
        """The end of what this child wrote to its log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(self._log_start, self.log.stat().st_size - TEXT_READ))
                return file.read(TEXT_READ).decode("utf-8", "replace")
        except OSError:
            return ""

    def ask_to_end(self) -> None:
        """Send SIGTERM, once, and do not wait: `stop` does."""
        if self._started is None:
            # Known now: they lose their parent with it.
            self._started = started_by(self._process)
            self._process.terminate()

    def stop(self) -> None:
        """End the child and what it started: SIGTERM, then SIGKILL."""
        self.ask_to_end()
        end(self._process, self._started or [], self.grace)
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()
        self._file.close()


def end(process: subprocess.Popen[bytes], started: Sequence[psutil.Process], grace: float) -> None:
    """Wait `grace` seconds for a process that was asked to end, then kill it, and what it has started."""
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    # What it has started may still be tidying up, as multiprocessing's resource tracker does.
    deadline = time.monotonic() + TIDYING
    while any(map(at_work, started)) and time.monotonic() < deadline:
        time.sleep(0.005)
    for orphan in started:
        with suppress(*UNSEEN):
            orphan.kill()


def started_by(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """What the leader of a group has started. Where it has ended, that has lost its parent, and is still in
    its group."""
    if process.poll() is not None and psutil.pid_exists(process.pid):
        # Another process has its number by now.
        return []
    return list(dict.fromkeys([*family(process.pid)[1:], *group(process.pid)]))


def family(pid: int) -> list[psutil.Process]:
    """A process and those that it started, directly or not; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except UNSEEN:
        return []


def group(leader: int) -> list[psutil.Process]:
    """The processes of a group, without its leader."""
    found = []
    with suppress(*UNSEEN):
        for pid in psutil.pids():
            with suppress(*UNSEEN):
                if pid != leader and os.getpgid(pid) == leader:
                    found.append(psutil.Process(pid))
    return found


def families(pids: Iterable[int]) -> dict[int, list[psutil.Process]]:
    """`family` of each. One look at the processes of this machine takes milliseconds, and shows those that
    descend from this one, as most do."""
    here = {process.pid: process for process in family(os.getpid())}
    below: dict[int, list[psutil.Process]] = {}
    for process in here.values():
        with suppress(*UNSEEN):
            below.setdefault(process.ppid(), []).append(process)

    def descend(process: psutil.Process) -> list[psutil.Process]:
        return [process, *(one for child in below.get(process.pid, ()) for one in descend(child))]

    return {pid: descend(here[pid]) if pid in here else family(pid) for pid in pids}


def at_work(process: psutil.Process) -> bool:
    """Whether a process still runs; a zombie that an idle init does not reap has ended."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except UNSEEN:
        return False


def how(code: int) -> str:
    """An exit code in words."""
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
