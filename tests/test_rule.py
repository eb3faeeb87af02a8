"""What one route should be among others, on known answers: two ways to write it, measured with noise."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean
from typing import Literal

import pytest

from reports.advice.rule import HALF, Choice, Way, Ways, choose, harmful, keeps_light_routes_async, share
from reports.analysis.statistics import Interval, repeated_interval

ROUNDS, ALPHA, MARGIN = 8, 0.05, 0.10
NOISE, WAITS = 0.03, 0.15
"""Of what is served, and of what neighbours wait: logarithmic, per arm and round."""
Ahead = Literal["first", "second", "neither"] | None
Numbers = tuple[float, float, float]
"""Served per second; seconds that an `async def` and a `def` neighbour wait, at p95."""


def measured(def_: Numbers, async_: Numbers, seed: int, noise: float = NOISE, holds: bool = True) -> Ways:
    """Both ways as rounds with noise show them, judged as a run judges them."""
    random = Random(seed)

    def rounds(value: float, spread: float) -> list[float]:
        return [value * math.exp(random.gauss(0.0, spread)) for _ in range(ROUNDS)]

    first, second = (
        (rounds(one[0], noise), rounds(one[1], WAITS), rounds(one[2], WAITS)) for one in (def_, async_)
    )
    served, waits = (interval(first[place], second[place]) for place in (0, 1))
    within = served.low > 1.0 / (1.0 + MARGIN) and served.high < 1.0 + MARGIN
    ahead: Ahead = (
        "neither" if within else "second" if served.low > 1.0 else "first" if served.high < 1.0 else None
    )
    named = (("def", first), ("async", second))
    ways = [Way(name, fmean(one), fmean(two), holds) for name, (one, two, _) in named]
    return Ways(ways[0], ways[1], ahead, (served.low, served.high), waits)


def interval(first: list[float], second: list[float]) -> Interval:
    """The second ÷ the first."""
    logs = [math.log(theirs / ours) for ours, theirs in zip(first, second, strict=True)]
    found = repeated_interval(logs, ALPHA)
    assert found is not None
    return found


KNOWN = {
    # Of the machine in docs/method.md, two cores, 64 users, where not said.
    "computes and holds the GIL": ((437.0, 0.035, 0.182), (484.0, 0.255, 0.255), Choice("take", "def")),
    "computes and releases the GIL, one core": (
        (509.0, 0.037, 0.152), (588.0, 0.211, 0.211), Choice("take", "def")
    ),
    "computes and releases the GIL, two cores": (
        (853.0, 0.020, 0.090), (605.0, 0.200, 0.200), Choice("take", "def")
    ),
    "blocks inside async def": ((700.0, 0.010, 0.090), (20.0, 3.2, 3.2), Choice("take", "def")),
    "waits on an async library": ((610.0, 0.012, 0.105), (1180.0, 0.030, 0.031), Choice("take", "async")),
    "light JSON": ((2600.0, 0.024, 0.026), (6400.0, 0.011, 0.011), Choice("take", "async")),
    "a database whose driver is a thread": (
        (900.0, 0.040, 0.070), (720.0, 0.060, 0.070), Choice("take", "def")
    ),
    "two equal apps": ((900.0, 0.040, 0.070), (900.0, 0.040, 0.070), Choice("either")),
    "threads are taken": ((400.0, 0.004, 1.2), (640.0, 0.006, 0.006), Choice("take", "async")),
    # Serves less than half on threads, which fight for the GIL: what computes belongs elsewhere.
    "is much slower on threads": ((100.0, 0.030, 0.800), (400.0, 0.300, 0.300), Choice("offload", "async")),
}  # fmt: skip


SHORT = {
    # Four dependencies, an upload and a light route, of a host at half its speed.
    "dependencies": ((1290.0, 0.005, 0.060), (3160.0, 0.048, 0.048), Choice("take", "async")),
    "upload": ((960.0, 0.014, 0.086), (1170.0, 0.062, 0.062), Choice("take", "async")),
    "equally fast": ((1000.0, 0.005, 0.060), (1000.0, 0.048, 0.048), Choice("take", "def")),
    "slower": ((1000.0, 0.005, 0.060), (800.0, 0.048, 0.048), Choice("take", "def")),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", SHORT)
def test_a_queue_of_short_requests_is_no_harm_of_the_arm_that_serves_more_of_them(
    name: str, seed: int
) -> None:
    """`dependencies`, which serves ×2.45 as `async def`, was to be off-loaded."""
    def_, async_, answer = SHORT[name]
    assert choose(measured(def_, async_, seed, holds=False)) == answer


def test_a_queue_of_short_requests_decides_nothing_while_it_is_open_which_arm_serves_more() -> None:
    ways = measured((960.0, 0.014, 0.086), (1100.0, 0.062, 0.062), 1, noise=0.2, holds=False)
    assert (ways.ahead, choose(ways)) == (None, Choice("open"))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", KNOWN)
def test_known_answers_are_found_through_noise(name: str, seed: int) -> None:
    def_, async_, answer = KNOWN[name]
    assert choose(measured(def_, async_, seed)) == answer


def test_neighbours_count_from_twice_as_long_and_20_ms_more() -> None:
    def worse(async_waits: float, def_waits: float) -> str | None:
        found = harmful(measured((500.0, def_waits, 0.2), (500.0, async_waits, 0.2), 1))
        return found.name if found else None

    assert worse(0.200, 0.050) == "async"
    assert worse(0.050, 0.200) == "def"
    # Four times as long, but 12 ms more; 100 ms more, but half as long again.
    assert worse(0.016, 0.004) is None
    assert worse(0.300, 0.200) is None


def test_an_arm_that_holds_up_others_is_not_advised_before_it_is_known_which_serves_more() -> None:
    ways = measured((437.0, 0.035, 0.182), (484.0, 0.255, 0.255), 1, noise=0.15)
    assert (ways.ahead, choose(ways)) == (None, Choice("take", "def"))


def test_nothing_is_advised_while_it_is_open_whether_the_other_serves_half() -> None:
    ways = measured((240.0, 0.035, 0.182), (484.0, 0.255, 0.255), 1)
    low, high = share(ways, ways.first)
    assert low is not None
    assert high is not None
    assert low < HALF < high
    assert (ways.ahead, choose(ways)) == ("second", Choice("open"))


def test_nothing_is_advised_where_neither_throughput_nor_harm_is_known() -> None:
    ways = measured((500.0, 0.010, 0.2), (505.0, 0.012, 0.012), 1, noise=0.15)
    assert (ways.ahead, choose(ways)) == (None, Choice("open"))


def test_light_routes_stay_async_where_def_ones_queue_for_threads() -> None:
    assert keeps_light_routes_async(0.035, 0.182)
    assert not keeps_light_routes_async(0.255, 0.256)
    assert not keeps_light_routes_async(0.001, 0.015)
