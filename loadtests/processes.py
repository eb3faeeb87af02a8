"""Child processes: start, speak, stop, and nobody left behind.

Every child reads its stdin to the end, so it goes when its parent goes, however that happens.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

ROOT = Path(__file__).resolve().parent.parent
"""Where our packages are: the checkout, or site-packages."""
OUR_PACKAGES = {"PYTHONPATH": str(ROOT)}
"""Environment that lets a child find our packages from a checkout that is not installed."""

UNSEEN = (psutil.Error, OSError, IndexError)
"""What psutil raises of a process that is gone, and where a platform shows none: an empty /proc is an
IndexError."""
LINES_SHOWN = 3
DYING = 5.0
"""Seconds from the end of a child's pipe to its own."""
TIDYING = 1.0
"""Seconds that the children of a child get to end by themselves once it has ended."""


class ChildFailed(Exception):
    """A child process did not do what it was asked to: what, why, and what to do."""

    def __init__(self, message: str, cause: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.hint = hint


class Child:
    """A Python process that speaks JSON lines on its pipes and logs to a file."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        python: str | None = None,
    ) -> None:
        """`cwd` and `python` are ours where nothing is said. Raises ChildFailed where they cannot be used."""
        self.name = name
        self.log = log
        self._file = log.open("ab")
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
            raise ChildFailed(f"{name} cannot be started", f"{error.filename}: {error.strerror}") from None
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("Popen was given pipes")
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._pending = b""

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
        return self._process.poll() is None

    def send(self, message: Mapping[str, Any]) -> None:
        """Raises ChildFailed when the child is gone."""
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()
        except OSError:
            raise self._ended() from None

    def receive(self, timeout: float) -> dict[str, Any]:
        """The child's next message; raises ChildFailed when it ends or says nothing for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while b"\n" not in self._pending:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise ChildFailed(f"{self.name} said nothing for {timeout:g} s", self.last_words())
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
            # An app may print while it is imported; that is not for us.
            return self.receive(max(0.001, deadline - time.monotonic()))
        return message

    def _ended(self) -> ChildFailed:
        """That the child is gone, and how."""
        try:
            said = f"ended {how(self._process.wait(DYING))}"
        except subprocess.TimeoutExpired:
            said = "does not listen any more"
        return ChildFailed(f"{self.name} {said}", self.last_words())

    def last_words(self) -> str:
        """The last lines of the child's log, where the cause usually stands."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 8192))
                lines = file.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        return "\n".join(line.strip() for line in lines[-LINES_SHOWN:])

    def stop(self, grace: float = 4.0) -> None:
        """End the child, asked first and killed after `grace` seconds, and what it started in its turn."""
        family = descendants(self.pid)
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        # What the child started may still be tidying up, as multiprocessing's resource tracker does.
        deadline = time.monotonic() + TIDYING
        while any(map(at_work, family)) and time.monotonic() < deadline:
            time.sleep(0.005)
        for orphan in family:
            with suppress(*UNSEEN):
                orphan.kill()
        for pipe in (self._stdin, self._stdout):
            with suppress(OSError):
                pipe.close()
        self._file.close()


def descendants(pid: int) -> list[psutil.Process]:
    """The processes that `pid` started, directly or not."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except UNSEEN:
        return []


def at_work(process: psutil.Process) -> bool:
    """Whether a process still runs; one that waits to be reaped by an idle init does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except UNSEEN:
        return False


def how(code: int) -> str:
    """An exit code in words."""
    return f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
