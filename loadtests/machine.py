"""The machine: its fingerprint, where processes run on it, and what else it is doing."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from loadtests.processes import UNSEEN
from loadtests.records import Machine
from loadtests.validity import STEAL

PACKAGES = (
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "anyio",
    "sqlalchemy",
    "aiosqlite",
    "psycopg",
    "asyncpg",
    "httpx",
    "httpx-aiohttp",
    "aiohttp",
    "pydantic",
    "locust",
    "gevent",
    "pillow",
)
"""What can change a result."""

FILES_BESIDES = 192
"""Files that a process holds besides its users' connections, those of the canary among them."""

ENOUGH_CONNECTIONS = 1_024
ENOUGH_PORTS = 10_000
ENOUGH_MEMORY = 2**29
SLOWING = (
    "PYTHONDEVMODE",
    "PYTHONASYNCIODEBUG",
    "PYTHONTRACEMALLOC",
    "PYTHONMALLOC",
    "COVERAGE_PROCESS_START",
)

Placement = Mapping[str, tuple[int, ...]]


def allow_connections() -> int | None:
    """Raise this process's limit of open files, which its children inherit, as far as it may: every user
    holds a connection. How many a process may hold now; None where there is no limit to ask for."""
    try:
        import resource  # noqa: PLC0415  # not on Windows
    except ImportError:
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else max(1, soft - FILES_BESIDES)


def cpus() -> tuple[int, ...]:
    """The CPUs this process may use; empty where the platform does not say."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


def place(available: tuple[int, ...], generators: int = 1) -> Placement:
    """Who runs where: the server apart from the generators, two CPUs for it where there are four."""
    if len(available) < 2:
        return {}
    server = available[: 2 if len(available) >= 4 else 1]
    rest = available[len(server) :]
    return {"server": server, "generator": rest[:generators], "others": rest[generators:] or rest[:1]}


def fingerprint(placement: Placement) -> Machine:
    """What this machine is, as far as it can matter to a result."""
    versions = {package: version_of(package) for package in PACKAGES}
    packages = {package: number for package, number in versions.items() if number is not None}
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        cpu=cpu_model(),
        cores=psutil.cpu_count() or 1,
        memory=memory(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        packages=packages,
        placement=placement,
    )


def memory() -> int | None:
    """Bytes of the whole machine; None where that is not shown."""
    try:
        return int(psutil.virtual_memory().total)
    except UNSEEN:
        return None


def host_times() -> Any:
    """The host's CPU times as psutil has them; None where they are not shown."""
    try:
        return psutil.cpu_times()
    except UNSEEN:
        return None


def cpu_model() -> str:
    """The processor's own name, or its architecture where it has none."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Reading:
    """The clocks of the host and of one server at one moment, all in seconds."""

    at: float
    host: tuple[float, float, float] | None
    """Of all CPUs together: all time, what other guests took of it, what was idle. None where not shown."""
    ours: float
    server: float | None
    known: bool = True
    """False where the server's process is not known, so that its work looks like somebody else's."""


@dataclass(frozen=True)
class Use:
    """What happened between two readings."""

    server_cpu: float | None
    host_steal: float | None
    host_foreign: float | None


class Clocks:
    """Reads the CPU clocks of the host, of our own processes and of a server."""

    def __init__(self, ours: Iterable[int], all_known: bool = True) -> None:
        self.ours = tuple(ours)
        self.all_known = all_known
        """False where processes that work for us cannot be told from foreign ones."""

    def read(self, server: int | None) -> Reading:
        """Now; `server` is a pid, None where it is not known."""
        host, times = None, host_times()
        if times is not None:
            total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
            host = total, getattr(times, "steal", 0.0), times.idle + getattr(times, "iowait", 0.0)
        server_cpu = cpu_seconds(server) if server is not None else None
        ours = sum(cpu_seconds(pid) or 0.0 for pid in (os.getpid(), *self.ours))
        return Reading(
            at=time.perf_counter(),
            host=host,
            ours=ours + (server_cpu or 0.0),
            server=server_cpu,
            known=self.all_known and server is not None,
        )

    def between(self, start: Reading, end: Reading) -> Use:
        both = start.server is not None and end.server is not None
        server_cpu = end.server - start.server if both else None  # type: ignore[operator]  # both are numbers here
        if start.host is None or end.host is None:
            return Use(server_cpu, None, None)
        total, steal, idle = (after - before for before, after in zip(start.host, end.host, strict=True))
        seconds = end.at - start.at
        foreign = total - idle - steal - (end.ours - start.ours)
        return Use(
            server_cpu=server_cpu,
            host_steal=steal / total if total > 0 else None,
            host_foreign=max(0.0, foreign / seconds) if seconds > 0 and start.known else None,
        )

    def census(self, server: int | None) -> Census:
        """The CPU seconds of every process that is neither ours nor the server's."""
        known = (os.getpid(), *self.ours, *(() if server is None else (server,)))
        ours = {member.pid for pid in known for member in family(pid)}
        spent = {}
        try:
            everybody = list(psutil.process_iter())
        except UNSEEN:
            return Census(time.perf_counter(), None, server)
        for process in everybody:
            if process.pid not in ours:
                with suppress(*UNSEEN):
                    spent[process] = sum(process.cpu_times()[:2])
        return Census(time.perf_counter(), spent, server)

    def foreign_since(self, start: Census) -> float | None:
        """CPUs' worth of work by processes that are not ours, counted process by process: the host's own
        counters look at ticks, and miss who runs between them."""
        if not self.all_known or start.server is None or start.spent is None:
            return None
        end = self.census(start.server)
        if end.spent is None:
            return None
        work = sum(
            max(0.0, spent - start.spent.get(process, 0.0))
            for process, spent in end.spent.items()
            # One that has just begun may have come from us, and gone to init.
            if process in start.spent
        )
        return work / (end.at - start.at)


@dataclass(frozen=True)
class Census:
    """CPU seconds by process at one moment."""

    at: float
    spent: Mapping[psutil.Process, float] | None
    """None where the platform shows no processes."""
    server: int | None
    """The server whose processes were left out; None where they are not known, and are in it."""


def family(pid: int) -> list[psutil.Process]:
    """A process and its children; nothing when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except UNSEEN:
        return []


def cpu_seconds(pid: int) -> float | None:
    """CPU seconds of a process and its children; None when it is gone."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)
    except UNSEEN:
        return None


def resources(pid: int | None) -> tuple[int | None, int | None]:
    """Resident bytes and threads of a process and its children; None where it is not known."""
    if pid is None:
        return None, None
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(p.memory_info().rss for p in family), sum(p.num_threads() for p in family)
    except UNSEEN:
        return None, None


def findings(seconds: float = 1.0) -> list[str]:
    """What speaks against measuring here, each with its remedy. Looks on for `seconds`."""
    found = []
    if not place(cpus()):
        found.append(
            "server and generator must share their CPUs: use Linux with two cores or more, or read small "
            "differences with care"
        )
    found += [*clock_findings(), *limit_findings(), *python_findings(), *busy_findings(seconds)]
    return found


def clock_findings() -> list[str]:
    """What makes the processors' speed change while we look."""
    found = []
    governors = set()
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"):
        with suppress(OSError):
            governors.add(path.read_text().strip())
    slow = sorted(governors - {"performance", "schedutil"})
    if slow:
        found.append(
            f"the CPU frequency governor is {' and '.join(slow)}: set it to performance "
            "(cpupower frequency-set -g performance)"
        )
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    if battery is not None and battery.power_plugged is False:
        found.append("this machine runs on its battery: plug it in, or its clock will change")
    return found


def limit_findings() -> list[str]:
    """Which limits a load would run into."""
    found = []
    most = allow_connections()
    if most is not None and most < ENOUGH_CONNECTIONS:
        found.append(
            f"a process may hold about {most} connections: raise the limit (ulimit -n 65536) for loads beyond"
        )
    with suppress(OSError, ValueError):
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        if high - low < ENOUGH_PORTS:
            found.append(f"only {high - low:,} local ports may be used: widen net.ipv4.ip_local_port_range")
    with suppress(*UNSEEN):
        free = psutil.virtual_memory().available
        if free < ENOUGH_MEMORY:
            found.append(f"only {free // 2**20} MiB of memory are free: stop what else is running")
    try:
        with socket.create_server(("127.0.0.1", 0)):
            pass
    except OSError as error:
        found.append(f"no server can listen on 127.0.0.1 ({error}): allow it, all load goes there")
    return found


def python_findings() -> list[str]:
    """What makes this Python, and that of the servers, slower than it is in service."""
    found = [
        f"{name} is set, which slows every process down: unset it"
        for name in SLOWING
        if os.environ.get(name) not in (None, "", "0")
    ]
    missing = [package for package in ("uvloop", "httptools") if version_of(package) is None]
    if missing:
        found.append(f"{' and '.join(missing)} are not installed: pip install {' '.join(missing)}")
    return found


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def busy_findings(seconds: float) -> list[str]:
    """What other work and other guests take; looks on for `seconds`."""
    found = []
    times = host_times()
    if times is None:
        return [
            "this platform does not show its processes (/proc, on Linux), so neither the servers' CPU time "
            "and memory nor other work will be known: mount it, or make sure that nothing else runs"
        ]
    time.sleep(seconds)
    spent = [after - before for before, after in zip(times, host_times() or times, strict=True)]
    total = sum(spent) or 1.0
    names = times._fields
    steal = spent[names.index("steal")] / total if "steal" in names else 0.0
    idle = sum(spent[names.index(name)] for name in ("idle", "iowait") if name in names) / total
    if steal > STEAL:
        found.append(f"other guests take {steal:.1%} of this host's CPU time: measure on a quieter machine")
    if idle < 0.9:
        found.append(f"this machine is {1 - idle:.0%} busy before any load: stop what else is running")
    return found
