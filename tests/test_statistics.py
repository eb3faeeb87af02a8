"""The mathematics, checked against known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.analysis.statistics import (
    LAST_LOOK,
    LOOKS,
    NOMINAL,
    Interval,
    autocorrelation,
    critical,
    geometric_mean,
    holm,
    nominal_alpha,
    off_zero,
    outliers,
    percentile,
    position,
    repeated_interval,
    repeated_p,
    rounds_to_decide,
    slope,
)


def test_the_interval_is_students_at_the_nominal_level() -> None:
    """By hand for 4 values: mean 0.1, s = 0.0129, c_4 = t(1 − .02016/2, 3)."""
    differences = [0.085, 0.095, 0.105, 0.115]
    found = repeated_interval(differences, 0.05)
    assert found is not None
    assert found.n == 4
    assert found.ratio == pytest.approx(math.exp(0.1))
    s = np.std(differences, ddof=1)
    assert math.log(found.high) - 0.1 == pytest.approx(critical(4, 0.05) * s / 2)
    assert math.log(found.high) - 0.1 == pytest.approx(0.1 - math.log(found.low))


@pytest.mark.parametrize(("n", "factor"), [(4, 4.5), (6, 3.9), (8, 3.8), (20, 2.8)])
def test_the_critical_factors_are_those_of_the_method(n: int, factor: float) -> None:
    assert critical(n, 0.05) == pytest.approx(factor, abs=0.1)


def test_the_shipped_levels_have_their_stated_error_rate() -> None:
    """Nine interim looks at noise without an effect: false alarms within three standard errors of alpha."""
    random = np.random.default_rng(20_260_101)
    sequences = 200_000
    values = random.standard_normal((sequences, LAST_LOOK))
    t = {n: values[:, :n].mean(axis=1) / (values[:, :n].std(axis=1, ddof=1) / math.sqrt(n)) for n in LOOKS}
    for alpha in NOMINAL:
        alarmed = np.zeros(sequences, dtype=bool)
        for n in LOOKS:
            alarmed |= np.abs(t[n]) > critical(n, alpha)
        assert alarmed.mean() == pytest.approx(alpha, abs=3 * math.sqrt(alpha / sequences))


def simulate(effect: float, noise: float, runs: int, margin: float, seed: int) -> tuple[float, float]:
    """Fractions of simulated runs that found a difference, and whose final interval contained the truth."""
    random = np.random.default_rng(seed)
    found = covered = 0
    for _ in range(runs):
        values = random.normal(effect, noise, LAST_LOOK)
        for n in LOOKS:
            interval = repeated_interval(list(values[:n]), 0.05)
            assert interval is not None
            if position(interval, margin) != "open":
                break
        assert interval is not None
        found += position(interval, margin) in ("above", "below")
        covered += math.log(interval.low) <= effect <= math.log(interval.high)
    return found / runs, covered / runs


def test_at_most_6_percent_of_simulated_runs_without_a_difference_find_one() -> None:
    """Stopped like a real run: at the first look that decides."""
    found, covered = simulate(effect=0.0, noise=0.07, runs=2_000, margin=0.10, seed=7)
    assert found <= 0.06
    assert covered >= 0.94


@pytest.mark.parametrize("effect", [0.03, 0.0953, 0.2, 0.69])
def test_the_interval_at_the_stop_covers_a_planted_effect(effect: float) -> None:
    _, covered = simulate(effect, noise=0.07, runs=1_000, margin=0.10, seed=11)
    assert covered >= 0.94


def test_a_doubling_is_found_at_the_first_look_and_10_percent_in_about_eight_rounds() -> None:
    random = np.random.default_rng(3)
    for effect, most in ((math.log(2.0), 4.5), (math.log(1.1), 11.0)):
        stops = []
        for _ in range(500):
            values = random.normal(effect, 0.07, LAST_LOOK)
            for n in LOOKS:
                interval = repeated_interval(list(values[:n]), 0.05)
                assert interval is not None
                if interval.low > 1.0:
                    break
            stops.append(n)
        assert np.mean(stops) <= most


def test_the_repeated_p_value_is_the_level_at_which_the_interval_just_excludes_one() -> None:
    random = np.random.default_rng(5)
    for alpha in NOMINAL:
        values = random.standard_normal(8)
        values = (values - values.mean()) / values.std(ddof=1)
        edge = list(values + critical(8, alpha) / math.sqrt(8))
        found = repeated_interval(edge, alpha)
        assert found is not None
        assert found.low == pytest.approx(1.0)
        assert repeated_p(edge) == pytest.approx(alpha)
    assert repeated_p([0.1, 0.1, 0.1]) is None
    assert repeated_p([0.5, 0.5, 0.5, 0.5]) == 0.0


def test_holm_keeps_what_is_significant_after_correction() -> None:
    """By hand: .01 < .05/4, .012 < .05/3, .03 > .05/2, so .04 falls with it."""
    assert holm([0.04, 0.01, 0.03, 0.012], 0.05) == [False, True, False, True]
    assert holm([], 0.05) == []


def test_there_is_no_interval_before_the_first_look() -> None:
    assert repeated_interval([0.1, 0.1, 0.1], 0.05) is None


def test_a_level_between_two_known_ones_takes_the_stricter_one() -> None:
    assert nominal_alpha(4, 0.03) == NOMINAL[0.025][0]


def test_a_level_below_all_known_ones_spends_no_more_than_itself_over_all_looks() -> None:
    """An endpoint of a mixture of eleven is judged at 5 % ÷ 11: the report of such a proof was an error."""
    for alpha in (0.05 / 11, 0.001, 1e-6):
        assert math.fsum(nominal_alpha(n, alpha) for n in LOOKS) == pytest.approx(alpha)
        assert all(nominal_alpha(n, alpha) < nominal_alpha(n, 0.005) for n in LOOKS)


def test_the_interval_at_a_p_value_below_all_known_levels_ends_at_no_difference() -> None:
    """`repeated_p` inverts `repeated_interval`, beyond the tables as well."""
    differences = [0.30, 0.301, 0.299, 0.3005]
    p = repeated_p(differences)
    assert p is not None
    assert p < min(NOMINAL) / 10
    wider, narrower = repeated_interval(differences, p * 0.99), repeated_interval(differences, p * 1.01)
    assert wider is not None
    assert narrower is not None
    assert wider.low < 1.0 < narrower.low


def test_a_look_between_two_others_has_the_stricter_rate_of_both() -> None:
    rates = NOMINAL[0.05]
    found = [nominal_alpha(n, 0.05) for n in (4, 5, 7, 20, 24)]
    assert found == [rates[0], rates[1], rates[2], rates[8], rates[8]]


@pytest.mark.parametrize(
    ("low", "high", "place"),
    [
        (0.95, 1.05, "within"),
        (1.01, 1.05, "within"),  # proven small: that it is not zero does not matter
        (1.05, 1.20, "above"),
        (0.80, 0.95, "below"),
        (0.85, 1.05, "open"),
        (0.50, 2.00, "open"),
    ],
)
def test_the_position_of_an_interval(low: float, high: float, place: str) -> None:
    assert position(Interval(math.sqrt(low * high), low, high, 4), 0.10) == place


def test_a_percentile_is_the_nearest_rank_and_needs_ten_samples_beyond_it() -> None:
    values = np.arange(1.0, 1001.0)
    assert percentile(values, 0.50) == 500.0
    assert percentile(values, 0.99) == 990.0
    assert percentile(values[:999], 0.99) is None
    assert percentile(values[:20], 0.50) == 10.0
    assert percentile(values[:19], 0.50) is None
    assert percentile(values[:0], 0.50) is None


def test_rounds_to_decide_grow_with_the_noise_up_to_a_limit() -> None:
    calm = rounds_to_decide([0.2, 0.3, 0.1, 0.25], 0.10, 0.05)
    wild = rounds_to_decide([0.5, -0.2, 0.9, -0.4], 0.10, 0.05)
    assert calm is not None
    assert wild is not None
    assert 4 < calm < wild
    edge = math.log(1.1) / 2
    assert rounds_to_decide([edge + 30, edge - 30, edge + 30, edge - 30], 0.10, 0.05) is None


def test_an_outlier_is_flagged_and_ordinary_noise_is_not() -> None:
    assert outliers([0.01, 0.02, 0.015, 0.9, 0.012, 0.018]) == [3]
    assert outliers([0.01, 0.02, 0.015, 0.03, 0.012, 0.018]) == []
    assert outliers([]) == []


def test_a_drift_shows_as_autocorrelation() -> None:
    drift = autocorrelation([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    swing = autocorrelation([0.1, -0.1, 0.1, -0.1, 0.1, -0.1])
    assert drift is not None
    assert swing is not None
    assert drift > 0.3
    assert swing < 0.0
    assert autocorrelation([1.0, 2.0]) is None


def test_a_slope_is_found_and_noise_without_one_is_not() -> None:
    """y = 2 + 0.5 x by hand; and about 1% of 1,000 noise sequences at 0.01."""
    found = slope([0, 1, 2, 3], [2.0, 2.5, 3.0, 3.5])
    assert found == pytest.approx((0.5, 0.0))
    assert slope([1, 1, 1, 1], [1.0, 2.0, 3.0, 4.0]) is None
    assert slope([0, 1, 2], [0.0, 1.0, 2.0]) is None
    random = np.random.default_rng(5)
    ps = [(slope(range(8), random.standard_normal(8).tolist()) or (0.0, 1.0))[1] for _ in range(1000)]
    assert 0.002 < np.mean(np.array(ps) < 0.01) < 0.02
    assert np.mean(np.array(ps) < 0.5) == pytest.approx(0.5, abs=0.06)


def test_a_mean_off_zero_is_found_and_noise_around_it_is_not() -> None:
    random = np.random.default_rng(6)
    ps = [(off_zero(random.standard_normal(6).tolist()) or (0.0, 1.0))[1] for _ in range(1000)]
    assert 0.002 < np.mean(np.array(ps) < 0.01) < 0.02
    assert (off_zero([1.0, 1.1, 0.9, 1.0]) or (0.0, 1.0))[1] < 0.001
    assert off_zero([0.0, 0.0, 0.0, 0.0]) == (0.0, 1.0)
    assert off_zero([1.0, 1.0, 1.0]) is None


def test_the_geometric_mean_of_rounds_has_the_mean_ratio() -> None:
    ours, theirs = [100.0, 110.0, 90.0], [50.0, 60.0, 45.0]
    logs = [math.log(b / a) for a, b in zip(ours, theirs, strict=True)]
    assert geometric_mean(theirs) / geometric_mean(ours) == pytest.approx(math.exp(np.mean(logs)))
