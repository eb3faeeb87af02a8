"""Whether variances moderated over the cells of a run would keep their promise: `make bench-moderated`.

Smyth (2004, Linear models and empirical Bayes methods; squeezeVar of limma) draws each cell's variance
towards that of all cells, which narrows the interval of four rounds by a third. Here cells differ in their
noise as cells of recorded runs do; what counts is the noisiest cell, not the mean of all. Not used: its
interval misses the truth more often than promised.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma, stdtrit

from reports.analysis.statistics import nominal_alpha

ALPHA = 0.05
LOOKS = (4, 6, 8, 12, 20)
RUNS = 1_500
CELLS: Mapping[str, tuple[float, ...]] = {
    "the seven cells of --quick": (0.007, 0.010, 0.040, 0.025, 0.060, 0.080, 0.050),
    "five cells at 64 users": (0.040, 0.025, 0.070, 0.070, 0.050),
}
"""Standard deviations of a round's difference, as seen on two shared cores."""

Numbers = NDArray[np.float64]


def prior(variances: Numbers, freedom: float) -> tuple[float, float]:
    """The degrees of freedom and the variance of the prior that fits these sample variances."""
    logs = np.log(variances) - digamma(freedom / 2.0) + np.log(freedom / 2.0)
    mean = float(logs.mean())
    spread = float(logs.var(ddof=1) - polygamma(1, freedom / 2.0))
    if spread <= 0.0:
        return np.inf, float(np.exp(mean))
    degrees = 2.0 * trigamma_inverse(spread)
    return degrees, float(np.exp(mean + digamma(degrees / 2.0) - np.log(degrees / 2.0)))


def trigamma_inverse(value: float) -> float:
    """By Newton's method, as in the appendix of Smyth (2004)."""
    found = 0.5 + 1.0 / value
    for _ in range(50):
        there = float(polygamma(1, found))
        step = there * (1.0 - there / value) / float(polygamma(2, found))
        found += step
        if abs(step) < 1e-8 * found:
            break
    return found


def reaches(variances: Numbers, n: int) -> tuple[Numbers, Numbers]:
    """Half-widths of all cells' intervals after `n` rounds: as they are, and moderated."""
    alpha = nominal_alpha(n, ALPHA)
    plain = stdtrit(n - 1, 1.0 - alpha / 2.0) * np.sqrt(variances / n)
    degrees, variance = prior(variances, n - 1.0)
    if np.isinf(degrees):
        return plain, stdtrit(1e6, 1.0 - alpha / 2.0) * np.sqrt(np.full_like(variances, variance) / n)
    squeezed = (degrees * variance + (n - 1) * variances) / (degrees + n - 1)
    return plain, stdtrit(degrees + n - 1, 1.0 - alpha / 2.0) * np.sqrt(squeezed / n)


def main() -> None:
    random = np.random.default_rng(1)
    for name, noises in CELLS.items():
        wrong = np.zeros((2, len(noises)))
        narrower = []
        for _ in range(RUNS):
            rounds = random.standard_normal((len(noises), max(LOOKS))) * np.array(noises)[:, None]
            missed = np.zeros((2, len(noises)), dtype=bool)
            for n in LOOKS:
                off = np.abs(rounds[:, :n].mean(axis=1))
                both = reaches(rounds[:, :n].var(axis=1, ddof=1), n)
                missed |= np.array([off > reach for reach in both])
                if n == LOOKS[0]:
                    narrower.append(np.median(both[1] / both[0]))
            wrong += missed
        for way, of in zip(("as they are", "moderated"), wrong / RUNS, strict=True):
            print(f"{name}, {way}: the truth missed in {of.mean():.1%}, in the noisiest cell {of.max():.1%}")
        print(f"{name}: {np.median(narrower):.2f} of the width after {LOOKS[0]} rounds")


if __name__ == "__main__":
    main()
