"""Which CPUs the processes of a run get, and how many connections."""

from __future__ import annotations

import os
import resource
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from loadtests.system.processes import family

FILES_BESIDES = 320
"""Files that a process holds besides its users' connections, those of canary and pulse included."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Time per period that Linux allows a container, in microseconds; the time is `max` where it has no limit."""

Placement = Mapping[str, tuple[int, ...]]


def allow_connections() -> int | None:
    """Raise this process's limit of open files, which its children inherit, as far as allowed: every user
    holds a connection. How many connections a process may hold now; None where there is no limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else max(1, soft - FILES_BESIDES)


def cpus() -> tuple[int, ...]:
    """The CPUs this process may use; empty where the platform does not report them."""
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


def place(available: tuple[int, ...], generators: int = 1) -> Placement:
    """CPUs by role: the server's apart from the generators', two for it where there are four or more."""
    if len(available) < 2:
        return {}
    server = available[: 2 if len(available) >= 4 else 1]
    rest = available[len(server) :]
    return {"server": server, "generator": rest[:generators], "others": rest[generators:] or rest[:1]}


def limited(file: Path = QUOTA) -> bool:
    """Whether a container may use less time than its CPUs have. It would be stopped for the rest of every
    period, the load generator included."""
    with suppress(OSError, ValueError):
        most, period = file.read_text().split()
        return most != "max" and int(most) < int(period) * len(cpus())
    return False


def shared(placement: Placement) -> Placement:
    """The same with every CPU for the server, the generator's included."""
    every = {cpu for of in placement.values() for cpu in of}
    return {**placement, "server": tuple(sorted(every))} if every else {}


def boot_places(placement: Placement) -> list[tuple[int, ...]]:
    """Where servers that start together boot in turn, while nothing else runs: on the server's CPUs, and on
    as many others, since libraries count the CPUs when they are imported. Servers that get every CPU boot on
    them."""
    server = placement.get("server", ())
    others = [cpu for role in ("generator", "others") for cpu in placement.get(role, ())]
    rest = tuple(dict.fromkeys(others))[: len(server)]
    return [server, rest] if len(rest) == len(server) > 0 else [server]


def move(pid: int, cpus: tuple[int, ...]) -> None:
    """Have a process and those that it has started run on these CPUs, all their threads."""
    for process in family(pid):
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{process.pid}/task"):
                os.sched_setaffinity(int(thread), cpus)
