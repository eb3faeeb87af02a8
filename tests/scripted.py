"""Runs whose numbers are told, not measured: scripted trials in, verdicts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests.plan import Arm, Cell, Load, Plan
from loadtests.records import Machine, Run, RunDirectory, Samples, Trial, Vitals, write_samples
from loadtests.validity import faults

MACHINE = Machine(
    system="Linux",
    cpu="A processor",
    cores=2,
    memory=2**34,
    python="CPython 3.11",
    packages={"fastapi": "0.165.0"},
    placement={"server": (0,), "generator": (1,), "others": (1,)},
)


@dataclass(frozen=True)
class Told:
    """One trial: `requests` in the window, each of `latency` seconds; the first `failures` fail."""

    requests: int = 400
    latency: float = 0.01
    failures: int = 0
    generator_cpu: float = 0.1
    endpoints: tuple[str, ...] = ("ping",)
    growth: float = 1.0
    """What is served in the second half of the window ÷ in the first."""
    canary: float | None = None
    """Median response time of the canary, 50 requests; None: there is none."""
    server_cpu: float | None = None
    spread: float = 1.0
    """The longest latency ÷ the shortest, which is `latency`."""


Script = Callable[[str, Cell, int], Told]


def plan(
    arms: Sequence[str] = ("sync", "async"),
    cells: Sequence[tuple[str, int]] = (("ping", 64),),
    rounds: int = 4,
) -> Plan:
    return Plan(
        profile="scripted",
        seed=1,
        arms=tuple(Arm(name=name, app=f"{name}_app.main:create_app") for name in arms),
        cells=tuple(Cell(scenario=scenario, load=Load(users=users)) for scenario, users in cells),
        warmup=0.5,
        window=1.0,
        min_rounds=rounds,
        max_rounds=20,
    )


def run(parent: Path, plan: Plan, script: Script, rounds: int | None = None) -> tuple[Run, RunDirectory]:
    """A run directory as if `script` had been measured."""
    directory = RunDirectory.create(parent, "scripted")
    made = Run.model_validate(
        {
            "schema": "duel-run/1",
            "version": "0",
            "id": "scripted",
            "began": "2026-01-01T00:00:00+00:00",
            "plan": plan,
            "machine": MACHINE,
        }
    )
    for round in range(plan.min_rounds if rounds is None else rounds):
        for cell in plan.cells:
            for place, arm in enumerate(plan.order(cell, round)):
                told = script(arm.name, cell, round)
                number = len(made.trials) + 1
                write_samples(directory.path / f"samples/{number:04d}.npz", samples(told))
                made = made.with_trial(trial(told, number, round, place, cell, arm.name), 1.0)
                if told.canary is not None:
                    write_samples(directory.path / made.trials[-1].canary_file, canary(told.canary))
    made = made.model_copy(update={"complete": True})
    directory.save(made)
    return made, directory


def samples(told: Told) -> Samples:
    """Evenly spread starts, so that exactly `requests` of them start, and end, in the window."""
    n = told.requests
    start = np.linspace(0.0, 1.0 - told.latency, n, endpoint=False) if n else np.zeros(0)
    if told.growth != 1.0:
        sooner = round(n / (1.0 + told.growth))
        first = np.linspace(0.0, 0.49 - told.latency, sooner)
        start = np.concatenate((first, np.linspace(0.5, 0.99 - told.latency, n - sooner)))
    error = np.zeros(n, dtype=np.uint16)
    error[: told.failures] = 1
    # A step that shares no factor with n deals them out over the whole window.
    slower = np.geomspace(1.0, told.spread, n)[np.arange(n) * 7919 % n] if n else np.ones(0)
    return Samples(
        endpoint=(np.arange(n) % len(told.endpoints)).astype(np.uint16),
        due=start,
        start=start,
        end=start + told.latency * slower,
        status=np.where(error == 0, 200, 500).astype(np.uint16),
        size=np.full(n, 17, dtype=np.uint32),
        error=error,
    )


def canary(median: float) -> Samples:
    """Fifty requests at even gaps, whose response times lie evenly around the median."""
    due = np.arange(0.0, 1.0, 0.02)
    n = len(due)
    return Samples(
        endpoint=np.zeros(n, dtype=np.uint16),
        due=due,
        start=due,
        end=due + median * np.linspace(0.9, 1.1, n),
        status=np.full(n, 200, dtype=np.uint16),
        size=np.full(n, 17, dtype=np.uint32),
        error=np.zeros(n, dtype=np.uint16),
    )


def trial(told: Told, number: int, round: int, place: int, cell: Cell, arm: str) -> Trial:
    made = Trial(
        number=number,
        round=round,
        place=place,
        cell=cell,
        arm=arm,
        began="2026-01-01T00:00:00+00:00",
        boot=0.5,
        warmup=0.5,
        window=1.0,
        drain=0.1,
        endpoints=told.endpoints,
        errors=("RequestFailed: 500",) if told.failures else (),
        vitals=Vitals(generator_cpu=told.generator_cpu, server_cpu=told.server_cpu),
    )
    # Judged as arrivals that came as they were due: the told requests fill no closed loop.
    open_cell = Cell(scenario=cell.scenario, load=Load(rate=100.0, arrivals="poisson"))
    as_arrivals = made.model_copy(update={"cell": open_cell, "arrivals": told.requests, "dropped": 0})
    return made.model_copy(update={"invalid": faults(as_arrivals, samples(told))})
