"""What invalidates a trial, rule by rule, and what does not."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from loadtests.measure.validity import IDLE, faults, idle_part
from loadtests.records import Cell, Fault, FaultKind, Load
from loadtests.records.faults import Blamed
from loadtests.records.samples import Samples, joined
from loadtests.records.trial import Resources, Trial
from tests.scripted import NO_ARRAYS

GOOD: dict[str, Any] = {
    "generator_cpu": 0.5,
    "generator_lag": 0.001,
    "host_steal": 0.0,
    "host_foreign": 0.02,
    "server_cpu": 1.0,
}


def loop(users: int, wait: float, think: float, window: float = 1.0) -> Samples:
    """Users that wait `wait` seconds for a response and idle for `think`, starting before the window."""
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


def judged(resources: Resources, samples: Samples, load: Load, **changes: Any) -> tuple[Fault, ...]:
    """The faults of a trial of one second."""
    facts: dict[str, Any] = {
        "number": 1, "round": 0, "place": 0, "cell": Cell(scenario="ping", load=load), "arm": "sync",
        "began": "2026-01-01T00:00:00+00:00", "boot": 0.5, "warmup": 0.5, "window": 1.0, "drain": 0.1,
        "endpoints": ("ping",), "resources": resources, "arrays": NO_ARRAYS,
    }  # fmt: skip
    ceiling = changes.pop("ceiling", None)
    return faults(Trial(**{**facts, **changes}), samples, ceiling)


def test_a_good_trial_counts() -> None:
    assert judged(Resources(**GOOD), loop(8, 0.02, 0.0002), Load(users=8)) == ()


@pytest.mark.parametrize(
    ("seen", "kind", "limit"),
    [
        ({"generator_cpu": 0.81}, "generator-busy", 0.80),
        ({"generator_lag": 0.0061}, "generator-late", 0.005),
        ({"host_steal": 0.021}, "steal", 0.02),
        ({"host_foreign": 0.16}, "foreign-work", 0.15),
    ],
)
def test_a_fault_of_the_measurement_is_named_with_its_value_and_its_limit(
    seen: dict[str, float], kind: FaultKind, limit: float
) -> None:
    (found,) = judged(Resources(**{**GOOD, **seen}), loop(8, 0.02, 0.0), Load(users=8))
    assert found == Fault(kind=kind, value=next(iter(seen.values())), limit=limit)


def test_processes_of_ours_that_ended_are_a_fault_and_those_of_the_subject_are_not() -> None:
    """tests/test_subject.py has the subject's side."""
    (lost,) = judged(Resources(**GOOD), loop(8, 0.02, 0.0), Load(users=8), lost=2)
    assert (lost.kind, lost.value, lost.blamed) == ("generators-lost", 2.0, "generator")


def test_a_socket_that_this_machine_does_not_give_is_no_failure_of_the_server() -> None:
    samples = loop(8, 0.02, 0.0)
    samples.error[:5] = 2
    samples.status[:5] = 0
    errors = ("ConnectionRefusedError: [Errno 111] ECONNREFUSED", "OSError: [Errno 24] Too many open files")
    assert kinds_of(judged(Resources(**GOOD), samples, Load(users=8), errors=errors)) == {"no-sockets": 5.0}
    assert judged(Resources(**GOOD), samples, Load(users=8), errors=errors[::-1]) == ()


def test_a_server_that_lacks_sockets_of_its_own_and_says_so_fails() -> None:
    """A locustfile may fail a response with its text. Such an arm was `invalid`, and never failing."""
    samples = loop(8, 0.02, 0.0)
    samples.error[:5], samples.status[:5] = 1, 500
    errors = ("CatchResponseError: [Errno 24] Too many open files: 'price.json'",)
    assert judged(Resources(**GOOD), samples, Load(users=8), errors=errors) == ()


def kinds_of(found: tuple[Fault, ...]) -> dict[FaultKind, float]:
    return {fault.kind: fault.value for fault in found}


def test_every_kind_of_fault_blames_one_party() -> None:
    blamed = {kind: Fault(kind=kind, value=1.0).blamed for kind in get_args(FaultKind)}
    hosts = {kind for kind, party in blamed.items() if party == "host"}
    assert hosts == {"steal", "foreign-work"}
    assert {kind for kind, party in blamed.items() if party == "duel"} == {"excess-in-flight"}
    assert set(blamed.values()) == set(get_args(Blamed))


def test_values_missing_on_a_platform_are_no_fault() -> None:
    assert judged(Resources(generator_cpu=0.1), loop(8, 0.02, 0.0), Load(users=8)) == ()


def test_lateness_is_judged_by_what_is_measured() -> None:
    """6 ms of lateness matter for requests of 20 ms, not for those of 100 ms."""
    late = Resources(**{**GOOD, "generator_lag": 0.006})
    assert judged(late, loop(8, 0.02, 0.0), Load(users=8))
    assert not judged(late, loop(8, 0.1, 0.0), Load(users=8))


def test_users_prevented_from_sending_are_detected() -> None:
    (found,) = judged(Resources(**GOOD), loop(8, 0.01, 0.0013), Load(users=8))
    assert (found.kind, found.limit) == ("users-idle", IDLE)
    assert found.value == pytest.approx(0.13, abs=0.005)
    assert judged(Resources(**GOOD), loop(8, 0.01, 0.0009), Load(users=8)) == ()


@pytest.mark.parametrize("faster", [1.0, 1.1, 2.0])
def test_the_allowed_idle_time_hides_at_most_a_tenth_of_an_effect_and_creates_none(faster: float) -> None:
    quick = 0.001
    idle = IDLE * quick
    seen = math.log((faster * quick + idle) / (quick + idle))
    assert (1.0 - IDLE) * math.log(faster) <= seen <= math.log(faster)


def test_a_user_starved_by_the_server_is_waiting_and_not_idle() -> None:
    """One request lasts the whole window without a response: caused by the server, so it is a result."""
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


def test_without_requests_in_flight_there_is_no_idle_fraction() -> None:
    empty = Samples(*(np.zeros(0, dtype=kind) for kind in ("u2", "f8", "f8", "f8", "u2", "u4", "u2")))
    assert idle_part(empty, 1.0, 8) is None


def test_more_waiting_than_the_users_can_do_is_a_bug_in_duel() -> None:
    (found,) = judged(Resources(**GOOD), loop(9, 0.02, 0.0), Load(users=8))
    assert (found.kind, found.whole, found.blamed) == ("excess-in-flight", 8.0, "duel")


def test_a_rate_near_the_generators_own_maximum_is_a_fault() -> None:
    samples = loop(8, 0.02, 0.0)
    (found,) = judged(Resources(**GOOD), samples, Load(users=8), ceiling=500.0)
    assert (found.kind, found.limit, found.whole) == ("near-ceiling", 350.0, 500.0)
    assert judged(Resources(**GOOD), samples, Load(users=8), ceiling=600.0) == ()


RATE = Load(rate=1000.0, arrivals="constant")


def arrivals(late: float = 0.0001, service: float = 0.005, made: int = 1000) -> Samples:
    """1,000 requests per second, each made `late` seconds after it was due; only the first `made` of them."""
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


def open_faults(samples: Samples, dropped: int = 0) -> tuple[Fault, ...]:
    return judged(Resources(**GOOD), samples, RATE, arrivals=1000, dropped=dropped)


def test_a_schedule_that_was_kept_is_no_fault() -> None:
    assert open_faults(arrivals(late=0.0019)) == ()


def test_a_late_schedule_is_a_fault_unless_small_compared_to_the_latency() -> None:
    (found,) = open_faults(arrivals(late=0.0021))
    assert (found.kind, found.limit) == ("arrivals-late", 0.002)
    assert found.value == pytest.approx(0.0021)
    assert open_faults(arrivals(late=0.0021, service=0.03)) == ()


def test_what_an_arrival_requests_after_its_first_request_is_on_no_schedule() -> None:
    """A second request hides no arrival that is missing, and is not one too many."""

    def followed(first: Samples) -> Samples:
        second = replace(first, due=first.end, start=first.end, end=first.end + 0.005)
        return joined([(first, ["a"], []), (second, ["b"], [])])[0]

    assert open_faults(followed(arrivals())) == ()
    unsent, _ = open_faults(followed(arrivals(made=980)))
    assert (unsent.kind, unsent.value) == ("arrivals-missing", 20.0)


def test_missing_arrivals_are_a_fault_and_those_dropped_for_lack_of_a_free_user_are_not() -> None:
    unsent, rate = open_faults(arrivals(made=980))
    assert (unsent.kind, unsent.value, unsent.whole) == ("arrivals-missing", 20.0, 1000.0)
    assert (rate.kind, rate.value, rate.limit, rate.whole) == ("rate-off", 980.0, 10.0, 1000.0)
    assert open_faults(arrivals(made=980), dropped=20) == ()
