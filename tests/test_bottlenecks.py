"""What limits an arm: every rule on signs that are known, and on servers whose limit was put there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted import Planted, named, planted
from loadtests.records import Calibration, Cell, Load, Samples, Trial, Vitals, blamed
from loadtests.validity import faults
from reports.bottlenecks import (
    Bound,
    Known,
    Prediction,
    bottlenecks,
    bounds,
    of_trials,
    predicted,
)
from reports.signs import CANARY_PARTS, Canary, Signs
from reports.statistics import percentile
from tests.test_cli import TRIES

ONE = Calibration(arm="a", scenario="x", users=1, throughput=49.0, service_time=0.020, cpu=0.0005, hops=2.0)
FORTY = Calibration(arm="a", scenario="x", users=40, throughput=1900.0, service_time=0.021, cpu=0.0004)
IDLE = Calibration(arm="a", scenario="ping", users=1, throughput=3000.0, service_time=0.0003, lag=0.001)
KNOWN = Known(users=64, one=ONE, few=FORTY, idle=IDLE, workers=1, threads=40, cpus=1, ceiling=70_000.0)
CALM = Signs(
    trials=4, throughput=1000.0, latency=0.064, cores=0.5, cpu=0.0005, rss=1e8, threads=45, delay=None,
    canary=Canary(0.95, 0.002, 200), lag=0.001, loop_share=0.5, tokens=40.0, tokens_full=0.0, queued=0.0,
)  # fmt: skip


def names(signs: Signs, known: Known = KNOWN) -> list[str]:
    return [limit.name for limit in bottlenecks(signs, known, [])]


def test_nothing_is_named_where_nothing_is_confirmed() -> None:
    assert names(CALM) == []
    assert bottlenecks(None, KNOWN, []) == []


def test_users_limit_where_they_ask_for_no_more_and_the_server_has_time_left() -> None:
    asked = replace(CALM, throughput=3150.0)
    assert names(asked) == ["users"]
    assert names(replace(asked, throughput=2800.0)) == []
    assert names(replace(asked, cores=0.85)) == []


def test_thread_tokens_limit_where_all_are_taken_tasks_wait_and_the_rate_is_what_they_let_through() -> None:
    full = replace(CALM, throughput=1950.0, tokens_full=0.9, queued=20.0)
    assert names(full) == ["thread-tokens"]
    assert names(replace(full, tokens_full=0.7)) == []
    assert names(replace(full, queued=0.0)) == []
    assert names(replace(full, throughput=1200.0)) == []
    # Where the CPU has no time left, more threads would wait for it.
    assert names(replace(full, cores=0.97)) == ["cpu"]


def test_several_workers_have_their_tokens_each() -> None:
    full = replace(CALM, throughput=7_900.0, tokens=160.0, tokens_full=0.9, queued=20.0, cores=2.0)
    assert names(full, replace(KNOWN, workers=4, cpus=4)) == ["thread-tokens"]


@pytest.mark.parametrize(
    ("cores", "cpus", "workers", "expected"),
    [
        (0.95, 1, 1, ["cpu"]),
        (0.85, 1, 1, []),
        (0.95, 2, 1, ["gil"]),
        (1.85, 2, 1, ["cpu"]),
        (1.85, 2, 2, ["cpu"]),
        (1.90, 4, 2, ["gil"]),
        (1.50, 4, 2, []),
    ],
)
def test_one_process_that_computes_on_one_cpu_of_several_is_held_by_the_gil(
    cores: float, cpus: int, workers: int, expected: list[str]
) -> None:
    assert names(replace(CALM, cores=cores), replace(KNOWN, cpus=cpus, workers=workers)) == expected


def test_the_loop_is_to_blame_where_it_computes_or_is_blocked_and_others_wait() -> None:
    late = replace(CALM, lag=0.1, canary=Canary(0.95, 0.3, 200))
    assert names(replace(late, cores=1.0, loop_share=0.95)) == ["event-loop", "cpu"]
    # Blocked: late without computing.
    assert names(replace(late, cores=0.1, loop_share=0.9)) == ["event-loop"]
    # Under threads that compute the loop is late too, and is not to blame.
    assert names(replace(late, cores=1.0, loop_share=0.2)) == ["cpu"]
    # Many short turns queue for a CPU that has no time left: 0.18 s of them, none of which is long.
    crowd, many = replace(late, cores=1.0, loop_share=0.95), replace(KNOWN, users=256)
    assert names(replace(crowd, cpu=0.0007), many) == ["cpu"]
    assert names(replace(crowd, cpu=0.003), many) == ["event-loop", "cpu"]
    assert names(replace(crowd, cpu=0.0007, lag=0.3), many) == ["event-loop", "cpu"]
    # Of two loops each has half of them.
    halves = replace(many, workers=2, cpus=2)
    assert names(replace(crowd, cores=2.0, cpu=0.0007), halves) == ["event-loop", "cpu"]
    # Of an open loop as many are in flight as come while one is answered.
    assert names(replace(crowd, cpu=0.0007, latency=0.18), replace(KNOWN, users=None)) == ["cpu"]
    # Late by less than others would notice.
    assert names(replace(late, lag=0.009)) == []
    # Late, and nobody beside it waits.
    assert names(replace(late, canary=Canary(0.95, 0.002, 200))) == []
    # Where there is no canary, the heartbeat stands for the others.
    assert names(replace(late, canary=None)) == ["event-loop"]


def test_the_http_client_limits_where_the_service_was_in_time_and_calls_get_dearer() -> None:
    dear = replace(CALM, delay=0.020, latency=0.4, cpu=0.003, cores=1.0)
    assert names(dear) == ["http-client", "cpu"]
    assert names(replace(dear, cpu=0.0006)) == ["cpu"]
    # It shows among forty already.
    forty = FORTY.model_copy(update={"cpu": 0.0008})
    assert names(replace(dear, cpu=0.0006), replace(KNOWN, few=forty)) == ["http-client", "cpu"]
    assert names(replace(dear, latency=0.03)) == ["cpu"]
    assert names(replace(dear, delay=None)) == ["cpu"]


def test_the_lock_leads_the_pool_that_fills_up_behind_it() -> None:
    waiting = replace(CALM, pool=20.0, pool_full=0.95, pool_wait=0.040, lock_wait=0.010)
    assert names(waiting) == ["db-lock", "db-pool"]
    assert names(replace(waiting, lock_wait=0.001)) == ["db-pool"]
    assert names(replace(waiting, pool_full=0.5)) == ["db-lock"]
    # A write that takes half of a short request has waited for nobody.
    short = replace(CALM, latency=0.0015, pool_wait=0.0, lock_wait=0.0008)
    assert names(short) == []
    assert names(replace(waiting, lock_wait=None, pool=None, pool_full=None)) == []
    assert names(replace(waiting, cores=0.98)) == ["cpu"]


def test_every_bottleneck_carries_its_evidence() -> None:
    full = replace(CALM, throughput=1950.0, tokens_full=0.9, queued=20.0)
    (limit,) = bottlenecks(full, KNOWN, [])
    assert limit.evidence == (
        "all 40 threads were taken in 90% of the heartbeats, 20 tasks waited; "
        "40 threads ÷ 20.0 ms allow 2,000/s"
    )


def trial(*invalid: str, round: int = 0) -> Trial:
    return Trial(
        number=1, round=round, place=0, cell=Cell(scenario="ping", load=Load(users=1)), arm="a", began="",
        boot=0.1, warmup=0.1, window=1.0, drain=0.1, endpoints=(), vitals=Vitals(generator_cpu=0.95),
        invalid=invalid,
    )  # fmt: skip


def test_generator_and_host_lead_where_more_than_a_fifth_of_the_trials_is_lost_to_them() -> None:
    slow, busy = "the load generator used 95% of its core", "other processes used 0.80 CPUs"
    assert [limit.name for limit in of_trials([trial(), trial(busy, slow, round=1)])] == [
        "generator",
        "host",
    ]
    assert [limit.name for limit in of_trials([trial(busy), trial(round=1)])] == ["host"]
    assert of_trials([trial(busy), *(trial(round=round) for round in (1, 2, 3, 4))]) == []
    # A round that was measured again, and then counted, is not lost.
    assert of_trials([trial(busy), trial()]) == []
    assert next(limit.name for limit in bottlenecks(CALM, KNOWN, [trial(slow)])) == "generator"


def test_every_reason_for_which_a_trial_does_not_count_is_blamed_on_somebody() -> None:
    lost = trial().model_copy(
        update={
            "lost": 1,
            "vitals": Vitals(generator_cpu=0.95, generator_lag=0.5, host_steal=0.1, host_foreign=0.9),
        }
    )
    found = faults(lost, Samples.none())
    assert len(found) == 5
    assert [blamed(fault) for fault in found] == ["generator"] * 3 + ["host"] * 2


def test_the_tightest_bound_is_the_prediction() -> None:
    assert bounds(KNOWN) == [
        Bound("thread-tokens", 2000.0), Bound("cpu", 2500.0), Bound("users", 3200.0),
        Bound("generator", 70_000.0),
    ]  # fmt: skip
    assert predicted(KNOWN) == Bound("thread-tokens", 2000.0)
    assert predicted(replace(KNOWN, users=8)) == Bound("users", 400.0)
    # Two processes compute on two CPUs; no thread is taken by a coroutine.
    more = replace(KNOWN, cpus=4, workers=2, one=ONE.model_copy(update={"hops": 0.0}))
    assert predicted(more) == Bound("users", 3200.0)
    assert Bound("gil", 5000.0) in bounds(more)


def test_nothing_is_predicted_where_the_few_were_held_back_by_something_unknown() -> None:
    held = FORTY.model_copy(update={"throughput": 500.0})
    assert predicted(replace(KNOWN, few=held)) is None
    assert predicted(replace(KNOWN, one=None, few=None, ceiling=None)) is None


def test_a_prediction_says_by_how_much_it_is_too_high() -> None:
    cell = Cell(scenario="x", load=Load(users=64))
    assert Prediction(cell, "a", Bound("cpu", 1100.0), 1000.0).error == pytest.approx(0.1)


REAL = [
    one
    for one in planted()
    if one.what.startswith(("5 thread tokens", "a handler that computes, async", "SQLite held"))
]


@pytest.mark.parametrize("one", REAL, ids=[one.what for one in REAL])
def test_a_bottleneck_that_was_put_there_is_named_first(one: Planted, tmp_path: Path) -> None:
    """Once each; `make bars-long` does it five times, and with the client and the generator."""
    for seed in range(TRIES):
        run, found = named(one, seed, tmp_path)
        # Too noisy just now: a neighbour's noise passes.
        if not any(blamed(fault) == "host" for fault in run.trials[-1].invalid):
            break
    assert not run.trials[-1].invalid, run.trials[-1].invalid
    assert found, "nothing was named"
    assert found[0][0] in one.names, found


def test_percentiles_of_the_canary_are_not_stated_beyond_its_samples() -> None:
    """Ten samples beyond it, as for every percentile."""
    for n, farthest in ((1000, 0.99), (200, 0.95), (100, 0.90), (20, 0.50)):
        times = np.sort(np.linspace(0.1, 1.0, n))
        assert next(part for part in CANARY_PARTS if percentile(times, part) is not None) == farthest
