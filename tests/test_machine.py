"""Other work on the machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from loadtests.system import suitability
from loadtests.system.accounting import Clocks, Spent, worked
from loadtests.system.processes import families, family

ORPHAN = (
    "import os, sys\n"
    "if os.fork():\n"
    "    os._exit(0)\n"
    "print(os.getpid(), flush=True)\n"
    "end = __import__('time').monotonic() + 60\n"
    "while __import__('time').monotonic() < end: pass"
)


def test_foreign_work_is_detected_and_own_work_is_not() -> None:
    """A busy orphan is foreign work; a busy child is not."""
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


def test_own_work_is_counted_once_although_a_server_is_a_child_of_ours_too() -> None:
    """Counted twice, it would hide as much work of other programs."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        clocks = Clocks([child.pid])
        start = clocks.read(child.pid)
        time.sleep(0.5)
        end = clocks.read(child.pid)
    finally:
        child.kill()
        child.wait()
    assert end.server is not None
    assert start.server is not None
    served = end.server - start.server
    assert served > 0.0
    # This process does next to nothing meanwhile, and the child continues while it is read.
    assert worked(start.spent, end.spent) < 1.5 * served


def test_the_life_of_a_process_that_ended_is_not_another_programs_work() -> None:
    """Of a child with 72 s behind it that init adopts, nothing is left in the sum of ours."""
    us, child = 1, 2
    start: Spent = {us: (5.0, 0.0), child: (72.0, 0.0)}
    assert worked(start, {us: (5.25, 0.0)}) == pytest.approx(0.25)
    # One that we wait for adds what it did since, and what it had done before.
    assert worked(start, {us: (5.25, 72.5)}) == pytest.approx(0.75)


def started_orphan() -> int:
    """The pid of a process that computes for a minute and whose parent has exited."""
    with subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE) as process:
        if process.stdout is None:
            raise AssertionError("Popen was given a pipe")
        return int(process.stdout.readline())


def test_modules_that_every_server_compiles_again_are_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in container images that set PYTHONDONTWRITEBYTECODE and install without compiling."""
    spec = ModuleSpec("uvicorn", None)
    spec.cached = str(tmp_path / "uvicorn.pyc")
    monkeypatch.setattr(suitability, "find_spec", lambda _: spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert [one for one in suitability.python_findings() if "PYTHONDONTWRITEBYTECODE" in one]
    Path(spec.cached).touch()
    assert not [one for one in suitability.python_findings() if "PYTHONDONTWRITEBYTECODE" in one]


def test_foreign_work_is_unknown_where_it_cannot_be_separated_from_own_work() -> None:
    clocks = Clocks([], all_known=False)
    assert clocks.foreign_since(clocks.census(os.getpid())) is None


def test_families_that_are_looked_up_together_are_those_looked_up_one_by_one() -> None:
    """Also that of a process that does not descend from this one, and of one that is gone."""
    script = "import subprocess as s, sys; s.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    command, pipe = [sys.executable, "-c", script], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = families([parent.pid, os.getppid(), 2**22 + 1])
        assert len(found[parent.pid]) == 2
        assert found[parent.pid] == family(parent.pid)
        assert os.getpid() in {process.pid for process in found[os.getppid()]}
        assert found[2**22 + 1] == []
        parent.communicate(b"\n")
