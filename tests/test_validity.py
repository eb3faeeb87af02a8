"""What makes a trial not count, rule by rule; and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from loadtests.records import Samples, Vitals
from loadtests.validity import faults, idle_part

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
        start=starts,
        end=starts + wait,
        status=np.full(n, 200, dtype=np.uint16),
        size=np.zeros(n, dtype=np.uint32),
        error=np.zeros(n, dtype=np.uint16),
    )


def test_a_good_trial_counts() -> None:
    assert faults(Vitals(**GOOD), loop(8, 0.02, 0.0002), 1.0, 8) == ()


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
    (found,) = faults(Vitals(**{**GOOD, **fault}), loop(8, 0.02, 0.0), 1.0, 8)
    assert said in found


def test_what_a_platform_does_not_tell_is_no_fault() -> None:
    assert faults(Vitals(generator_cpu=0.1), loop(8, 0.02, 0.0), 1.0, 8) == ()


def test_lateness_is_judged_by_what_is_measured() -> None:
    """Six milliseconds spoil a request of 20 ms and not one of 100."""
    late = Vitals(**{**GOOD, "generator_lag": 0.006})
    assert faults(late, loop(8, 0.02, 0.0), 1.0, 8)
    assert not faults(late, loop(8, 0.1, 0.0), 1.0, 8)


def test_users_kept_from_asking_are_seen() -> None:
    (found,) = faults(Vitals(**GOOD), loop(8, 0.01, 0.001), 1.0, 8)
    assert "users spent 10% as long between requests" in found
    assert faults(Vitals(**GOOD), loop(8, 0.01, 0.0004), 1.0, 8) == ()


def test_a_user_starved_by_the_server_is_waiting_and_not_idle() -> None:
    """One request lasts the whole window and is never answered: the server's doing, and a result."""
    samples = loop(7, 0.02, 0.0)
    starved = Samples(
        endpoint=np.append(samples.endpoint, np.uint16(0)),
        start=np.append(samples.start, -0.2),
        end=np.append(samples.end, 5.0),
        status=np.append(samples.status, np.uint16(0)),
        size=np.append(samples.size, np.uint32(0)),
        error=np.append(samples.error, np.uint16(1)),
    )
    assert idle_part(starved, 1.0, 8) == pytest.approx(0.0, abs=1e-9)


def test_nothing_in_flight_has_no_idle_part() -> None:
    empty = Samples(*(np.zeros(0, dtype=kind) for kind in ("u2", "f8", "f8", "u2", "u4", "u2")))
    assert idle_part(empty, 1.0, 8) is None
