"""At which rates a search measures: from below until a target is first missed, then close to that rate.

Pure: facts in, rates out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LOW = 0.4
"""Part of what a few users reached in the calibration at which scouting begins."""

UP, DOWN = 1.6, 4.0
"""Factors between two rates of scouting: up while the target holds, down while not even the first one
held."""

MOST_DOWN = 4
"""Rates at which scouting looks for one that holds, before it says that none does."""

CLOSEST, NARROWER = 0.06, 0.6
"""Distance of the rates of a round in logarithms, at least; and its factor from one round to the next."""

GRID = 1.02
"""Ratio of neighbouring rates: arms that carry nearly the same are measured at the same rates."""


@dataclass(frozen=True)
class Bracket:
    """What scouting has found: rates at which the target held, and at which it was missed first."""

    held: float | None
    missed: float | None
    reach: float
    """The highest rate that can be measured."""

    @property
    def middle(self) -> float:
        """Where the rounds begin."""
        if self.held is not None and self.missed is not None:
            return math.sqrt(self.held * self.missed)
        return self.reach if self.missed is None else self.missed

    def rates(self, aim: float, round: int) -> tuple[float, ...]:
        """The rates of a round, counted from 1, ascending: below, at and above the `aim`, closer to it from
        round to round, and within what can be measured."""
        wide = math.log(self.missed / self.held) / 3.0 if self.held and self.missed else 0.0
        step = max(CLOSEST, wide * NARROWER ** (round - 1))
        lowest = 0.0 if self.held else self.missed or 0.0
        every = (max(lowest, on_grid(aim * math.exp(off * step), self.reach)) for off in (-1, 0, 1))
        return tuple(sorted(set(every)))


def on_grid(rate: float, most: float) -> float:
    """The nearest rate that all arms share, in three figures, or `most` where that is lower."""
    nearest = GRID ** round(math.log(rate, GRID))
    return min(most, float(f"{nearest:.3g}"))


def made(shares: Mapping[float, float], beyond: Sequence[float]) -> float | None:
    """The highest rate that may be asked for after the generator could not make those `beyond`: below the
    lowest of them, the highest one that it has made; None where it made all."""
    below = [rate for rate in shares if rate < min(beyond, default=0.0)]
    return max(below, default=min(beyond) / 2.0) if beyond else None


def scouted(
    shares: Mapping[float, float], beyond: Sequence[float], allowed: float, first: float, reach: float
) -> float | None:
    """The rate at which scouting continues; None where it has come to an end. `shares`: by rate, which part
    of the requests missed the target, of which `allowed` may; `beyond`: rates that the generator could not
    make, for a reason that may not depend on the rate."""
    if sum(rate < min(shares, default=math.inf) for rate in beyond) >= MOST_DOWN:
        return None
    if not shares:
        return on_grid(first, reach)
    held = [rate for rate, share in shares.items() if share < allowed]
    if not held:
        lower = min(shares) / DOWN
        return on_grid(lower, reach) if len(shares) < MOST_DOWN else None
    if len(held) < len(shares) or max(held) >= reach:
        return None
    return on_grid(max(held) * UP, reach)


def bracket(shares: Mapping[float, float], allowed: float, reach: float) -> Bracket:
    """What scouting has found."""
    held = [rate for rate, share in shares.items() if share < allowed]
    missed = [rate for rate, share in shares.items() if share >= allowed and rate > max(held, default=0.0)]
    return Bracket(max(held, default=None), min(missed, default=None), reach)


def in_turns(rates: Mapping[str, Sequence[float]], order: Sequence[str]) -> list[tuple[str, float]]:
    """The slices of a round: arms in turn, in this order and then in reverse, so that a drift of the host
    hits all alike; each arm's rates from the middle outwards, so that an overload comes last."""
    steps = []
    for place in range(max(map(len, rates.values()), default=0)):
        turn = order if place % 2 == 0 else order[::-1]
        for arm in turn:
            mine = outwards(rates.get(arm, ()))
            if place < len(mine):
                steps.append((arm, mine[place]))
    return steps


def outwards(rates: Sequence[float]) -> list[float]:
    """A round's rates: the middle one, the lowest, the highest."""
    middle = len(rates) // 2
    return [*rates[middle : middle + 1], *rates[:middle], *rates[middle + 1 :]]
