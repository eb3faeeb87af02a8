"""Whether this machine is suitable for measurements; each finding with its remedy."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil

from loadtests.system.accounting import STEAL, host_times
from loadtests.system.fingerprint import version_of
from loadtests.system.placement import allow_connections, cpus, place
from loadtests.system.processes import UNSEEN

ENOUGH_CONNECTIONS = 1_024

ENOUGH_PORTS = 10_000

ENOUGH_MEMORY = 2**29

IDLE = 0.9
"""Fraction of the CPU time that must be idle before any load."""

SLOWING = (
    "PYTHONDEVMODE",
    "PYTHONASYNCIODEBUG",
    "PYTHONTRACEMALLOC",
    "PYTHONMALLOC",
    "COVERAGE_PROCESS_START",
)


def findings() -> list[str]:
    """What makes this machine less suitable, each with its remedy."""
    found = []
    if not place(cpus()):
        found.append(
            "server and generator must share their CPUs: use Linux with two cores or more, or read small "
            "differences with care"
        )
    if host_times() is None:
        found.append(
            "this platform does not show its processes (/proc, on Linux), so neither the servers' CPU time "
            "and memory nor other work will be known: mount it, or make sure that nothing else runs"
        )
    return [*found, *clock_findings(), *limit_findings(), *python_findings()]


def clock_findings() -> list[str]:
    """Causes of a changing CPU speed during a measurement."""
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
        found.append("this machine runs on battery: plug it in, or its clock will change")
    return found


def limit_findings() -> list[str]:
    """Limits that a load would run into."""
    found = []
    most = allow_connections()
    if most is not None and most < ENOUGH_CONNECTIONS:
        found.append(
            f"a process may hold about {most} connections: raise the limit (ulimit -n 65536) for more users"
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
    """What makes this Python, and that of the servers, slower than in production."""
    found = [
        f"{name} is set, which slows every process down: unset it"
        for name in SLOWING
        if os.environ.get(name) not in (None, "", "0")
    ]
    if not compiled():
        found.append(
            "PYTHONDONTWRITEBYTECODE is set and packages are not compiled, so every server compiles its "
            "imports when it starts: unset it, or run python -m compileall on the installed packages"
        )
    missing = [package for package in ("uvloop", "httptools") if version_of(package) is None]
    if missing:
        found.append(f"{' and '.join(missing)} are not installed: pip install {' '.join(missing)}")
    return found


def compiled() -> bool:
    """Whether the next process finds what this one has compiled."""
    spec = find_spec("uvicorn")
    cached = spec.cached if spec is not None else None
    return not sys.dont_write_bytecode or cached is None or Path(cached).exists()


def disturbances(seconds: float = 1.0) -> list[str]:
    """What other processes and other guests do, where a measurement would be invalid for it. Watches the CPUs
    for `seconds`; nothing where they do not show it."""
    times = host_times()
    if times is None:
        return []
    time.sleep(seconds)
    spent = [after - before for before, after in zip(times, host_times() or times, strict=True)]
    total = sum(spent) or 1.0
    names = times._fields
    steal = spent[names.index("steal")] / total if "steal" in names else 0.0
    idle = sum(spent[names.index(name)] for name in ("idle", "iowait") if name in names) / total
    found = []
    if steal > STEAL:
        found.append(f"other guests take {steal:.1%} of this host's CPU time")
    if idle < IDLE:
        found.append(f"this machine is {1 - idle:.0%} busy before any load")
    return found
