"""Scratch directories of runs, and what killed runs left of theirs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from loadtests.system.processes import UNSEEN

SAME_START = 2.0
"""Seconds that two readings of a process's start may differ by: no pid is used again so soon."""

OWNER = "owner"
"""The file of a scratch directory that names its process."""


def owner(pid: int) -> str:
    """A process by its pid and its start, so that a later one with the same pid is not taken for it; by its
    pid alone where starts are not shown."""
    with suppress(*UNSEEN):
        # Relative to boot: setting the clock moves absolute times.
        return f"{pid} {psutil.Process(pid).create_time() - psutil.boot_time():.2f}"
    return str(pid)


def lives(text: str) -> bool:
    """Whether an `owner` is still alive; without comparable starts, whether its pid is in use. Raises
    ValueError for a text that is not an owner."""
    pid, _, start = text.partition(" ")
    now = owner(int(pid))
    if start and " " in now:
        return abs(float(start) - float(now.partition(" ")[2])) < SAME_START
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's process
    return True


@contextmanager
def scratch_directory(prefix: str = "duel-", parent: Path | None = None) -> Iterator[Path]:
    """A directory for as long as the block lasts, which a later run removes where this one was killed."""
    with TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as made:
        remove_left_behind(Path(made).parent)
        Path(made, OWNER).write_text(owner(os.getpid()))
        yield Path(made)


def remove_left_behind(parent: Path) -> None:
    """Remove the scratch directories of runs that were killed."""
    for path in parent.glob("duel-*/" + OWNER):
        # Another user's cannot be removed, and need not be.
        with suppress(OSError, ValueError, OverflowError):
            if not lives(path.read_text()):
                shutil.rmtree(path.parent)
