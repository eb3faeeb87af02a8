"""What gates find: their power, simulated with the gates' own functions: `make bench-power`.

The first of several cells truly changed, the others did not. Printed are, by the size of the change, the
fraction of the gates that call that cell worse, and the rounds that they take for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from loadtests.records import Cell, Load, Plan
from reports.analysis.names.endpoints import ALL
from reports.analysis.statistics import repeated_interval
from reports.analysis.verdicts import Outcome, Verdict
from reports.gate.comparison import DRIFT, compare
from reports.gate.findings import GateFinding, Health, together
from reports.gate.outcomes import decisions, findings
from reports.gate.setups import Setup
from reports.gate.sides import Side, Standing
from reports.wording.units import counted
from tests import scripted
from tests.scripted import MACHINE

MARGIN = 0.10
NOISE = 0.05
"""Standard deviation of a trial's log-throughput; a round's log-ratio has √2 times that."""
LOOKS = range(4, 21, 2)
CELLS = (1, 5, 20)
ENDPOINTS = (3, 7, 20)
CHANGES = (0.0, 0.05, 0.10, 0.15, 0.21, 0.30, 0.50)
"""How much more a request costs in the head."""
GATES = 400


def gate_plan(cells: int) -> Plan:
    names = [f"endpoint-{number}" for number in range(cells)]
    plan = scripted.plan(["base", "head"], [(name, 8) for name in names])
    return plan.model_copy(update={"gate": True, "against": {"head": "base"}, "margin": MARGIN})


def verdict(plan: Plan, number: int, differences: NDArray[np.float64]) -> Verdict:
    interval = repeated_interval(differences.tolist(), plan.alpha)
    ratio, low, high = (interval.ratio, interval.low, interval.high) if interval else (None, None, None)
    return Verdict(
        cell=plan.cells[number], endpoint=plan.cells[number].scenario, metric="throughput", primary=True,
        arm="head", reference="base", verdict="inconclusive", ratio=ratio, low=low, high=high,
        n=len(differences), values={}, differences=tuple(differences.tolist()),
    )  # fmt: skip


def gates(
    cells: int, change: float, number: int, seed: int, noise: float = NOISE, longest: int = LOOKS[-1]
) -> Iterator[tuple[list[Outcome], list[int]]]:
    """The outcomes of simulated gates of one run, and the rounds of each cell. A cell is measured until its
    outcome stands, or for `longest` rounds."""
    plan, random = gate_plan(cells), np.random.default_rng(seed)
    for _ in range(number):
        rounds = random.normal(0.0, noise * math.sqrt(2.0), (cells, longest))
        rounds[0] -= math.log1p(change)
        seen = [0] * cells
        words: list[Outcome] = ["inconclusive"] * cells
        judged: list[list[GateFinding]] = [[]] * cells
        for look in LOOKS:
            for cell in range(cells):
                if words[cell] == "inconclusive":
                    seen[cell] = look
                    judged[cell] = findings(verdict(plan, cell, rounds[cell, :look]), plan)
            words = [one.outcome for one in together(judged, plan.alpha)]
            if "inconclusive" not in words or look == longest:
                break
        yield words, seen


def mixtures(
    endpoints: int, change: float, number: int, seed: int, noise: float = NOISE
) -> Iterator[tuple[list[Outcome], int]]:
    """The outcomes of simulated gates of one mixture, and its rounds. The first case is an endpoint that is
    slower by `change`, the last one the mixture as a whole, which does not show it. Half of the variance of
    a trial is common to all. The mixture is measured until all its cases stand."""
    random = np.random.default_rng(seed)
    plan = gate_plan(1)
    cases = [f"endpoint-{place}" for place in range(endpoints)] + [ALL]
    for _ in range(number):
        rounds = random.normal(0.0, noise, (len(cases), LOOKS[-1])) + random.normal(0.0, noise, LOOKS[-1])
        rounds[0] += math.log1p(change)
        words: list[Outcome] = ["inconclusive"]
        for look in LOOKS:
            seen = [
                replace(
                    verdict(plan, 0, rounds[place, :look]),
                    endpoint=name, metric="p50", primary=name == ALL,
                )
                for place, name in enumerate(cases)
            ]  # fmt: skip
            words = [one.outcome for one in decisions(plan, seen)]
            if "inconclusive" not in words:
                break
        yield words, look


def comparisons(
    cells: int, change: float, number: int, seed: int, rounds: int, noise: float = NOISE
) -> Iterator[list[Outcome]]:
    """The outcomes of simulated comparisons of two runs, whose sessions differ by DRIFT without a change."""
    random = np.random.default_rng(seed)
    for _ in range(number):
        sides = random.normal(0.0, noise * math.sqrt(2.0), (2, cells, rounds))
        sides += random.normal(0.0, DRIFT, (2, cells, 1))
        sides[1, 0] -= math.log1p(change)
        base, head = (side(name, rows) for name, rows in zip(("base", "head"), sides, strict=True))
        yield [one.outcome for one in compare(base, head, MARGIN).changes]


def side(name: str, rows: NDArray[np.float64]) -> Side:
    fine = Health()
    standings = [
        Standing(
            Cell(scenario=f"endpoint-{number}", load=Load(users=8)), "throughput", "sync", "async",
            "inconclusive", tuple(row.tolist()), (None, None), (fine, fine),
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
    return Side(name, MACHINE, tuple(standings), Setup())


def found(words: Sequence[Sequence[Outcome]]) -> str:
    """How many gates call the first cell worse."""
    return f"{fmean(one[0] == 'regression' for one in words):.1%}"


def main() -> None:
    print(f"{GATES} gates each; standard error at most {0.5 / math.sqrt(GATES):.1%}; margin {MARGIN:.0%}\n")
    for noise in (0.03, NOISE, 0.10):
        print(f"One run, {noise:.0%} noise per trial: found, and mean rounds of the changed cell\n")
        print(f"| costs more | {' | '.join(counted(cells, 'cell') for cells in CELLS)} |")
        print(f"|---:|{'---:|' * len(CELLS)}")
        for change in CHANGES:
            row = []
            for cells in CELLS:
                seen = list(gates(cells, change, GATES, seed=cells, noise=noise))
                mean = fmean(rounds[0] for _, rounds in seen)
                row.append(f"{found([words for words, _ in seen])}, n = {mean:.1f}")
            print(f"| {change:.0%} | {' | '.join(row)} |", flush=True)
        print()
    print(f"A mixture, {NOISE:.0%} noise per trial: its slower endpoint found, another called so, rounds\n")
    print(f"| takes longer | {' | '.join(counted(number, 'endpoint') for number in ENDPOINTS)} |")
    print(f"|---:|{'---:|' * len(ENDPOINTS)}")
    for change in CHANGES:
        row = []
        for number in ENDPOINTS:
            made = list(mixtures(number, change, GATES, seed=number))
            mean = fmean(rounds for _, rounds in made)
            false = fmean("regression" in words[1:] for words, _ in made)
            row.append(f"{found([words for words, _ in made])}, {false:.1%}, n = {mean:.1f}")
        print(f"| {change:.0%} | {' | '.join(row)} |", flush=True)
    print()
    for rounds in (12, 20):
        print(f"Run against run, {NOISE:.0%} noise per trial, {rounds} rounds on each side: found\n")
        print(f"| costs more | {' | '.join(counted(cells, 'cell') for cells in CELLS)} |")
        print(f"|---:|{'---:|' * len(CELLS)}")
        for change in CHANGES:
            row = [found(list(comparisons(cells, change, GATES, cells, rounds))) for cells in CELLS]
            print(f"| {change:.0%} | {' | '.join(row)} |", flush=True)
        print()


if __name__ == "__main__":
    main()
