"""What one route should be among others, on known answers: two ways to write it, measured with noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest

from reports.advice.rule import Choice, Way, Ways, choose, harmful, keeps_light_routes_async
from reports.analysis.statistics import repeated_interval

ROUNDS, ALPHA, MARGIN, NOISE = 8, 0.05, 0.10, 0.04
Numbers = tuple[float, float, float]
"""Served per second; seconds that an `async def` and a `def` neighbour wait, at p95."""


def measured(def_: Numbers, async_: Numbers, seed: int) -> Ways:
    """Both ways as rounds with noise show them, judged as a run judges them."""
    random = Random(seed)

    def logs(one: float, other: float, noise: float) -> list[float]:
        return [math.log(other / one) + random.gauss(0.0, noise) for _ in range(ROUNDS)]

    served = repeated_interval(logs(def_[0], async_[0], NOISE), ALPHA)
    # Waits vary more than throughputs: a percentile of a few dozen requests.
    waits = repeated_interval(logs(def_[1], async_[1], 5 * NOISE), ALPHA)
    assert served is not None
    if served.low > 1.0 / (1.0 + MARGIN) and served.high < 1.0 + MARGIN:
        return Ways(Way("def", *def_), Way("async", *async_), "neither", waits)
    if served.low <= 1.0 <= served.high:
        return Ways(Way("def", *def_), Way("async", *async_), None, waits)
    ahead: Callable[[], Ways] = lambda: Ways(  # noqa: E731  # one expression for both sides
        Way("def", *def_), Way("async", *async_), "second" if served.low > 1.0 else "first", waits
    )
    return ahead()


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


def test_neighbours_decide_nothing_where_throughput_is_open() -> None:
    ways = measured((500.0, 0.01, 0.2), (505.0, 1.0, 1.0), 1)
    open_ = Ways(ways.first, ways.second, None, ways.waits)
    assert choose(open_) == Choice("open")


def test_light_routes_stay_async_where_def_ones_queue_for_threads() -> None:
    assert keeps_light_routes_async(Way("def", 437.0, 0.035, 0.182))
    assert not keeps_light_routes_async(Way("async", 484.0, 0.255, 0.256))
    assert not keeps_light_routes_async(Way("def", 437.0, 0.001, 0.015))
    assert not keeps_light_routes_async(Way("def", 437.0, None, 0.182))
