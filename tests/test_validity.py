"""What makes a trial not count, rule by rule; and what does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from loadtests.records import Cell, Load, Samples, Trial, Vitals
from loadtests.validity import IDLE, faults, idle_part

GOOD: dict[str, Any] = {
    "generator_cpu": 0.5,
    "generator_lag": 0.001,
    "host_steal": 0.0,
    "host_foreign": 0.02,
    "server_cpu": 1.0,
}


def loop(users: int, wait: float, think: float, window: float = 1.0) -> Samples:
    """Users who wait `wait` seconds, do nothing for `think`, and ask again, from before the window on."""
    starts = np.concatenate(
        [np.arange(-0.5 - user * 0.01, window + wait, wait + think) for user in range(users)]
    )
    n = len(starts)
    return Samples(
        endpoint=np.zeros(n, dtype=np.uint16),
        due=starts,
        start=starts,
        end=starts + wait,
        status=np.full(n, 200, dtype=np.uint16),
        size=np.zeros(n, dtype=np.uint32),
        error=np.zeros(n, dtype=np.uint16),
    )


def judged(vitals: Vitals, samples: Samples, load: Load, **changes: Any) -> tuple[str, ...]:
    """The faults of a trial of one second."""
    facts: dict[str, Any] = {
        "number": 1, "round": 0, "place": 0, "cell": Cell(scenario="ping", load=load), "arm": "sync",
        "began": "2026-01-01T00:00:00+00:00", "boot": 0.5, "warmup": 0.5, "window": 1.0, "drain": 0.1,
        "endpoints": ("ping",), "vitals": vitals,
    }  # fmt: skip
    ceiling = changes.pop("ceiling", None)
    return faults(Trial(**{**facts, **changes}), samples, ceiling)


def test_a_good_trial_counts() -> None:
    assert judged(Vitals(**GOOD), loop(8, 0.02, 0.0002), Load(users=8)) == ()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"generator_cpu": 0.81}, "81% of its core"),
        ({"generator_lag": 0.0061}, "6.1 ms late"),
        ({"host_steal": 0.021}, "2.1% of this host's CPU time"),
        ({"host_foreign": 0.16}, "0.16 CPUs"),
    ],
)
def test_a_fault_of_the_measurement_is_named_with_its_figure(fault: dict[str, float], said: str) -> None:
    (found,) = judged(Vitals(**{**GOOD, **fault}), loop(8, 0.02, 0.0), Load(users=8))
    assert said in found


def test_what_a_platform_does_not_tell_is_no_fault() -> None:
    assert judged(Vitals(generator_cpu=0.1), loop(8, 0.02, 0.0), Load(users=8)) == ()


def test_lateness_is_judged_by_what_is_measured() -> None:
    """Six milliseconds spoil a request of 20 ms and not one of 100."""
    late = Vitals(**{**GOOD, "generator_lag": 0.006})
    assert judged(late, loop(8, 0.02, 0.0), Load(users=8))
    assert not judged(late, loop(8, 0.1, 0.0), Load(users=8))


def test_users_kept_from_asking_are_seen() -> None:
    (found,) = judged(Vitals(**GOOD), loop(8, 0.01, 0.0013), Load(users=8))
    assert "users spent 13% as long between requests" in found
    assert judged(Vitals(**GOOD), loop(8, 0.01, 0.0009), Load(users=8)) == ()


@pytest.mark.parametrize("faster", [1.0, 1.1, 2.0])
def test_what_users_may_idle_hides_a_tenth_of_an_effect_at_most_and_makes_none(faster: float) -> None:
    quick = 0.001
    idle = IDLE * quick
    seen = math.log((faster * quick + idle) / (quick + idle))
    assert (1.0 - IDLE) * math.log(faster) <= seen <= math.log(faster)


def test_a_user_starved_by_the_server_is_waiting_and_not_idle() -> None:
    """One request lasts the whole window and is never answered: the server's doing, and a result."""
    samples = loop(7, 0.02, 0.0)
    starved = Samples(
        endpoint=np.append(samples.endpoint, np.uint16(0)),
        due=np.append(samples.due, -0.2),
        start=np.append(samples.start, -0.2),
        end=np.append(samples.end, 5.0),
        status=np.append(samples.status, np.uint16(0)),
        size=np.append(samples.size, np.uint32(0)),
        error=np.append(samples.error, np.uint16(1)),
    )
    assert idle_part(starved, 1.0, 8) == pytest.approx(0.0, abs=1e-9)


def test_nothing_in_flight_has_no_idle_part() -> None:
    empty = Samples(*(np.zeros(0, dtype=kind) for kind in ("u2", "f8", "f8", "f8", "u2", "u4", "u2")))
    assert idle_part(empty, 1.0, 8) is None


def test_more_waiting_than_the_users_can_do_is_a_fault_of_ours() -> None:
    (found,) = judged(Vitals(**GOOD), loop(9, 0.02, 0.0), Load(users=8))
    assert "more waiting than 8 users can do" in found


def test_a_rate_near_the_generators_own_best_cannot_be_told_from_it() -> None:
    samples = loop(8, 0.02, 0.0)
    (found,) = judged(Vitals(**GOOD), samples, Load(users=8), ceiling=500.0)
    assert "more than 70% of the 500" in found
    assert judged(Vitals(**GOOD), samples, Load(users=8), ceiling=600.0) == ()


RATE = Load(rate=1000.0, arrivals="constant")


def arrivals(late: float = 0.0, service: float = 0.005, made: int = 1000) -> Samples:
    """A thousand requests a second, each made `late` seconds after it was due; the first `made` of them."""
    due = np.arange(made) / 1000.0
    return Samples(
        endpoint=np.zeros(made, dtype=np.uint16),
        due=due,
        start=due + late,
        end=due + late + service,
        status=np.full(made, 200, dtype=np.uint16),
        size=np.zeros(made, dtype=np.uint32),
        error=np.zeros(made, dtype=np.uint16),
    )


def open_faults(samples: Samples, dropped: int = 0) -> tuple[str, ...]:
    return judged(Vitals(**GOOD), samples, RATE, arrivals=1000, dropped=dropped)


def test_a_schedule_that_was_kept_is_no_fault() -> None:
    assert open_faults(arrivals(late=0.0019)) == ()


def test_a_schedule_that_was_not_kept_is_one_unless_it_is_small_beside_what_is_measured() -> None:
    (found,) = open_faults(arrivals(late=0.0021))
    assert "2.1 ms late or more (more than 2.0 ms)" in found
    assert open_faults(arrivals(late=0.0021, service=0.03)) == ()


def test_arrivals_that_were_not_made_are_a_fault_and_those_the_server_left_no_user_for_are_not() -> None:
    unsent, rate = open_faults(arrivals(made=980))
    assert "20 of 1000 arrivals were not made" in unsent
    assert "980.0 requests a second were made where 1,000.0 were due" in rate
    assert open_faults(arrivals(made=980), dropped=20) == ()
