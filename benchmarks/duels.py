"""Benchmarks that are duels themselves: arms in interleaved rounds, reported with their intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtests.measure.rounds import carry_out
from loadtests.measure.runs import begin
from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import Plan
from loadtests.plan.profiles import FIRST_LOOK
from loadtests.records.run import Machine, Run
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict, verdicts
from reports.wording import sentences

RUNS = Path("runs")


def duel(
    arms: Sequence[Arm], cells: Sequence[tuple[str, int]], rounds: int, window: float = 2.0, seed: int = 1
) -> tuple[Run, list[Verdict]]:
    """The primary verdicts of a run of exactly `rounds` rounds; the first arm is the reference."""
    plan = Plan(
        profile="benchmark",
        seed=seed,
        arms=tuple(arms),
        cells=tuple(Cell(scenario=scenario, load=Load(users=users)) for scenario, users in cells),
        canary="/ping",
        warmup=1.0,
        window=window,
        min_rounds=max(rounds, FIRST_LOOK),
        max_rounds=max(rounds, FIRST_LOOK),
    )
    run, directory = begin(plan, RUNS)
    run = carry_out(run, directory, lambda _: set())
    found = [verdict for verdict in verdicts(run, Readings(directory)) if verdict.primary]
    for verdict in found:
        print(sentences.sentence(verdict, run.plan), flush=True)
    return run, found


def write(name: str, run: Run, result: dict[str, Any]) -> None:
    """Save the figures of a benchmark, with the machine, as `runs/NAME.json`."""
    write_figures(name, run.machine, result)


def write_figures(name: str, machine: Machine, result: dict[str, Any]) -> None:
    """Save figures, with the machine they come from, as `runs/NAME.json`."""
    path = RUNS / f"{name}.json"
    RUNS.mkdir(exist_ok=True)
    content = {"machine": machine.model_dump(mode="json"), **result}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"written to {path}")


def as_figures(found: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Verdicts as plain numbers."""
    return [
        {
            "scenario": verdict.cell.scenario, "users": verdict.cell.load.users, "arm": verdict.arm,
            "ratio": verdict.ratio, "low": verdict.low, "high": verdict.high, "n": verdict.n,
            "verdict": verdict.verdict,
        }
        for verdict in found
    ]  # fmt: skip
