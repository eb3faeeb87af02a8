"""CPU time during a measurement: of the server, of our processes, of others, of other guests."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from loadtests.system.processes import UNSEEN, families


def host_times() -> Any:
    """The host's CPU times as psutil has them; None where the platform does not show them."""
    try:
        return psutil.cpu_times()
    except UNSEEN:
        return None


Spent = Mapping[Hashable, tuple[float, float]]
"""CPU seconds by process (by what psutil identifies it with, since pids are used again): its own, and those
of its children that have ended and that it has waited for."""


@dataclass(frozen=True)
class ClockReading:
    """The clocks of the host and of one server at one moment, all in seconds."""

    at: float
    host: tuple[float, float, float] | None
    """Of all CPUs together: all time, what other guests took of it, what was idle. None where not shown."""
    ours: Mapping[int, float]
    """Of our own processes, by pid, each with its children; without the server."""
    server: float | None
    spent: Spent
    """Of our own processes and the server's, each once: the server, for one, is also a child of ours."""
    known: bool = True
    """False where the server's process is not known, so that its work looks like another program's."""


@dataclass(frozen=True)
class CpuUse:
    """What happened between two readings."""

    server_cpu: float | None
    host_steal: float | None
    host_foreign: float | None
    ours: Mapping[int, float] = field(default_factory=dict)
    """CPU seconds of our own processes, by pid."""


class Clocks:
    """Reads the CPU clocks of the host, of our own processes and of a server."""

    def __init__(self, ours: Iterable[int], all_known: bool = True) -> None:
        self.ours = tuple(ours)
        self.all_known = all_known
        """False where processes that work for us cannot be distinguished from foreign ones."""

    def beside(self, pids: Iterable[int]) -> Clocks:
        """The same, with further processes of ours."""
        return Clocks((*self.ours, *pids), self.all_known)

    def read(self, server: int | None) -> ClockReading:
        """Now; `server` is a pid, None where it is not known."""
        host, times = None, host_times()
        if times is not None:
            total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
            host = total, getattr(times, "steal", 0.0), times.idle + getattr(times, "iowait", 0.0)
        pids = (os.getpid(), *self.ours, *(() if server is None else (server,)))
        by_pid = {pid: spent_by(members) for pid, members in families(pids).items()}
        totals = {pid: sum(map(sum, spent.values())) for pid, spent in by_pid.items()}
        return ClockReading(
            at=time.perf_counter(),
            host=host,
            ours={pid: total for pid, total in totals.items() if pid != server},
            server=totals[server] if server is not None and by_pid[server] else None,
            spent={process: times for spent in by_pid.values() for process, times in spent.items()},
            known=self.all_known and server is not None,
        )

    def between(self, start: ClockReading, end: ClockReading) -> CpuUse:
        server_cpu = None
        # A process that has ended took its clock with it, as a worker's end shows in the sum.
        if start.server is not None and end.server is not None and end.server >= start.server:
            server_cpu = end.server - start.server
        ours = {pid: max(0.0, spent - start.ours.get(pid, 0.0)) for pid, spent in end.ours.items()}
        if start.host is None or end.host is None:
            return CpuUse(server_cpu, None, None, ours)
        total, steal, idle = (after - before for before, after in zip(start.host, end.host, strict=True))
        seconds = end.at - start.at
        foreign = total - idle - steal - worked(start.spent, end.spent)
        # Without the server's part, its work would pass for another program's.
        known = start.known and server_cpu is not None and seconds > 0
        return CpuUse(
            server_cpu=server_cpu,
            host_steal=steal / total if total > 0 else None,
            host_foreign=max(0.0, foreign / seconds) if known else None,
            ours=ours,
        )

    def census(self, server: int | None) -> Census:
        """The CPU seconds of every process that is neither ours nor the server's."""
        known = (os.getpid(), *self.ours, *(() if server is None else (server,)))
        ours = {member.pid for members in families(known).values() for member in members}
        spent = {}
        try:
            processes = list(psutil.process_iter())
        except UNSEEN:
            return Census(time.perf_counter(), None, server)
        for process in processes:
            if process.pid not in ours:
                with suppress(*UNSEEN):
                    spent[process] = sum(process.cpu_times()[:2])
        return Census(time.perf_counter(), spent, server)

    def foreign_since(self, start: Census) -> float | None:
        """CPUs' worth of work by processes that are not ours, counted process by process: the host's own
        counters sample at ticks, and miss processes that run between them."""
        if not self.all_known or start.server is None or start.spent is None:
            return None
        end = self.census(start.server)
        if end.spent is None:
            return None
        work = sum(
            max(0.0, spent - start.spent.get(process, 0.0))
            for process, spent in end.spent.items()
            # A new one may be a child of ours that init has adopted.
            if process in start.spent
        )
        return work / (end.at - start.at)


class Watch:
    """The clocks around one window: made before the load, `open` and `close` with the window."""

    def __init__(self, clocks: Clocks, server: int | None) -> None:
        self.clocks = clocks
        self.server = server
        self.others = clocks.census(server)

    def open(self) -> None:
        self.start = self.clocks.read(self.server)

    def close(self) -> CpuUse:
        """What happened in the window; foreign work is the larger of the two ways to count it."""
        use = self.clocks.between(self.start, self.clocks.read(self.server))
        both = (use.host_foreign, self.clocks.foreign_since(self.others))
        return replace(use, host_foreign=max((one for one in both if one is not None), default=None))


@dataclass(frozen=True)
class Census:
    """CPU seconds by process at one moment."""

    at: float
    spent: Mapping[psutil.Process, float] | None
    """None where the platform shows no processes."""
    server: int | None
    """The server whose processes were left out; None where they are not known, and are in it."""


def spent_by(processes: Iterable[psutil.Process]) -> Spent:
    """What processes have spent until now, without those that are gone."""
    spent: dict[Hashable, tuple[float, float]] = {}
    for process in processes:
        with suppress(*UNSEEN):
            # User, system, and both of the ended children that their parent has waited for.
            user, system, children_user, children_system = process.cpu_times()[:4]
            spent[process] = user + system, children_user + children_system
    return spent


def worked(start: Spent, end: Spent) -> float:
    """CPU seconds that processes spent between two moments.

    When one ends and its parent has waited for it, its time moves to that parent, and the sum stays. Where no
    process waits for it, or init has adopted it, its whole life is missing from the sum, and would pass for
    another program's work. So what the remaining processes did is the least.
    """
    whole = sum(map(sum, end.values())) - sum(map(sum, start.values()))
    others = sum(own - start.get(process, (0.0, 0.0))[0] for process, (own, _) in end.items())
    return max(whole, others)


STEAL = 0.02
"""Fraction of the host's CPU time that other guests may take."""
