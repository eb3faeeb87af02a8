"""The mathematics: numbers in, numbers out. Imports nothing of ours.

Sources: Jennison & Turnbull, Group Sequential Methods (2000), ch. 9, for repeated confidence
intervals; Kalibera & Jones, Rigorous Benchmarking in Reasonable Time (ISMM 2013), for ratios over
independent executions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

FIRST_LOOK = 4
"""Rounds before the first interval."""
LAST_LOOK = 20
LOOKS = 9
"""At n = 4, 6, …, 20."""

NOMINAL: Mapping[float, float] = {
    0.10: 0.02439,
    0.05: 0.01093,
    0.025: 0.00501,
    0.05 / 3: 0.00320,
    0.0125: 0.00233,
    0.01: 0.00182,
    0.005: 0.00086,
}
"""Overall error of looks at n = 4, 6, …, 20 → error of each single look (Pocock's constant nominal
level, for t). From 4 million simulated sequences of normal noise; a test recomputes it."""

ENOUGH_IN_TAIL = 10
"""Samples beyond a percentile without which it is not stated."""


@dataclass(frozen=True)
class Interval:
    """A ratio with its repeated confidence interval; n is the number of rounds."""

    ratio: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the interval's length in the logarithm, as a part: 0.05 for about ±5 %."""
        return math.sqrt(self.high / self.low) - 1.0


Position = Literal["above", "below", "within", "open"]


def nominal_level(level: float) -> float:
    """The error of one look so that all looks together err at `level`, or at less."""
    stricter = [known for known in NOMINAL if known <= level + 1e-12]
    if not stricter:
        raise ValueError(f"no boundary is known for an error rate of {level:g} or less")
    return NOMINAL[max(stricter)]


def critical(n: int, level: float) -> float:
    """The factor c of the repeated t-interval mean ± c·s/√n at n rounds."""
    return float(stdtrit(n - 1, 1.0 - nominal_level(level) / 2.0))


def repeated_interval(differences: Sequence[float], level: float) -> Interval | None:
    """exp(mean ± c·s/√n) of log-ratios, one per round; None before the first look.

    Covers the truth at all looks together with probability 1 − level, so it may be looked at after
    every block without raising false alarms.
    """
    n = len(differences)
    if n < FIRST_LOOK:
        return None
    values = np.asarray(differences, dtype=np.float64)
    mean = float(values.mean())
    reach = critical(n, level) * float(values.std(ddof=1)) / math.sqrt(n)
    return Interval(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), n)


def repeated_p(differences: Sequence[float], null: float = 0.0) -> float | None:
    """The smallest overall error rate at which the repeated interval would exclude a ratio of exp(null).

    Between the shipped levels interpolated in the logarithms; below them bounded by the nine looks
    (Bonferroni). None before the first look.
    """
    n = len(differences)
    if n < FIRST_LOOK:
        return None
    values = np.asarray(differences, dtype=np.float64)
    spread = float(values.std(ddof=1))
    if spread == 0.0:
        return 1.0 if float(values.mean()) == null else 0.0
    t = abs(float(values.mean()) - null) / (spread / math.sqrt(n))
    single = 2.0 * float(stdtr(n - 1, -t))
    nominal = sorted([*NOMINAL.values(), 1.0])
    if single < nominal[0]:
        return min(LOOKS * single, *NOMINAL)
    overall = sorted([*NOMINAL, 1.0])
    return math.exp(float(np.interp(math.log(single), np.log(nominal), np.log(overall))))


def holm(p_values: Sequence[float], level: float) -> list[bool]:
    """Which of several findings stand when all together may err with probability `level`.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    stands = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > level / (len(p_values) - rank):
            break
        stands[index] = True
    return stands


def position(interval: Interval, margin: float) -> Position:
    """Where the interval lies. `within` ±margin has precedence: a small difference, proven small."""
    bound = 1.0 + margin
    if 1.0 / bound < interval.low and interval.high < bound:
        return "within"
    if interval.low > 1.0:
        return "above"
    if interval.high < 1.0:
        return "below"
    return "open"


def rounds_to_decide(differences: Sequence[float], margin: float, level: float) -> int | None:
    """About how many rounds would settle this, if its mean and noise stay; None beyond 1,000."""
    n = len(differences)
    if n < 2:
        return None
    mean, spread = float(np.mean(differences)), float(np.std(differences, ddof=1))
    bound = math.log1p(margin)
    reach = max(abs(mean), bound - abs(mean))
    for rounds in range(max(n + 1, FIRST_LOOK), 1001):
        if critical(rounds, level) * spread / math.sqrt(rounds) < reach:
            return rounds
    return None


def percentile(ordered: NDArray[np.float64], part: float) -> float | None:
    """The nearest-rank percentile of sorted values; None where fewer than ten lie beyond it."""
    n = len(ordered)
    # The rounding forgives 1000 · (1 − 0.99) = 10.000000000000009 and its like.
    if round(n * (1.0 - part), 6) < ENOUGH_IN_TAIL:
        return None
    return float(ordered[min(n - 1, math.ceil(n * part) - 1)])


def outliers(differences: Sequence[float]) -> list[int]:
    """Rounds further than 10 · 1.4826 · MAD from the median: flagged, never dropped."""
    if not differences:
        return []
    values = np.asarray(differences, dtype=np.float64)
    distance = np.abs(values - np.median(values))
    limit = 10.0 * 1.4826 * float(np.median(distance))
    return [int(index) for index in np.flatnonzero(distance > limit)] if limit > 0 else []


def autocorrelation(differences: Sequence[float]) -> float | None:
    """Lag-1 autocorrelation; None for fewer than 6 values or no variation."""
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 6:
        return None
    centred = values - values.mean()
    total = float((centred**2).sum())
    return float((centred[1:] * centred[:-1]).sum()) / total if total > 0 else None


def slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float] | None:
    """The least-squares slope of y on x, and the probability of one as steep where there is none (Student's t
    with n − 2 degrees of freedom); None for fewer than four values, or where x does not vary."""
    at, values = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    n = len(values)
    if n < FIRST_LOOK or float(np.ptp(at)) == 0.0:
        return None
    centred = at - at.mean()
    total = float((centred**2).sum())
    found = float((centred * (values - values.mean())).sum()) / total
    rest = values - values.mean() - found * centred
    error = math.sqrt(float((rest**2).sum()) / (n - 2) / total)
    if error == 0.0:
        return found, 1.0 if found == 0.0 else 0.0
    return found, 2.0 * float(stdtr(n - 2, -abs(found) / error))


def off_zero(values: Sequence[float]) -> tuple[float, float] | None:
    """The mean, and the probability of one as far from zero where the true one is zero (Student's t); None
    for fewer than four values."""
    n = len(values)
    if n < FIRST_LOOK:
        return None
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    if spread == 0.0:
        return mean, 1.0 if mean == 0.0 else 0.0
    return mean, 2.0 * float(stdtr(n - 1, -abs(mean) / (spread / math.sqrt(n))))


@dataclass(frozen=True)
class Shift:
    """By how much the mean of a later sample of log-ratios lies above that of an earlier one."""

    change: float
    error: float
    """Standard error of the change."""
    freedom: float
    """Degrees of freedom of the error."""

    def bounds(self, level: float) -> tuple[float, float]:
        """One-sided bounds, each of which errs at `level`."""
        reach = float(stdtrit(self.freedom, 1.0 - level)) * self.error
        return self.change - reach, self.change + reach

    def p_below(self, bound: float) -> float:
        """The probability of a change as low as this where the true one is `bound`: small when it is proven
        to be lower."""
        return float(stdtr(self.freedom, (self.change - bound) / self.error))


def shift(before: Sequence[float], after: Sequence[float], drift: float) -> Shift | None:
    """How far a mean moved between two samples, each of which may be off by `drift` (a standard deviation)
    for reasons of its session; None for fewer than four values on a side.

    Source: Welch, The generalization of "Student's" problem (1947), the drift taken as known.
    """
    if min(len(before), len(after)) < FIRST_LOOK:
        return None
    parts = [float(np.var(values, ddof=1)) / len(values) for values in (before, after)]
    variance = sum(parts) + 2.0 * drift**2
    change = float(np.mean(after)) - float(np.mean(before))
    if variance == 0.0:
        return None
    shares = sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (before, after), strict=True)
    )  # fmt: skip
    return Shift(change, math.sqrt(variance), min(variance**2 / shares, 1e6) if shares else 1e6)


def geometric_mean(values: Sequence[float]) -> float:
    """The mean whose ratio over rounds is the mean ratio of the rounds. Values must be positive."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))
