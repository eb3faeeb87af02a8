"""Benchmarks that are duels themselves: arms in interleaved rounds, told with their intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loadtests.config import first_look
from loadtests.plan import Arm, Cell, Load, Plan
from loadtests.records import Machine, Run
from loadtests.rounds import begin, carry_out
from reports import terminal
from reports.estimates import Readings
from reports.verdicts import Verdict, verdicts

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
        min_rounds=max(rounds, first_look(len(arms))),
        max_rounds=max(rounds, first_look(len(arms))),
    )
    run, directory = begin(plan, RUNS)
    run = carry_out(run, directory, lambda _: set())
    found = [verdict for verdict in verdicts(run, Readings(directory)) if verdict.primary]
    for verdict in found:
        print(terminal.sentence(verdict, run.plan), flush=True)
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
