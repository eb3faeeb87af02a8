"""Runs of every shape that a report has to handle: few and many cells, loads from 1 to 1,000, two and more
arms, long names, an open loop, trials that do not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests.plan.arms import Arm, Serving
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import Plan
from loadtests.plan.profiles import ENDPOINTS
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.run import Calibration
from loadtests.serving.inside.heartbeat import COLUMNS
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude
from tests import scripted
from tests.scripted import Script, Scripted

SYNC = Arm(name="sync", app="sync_app.main:create_app")
ASYNC = Arm(name="async", app="async_app.main:create_app")
MORE = Arm(name="threads-400", app="sync_app.main:create_app", serving=Serving(threads=400))
BASES = tuple(arm.model_copy(update={"name": f"{arm.name}-base"}) for arm in (SYNC, ASYNC))
HEADS = tuple(arm.model_copy(update={"name": f"{arm.name}-head"}) for arm in (SYNC, ASYNC))
FIRST = ENDPOINTS[: ENDPOINTS.index("session-dependency") + 1]
"""The endpoints of the first release, whose results are on record."""
LONG = "organizations.teams.repositories.merge-requests.comments.react"
"""The last part has the maximum length of a name."""
FACTORS = {
    "sync": 1.0, "async": 1.4, "threads-400": 1.1, "sync-base": 1.0, "async-base": 1.4, "sync-head": 1.0,
    "async-head": 1.0,
}  # fmt: skip


def even(arm: str, cell: Cell, round: int) -> Scripted:
    """The arm's factor in every cell."""
    factor = FACTORS[arm]
    return Scripted(
        requests=int(1200 * factor) + 7 * round, latency=0.004 / factor, spread=30.0,
        canary=0.03 / factor, pulse=0.02 / factor, server_cpu=0.9,
    )  # fmt: skip


def growing(arm: str, cell: Cell, round: int) -> Scripted:
    """sync saturates at 40 users; async is slower below that and does not saturate."""
    users = cell.load.level
    rate = 20.0 * min(users, 40.0) if arm == "sync" else 17.0 * users
    return Scripted(
        requests=int(min(rate, 3000.0)) + 1 + round % 3, latency=0.002, spread=50.0, server_cpu=0.5
    )


def mixed(arm: str, cell: Cell, round: int) -> Scripted:
    """Decided, undecided and invalid cells."""
    if cell.scenario == "upstream":
        return Scripted(generator_cpu=0.95, requests=700)
    scatter = 500 if cell.scenario == "python" and arm == "async" and round % 2 else 0
    failures = 200 if cell.scenario == "users.read" and arm == "sync" else 0
    return Scripted(
        requests=900 + scatter + round,
        failures=failures,
        latency=0.003,
        spread=4.0,
        server_cpu=0.9,
        pulse=0.03,
    )


def apart(arm: str, cell: Cell, round: int) -> Scripted:
    """Ratios of 30 and 1/30."""
    factor = {"ping": 30.0, "sleep": 1.0, "blocking": 1 / 30}[cell.scenario]
    return Scripted(requests=int(900 * (factor if arm == "async" else 1.0)) + 1 + round % 2, latency=0.0005)


@dataclass(frozen=True)
class Shape:
    """A run to be scripted."""

    arms: Sequence[Arm]
    cells: Sequence[tuple[str, int]]
    script: Script = even
    rounds: int = 6
    rate: bool = False
    gate: bool = False


SHAPES: dict[str, Shape] = {
    "one cell": Shape((SYNC, ASYNC), [("ping", 64)]),
    "curves": Shape(
        (SYNC, ASYNC), [(s, u) for s in ("posts.read", "upstream") for u in (1, 8, 64, 256)], growing, 4
    ),
    "curves, and one load": Shape(
        (SYNC, ASYNC), [("ping", 64), *(("upstream", users) for users in (1, 8, 64))], rounds=4
    ),
    "every endpoint": Shape((SYNC, ASYNC), [(scenario, 64) for scenario in FIRST], rounds=4),
    "three arms": Shape((SYNC, ASYNC, MORE), [("ping", 1), ("ping", 64), ("ping", 1000)]),
    "three arms, many cells": Shape((SYNC, ASYNC, MORE), [(s, 64) for s in ENDPOINTS[:9]]),
    "many curves": Shape((SYNC, ASYNC), [(s, u) for s in ENDPOINTS[:8] for u in (1, 40, 64, 1000)], rounds=4),
    "long names": Shape((SYNC, ASYNC), [(LONG, 64), (f"{LONG}.b", 64)]),
    "long names, curves": Shape(
        (SYNC, ASYNC), [(LONG, u) for u in (1, 64)] + [(f"{LONG}.b", u) for u in (1, 64)]
    ),
    "far apart": Shape((SYNC, ASYNC), [("ping", 64), ("sleep", 64), ("blocking", 64)], apart, 4),
    "open loop": Shape((SYNC, ASYNC), [("ping", 100), ("ping", 900), ("posts.read", 100)], rate=True),
    "base and head": Shape(
        (*BASES, *HEADS), [("ping", 8), ("posts.read", 8), ("mixed", 64)], rounds=4, gate=True
    ),
    "all kinds of verdicts": Shape(
        (SYNC, ASYNC), [(s, 64) for s in ("ping", "python", "upstream", "users.read")], mixed, 4
    ),
}


def told(parent: Path, name: str) -> Conclusions:
    """The conclusions of a shape's run, with calibrations and heartbeats."""
    shape = SHAPES[name]
    plan = scripted.plan([arm.name for arm in shape.arms], shape.cells, shape.rounds)
    plan = plan.model_copy(update={"arms": tuple(shape.arms)})
    if shape.gate:
        against = {head.name: base.name for head, base in zip(HEADS, BASES, strict=True)}
        plan = plan.model_copy(update={"against": against, "gate": True})
    if shape.rate:
        plan = plan.model_copy(update={"cells": tuple(map(open_cell, plan.cells))})
    run, directory = scripted.run(parent, plan, shape.script)
    if not shape.rate:
        run = run.model_copy(update={"calibrations": calibrations(plan)})
        files = {
            trial.number: {"heartbeats": scripted.written(directory.path / trial.files.heartbeats, beats)}
            for trial in run.trials
        }
        run = scripted.with_files(run, directory, files)
    return conclude(run, Readings(directory))


def open_cell(cell: Cell) -> Cell:
    return Cell(scenario=cell.scenario, load=Load(rate=float(cell.load.users or 1), arrivals="poisson"))


def calibrations(plan: Plan) -> tuple[Calibration, ...]:
    """A request takes 20 ms without other load; sync makes two thread hops."""
    return tuple(
        Calibration(
            arm=arm.name, scenario=scenario, users=users, throughput=50.0 * users, service_time=0.02,
            cpu=0.0007, hops=0.0 if arm == ASYNC else 2.0, lag=0.0001,
        )
        for arm in plan.arms
        for scenario in dict.fromkeys(cell.scenario for cell in plan.cells)
        for users in (1, 40)
    )  # fmt: skip


def beats() -> Heartbeats:
    """A server whose loop is on time, with a pool of 20 connections."""
    always = {"lag": 0.0002, "tokens": 40.0, "pool": 20.0}
    growing = {"due": 1.0, "cpu": 1.0, "loop_cpu": 1.0, "hops": 100.0}
    rows = [
        [always.get(name, 0.0) + growing.get(name, 0.0) * float(at) for name in COLUMNS]
        for at in np.arange(-0.1, 1.2, 0.05)
    ]
    return Heartbeats.of([rows], opened=0.0)
