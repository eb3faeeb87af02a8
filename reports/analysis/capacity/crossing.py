"""Where a share of requests crosses a limit as the rate of arrivals grows: mathematics only.

The share that misses a target is a mean over requests, and near the crossing its logit is close to linear in
the logarithm of the rate: the tail of a queue's waiting time is exponential, with an exponent that shrinks as
the rate approaches what the server can do (Kingman, On queues in heavy traffic, 1962). So a logistic curve is
fitted to the slices near the crossing, and the crossing is where it reaches the limit. The next slices are
taken there, as in Wu, Efficient sequential designs with binary data (JASA 1985).

Requests of one slice are not independent, since they queue behind each other, and slices of one round share
their processes. So the interval comes from the jackknife over rounds (Miller, The jackknife: a review, 1974),
with the boundaries of repeated confidence intervals, since a search stops when it is precise.

Where all slices are on one side of the crossing, those misses that would show where it is are few or none,
and neither a standard error nor the jackknife knows how few: then the likelihood of the slices bounds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from reports.analysis.statistics import FIRST_LOOK, Interval, critical, nominal_alpha

NEAR = math.log(1.3)
"""Distance of a slice from the crossing, in logarithms of the rate, within which it belongs to the fit:
farther away the curve is no line."""

SLOPE, SLOPE_SPREAD, LEAST_SLOPE = 25.0, 15.0, 3.0
"""Of the logit over the logarithm of the rate, before anything is seen: from 6 (a limit just above the
service time) to 40 (a limit of 20 service times, one server). It matters where few slices are near the
crossing."""

CLUSTER = 60.0
"""Requests that count as one in the fit: those that miss a target come in bursts. With 20, the crossings of
simulated searches scatter by 4% instead of 3%, since a single burst tilts the curve."""

BEYOND = 0.1
"""Logarithm of the rate beyond the slices to which a crossing is extrapolated."""

PASSES = 3
"""Fits, each with the slices near the crossing of the one before."""

SLOPES = np.linspace(6.0, SLOPE + 3.0 * SLOPE_SPREAD, 33)
"""Those of the curves that may have led to slices on one side of the crossing, which hardly show any: from
the flattest that a queue has."""

STEPS = np.linspace(-math.log(2.0), math.log(2.0), 281)
"""Logarithms of the rates at which a crossing may be, over the outermost rate that was measured. A bound that
is farther away says nothing of use."""


@dataclass(frozen=True)
class RateSlice:
    """One slice: of `of` requests that arrived at `rate` per second, `over` missed the target."""

    round: int
    rate: float
    over: int
    of: int


@dataclass(frozen=True)
class Curve:
    """logit(share) = level + slope · (ln rate − middle)."""

    level: float
    slope: float
    middle: float
    error: float
    """Standard error of the crossing, in logarithms of the rate, if requests are as independent as CLUSTER
    says."""
    scatter: float
    """How much more the slices scatter around the curve, as a factor of standard errors; at least 1."""

    def share(self, rate: float) -> float:
        """At a rate."""
        return float(expit(self.level + self.slope * (math.log(rate) - self.middle)))

    def crossing(self, share: float) -> float:
        """The logarithm of the rate at which `share` is reached."""
        return self.middle + (logit(share) - self.level) / self.slope


@dataclass(frozen=True)
class Crossing:
    """The rate at which the limit is reached."""

    rate: float
    curve: Curve
    values: dict[int, float]
    """By round, the pseudo-values of the logarithm of the rate."""
    slices: tuple[RateSlice, ...]
    """Those of the fit."""
    interval: Interval | None
    """None before the first look."""
    bound: float | None
    """Of a crossing outside the slices, the rate that it is beyond, at the error rate of the interval: the
    outermost one, or one within. None before the first look, where the slices exclude no rate, and of a
    crossing between them."""

    @property
    def bracketed(self) -> bool:
        """Whether slices of the fit lie on both sides: else the crossing is a bound only."""
        rates = [one.rate for one in self.slices]
        return min(rates) <= self.rate <= max(rates)

    @property
    def above(self) -> bool:
        """Whether it is above all slices."""
        return self.rate > max(one.rate for one in self.slices)

    @property
    def outermost(self) -> float:
        """The slices' rate that is nearest to a crossing outside of them."""
        rates = [one.rate for one in self.slices]
        return max(rates) if self.above else min(rates)


def logit(share: float) -> float:
    return math.log(share / (1.0 - share))


def fit(slices: Sequence[RateSlice], share: float) -> Curve:
    """The logistic curve with the largest posterior: a binomial likelihood of the shares, CLUSTER requests
    as one, and the slope's prior. By Newton's method, whose steps are halved where they overshoot."""
    x = np.log([one.rate for one in slices])
    weight = np.array([one.of / CLUSTER for one in slices])
    y = np.array([one.over / one.of for one in slices])
    middle = float(x.mean())
    design = np.stack([np.ones_like(x), x - middle], axis=1)
    prior, precision = np.array([logit(share), SLOPE]), np.diag([1e-3, SLOPE_SPREAD**-2])

    def loss(at: NDArray[np.float64]) -> float:
        line, off = design @ at, at - prior
        return float((weight * (np.logaddexp(0.0, line) - y * line)).sum() + 0.5 * off @ precision @ off)

    found, worth = prior, loss(prior)
    for _ in range(100):
        mean = expit(design @ found)
        gradient = design.T @ (weight * (mean - y)) + precision @ (found - prior)
        curvature = (design.T * (weight * mean * (1.0 - mean))) @ design + precision
        step = np.linalg.solve(curvature, gradient)
        while loss(found - step) > worth + 1e-12 and np.abs(step).max() > 1e-9:
            step = step / 2.0
        found, before, worth = found - step, worth, loss(found - step)
        if before - worth < 1e-10:
            break
    slope = max(float(found[1]), LEAST_SLOPE)
    mean = expit(design @ found)
    spread = weight * mean * (1.0 - mean)
    inverse = np.linalg.inv((design.T * spread) @ design + precision)
    # Pearson's statistic by its degrees of freedom.
    pearson = float((weight * (y - mean) ** 2 / (mean * (1.0 - mean))).sum()) / max(1, len(x) - 2)
    toward = np.array([1.0, (logit(share) - float(found[0])) / slope]) / slope
    error = math.sqrt(float(toward @ inverse @ toward))
    return Curve(float(found[0]), slope, middle, error, math.sqrt(max(1.0, pearson)))


def located(slices: Sequence[RateSlice], share: float) -> float:
    """The logarithm of the rate at which `share` is reached, hardly beyond the slices."""
    rates = [math.log(one.rate) for one in slices]
    found = fit(slices, share).crossing(share)
    return min(max(found, min(rates) - BEYOND), max(rates) + BEYOND)


def near(slices: Sequence[RateSlice], share: float) -> list[RateSlice]:
    """The slices near the crossing, without those that had no request."""
    every = [one for one in slices if one.of]
    chosen = every
    for _ in range(PASSES):
        if not chosen:
            break
        at = located(chosen, share)
        closer = [one for one in every if abs(math.log(one.rate) - at) <= NEAR]
        if closer == chosen or not closer:
            break
        chosen = closer
    return chosen


def crossing(slices: Sequence[RateSlice], share: float, alpha: float) -> Crossing | None:
    """Where the share of requests that miss a target reaches `share`; None without requests."""
    chosen = near(slices, share)
    if not chosen:
        return None
    at, curve, rounds = located(chosen, share), fit(chosen, share), sorted({one.round for one in chosen})
    n, values = len(rounds), {}
    for round in rounds if n > 1 else ():
        others = [one for one in chosen if one.round != round]
        values[round] = n * at - (n - 1) * located(others, share)
    interval = around(at, list(values.values()), alpha, curve.error * curve.scatter)
    found = Crossing(math.exp(at), curve, values, tuple(chosen), interval, None)
    if found.bracketed or n < FIRST_LOOK:
        return found
    return replace(found, bound=likely_bound(found, share, alpha))


def likely_bound(found: Crossing, share: float, alpha: float) -> float | None:
    """The rate that a crossing outside the slices is beyond: on the way from within them to the outermost
    rate, the last one at which a crossing is excluded. Excluded is one that makes the slices much less likely
    than the likeliest one does, whatever the slope (Wilks, The large-sample distribution of the likelihood
    ratio, 1938), with as many independent requests as the fit assumes, fewer where slices scatter more."""
    rounds = len({one.round for one in found.slices})
    outward = 1.0 if found.above else -1.0
    x = np.log([one.rate for one in found.slices])
    weight = np.array([one.of / CLUSTER for one in found.slices]) / found.curve.scatter**2
    y = np.array([one.over / one.of for one in found.slices])
    at, slopes = math.log(found.outermost) + outward * STEPS, SLOPES[:, None, None]
    line = logit(share) + slopes * (x - at[None, :, None])
    loss = (weight * (np.logaddexp(0.0, line) - y * line)).sum(axis=2)
    least = (loss + 0.5 * ((SLOPES - SLOPE) / SLOPE_SPREAD)[:, None] ** 2).min(axis=0)
    allowed = 0.5 * float(ndtri(1.0 - nominal_alpha(rounds, alpha) / 2.0)) ** 2
    first = int(np.argmax(least - least.min() <= allowed))
    if first == 0:
        return None
    return found.outermost * math.exp(outward * min(float(STEPS[first - 1]), 0.0))


def ratio(rival: Crossing, reference: Crossing, alpha: float) -> Interval | None:
    """The rate of an arm ÷ that of another one, by the rounds that both have; None before the first look."""
    both = sorted({*rival.values} & {*reference.values})
    differences = [rival.values[round] - reference.values[round] for round in both]
    # Without their scatter: what both arms share cancels.
    least = math.hypot(rival.curve.error, reference.curve.error)
    return around(math.log(rival.rate / reference.rate), differences, alpha, least)


def around(at: float, values: Sequence[float], alpha: float, least: float = 0.0) -> Interval | None:
    """The repeated interval around the logarithm of a rate, from its pseudo-values. `least`: a standard error
    that it cannot be below: a search stops where few rounds agree by chance."""
    n = len(values)
    if n < FIRST_LOOK:
        return None
    reach = critical(n, alpha) * max(least, float(np.std(values, ddof=1)) / math.sqrt(n))
    return Interval(math.exp(at), math.exp(at - reach), math.exp(at + reach), n)
