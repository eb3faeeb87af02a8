"""Launches that differ: what a few rounds cannot show, and how many rounds show it.

Every round launches new servers. An arm at half its speed in one launch of five looks like any other in 41%
of all groups of four rounds, and their interval is narrow. More rounds are the only remedy: they are required
where a launch of the same arm differed in the same scenario, and everywhere where such launches are not few.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.analysis.statistics import FIRST_LOOK, MAD_LIMIT, SCALED_MAD, shapiro_francia

RARE = 0.2
"""Fraction of the launches that differ, for which the rounds are computed: one in five."""

UNSEEN = 0.05
"""Probability that none of the rounds contains such a launch, from which on there are enough of them."""

ENOUGH = 6
"""Rounds from which on a spread can be judged, and a difference or its absence counts as established."""

MANY = 0.02
"""Fraction of an arm's launches seen to differ, beyond which all its cells need more rounds. Where one launch
of five differs, four rounds show it in 39% of all cells if it halves the speed (noise of 3%), in 9% if it
costs a fifth: by launches, in 10% and 2%."""

UNLIKELY = 0.01
"""p-value below which the rounds do not spread normally."""


@dataclass(frozen=True)
class NotNormal:
    """The ratios of the rounds are not normally distributed, as the interval assumes."""

    lowest: float
    """The lowest ratio of a round."""
    highest: float
    p: float


def unseen(rounds: int, part: float = RARE) -> float:
    """The probability that none of `rounds` contains a launch of which `part` differ."""
    return (1.0 - part) ** rounds


def rounds_if_launches_differ() -> int:
    """The fewest rounds, an even number as balanced orders need, of which one contains a launch that differs
    with a probability of 1 − UNSEEN."""
    return 2 * math.ceil(math.log(UNSEEN) / math.log(1.0 - RARE) / 2.0)


def not_normal(differences: Sequence[float], margin: float) -> NotNormal | None:
    """Whether the rounds spread otherwise than normal noise (Shapiro and Francia 1972), and by more than half
    the margin; None for fewer than six rounds."""
    if len(differences) < ENOUGH or max(differences) - min(differences) <= math.log1p(margin) / 2.0:
        return None
    p = shapiro_francia(differences)
    if p is None or p >= UNLIKELY:
        return None
    return NotNormal(math.exp(min(differences)), math.exp(max(differences)), p)


def launch_differs(differences: Sequence[float], margin: float) -> bool:
    """Whether a round differs from the others, by the outlier rule and by more than twice the margin: the
    median absolute deviation of four rounds alone may be small by chance."""
    if len(differences) < FIRST_LOOK:
        return False
    values = np.asarray(differences, dtype=np.float64)
    away = np.abs(values - np.median(values))
    limit = max(MAD_LIMIT * SCALED_MAD * float(np.median(away)), 2.0 * math.log1p(margin))
    return bool((away > limit).any())


def rounds_required(cells: Sequence[tuple[str, Sequence[float]]], margin: float) -> list[int]:
    """How many rounds each cell of an arm needs at least before its verdict may stand, given the scenario and
    the differences of all its cells.

    Where a launch differs from the others of its cell, all cells of that scenario need so many that one like
    it would have been seen, and all cells of the arm where MANY of its launches differ: among hundreds of
    launches, a few differ on any shared host. A cell that varies by more than the margin needs six.
    """
    differing = [scenario for scenario, differences in cells if launch_differs(differences, margin)]
    everywhere = len(differing) > MANY * sum(len(differences) for _, differences in cells)
    return [
        rounds_if_launches_differ()
        if everywhere or scenario in differing
        else required_by_spread(differences, margin)
        for scenario, differences in cells
    ]


def required_by_spread(differences: Sequence[float], margin: float) -> int:
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    return ENOUGH if spread > math.log1p(margin) else FIRST_LOOK
