"""Simulated verdicts where launches differ, with the real functions: the table of docs/method.md.

`python -m benchmarks.coverage`; tests/test_coverage.py recomputes the table with fewer runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.analysis.rounds.launches import rounds_required, unseen
from reports.analysis.statistics import FIRST_LOOK, LAST_LOOK, Interval, position, repeated_interval

ALPHA, MARGIN = 0.05, 0.10
NOISE = 0.03
"""Standard deviation of the difference of a round."""

RUNS = 4_000


@dataclass(frozen=True)
class Launches:
    """How the launches of one arm behave; the other one's are all alike."""

    about: str
    part: float = 0.0
    """Fraction of the launches that differ."""
    slower: float = 1.0
    """By which factor."""
    cells: int = 1
    """Of different scenarios."""
    others: int = 0
    """Further cells, whose launches are all alike; they are not counted."""
    noise: float = NOISE
    heavy: bool = False
    """Whether the noise has Student's distribution with three degrees of freedom, not the normal one."""

    @property
    def truth(self) -> float:
        """The logarithm of the ratio, the mean over all launches."""
        return -self.part * math.log(self.slower)

    def differences(self, random: np.random.Generator) -> NDArray[np.float64]:
        """Of one run: shape (cells, rounds)."""
        shape = (self.cells + self.others, LAST_LOOK)
        noise = random.standard_t(3, shape) / math.sqrt(3.0) if self.heavy else random.standard_normal(shape)
        slower = random.random(shape) < self.part
        slower[self.cells :] = False
        return self.noise * noise - math.log(self.slower) * slower


HALF_OF_FIVE = "half as fast in one launch of five"
MODELS = (
    Launches("all alike"),
    Launches("all alike, noise of 8%", noise=0.08),
    Launches("all alike, heavy tails", heavy=True),
    Launches("10% slower in every second launch", part=0.5, slower=1.1),
    Launches("half as fast in one launch of ten", part=0.1, slower=2.0),
    Launches(HALF_OF_FIVE, part=0.2, slower=2.0),
    Launches("the same, seven cells", part=0.2, slower=2.0, cells=7),
    Launches("the same, in 14 of 42 cells", part=0.2, slower=2.0, cells=14, others=28),
    Launches("30% slower in one launch of five, 42 cells", part=0.2, slower=1 / 0.7, cells=42),
    Launches("all alike, seven cells", cells=7),
)


@dataclass(frozen=True)
class Outcome:
    """Fractions of the verdicts."""

    covered: float
    """Whose interval contains the truth."""
    equivalent: float
    rounds: float
    """Mean number of rounds."""


def stopped(differences: NDArray[np.float64]) -> list[Interval]:
    """The intervals at which the cells of a run stop."""
    found: dict[int, Interval] = {}
    for n in range(FIRST_LOOK, LAST_LOOK + 1, 2):
        seen = [list(cell[: found[i].n if i in found else n]) for i, cell in enumerate(differences)]
        cells = [(str(i), differences) for i, differences in enumerate(seen)]
        for i, required in enumerate(rounds_required(cells, MARGIN)):
            interval = repeated_interval(seen[i], ALPHA)
            if i in found or interval is None:
                continue
            if (position(interval, MARGIN) != "open" and n >= required) or n == LAST_LOOK:
                found[i] = interval
        if len(found) == len(differences):
            break
    return [found[i] for i in range(len(differences))]


def outcome(launches: Launches, runs: int, seed: int = 1) -> Outcome:
    """The verdicts of simulated runs."""
    random = np.random.default_rng(seed)
    found = [one for _ in range(runs) for one in stopped(launches.differences(random))[: launches.cells]]
    return summed(found, launches.truth)


def fixed(launches: Launches, rounds: int, runs: int, seed: int = 1) -> Outcome:
    """The same after a fixed number of rounds."""
    random = np.random.default_rng(seed)
    drawn = (launches.differences(random)[0, :rounds] for _ in range(runs))
    return summed([one for each in drawn if (one := repeated_interval(list(each), ALPHA))], launches.truth)


def summed(found: Sequence[Interval], truth: float) -> Outcome:
    return Outcome(
        covered=float(np.mean([math.log(one.low) <= truth <= math.log(one.high) for one in found])),
        equivalent=float(np.mean([position(one, MARGIN) == "within" for one in found])),
        rounds=float(np.mean([one.n for one in found])),
    )


def main() -> None:
    """Print both tables."""
    print("| one arm's launches | truth | covered | called equivalent | rounds |\n|---|---|---:|---:|---:|")
    for launches in MODELS:
        found = outcome(launches, RUNS // launches.cells)
        print(
            f"| {launches.about} | ×{math.exp(launches.truth):.2f} | {found.covered:.1%} | "
            f"{found.equivalent:.1%} | {found.rounds:.1f} |"
        )
    print(f"\n| rounds, {HALF_OF_FIVE} | none seen | covered |\n|---:|---:|---:|")
    for rounds in (4, 6, 8, 12, 14, 20):
        found = fixed(next(one for one in MODELS if one.about == HALF_OF_FIVE), rounds, RUNS)
        print(f"| {rounds} | {unseen(rounds):.1%} | {found.covered:.1%} |")


if __name__ == "__main__":
    main()
