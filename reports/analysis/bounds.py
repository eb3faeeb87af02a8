"""Upper bounds of an arm's throughput, from its calibration.

They are operational bounds (Denning and Buzen, The Operational Analysis of Queueing Network Models, 1978): no
more requests are served than the users can send, the thread tokens let through, and the CPUs have time for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from loadtests.plan.cells import CANARY
from loadtests.records import Calibration, Cell, Run
from reports.analysis.catalogue import http_client

Name = Literal[
    "generator", "host", "event-loop", "http-client", "db-lock", "db-pool", "thread-tokens", "gil", "cpu",
    "users", "convoys", "waiting", "service-time",
]  # fmt: skip

NEAR = 0.15
"""Relative distance of the throughput from the limit of the thread tokens."""


@dataclass(frozen=True)
class Bound:
    """The maximum requests per second that one resource allows."""

    name: Name
    throughput: float


@dataclass(frozen=True)
class Known:
    """What is known of an arm before it is loaded, and how it is served."""

    users: int | None
    """None in an open loop."""
    one: Calibration | None
    """With one user."""
    few: Calibration | None
    """With as many users as there are thread tokens by default; None where only one user was measured."""
    idle: Calibration | None
    """With one user of the lightest endpoint."""
    workers: int | None
    """Processes that serve it; None where that is not known, as of an external server."""
    threads: float
    """Thread tokens in force in one worker; may be infinite."""
    cpus: int
    """CPUs available to the server in this cell: to an external one, all of this machine."""
    ceiling: float | None
    """Requests per second that the generator reaches against a server that does nothing."""
    thinks: bool = False
    """Whether the users wait between requests."""
    client: str | None = None
    """The HTTP client with which one of our own apps calls the slow service; None where none is known."""

    @property
    def most(self) -> int:
        """CPUs that its processes can use at most, one each."""
        return min(self.workers or self.cpus, self.cpus)

    @property
    def least(self) -> int:
        """CPUs that they can use for certain: one where their number is not known."""
        return min(self.workers or 1, self.cpus)


def known(run: Run, cell: Cell, arm: str) -> Known:
    """What a run knows of an arm before it loads a cell."""
    served = next(one for one in run.plan.arms if one.name == arm)
    seen = (one.users for one in run.calibrations if (one.arm, one.scenario) == (arm, cell.scenario))
    few = max(seen, default=1)
    ours = served.url is None
    return Known(
        users=cell.load.users,
        one=run.calibration(arm, cell.scenario, 1),
        few=run.calibration(arm, cell.scenario, few) if few > 1 else None,
        # A scenario that asks for the canary's path is calibrated in its place.
        idle=run.calibration(arm, CANARY, 1) or run.calibration(arm, (run.plan.canary or "/ping")[1:], 1),
        workers=served.serving.workers if ours else None,
        threads=run.threads(arm),
        cpus=(len(run.server_cpus(cell).numbers) if ours else 0) or run.machine.cores,
        ceiling=run.ceiling(cell.scenario),
        thinks=cell.load.users is not None and any(trial.thinks for trial in run.of(cell, arm)),
        client=http_client(served, cell.scenario) if run.plan.locustfile is None else None,
    )


def bounds(known: Known) -> list[Bound]:
    """The bound of each resource that the calibration covers, the tightest first."""
    found = []
    service_time = known.one.service_time if known.one else None
    cost = known.few.cpu if known.few else None
    if service_time:
        if known.users is not None:
            found.append(Bound("users", known.users / service_time))
        if known.one and (known.one.hops or 0.0) >= 0.5 and math.isfinite(known.threads):
            found.append(Bound("thread-tokens", known.threads * (known.workers or 1) / service_time))
    if cost:
        # One process computes on one CPU at a time while it holds the GIL, which it is assumed to do always.
        found.append(Bound("gil" if known.most < known.cpus else "cpu", known.most / cost))
    if known.ceiling is not None:
        found.append(Bound("generator", known.ceiling))
    return sorted(found, key=lambda bound: bound.throughput)


def predicted(known: Known) -> Bound | None:
    """The predicted throughput and the resource that limits it; None without a calibration with several
    users, where users set it by their think time, or where something other than threads, CPUs and users
    already limited the calibration."""
    found = bounds(known)
    if not found or known.thinks or known.few is None:
        return None
    at_few = bounds(replace(known, users=known.few.users))
    if at_few and known.few.throughput < (1.0 - 2 * NEAR) * at_few[0].throughput:
        return None
    return found[0]


@dataclass(frozen=True)
class Prediction:
    """The throughput that was predicted for an arm in a cell, and the one that was measured."""

    cell: Cell
    arm: str
    bound: Bound
    throughput: float

    @property
    def error(self) -> float:
        """How much the prediction is too high, as a fraction."""
        return self.bound.throughput / self.throughput - 1.0


def predictions(run: Run, measured: Mapping[tuple[Cell, str], float]) -> list[Prediction]:
    """Predicted and measured throughput where something other than the users should be the limit, the worst
    prediction first."""
    found = [
        Prediction(cell, arm, bound, throughput)
        for (cell, arm), throughput in measured.items()
        if throughput > 0.0
        and (bound := predicted(known(run, cell, arm))) is not None
        and bound.name != "users"
    ]
    return sorted(found, key=lambda one: -abs(one.error))
