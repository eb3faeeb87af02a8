"""The highest rate at which a target holds, from slices of simulated queues."""

from __future__ import annotations

import math

import numpy as np
import pytest

from loadtests.measure.known_answers.apps import GATE
from reports.analysis.capacity.crossing import Crossing, RateSlice, crossing, fit, ratio
from tests.queues import carried, loaded

SHARE, ALPHA = 0.01, 0.05


def searched(seed: int, gate: float = GATE, rounds: int = 6, drift: float = 0.0) -> Crossing:
    """A search of a gate as `duel capacity` makes it: three slices per round, around what the slices so far
    show. `drift`: standard deviation of the gate's speed between rounds."""
    random, host = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    # What scouting leaves: somewhere near.
    at, slices, found = math.log(0.85 * gate) + 0.1 * random.standard_normal(), [], None
    for round in range(1, rounds + 1):
        speed = gate * math.exp(drift * host.standard_normal())
        step = max(0.06, 0.12 * 0.6 ** (round - 1))
        slices += [loaded(round, math.exp(at + off * step), speed, random) for off in (-1, 0, 1)]
        found = crossing(slices, SHARE, ALPHA)
        assert found is not None
        at = math.log(found.rate)
    assert found is not None
    return found


def test_the_intervals_of_simulated_searches_hold_what_the_queue_carries_and_the_mean_is_not_off() -> None:
    truth = math.log(carried(SHARE))
    found = [searched(seed) for seed in range(24)]
    off = np.array([math.log(one.rate) - truth for one in found])
    inside = [
        one.interval is not None and one.interval.low <= math.exp(truth) <= one.interval.high for one in found
    ]
    widths = [one.interval.half_width for one in found if one.interval is not None]
    # Of 95% coverage, fewer than 20 of 24 have a chance of 0.6%.
    assert sum(inside) >= 20
    assert abs(off.mean()) < 0.02
    assert off.std() < 0.05
    assert np.median(widths) < 0.25


def test_a_ratio_is_paired_by_rounds_so_that_a_drift_of_the_host_cancels() -> None:
    """Both arms slow down together from round to round."""
    pairs = [(searched(seed, drift=0.1), searched(seed, gate=2 * GATE, drift=0.1)) for seed in range(8)]
    for slow, fast in pairs:
        found = ratio(fast, slow, ALPHA)
        assert found is not None
        assert slow.interval is not None
        # The limit is as long as 16 turns of the slow gate, and 32 of the fast one: more than twice the rate.
        assert found.low < 2.15 < found.high
    widths = [(ratio(fast, slow, ALPHA), slow.interval) for slow, fast in pairs]
    assert np.median([a.half_width / b.half_width for a, b in widths if a and b]) < 1.2


def test_a_curve_goes_through_shares_that_lie_on_one() -> None:
    shares = {80.0: 0.002, 90.0: 0.01, 100.0: 0.04}
    slices = [RateSlice(1, rate, round(1e7 * share), 10**7) for rate, share in shares.items()]
    curve = fit(slices, 0.01)
    assert curve.crossing(0.01) == pytest.approx(math.log(90.0), abs=0.01)
    assert curve.share(80.0) == pytest.approx(0.002, rel=0.2)


def test_slices_far_from_the_crossing_do_not_move_it() -> None:
    random = np.random.default_rng(2)
    slices = [loaded(r, rate, GATE, random) for r in range(1, 7) for rate in (165.0, 174.0, 183.0)]
    alone = crossing(slices, SHARE, ALPHA)
    beside = crossing([*slices, RateSlice(1, 600.0, 900, 1_000), RateSlice(2, 20.0, 0, 40)], SHARE, ALPHA)
    assert alone is not None
    assert beside is not None
    assert beside.rate == pytest.approx(alone.rate)
    assert beside.values == alone.values


@pytest.mark.parametrize(("over", "side"), [(0, 1.0), (300, -1.0)], ids=["all hold", "all miss"])
def test_a_crossing_that_no_slice_passed_is_no_more_than_a_bound(over: int, side: float) -> None:
    rates = (90.0, 100.0, 110.0)
    found = crossing([RateSlice(r, rate, over, 1_000) for r in range(1, 5) for rate in rates], SHARE, ALPHA)
    assert found is not None
    assert not found.bracketed
    assert side * (found.rate - 100.0) > 10.0


def test_without_requests_there_is_no_crossing_and_before_four_rounds_no_interval() -> None:
    assert crossing([RateSlice(1, 100.0, 0, 0)], SHARE, ALPHA) is None
    found = crossing([RateSlice(r, 100.0 + r, 10, 1_000) for r in (1, 2, 3)], SHARE, ALPHA)
    assert found is not None
    assert found.interval is None


@pytest.mark.parametrize("over", [0, 1], ids=["beyond", "never"])
def test_the_bound_of_a_crossing_outside_the_slices_is_as_near_as_their_requests_allow(over: int) -> None:
    """None of 120 requests missed the target, or all did: that says little of a share of 1%."""
    bounds = []
    for requests in (30, 1_000, 10_000):
        slices = [RateSlice(round, 700.0, over * requests, requests) for round in range(1, 5)]
        found = crossing(slices, SHARE, ALPHA)
        assert found is not None
        assert found.above == (over == 0)
        bounds.append(found.bound)
    few, some, many = bounds
    assert many == 700.0
    if over:
        assert (few, some) == (700.0, 700.0)
    else:
        assert few is None
        assert some is not None
        assert 560.0 < some < 630.0


def test_a_bound_is_farther_away_where_the_rounds_scatter() -> None:
    """Fifty of 10,000 requests in each round, or 300 in one of six."""
    even = [RateSlice(round, 700.0, 50, 10_000) for round in range(1, 7)]
    uneven = [RateSlice(round, 700.0, 300 if round == 3 else 0, 10_000) for round in range(1, 7)]
    calm, rough = (crossing(slices, SHARE, ALPHA) for slices in (even, uneven))
    assert calm is not None
    assert rough is not None
    assert (calm.above, rough.above) == (True, True)
    assert calm.bound is not None
    assert rough.bound is None or rough.bound < calm.bound


def test_a_queue_that_misses_its_target_at_the_highest_rate_is_not_said_to_carry_it() -> None:
    """1.1% of the requests take too long, in rare bursts: four slices often have none of them."""
    rate, truth = carried(1.1 * SHARE), carried(SHARE)
    wrong = 0
    for seed in range(60):
        random = np.random.default_rng([seed, 2])
        found = crossing([loaded(r, rate, GATE, random) for r in range(1, 5)], SHARE, ALPHA)
        assert found is not None
        wrong += found.bound is not None and found.above and found.bound > truth
    # Of 2.5%, more than five of 60 have a chance of 0.3%.
    assert wrong <= 5
