"""What a server still does once its last response is there, until it comes to rest.

Work that an app hands to a queue, to threads or to processes delays no response: it shows here only.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from loadtests.records.trial import Footprint, Settling
from loadtests.system.processes import UNSEEN, at_work, family

STEP = 0.01
"""Seconds between two readings."""

STEPS_AT_REST = 2
"""Successive steps without work after which a server is at rest."""

WORKING = 0.1
"""CPUs' worth of work from which on a step is not at rest; idle heartbeats and timers need 0.01."""

ENOUGH = 0.1
"""CPU seconds of work after which a server that is not at rest is no longer waited for, unless its requests
are known to need more."""

PATIENCE = 1.5
"""Seconds after which it is no longer waited for in any case: on a busy host it may get little CPU time."""


class FamilyClock:
    """The CPU seconds of a process and of those that it starts, added up process by process: one that ends
    takes nothing with it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.total = 0.0
        """Seconds between the first reading and the last."""
        self.began = time.perf_counter()
        """When it was first read."""
        self.known = dict(self.now())

    def now(self) -> Iterable[tuple[psutil.Process, float]]:
        for process in family(self.pid):
            with suppress(*UNSEEN):
                yield process, spent(process)

    def read(self) -> float:
        """The total, now."""
        for process, seconds in self.now():
            self.total += max(0.0, seconds - self.known.get(process, 0.0))
            self.known[process] = seconds
        return self.total

    def waits_for_cpu(self) -> bool:
        """Whether a thread could run and others keep the CPUs: it does no work, and is not at rest. False
        where the platform does not show that."""
        for process in self.known:
            with suppress(OSError):
                for thread in Path(f"/proc/{process.pid}/task").iterdir():
                    # The state follows the name, which is in parentheses and may hold any character.
                    if (thread / "stat").read_bytes().rpartition(b")")[2].split()[:1] == [b"R"]:
                        return True
        return False


def spent(process: psutil.Process) -> float:
    """CPU seconds of all threads of a process. Raises one of UNSEEN where it is gone."""
    if psutil.LINUX:
        # clock_getcpuclockid(3): /proc counts in ticks of 10 ms, as long as a step.
        return time.clock_gettime((~process.pid << 3) | 2)
    return float(sum(process.cpu_times()[:2]))


def clock_of(pid: int | None) -> FamilyClock | None:
    """A clock of a server's processes; None where they are not known."""
    if pid is None:
        return None
    clock = FamilyClock(pid)
    return clock if clock.known else None


def settle(clock: FamilyClock | None, enough: float = ENOUGH) -> Settling | None:
    """Watch a server without load until it is at rest, or has worked for `enough` CPU seconds; None where its
    processes are not known."""
    if clock is None:
        return None
    begin, began = clock.read(), time.perf_counter()
    calm, before, at = 0, begin, began
    while calm < STEPS_AT_REST and before - begin < enough and at - began < PATIENCE:
        time.sleep(STEP)
        total, now = clock.read(), time.perf_counter()
        idle = total - before < WORKING * (now - at) and not clock.waits_for_cpu()
        calm = calm + 1 if idle else 0
        before, at = total, now
    return Settling(seconds=at - began, cpu=before - begin, rested=calm >= STEPS_AT_REST)


def footprint(pid: int | None) -> Footprint | None:
    """The memory, threads and children of a server's processes; None where they are not known."""
    members = [one for one in family(pid) if at_work(one)] if pid is not None else []
    with suppress(*UNSEEN):
        if members:
            return Footprint(
                rss=sum(one.memory_info().rss for one in members),
                threads=sum(one.num_threads() for one in members),
                children=len(members) - 1,
            )
    return None
