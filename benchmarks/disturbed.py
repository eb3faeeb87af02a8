"""Simulated cells on a machine that is disturbed now and then, with the real rules: the table of
docs/method.md.

`python -m benchmarks.disturbed`; tests/test_disturbances.py recomputes the table with fewer cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import BLOCK, Plan
from loadtests.records.tried import RoundsTried
from reports.analysis.statistics import LAST_LOOK, Interval, position, repeated_interval

ALPHA, MARGIN = 0.05, 0.10
NOISE = 0.03
"""Standard deviation of the difference of a round."""

CELLS = 4_000

PLAN = Plan(
    profile="simulated", seed=1, warmup=1.0, window=1.0,
    arms=(Arm(name="one", app="a:b"), Arm(name="other", app="a:b")),
    cells=(Cell(scenario="ping", load=Load(users=64)),),
)  # fmt: skip


@dataclass(frozen=True)
class Disturbance:
    """Which rounds of a cell are lost, all their attempts included. Both arms are equally fast."""

    about: str
    part: float = 0.0
    """Fraction of the rounds, independently of one another."""
    lasts: int = 0
    """Successive rounds, from one of the first four on."""

    def lost(self, random: np.random.Generator) -> NDArray[np.bool_]:
        found = random.random(LAST_LOOK) < self.part
        if self.lasts:
            start = int(random.integers(PLAN.min_rounds))
            found[start : start + self.lasts] = True
        return found


MODELS = (
    Disturbance("none"),
    Disturbance("one round in 100", part=0.01),
    Disturbance("one round in 30", part=1 / 30),
    Disturbance("one round in 20", part=0.05),
    Disturbance("one round in 10", part=0.1),
    Disturbance("one round in 5", part=0.2),
    Disturbance("one that lasts one round", lasts=1),
    Disturbance("one that lasts two rounds", lasts=2),
    Disturbance("one that lasts three rounds", lasts=3),
    Disturbance("every second round, at random", part=0.5),
    Disturbance("four rounds in five, at random", part=0.8),
    Disturbance("every round", part=1.0),
)


@dataclass(frozen=True)
class Ended:
    """How a cell ended."""

    rounds: int
    """The lost ones included."""
    interval: Interval | None
    """None where the cell is invalid."""


def ended(lost: NDArray[np.bool_], differences: NDArray[np.float64], repairs: bool) -> Ended:
    """A cell that is judged after every block. `repairs`: whether an invalid one is measured on by the
    rule; before, it was invalid for good."""
    n = 0
    for n in range(PLAN.min_rounds, PLAN.most_rounds + 1, BLOCK):
        rounds = np.arange(n)
        tried = RoundsTried(tuple(rounds[~lost[:n]]), tuple(rounds[lost[:n]]))
        if tried.spoilt:
            if repairs and tried.repairable(PLAN):
                continue
            return Ended(n, None)
        interval = repeated_interval(differences[:n][~lost[:n]].tolist(), ALPHA)
        if interval is not None and (position(interval, MARGIN) != "open" or n == PLAN.most_rounds):
            return Ended(n, interval)
    return Ended(n, None)


@dataclass(frozen=True)
class Shares:
    """Of many cells."""

    invalid: float
    rounds: float
    """The mean."""
    covered: float
    """Of the cells that are not invalid, the fraction whose interval contains the truth; 1 without any."""


def shares(model: Disturbance, cells: int, repairs: bool, seed: int = 1) -> Shares:
    """What becomes of simulated cells."""
    random = np.random.default_rng(seed)
    found = [
        ended(model.lost(random), NOISE * random.standard_normal(LAST_LOOK), repairs) for _ in range(cells)
    ]
    known = [one.interval for one in found if one.interval is not None]
    return Shares(
        invalid=1.0 - len(known) / cells,
        rounds=float(np.mean([one.rounds for one in found])),
        covered=float(np.mean([one.low <= 1.0 <= one.high for one in known])) if known else 1.0,
    )


def main() -> None:
    """Print the table."""
    print(
        "| what disturbs the cell | invalid before | invalid now | rounds before | now | covered now |\n"
        "|---|---:|---:|---:|---:|---:|"
    )
    for model in MODELS:
        before, now = (shares(model, CELLS, repairs) for repairs in (False, True))
        covered = f"{now.covered:.1%}" if now.invalid < 1.0 else "–"
        print(
            f"| {model.about} | {before.invalid:.1%} | {now.invalid:.1%} | {before.rounds:.1f} | "
            f"{now.rounds:.1f} | {covered} |"
        )


if __name__ == "__main__":
    main()
