"""One measurement at a time: two that run at once would measure each other."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtests.plan import PlanError, one_line

LOOK = 0.5
"""Seconds between two looks at whether the other one has ended."""


def lock_file() -> Path:
    """Where this user's measurements on this machine are agreed on."""
    return Path(
        tempfile.gettempdir(), f"fastapi-duel-{os.getuid() if hasattr(os, 'getuid') else 'user'}.lock"
    )


@contextmanager
def turn(what: str, wait: bool = False, waits: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold this machine for one measurement, `what`. Where another one holds it, wait if asked to, telling
    `waits` for whom, or raise PlanError. The lock goes with the process, however that ends."""
    try:
        import fcntl  # noqa: PLC0415  # Windows has none
    except ImportError:
        yield
        return
    path = lock_file()
    try:
        # Not followed: others may write where it lies.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PlanError(f"cannot open {path}: {error.strerror or error}", "remove it") from None
    try:
        told = False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                other = one_line(os.pread(handle, 300, 0).decode("utf-8", "replace")) or "another measurement"
                if not wait:
                    raise PlanError(
                        f"{other} is being measured on this machine: two at once would measure each other",
                        "wait for its end, or pass --wait",
                    ) from None
                if not told:
                    waits(other)
                    told = True
                time.sleep(LOOK)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{what} (pid {os.getpid()})".encode(), 0)
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)
