"""Which CPUs the servers of a cell get.

A server with a single CPU hides what threads are for: work that releases the GIL cannot run in parallel.
Where next to nothing else needs the other CPUs, the server gets them as well.
"""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.measure.calibration import alone_and_few
from loadtests.plan.cells import Cell
from loadtests.plan.plan import Plan
from loadtests.records.run import Calibration, Run
from loadtests.records.trial import Trial
from loadtests.system.placement import Placement

MOST_BESIDE = 0.15
"""Maximum share of a core that all that runs beside a server may need for the server to get its CPUs. Of the
twins' routes, those that query or compute need up to 0.12, and the others 0.19 or more."""

IDLE = 0.02
"""Share of a core that a generator needs for its own timers, however few the requests are."""

COMPUTES = 0.5
"""Part of the service time of a request alone that is CPU time; below it, more CPUs hardly serve more, and a
calibration at so low a rate does not show what generator and slow service need under load. Of the twins'
routes and mixtures, those that wait have up to 0.31, and the others 0.79 or more."""

HELD_UP = frozenset({"generator-late", "generator-busy", "users-idle"})
"""Faults of a generator that gets too little of its CPU."""


class Places:
    """Where the servers of each cell of a run are placed."""

    def __init__(self, run: Run, own: Placement, every: Placement) -> None:
        """Placements with CPUs for the server alone, and with every CPU for it."""
        self.own, self.every = own, every
        light = light_scenarios(run.plan, run.calibrations, len(every.get("server", ())))
        self.sharing = {
            cell.key
            for cell in run.plan.cells
            # An earlier part of the run may have gone back to the server's own CPUs.
            if cell.scenario in light and (not tried(run, cell) or run.server_cpus(cell).shared)
        }
        """Keys of the cells whose servers get every CPU."""

    def of(self, cell: Cell) -> Placement:
        """Where the servers of a cell run, alike for all arms."""
        return self.every if cell.key in self.sharing else self.own

    def same(self, run: Run, cell: Cell) -> bool:
        """Whether the last trials of a cell had these CPUs."""
        return run.server_cpus(cell).numbers == tuple(self.of(cell).get("server", ()))

    def go_back(self, cell: Cell, trial: Trial) -> bool:
        """Have a cell's servers keep to their own CPUs from now on, if the generator was held up beside them
        in its last trial, and by nothing else. Whether that is so."""
        kinds = {fault.kind for fault in trial.faults}
        disturbed = any(fault.blamed == "host" for fault in trial.faults)
        if cell.key not in self.sharing or disturbed or not kinds & HELD_UP:
            return False
        self.sharing.remove(cell.key)
        return True


def tried(run: Run, cell: Cell) -> bool:
    """Whether a run has any trial of a cell."""
    return any(run.of(cell, arm.name) for arm in run.plan.arms)


def light_scenarios(plan: Plan, calibrations: Sequence[Calibration], cpus: int) -> set[str]:
    """The scenarios in which every arm would leave the other CPUs all but idle, if its server had all these
    `cpus`, under the maximum number of users. The loads of a scenario are measured alike, or a curve over
    users would bend where the CPUs change.

    Never in an open loop, whose arrivals must be on time, beside several generators, which are used where one
    is too busy, or with external servers, whose CPUs are not ours to choose.
    """
    if plan.open or plan.generators > 1 or any(arm.url is not None for arm in plan.arms):
        return set()
    return {
        scenario
        for scenario in {cell.scenario for cell in plan.cells}
        if all(
            is_light(share_beside(most_loaded(plan, scenario), arm.name, calibrations, cpus))
            for arm in plan.arms
        )
    }


def most_loaded(plan: Plan, scenario: str) -> Cell:
    """The cell of a scenario with the maximum number of users, whose generator has the most to do."""
    return max(
        (cell for cell in plan.cells if cell.scenario == scenario), key=lambda cell: cell.load.users or 0
    )


def is_light(share: float | None) -> bool:
    """Whether a share of a core is small; one that is not known is not."""
    return share is not None and share <= MOST_BESIDE


def share_beside(cell: Cell, arm: str, calibrations: Sequence[Calibration], cpus: int) -> float | None:
    """The share of a core that generator, slow service and database need in a closed loop whose server has
    `cpus` CPUs: as often as the users can ask, or the CPUs have time to answer. None where that is not known,
    and where requests mostly wait.

    The users of all arms ask alike, so a request costs the generator what it costs in the calibration that
    was least disturbed: interruptions only add to it. Of one arm with one user and with several, the smaller
    share counts, for the same reason.
    """
    one, few = alone_and_few(cell, arm, calibrations)
    users = cell.load.users
    if one is None or users is None or not one.service_time or cost(one) < COMPUTES * one.service_time:
        return None
    most = users / one.service_time
    asked = [
        each for seen in calibrations if seen.scenario == cell.scenario and (each := asking(seen)) is not None
    ]
    shares = [
        IDLE + (min(asked) + seen.services) * min(most, cpus / cost(seen))
        for seen in (one, few)
        if seen and cost(seen) and seen.services is not None and asking(seen) is not None
    ]
    return min(shares, default=None)


def asking(seen: Calibration) -> float | None:
    """CPU seconds of the generator per request, without its own timers; None where not known."""
    if seen.generator is None or not seen.throughput:
        return None
    return max(0.0, seen.generator - IDLE / seen.throughput)


def cost(seen: Calibration) -> float:
    """CPU seconds of the server and its children per request; 0.0 where not known."""
    return max(seen.cpu or 0.0, seen.work or 0.0)
