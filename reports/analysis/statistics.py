"""The mathematics: numbers in, numbers out. Imports nothing else from this project.

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
from scipy.special import ndtr, ndtri, stdtr, stdtrit

FIRST_LOOK = 4
"""Rounds before the first interval."""

LAST_LOOK = 20

LOOKS = tuple(range(FIRST_LOOK, LAST_LOOK + 1, 2))
"""Rounds after which a cell is looked at."""

SPENT = (0.40, 0.55, *(0.55 + 0.45 * look / 7 for look in range(1, 8)))
"""Part of the error rate that is spent up to each look. Most cells end at the first or the second one, where
Student's t has its longest tails: evenly spread, the interval would be a quarter longer after four rounds,
and a tenth shorter after eight."""

SPENT_AT: Sequence[float] = tuple(np.diff(SPENT, prepend=0.0).tolist())
"""Part of the error rate that each look spends."""

NOMINAL: Mapping[float, tuple[float, ...]] = {
    0.10: (0.04022, 0.02619, 0.01638, 0.01575, 0.01687, 0.01850, 0.02048, 0.02253, 0.02467),
    0.05: (0.02016, 0.01186, 0.00697, 0.00677, 0.00715, 0.00789, 0.00872, 0.00950, 0.01045),
    0.025: (0.01006, 0.00544, 0.00302, 0.00293, 0.00312, 0.00342, 0.00382, 0.00416, 0.00458),
    0.05 / 3: (0.00673, 0.00347, 0.00188, 0.00181, 0.00195, 0.00213, 0.00236, 0.00264, 0.00285),
    0.0125: (0.00505, 0.00250, 0.00138, 0.00129, 0.00141, 0.00153, 0.00170, 0.00190, 0.00204),
    0.01: (0.00405, 0.00196, 0.00107, 0.00099, 0.00109, 0.00118, 0.00133, 0.00146, 0.00160),
    0.005: (0.00200, 0.00093, 0.00050, 0.00046, 0.00050, 0.00054, 0.00059, 0.00064, 0.00072),
}
"""Overall error rate of all looks → error rate of each look, for t. From 4 million simulated sequences of
normal noise; a test recomputes it.

Source: Lan and DeMets, Discrete sequential boundaries for clinical trials (1983)."""

MAD_LIMIT = 10.0
"""Distance from the median beyond which a round is an outlier, in scaled median absolute deviations."""

SCALED_MAD = 1.4826
"""Scales the median absolute deviation of normal noise to its standard deviation."""

ENOUGH_IN_TAIL = 10
"""Minimum number of samples beyond a percentile."""


@dataclass(frozen=True)
class Interval:
    """A ratio with its repeated confidence interval; n is the number of rounds."""

    ratio: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the interval's length on the logarithmic scale, as a fraction: 0.05 for about ±5%."""
        return math.sqrt(self.high / self.low) - 1.0


Position = Literal["above", "below", "within", "open"]


def nominal_alpha(n: int, alpha: float) -> float:
    """The error rate of the look after `n` rounds that keeps that of all looks together ≤ `alpha`.

    Between two tabulated rates, the stricter one; below all of them, the part of `alpha` that this look
    spends (Bonferroni), which is stricter than a table would be.
    """
    stricter = [known for known in NOMINAL if known <= alpha + 1e-12]
    return at_look(n, NOMINAL[max(stricter)]) if stricter else alpha * at_look(n, SPENT_AT)


def at_look(n: int, rates: Sequence[float]) -> float:
    """The rate of the look after `n` rounds; between two of them, and beyond the last one, the stricter."""
    beside = [rate for look, rate in zip(LOOKS, rates, strict=True) if abs(look - n) <= 1]
    return min(beside or (rates[0] if n < FIRST_LOOK else rates[-1],))


def critical(n: int, alpha: float) -> float:
    """The factor c of the repeated t-interval mean ± c·s/√n at n rounds."""
    return float(stdtrit(n - 1, 1.0 - nominal_alpha(n, alpha) / 2.0))


def repeated_interval(differences: Sequence[float], alpha: float) -> Interval | None:
    """exp(mean ± c·s/√n) of log-ratios, one per round; None before the first look.

    Covers the truth at all looks together with probability 1 − alpha, so it may be looked at after
    every block without raising false alarms.
    """
    n = len(differences)
    if n < FIRST_LOOK:
        return None
    values = np.asarray(differences, dtype=np.float64)
    mean = float(values.mean())
    reach = critical(n, alpha) * float(values.std(ddof=1)) / math.sqrt(n)
    return Interval(math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), n)


def repeated_p(differences: Sequence[float], null: float = 0.0, least: float = 0.0) -> float | None:
    """The smallest overall error rate at which the repeated interval would exclude a mean of `null`: of
    log-ratios, a ratio of exp(null). `least`: a standard deviation that the differences cannot be below,
    whatever they show.

    Interpolated on a log-log scale between the tabulated rates; below them, bounded by the part of the error
    rate that this look spends (Bonferroni). None before the first look.
    """
    n = len(differences)
    if n < FIRST_LOOK:
        return None
    values = np.asarray(differences, dtype=np.float64)
    away, spread = abs(float(values.mean()) - null), float(values.std(ddof=1))
    single = 2.0 * float(stdtr(n - 1, -away / (spread / math.sqrt(n)))) if spread else float(away == 0.0)
    if least:
        single = max(single, 2.0 * float(ndtr(-away / (least / math.sqrt(n)))))
    nominal = sorted([*(at_look(n, rates) for rates in NOMINAL.values()), 1.0])
    if single < nominal[0]:
        return min(single / at_look(n, SPENT_AT), *NOMINAL)
    overall = sorted([*NOMINAL, 1.0])
    return math.exp(float(np.interp(math.log(single), np.log(nominal), np.log(overall))))


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which of several findings are significant at a family-wise error rate of `alpha`.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    significant = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        significant[index] = True
    return significant


def position(interval: Interval, margin: float) -> Position:
    """Position of the interval relative to 1 and ±margin. `within` takes precedence: proven to be small."""
    bound = 1.0 + margin
    if 1.0 / bound < interval.low and interval.high < bound:
        return "within"
    if interval.low > 1.0:
        return "above"
    if interval.high < 1.0:
        return "below"
    return "open"


def rounds_to_decide(differences: Sequence[float], margin: float, alpha: float) -> int | None:
    """About how many rounds would decide, if mean and noise stay the same; None: more than 1,000."""
    n = len(differences)
    if n < 2:
        return None
    mean, spread = float(np.mean(differences)), float(np.std(differences, ddof=1))
    bound = math.log1p(margin)
    reach = max(abs(mean), bound - abs(mean))
    for rounds in range(max(n + 1, FIRST_LOOK), 1001):
        if critical(rounds, alpha) * spread / math.sqrt(rounds) < reach:
            return rounds
    return None


def percentile(ordered: NDArray[np.float64], part: float, failed: int = 0) -> float | None:
    """The nearest-rank percentile of sorted values and of `failed` infinite ones; None with fewer than ten
    samples beyond it, or where it is infinite."""
    n = len(ordered) + failed
    # Rounding absorbs floating-point error: 1000 · (1 − 0.99) = 10.000000000000009.
    if round(n * (1.0 - part), 6) < ENOUGH_IN_TAIL:
        return None
    rank = min(n - 1, math.ceil(n * part) - 1)
    return float(ordered[rank]) if rank < len(ordered) else None


Counts = Sequence[tuple[int, int]]
"""Per round: how many of how many."""


@dataclass(frozen=True)
class ShareDifference:
    """A difference of two shares over rounds, as a fraction, with its repeated confidence interval."""

    change: float
    low: float
    high: float


def difference_of_shares(before: Counts, after: Counts, alpha: float) -> ShareDifference | None:
    """The mean difference of two shares, paired by rounds; None before the first look, or where a round has
    nothing to count."""
    n = len(before)
    if n < FIRST_LOOK or n != len(after) or not all(of for _, of in (*before, *after)):
        return None
    differences = [b / m - a / k for (a, k), (b, m) in zip(before, after, strict=True)]
    mean, reach = float(np.mean(differences)), reach_of_shares(differences, (*before, *after), alpha)
    return ShareDifference(mean, mean - reach, mean + reach)


def mean_share(shares: Sequence[float], counts: Counts, alpha: float) -> tuple[float, float, float] | None:
    """The mean of a share over rounds, with its repeated interval; None before the first look. `counts`: of
    those rounds in which requests were counted, and their share is not certain by itself."""
    if len(shares) < FIRST_LOOK:
        return None
    mean, reach = float(np.mean(shares)), reach_of_shares(shares, counts, alpha)
    return mean, max(0.0, mean - reach), min(1.0, mean + reach)


def reach_of_shares(values: Sequence[float], counts: Counts, alpha: float) -> float:
    """How far the repeated interval of a mean over rounds reaches to either side: of shares that have these
    `counts`, or of differences between such shares.

    The rounds are the unit: requests of one round fail together. The interval is the repeated t-interval of
    the values, but never narrower than counts allow if requests failed one by one: the variance of a
    binomial share is the least that a share can have (McCullagh and Nelder, Generalized Linear Models, 1989,
    4.5, on overdispersion). Shares near zero get two more requests, one of which failed (Agresti and Coull
    1998), so that few failures at even gaps, or none among few requests, do not look certain.
    """
    n = len(values)
    least = math.fsum(least_variance(count, of) for count, of in counts) / n
    normal = float(ndtri(1.0 - nominal_alpha(n, alpha) / 2.0))
    spread = critical(n, alpha) * float(np.std(values, ddof=1))
    return max(spread, normal * math.sqrt(least)) / math.sqrt(n)


def least_variance(count: int, of: int) -> float:
    """The variance of a share of `of` requests that fail independently."""
    share = (count + 1) / (of + 2)
    return share * (1.0 - share) / of


def outliers(differences: Sequence[float]) -> list[int]:
    """Rounds further than 10 · 1.4826 · MAD from the median: flagged, never dropped."""
    if not differences:
        return []
    values = np.asarray(differences, dtype=np.float64)
    distance = np.abs(values - np.median(values))
    limit = MAD_LIMIT * SCALED_MAD * float(np.median(distance))
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
    """The least-squares slope of y on x and its p-value (Student's t with n − 2 degrees of freedom); None for
    fewer than four values, or if x does not vary."""
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
    """The mean and its p-value against zero (Student's t); None for fewer than four values."""
    n = len(values)
    if n < FIRST_LOOK:
        return None
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    if spread == 0.0:
        return mean, 1.0 if mean == 0.0 else 0.0
    return mean, 2.0 * float(stdtr(n - 1, -abs(mean) / (spread / math.sqrt(n))))


@dataclass(frozen=True)
class Shift:
    """Difference between the means of a later and an earlier sample of log-ratios."""

    change: float
    error: float
    """Standard error of the change."""
    freedom: float
    """Degrees of freedom of the error."""

    def bounds(self, alpha: float) -> tuple[float, float]:
        """One-sided bounds, each with error rate `alpha`."""
        reach = float(stdtrit(self.freedom, 1.0 - alpha)) * self.error
        return self.change - reach, self.change + reach

    def p_below(self, bound: float) -> float:
        """The p-value of a change this low if the true one were `bound`: small if proven to be lower."""
        return float(stdtr(self.freedom, (self.change - bound) / self.error))


def shift(before: Sequence[float], after: Sequence[float], drift: float) -> Shift | None:
    """The shift of the mean between two samples, each with a session-to-session `drift` (a standard
    deviation); None for fewer than four values on a side.

    Source: Welch, The generalization of "Student's" problem (1947), with the drift assumed known.
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


def shapiro_francia(values: Sequence[float]) -> float | None:
    """The p-value of normally distributed `values`: small where they have outliers or several modes. None for
    fewer than five, or where they do not vary.

    Sources: Shapiro and Francia, An approximate analysis of variance test for normality (1972), with Blom's
    scores; the p-value by Royston, A toolkit for testing for non-normality (1993), for 5 to 5,000 values.
    """
    n = len(values)
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if n < 5 or ordered[0] == ordered[-1]:
        return None
    scores = ndtri((np.arange(1, n + 1) - 0.375) / (n + 0.25))
    w = float(np.corrcoef(ordered, scores)[0, 1]) ** 2
    u = math.log(n)
    v = math.log(u)
    z = (math.log1p(-min(w, 1.0 - 1e-15)) - (1.0521 * (v - u) - 1.2725)) / (1.0308 - 0.26758 * (v + 2.0 / u))
    return 1.0 - float(ndtr(z))


def geometric_mean(values: Sequence[float]) -> float:
    """The mean whose ratio over rounds is the mean ratio of the rounds. Values must be positive."""
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))
