"""What this machine is, as far as it can matter to a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from loadtests.records.run import Machine
from loadtests.system.placement import Placement
from loadtests.system.processes import UNSEEN

PACKAGES = (
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "granian",
    "hypercorn",
    "anyio",
    "sqlalchemy",
    "aiosqlite",
    "psycopg",
    "asyncpg",
    "pymysql",
    "aiomysql",
    "asyncmy",
    "httpx",
    "httpx2",
    "httpx-aiohttp",
    "aiohttp",
    "pydantic",
    "locust",
    "gevent",
    "pillow",
    "python-multipart",
)
"""What can change a result."""


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


def cpu_model() -> str:
    """The processor's own name, or its architecture where it has none."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
