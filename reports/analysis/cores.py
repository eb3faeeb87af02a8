"""What the CPUs of a cell's servers leave unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.records import Arm, Cell, Run
from reports.analysis.catalogue import RELEASES_GIL


@dataclass(frozen=True)
class OneCore:
    """The work releases the GIL, and the server had one core."""


@dataclass(frozen=True)
class CrowdedWorkers:
    """An arm has more worker processes than its server has CPUs, and the other one has another number."""

    arm: str
    workers: int
    cpus: int


def one_core(run: Run, cell: Cell, endpoint: str) -> list[OneCore]:
    """Whether one of our endpoints whose work releases the GIL was served on one core."""
    ours = run.plan.locustfile is None and endpoint in RELEASES_GIL
    return [OneCore()] if ours and len(run.server_cpus(cell).numbers) == 1 else []


def crowded_workers(run: Run, cell: Cell, arms: Sequence[Arm]) -> list[CrowdedWorkers]:
    """The arms whose workers share CPUs, where arms differ in their number; none where CPUs are unknown."""
    cpus = len(run.server_cpus(cell).numbers)
    numbers = {arm.name: arm.serving.workers for arm in arms}
    if not cpus or len({*numbers.values()}) == 1:
        return []
    return [CrowdedWorkers(name, number, cpus) for name, number in numbers.items() if number > cpus]
