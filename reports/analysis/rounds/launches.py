"""Launches that differ: what a few rounds cannot show, and how many rounds show it.

Every round launches new servers. An arm at half its speed in one launch of five looks like any other in 41 %
of all groups of four rounds, and their interval is narrow. More rounds are the only remedy: they are required
where a launch of the same arm differed in any cell, unless many cells show that this is the exception.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from reports.analysis.statistics import FIRST_LOOK, MAD_LIMIT, SCALED_MAD, shapiro_francia

RARE = 0.2
"""Fraction of the launches that differ, for which the rounds are computed: one in five."""

UNSEEN = 0.05
"""Probability that none of the rounds contains such a launch, from which on there are enough of them."""

ENOUGH = 6
"""Rounds from which on a spread can be judged, and a difference or its absence counts as established."""

UNLIKELY = 0.01
"""p-value below which the rounds do not spread normally, or fewer cells show launches that differ than
where RARE of them do."""


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


def rounds_required(cells: Sequence[Sequence[float]], margin: float) -> list[int]:
    """How many rounds each cell of an arm needs at least before its verdict may stand, given the differences
    of all its cells.

    A cell in which a launch differs from the others needs so many that one like it would have been seen, and
    so do all cells unless too few of them show one for RARE of the launches: among hundreds of launches,
    some differ on any shared host. A cell that varies by more than the margin needs six.
    """
    differing = [launch_differs(cell, margin) for cell in cells]
    everywhere = any(differing) and may_be_rare(sum(differing), [len(cell) for cell in cells])
    return [
        rounds_if_launches_differ() if everywhere or differs else required_by_spread(cell, margin)
        for cell, differs in zip(cells, differing, strict=True)
    ]


def may_be_rare(differing: int, rounds: Sequence[int]) -> bool:
    """Whether RARE of an arm's launches may differ, given the rounds of each of its cells and how many cells
    show such a launch: so few, or fewer, are not UNLIKELY then."""
    distribution = np.ones(1)
    for n in rounds:
        distribution = np.convolve(distribution, (1.0 - shown(n), shown(n)))
    return float(distribution[: differing + 1].sum()) >= UNLIKELY


def shown(rounds: int, part: float = RARE) -> float:
    """The probability that a cell shows a launch of which `part` differ: not none of its rounds, not all, and
    not half of them, where no side is the exception."""
    if rounds < FIRST_LOOK:
        return 0.0
    half = binom.pmf(rounds // 2, rounds, part) if rounds % 2 == 0 else 0.0
    return float(1.0 - unseen(rounds, part) - half - part**rounds)


def required_by_spread(differences: Sequence[float], margin: float) -> int:
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    return ENOUGH if spread > math.log1p(margin) else FIRST_LOOK
