"""Processes for one job each, forked from one that has done all imports.

Under Locust's own command, a locustfile's state (a list of accounts that users pop, a reader of rows, a
counter) starts again with every test. Here each trial has a process of its own: it loads the file ahead,
while servers stop and start, and costs a fork instead of a second of imports.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from gevent.monkey import get_original
from gevent.os import fork_gevent, make_nonblocking, nb_read

Job = Callable[[str], None]
"""What a process does with the line that it is given."""

close = get_original("os", "close")
"""At once: gevent's own waits for an iteration of its loop, and none comes while a pipe is open."""

SET_DEATH_SIGNAL = 1
"""prctl's PR_SET_PDEATHSIG."""


class FreshProcess:
    """A process that prepares itself at once, and then waits for its one job."""

    def __init__(self, prepare: Callable[[], Job]) -> None:
        """`prepare` is called in the new process."""
        reading, self._writing = os.pipe()

        def work() -> None:
            close(self._writing)
            job = prepare()
            line = received(reading)
            if line:
                job(line)

        self.pid = forked(work)
        close(reading)

    def give(self, line: str) -> int:
        """Have it do its job with a line; empty: nothing. Its exit code, or minus the number of a signal."""
        # It may have ended while it prepared itself: its exit code tells.
        with suppress(BrokenPipeError), os.fdopen(self._writing, "w", encoding="utf-8") as pipe:
            pipe.write(line)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def received(pipe: int) -> str:
    """All that comes through a pipe; greenlets that the preparation has started continue meanwhile."""
    make_nonblocking(pipe)
    parts = []
    while part := nb_read(pipe, 65_536):
        parts.append(part)
    close(pipe)
    return b"".join(parts).decode()


def forked(work: Callable[[], None]) -> int:
    """The pid of a new process that does `work` and ends, or ends with this one."""
    parent = os.getpid()
    pid: int = fork_gevent()
    if not pid:
        carry_out(work, parent)
    return pid


def carry_out(work: Callable[[], None], parent: int) -> NoReturn:
    """Do `work` as this process's last act: what its parent would do later must not happen here as well."""
    code = 1
    try:
        end_with(parent)
        work()
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 1
        if isinstance(ending.code, str):
            sys.stderr.write(f"{ending.code}\n")
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def end_with(parent: int) -> None:
    """Let this process be ended with its parent, where the platform can; elsewhere it ends with its job."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


def end_alike(code: int) -> NoReturn:
    """End as a child has ended, by the same signal or with the same code."""
    if code < 0:
        os.kill(os.getpid(), -code)
    os._exit(code or 1)
