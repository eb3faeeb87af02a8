"""One measurement at a time on a machine: two at once would measure each other. Those that wait are a queue.

Each measurement has a ticket, a numbered file in one directory, and holds a kernel lock (flock) on it from
its arrival to its end. The lowest ticket that is locked measures; the others wait, in the order of their
numbers. The kernel releases the lock of a process that ends, in whatever way: its ticket is left unlocked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from loadtests.errors import PlanError
from loadtests.plan.fields import one_line

VARIABLE = "FASTAPI_DUEL_LOCKS"
"""Names another directory for the tickets. Those who use another one do not wait for each other."""

POLL = 0.5
"""Polling interval in seconds while waiting."""

PATIENCE = 10.0
"""Seconds to wait for the moment in which another process takes its ticket."""

SHARED = 0o1777
"""Mode of the directory, as of /tmp: every user may add files, and remove their own."""

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
OTHER = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How our own ticket is opened, and how those of others are: they may be links or named pipes."""

LAST = 10**18 - 1
"""The highest number of a ticket."""

LONGEST = 300
"""Bytes of a ticket that are read."""

Waits = Callable[[str, int], None]
"""Called with what is being measured and the caller's place in the queue, from 1: at first, and after every
change."""


def directory() -> Path:
    """Where the tickets are: one place for all users of this machine, whatever their TMPDIR."""
    return Path(os.environ.get(VARIABLE) or "/tmp/fastapi-duel-locks")  # noqa: S108  # see `opened`


@contextmanager
def measurement_lock(what: str, wait: bool = False, waits: Waits = lambda _, __: None) -> Iterator[None]:
    """Hold this machine for one measurement, `what`. Where others hold it or wait for it, wait for all of
    them if asked to, or raise PlanError. Released when the process ends, in whatever way."""
    with opened(directory()) as tickets, ticket(tickets, f"{what} (pid {os.getpid()})") as number:
        told = None
        while ahead := ahead_of(tickets, number):
            now = said(tickets, ahead[0])
            if not wait:
                raise PlanError(
                    f"{now} is being measured on this machine: two at once would measure each other",
                    hint="wait for its end, or pass --wait",
                )
            if told != (now, len(ahead)):
                told = now, len(ahead)
                waits(*told)
            time.sleep(POLL)
        yield


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of the tickets' directory, made if it is missing. It may be shared with users who mean
    harm: names are looked up in the open directory only, never through links, and in a directory that others
    may write to, the sticky bit keeps them from removing what is not theirs. Raises PlanError."""
    with ExitStack() as opening:
        try:
            made = make(path)
            tickets = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            opening.callback(os.close, tickets)
            if made:
                # Not every system sets the sticky bit of a new directory.
                os.fchmod(tickets, SHARED)
            mode = os.fstat(tickets).st_mode
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                raise OSError(errno.EPERM, "every user may remove the files of others there (no sticky bit)")
        except OSError as error:
            raise unusable(path, error) from None
        yield tickets


def make(path: Path) -> bool:
    """Make a directory for all users; False where there is one, or anything else. Raises OSError."""
    before = os.umask(0)
    try:
        path.mkdir(SHARED)
    except FileExistsError:
        return False
    finally:
        os.umask(before)
    return True


def unusable(path: Path, error: OSError) -> PlanError:
    no_directory = error.errno in (errno.ENOTDIR, errno.ELOOP)
    return PlanError(
        f"cannot use {path}, where the measurements of this machine queue",
        cause="it is a link, or not a directory" if no_directory else error.strerror or str(error),
        hint=f"remove it, or name a directory that all users of this machine may write to in {VARIABLE}",
    )


@contextmanager
def ticket(tickets: int, what: str) -> Iterator[int]:
    """The next number of the queue, held. Raises PlanError."""
    with ExitStack() as holding:
        try:
            with alone(tickets):
                left_over(tickets)
                number = max(numbers(tickets), default=0) + 1
                if number > LAST:
                    raise OSError(errno.EFBIG, f"ticket {number - 1} leaves no number")
                handle = os.open(str(number), NEW, 0o600, dir_fd=tickets)
                holding.callback(os.close, handle)
                holding.callback(removed, tickets, number)
                # Others must be able to try its lock, whatever our umask.
                os.fchmod(handle, 0o644)
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its text is only shown: a full disk does not matter.
            with suppress(OSError):
                os.write(handle, what.encode("utf-8", "replace")[:LONGEST])
        except OSError as error:
            raise unusable(directory(), error) from None
        yield number


@contextmanager
def alone(tickets: int) -> Iterator[None]:
    """Hold the directory itself, which every process does for the moment in which it takes its ticket: so no
    number is given twice, or below one that was given before. Raises OSError."""
    deadline = time.monotonic() + PATIENCE
    while not locked(tickets, fcntl.LOCK_EX):
        if time.monotonic() > deadline:
            raise OSError(errno.EDEADLK, f"another process has held its lock for {PATIENCE:g} s")
        time.sleep(0.01)
    try:
        yield
    finally:
        fcntl.flock(tickets, fcntl.LOCK_UN)


def locked(handle: int, how: int) -> bool:
    """Lock an open file for this process; False where another one holds it. Raises OSError."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def numbers(tickets: int) -> list[int]:
    """Of all tickets, ascending."""
    return sorted(int(name) for name in os.listdir(tickets) if re.fullmatch(r"[1-9][0-9]{0,17}", name))


def ahead_of(tickets: int, number: int) -> list[int]:
    """The numbers before ours that are held."""
    return [other for other in numbers(tickets) if other < number and held(tickets, other)]


def held(tickets: int, number: int) -> bool:
    """Whether the process of a ticket lives. A lock that we share does not look like another's ticket to
    those who look at the same time."""
    with suppress(OSError):
        handle = os.open(str(number), OTHER, dir_fd=tickets)
        try:
            return stat.S_ISREG(os.fstat(handle).st_mode) and not locked(handle, fcntl.LOCK_SH)
        finally:
            os.close(handle)
    return False


def said(tickets: int, number: int) -> str:
    """What the process of a ticket measures."""
    with suppress(OSError):
        handle = os.open(str(number), OTHER, dir_fd=tickets)
        try:
            return one_line(os.read(handle, LONGEST).decode("utf-8", "replace")) or "another measurement"
        finally:
            os.close(handle)
    return "another measurement"


def left_over(tickets: int) -> None:
    """Remove the tickets of processes that were killed, as far as they are ours to remove."""
    for number in numbers(tickets):
        if not held(tickets, number):
            removed(tickets, number)


def removed(tickets: int, number: int) -> None:
    with suppress(OSError):
        os.unlink(str(number), dir_fd=tickets)
