"""What the CPUs of a cell's servers leave unknown."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.records import Cell, Run
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


def left_unknown(run: Run, cell: Cell, endpoint: str, rival: str) -> list[OneCore | CrowdedWorkers]:
    """What more CPUs would show of one of our endpoints whose work releases the GIL, and of arms that differ
    in their number of workers; nothing where the CPUs are not known, as of external servers."""
    pair = (run.plan.opponent(rival).name, rival)
    cpus = 0 if run.plan.external(*pair) else len(run.server_cpus(cell).numbers)
    found: list[OneCore | CrowdedWorkers] = []
    if cpus == 1 and run.plan.locustfile is None and endpoint in RELEASES_GIL:
        found.append(OneCore())
    workers = {arm.name: arm.serving.workers for arm in run.plan.arms if arm.name in pair}
    if cpus and len({*workers.values()}) > 1:
        found += [CrowdedWorkers(name, number, cpus) for name, number in workers.items() if number > cpus]
    return found
