"""What else a machine is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from loadtests.machine import Clocks

ORPHAN = (
    "import os, sys\n"
    "if os.fork():\n"
    "    os._exit(0)\n"
    "print(os.getpid(), flush=True)\n"
    "end = __import__('time').monotonic() + 60\n"
    "while __import__('time').monotonic() < end: pass"
)


def test_work_of_others_is_seen_and_work_of_ours_is_not() -> None:
    """A busy orphan is nobody's child; a busy child is ours."""
    clocks = Clocks([])
    orphan = started_orphan()
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        start = clocks.census(os.getpid())
        time.sleep(1.0)
        seen = clocks.foreign_since(start)
    finally:
        os.kill(orphan, signal.SIGKILL)
        child.kill()
        child.wait()
    pids = {process.pid for process in start.spent or {}}
    assert orphan in pids
    assert child.pid not in pids
    assert seen is not None
    assert seen > 0.2


def started_orphan() -> int:
    """The pid of a process that computes for a minute, and whose parent is gone."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise AssertionError("Popen was given a pipe")
        return int(process.stdout.readline())


def test_work_of_others_is_unknown_where_ours_cannot_be_told_from_it() -> None:
    clocks = Clocks([], all_known=False)
    assert clocks.foreign_since(clocks.census(os.getpid())) is None
