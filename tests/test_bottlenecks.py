"""What limits an arm: every rule with known signs, and with servers whose limit is planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.planted import Planted, named, planted
from loadtests.plan.plan import CalibrationTimes
from loadtests.records import Cell, Load
from loadtests.records.faults import Fault, FaultKind
from loadtests.records.run import Calibration
from loadtests.records.trial import Resources, Trial
from reports.analysis.bottlenecks import bottlenecks, of_trials
from reports.analysis.bounds import Bound, Known, Prediction, bounds, known, predicted
from reports.analysis.cores import OneCore
from reports.analysis.readings import Readings
from reports.analysis.rounds.holders import Holder, holders
from reports.analysis.signs import CANARY_PARTS, CanaryTimes, Signs
from reports.analysis.statistics import percentile
from reports.conclusions import conclude
from reports.wording.bottlenecks import evidence_text
from reports.wording.cpus import placement_rows, servers_text
from reports.wording.sentences import sentence
from tests import scripted
from tests.commands import TRIES
from tests.scripted import MACHINE, NO_ARRAYS, Scripted

ONE = Calibration(arm="a", scenario="x", users=1, throughput=49.0, service_time=0.020, cpu=0.0005, hops=2.0)
FORTY = Calibration(arm="a", scenario="x", users=40, throughput=1900.0, service_time=0.021, cpu=0.0004)
IDLE = Calibration(arm="a", scenario="ping", users=1, throughput=3000.0, service_time=0.0003, lag=0.001)
KNOWN = Known(users=64, one=ONE, few=FORTY, idle=IDLE, workers=1, threads=40, cpus=1, ceiling=70_000.0)
CALM = Signs(
    trials=4, throughput=1000.0, latency=0.064, cores=0.5, cpu=0.0005, rss=1e8, threads=45, delay=None,
    canary=CanaryTimes(0.95, 0.002, 200), lag=0.001, loop_share=0.5, tokens=40.0, tokens_full=0.0, queued=0.0,
)  # fmt: skip


def names(signs: Signs, known: Known = KNOWN) -> list[str]:
    return [limit.name for limit in bottlenecks(signs, known, [])]


def test_without_confirmed_signs_no_bottleneck_is_identified() -> None:
    assert names(CALM) == []
    assert bottlenecks(None, KNOWN, []) == []


def test_users_are_the_limit_when_the_server_has_time_left() -> None:
    asked = replace(CALM, throughput=3150.0)
    assert names(asked) == ["users"]
    assert names(replace(asked, throughput=2800.0)) == []
    assert names(replace(asked, cores=0.85)) == []


def test_thread_tokens_are_the_limit_when_all_are_taken_and_tasks_wait() -> None:
    full = replace(CALM, throughput=1950.0, tokens_full=0.9, queued=20.0)
    assert names(full) == ["thread-tokens"]
    assert names(replace(full, tokens_full=0.7)) == []
    assert names(replace(full, queued=0.0)) == []
    assert names(replace(full, throughput=1200.0)) == []
    # With a saturated CPU, more threads would only wait for it.
    assert names(replace(full, cores=0.97)) == ["cpu"]


def test_each_worker_has_its_own_tokens() -> None:
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
def test_one_process_computing_on_one_of_several_cpus_is_limited_by_the_gil(
    cores: float, cpus: int, workers: int, expected: list[str]
) -> None:
    assert names(replace(CALM, cores=cores), replace(KNOWN, cpus=cpus, workers=workers)) == expected


def test_the_loop_is_the_limit_when_it_computes_or_is_blocked_and_others_wait() -> None:
    late = replace(CALM, lag=0.1, canary=CanaryTimes(0.95, 0.3, 200))
    assert names(replace(late, cores=1.0, loop_share=0.95)) == ["event-loop", "cpu"]
    # Blocked: late without computing.
    assert names(replace(late, cores=0.1, loop_share=0.9)) == ["event-loop"]
    # With computing threads the loop is late too, but is not the bottleneck.
    assert names(replace(late, cores=1.0, loop_share=0.2)) == ["cpu"]
    # Many short iterations queue for a saturated CPU: 0.18 s in total, none of them long.
    crowd, many = replace(late, cores=1.0, loop_share=0.95), replace(KNOWN, users=256)
    assert names(replace(crowd, cpu=0.0007), many) == ["cpu"]
    assert names(replace(crowd, cpu=0.003), many) == ["event-loop", "cpu"]
    assert names(replace(crowd, cpu=0.0007, lag=0.3), many) == ["event-loop", "cpu"]
    # Each of two loops has half of them.
    halves = replace(many, workers=2, cpus=2)
    assert names(replace(crowd, cores=2.0, cpu=0.0007), halves) == ["event-loop", "cpu"]
    # In an open loop, those in flight are the arrivals within one response time.
    assert names(replace(crowd, cpu=0.0007, latency=0.18), replace(KNOWN, users=None)) == ["cpu"]
    # Too little lateness for other requests to notice.
    assert names(replace(late, lag=0.009)) == []
    # Late, but other requests do not wait.
    assert names(replace(late, canary=CanaryTimes(0.95, 0.002, 200))) == []
    # Without a canary, the heartbeat stands for other requests.
    assert names(replace(late, canary=None)) == ["event-loop"]


@pytest.mark.parametrize(
    ("cores", "loop_share", "workers", "expected"),
    [
        # Threads compute, in an open loop for a part of the time: the loop waits for the GIL.
        (0.8, 0.1, 1, []),
        (0.4, 0.1, 1, []),
        (1.6, 0.1, 2, []),
        # What others use is too little to keep a loop waiting, or less than what the loop's thread uses.
        (0.1, 0.1, 1, ["event-loop"]),
        (0.3, 0.1, 2, ["event-loop"]),
        (0.8, 0.6, 1, ["event-loop"]),
        # Nothing tells whose CPU time it is.
        (0.8, None, 1, []),
    ],
)
def test_a_late_loop_is_no_limit_where_other_threads_compute_at_any_use_of_the_cpu(
    cores: float, loop_share: float | None, workers: int, expected: list[str]
) -> None:
    late = replace(CALM, lag=0.016, canary=CanaryTimes(0.95, 0.03, 200), cores=cores, loop_share=loop_share)
    assert names(late, replace(KNOWN, workers=workers, cpus=2)) == expected


@pytest.mark.parametrize(
    ("cores", "loop_share", "lines", "doing"),
    [
        (0.8, 0.95, None, "computing"),
        (0.1, 0.95, None, "blocked"),
        # Half idle: the line that holds the loop tells what it does when it is late.
        (0.4, 0.95, True, "computing"),
        (0.4, 0.95, False, "blocked"),
    ],
)
def test_a_loop_that_computes_is_not_called_blocked_although_its_cpu_has_time_left(
    cores: float, loop_share: float, lines: bool | None, doing: str
) -> None:
    holder = Holder("/a.py", "a.py", 1, "spin", own=True, route=None, routes=1, part=0.4, looks=40,
                    computes=lines)  # fmt: skip
    late = replace(CALM, lag=0.016, canary=None, cores=cores, loop_share=loop_share)
    late = replace(late, holders=(holder,) if lines is not None else ())
    (limit,) = bottlenecks(late, KNOWN, [])
    assert limit.name == "event-loop"
    assert evidence_text(limit.evidence).startswith(f"its event loop is {doing} and runs")


def test_an_external_servers_processes_are_not_known_and_all_cpus_are_its_own() -> None:
    """One of four workers on eight CPUs was judged as one process on the CPUs that our own servers have."""
    outside = replace(KNOWN, workers=None, cpus=8)
    assert names(replace(CALM, cores=1.0), outside) == []
    assert names(replace(CALM, cores=2.0), outside) == []
    assert names(replace(CALM, cores=7.5), outside) == ["cpu"]
    # Even a single process has time left.
    assert names(replace(CALM, cores=0.5, throughput=3150.0), outside) == ["users"]
    assert names(replace(CALM, cores=1.0, throughput=3150.0), outside) == []


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9000"])
def test_only_of_servers_that_we_start_a_report_says_where_they_ran(tmp_path: Path, url: str | None) -> None:
    plan = scripted.plan(cells=[("hash", 64)])
    arms = tuple(arm.model_copy(update={"app": url or arm.app}) for arm in plan.arms)
    busy = Scripted(server_cpu=0.95, endpoints=("hash",))
    run, directory = scripted.run(tmp_path, plan.model_copy(update={"arms": arms}), lambda *_: busy)
    machine = MACHINE.model_copy(update={"cores": 8})
    found = conclude(run.model_copy(update={"machine": machine}), Readings(directory))
    told = known(found.run, plan.cells[0], "sync")
    (verdict,) = found.primaries
    texts = (sentence(verdict, plan), servers_text(found.run), *map(str, placement_rows(found.run)))
    ours, said = url is None, " ".join(texts)
    assert (told.cpus, told.workers) == ((1, 1) if ours else (8, None))
    assert [one.name for one in found.explanations.of(plan.cells[0], "sync")[1]] == (["cpu"] if ours else [])
    assert ("server on" in said, OneCore() in verdict.reservations) == (ours, ours)


def test_the_http_client_is_the_limit_when_the_service_is_on_time_and_calls_cost_more() -> None:
    dear = replace(CALM, delay=0.020, latency=0.4, cpu=0.003, cores=1.0)
    assert names(dear) == ["http-client", "cpu"]
    assert names(replace(dear, cpu=0.0006)) == ["cpu"]
    # It shows at 40 users already.
    forty = FORTY.model_copy(update={"cpu": 0.0008})
    assert names(replace(dear, cpu=0.0006), replace(KNOWN, few=forty)) == ["http-client", "cpu"]
    assert names(replace(dear, latency=0.03)) == ["cpu"]
    assert names(replace(dear, delay=None)) == ["cpu"]


BLOCKED = replace(CALM, lag=0.15, late=0.08, cores=0.08, loop_share=0.9, canary=CanaryTimes(0.5, 0.235, 20))
FEW = replace(KNOWN, users=16, one=ONE.model_copy(update={"service_time": 0.0105, "hops": 0.0}), few=None)
POOLED = replace(CALM, pool=15.0, pool_full=0.97, pool_wait=0.33, cores=0.15, throughput=148.0, latency=0.43)

REPORTED = {
    # github.com/ultracookies/ai-algorithm-visualiser: Socket.IO around an app that sleeps on the loop.
    "a loop that sleeps below a wrapper": (replace(BLOCKED, throughput=98.0), FEW, ["event-loop"]),
    "a wrapper that computes on the loop": (
        replace(BLOCKED, throughput=120.0, cores=0.98, cpu=0.0082), FEW, ["event-loop", "cpu"],
    ),
    # Litestar's threads are asyncio's own, six on two CPUs: AnyIO's tokens are free, and no limit.
    "threads of the framework's own": (replace(CALM, throughput=593.0, latency=0.054, cores=0.3), FEW, []),
    "a pool of four threads of the app's own": (replace(CALM, throughput=396.0, latency=0.04), FEW, []),
    "a handler of an unknown framework that sleeps": (replace(BLOCKED, throughput=97.0), FEW, ["event-loop"]),
    # iflytek/astron-agent 813: 7 ms of every request in the middleware.
    "middleware that blocks": (
        replace(BLOCKED, throughput=138.0, lag=0.09, canary=CanaryTimes(0.5, 0.11, 20)), FEW, ["event-loop"],
    ),
    "a handler of errors that blocks for one request in ten": (
        replace(BLOCKED, throughput=900.0, lag=0.03, canary=CanaryTimes(0.5, 0.031, 40)), FEW, ["event-loop"],
    ),
    # unslothai/unsloth 6465: a coroutine iterates a generator that blocks, 50 ms per request.
    "a stream of words that blocks": (
        replace(BLOCKED, throughput=19.6, lag=0.6, canary=CanaryTimes(0.5, 0.7, 9)), FEW, ["event-loop"],
    ),
    # fastapi 2302: a thread for every piece; the loop's own part of the work is small.
    "a stream of 500 thread hops": (
        replace(CALM, throughput=52.0, cores=0.96, cpu=0.018, lag=0.02, loop_share=0.4),
        replace(FEW, cpus=2), ["gil"],
    ),
    # mem0ai/mem0 6236: the login's session keeps its connection for the whole request.
    "connections held for the whole request": (POOLED, KNOWN, ["db-pool"]),
    "connections held by requests that wait for a thread": (
        replace(POOLED, throughput=2.0, tokens_full=0.99, queued=9.0), KNOWN, ["db-pool"],
    ),
    "connections held, and a busy CPU": (replace(POOLED, cores=0.97), KNOWN, ["cpu"]),
}  # fmt: skip
"""Signs of apps from public reports, and of others like them; the figures follow from what each does."""


@pytest.mark.parametrize(("shown", "known", "limits"), REPORTED.values(), ids=REPORTED)
def test_the_limit_of_an_app_from_a_public_report_is_named(
    shown: Signs, known: Known, limits: list[str]
) -> None:
    assert names(shown, known) == limits


def test_a_lock_is_named_before_the_pool_that_fills_up_because_of_it() -> None:
    waiting = replace(CALM, pool=20.0, pool_full=0.95, pool_wait=0.040, lock_wait=0.010)
    assert names(waiting) == ["db-lock", "db-pool"]
    assert names(replace(waiting, lock_wait=0.001)) == ["db-pool"]
    assert names(replace(waiting, pool_full=0.5)) == ["db-lock"]
    # A write that takes half of a short request has not waited for a lock.
    short = replace(CALM, latency=0.0015, pool_wait=0.0, lock_wait=0.0008)
    assert names(short) == []
    assert names(replace(waiting, lock_wait=None, pool=None, pool_full=None)) == []
    assert names(replace(waiting, cores=0.98)) == ["cpu"]


def test_every_bottleneck_carries_its_evidence() -> None:
    full = replace(CALM, throughput=1950.0, tokens_full=0.9, queued=20.0)
    (limit,) = bottlenecks(full, KNOWN, [])
    assert evidence_text(limit.evidence) == (
        "all 40 threads were taken in 90% of the heartbeats, with 20 tasks waiting; "
        "40 threads ÷ 20.0 ms allow 2,000/s"
    )


def trial(*kinds: FaultKind, round: int = 0) -> Trial:
    return Trial(
        number=1, round=round, place=0, cell=Cell(scenario="ping", load=Load(users=1)), arm="a", began="",
        boot=0.1, warmup=0.1, window=1.0, drain=0.1, endpoints=(), resources=Resources(generator_cpu=0.95),
        arrays=NO_ARRAYS, faults=tuple(Fault(kind=kind, value=0.9, limit=0.8) for kind in kinds),
    )  # fmt: skip


def test_generator_and_host_are_named_first_when_they_cost_over_a_fifth_of_the_trials() -> None:
    slow: FaultKind = "generator-busy"
    busy: FaultKind = "foreign-work"
    assert [limit.name for limit in of_trials([trial(), trial(busy, slow, round=1)])] == [
        "generator",
        "host",
    ]
    assert [limit.name for limit in of_trials([trial(busy), trial(round=1)])] == ["host"]
    assert of_trials([trial(busy), *(trial(round=round) for round in (1, 2, 3, 4))]) == []
    # A round that was repeated and then counted is not lost.
    assert of_trials([trial(busy), trial()]) == []
    assert next(limit.name for limit in bottlenecks(CALM, KNOWN, [trial(slow)])) == "generator"


def test_faults_of_neither_generator_nor_host_are_no_bottleneck() -> None:
    assert of_trials([trial("excess-in-flight")]) == []


def test_the_tightest_bound_is_the_prediction() -> None:
    assert bounds(KNOWN) == [
        Bound("thread-tokens", 2000.0), Bound("cpu", 2500.0), Bound("users", 3200.0),
        Bound("generator", 70_000.0),
    ]  # fmt: skip
    assert predicted(KNOWN) == Bound("thread-tokens", 2000.0)
    assert predicted(replace(KNOWN, users=8)) == Bound("users", 400.0)
    # Two processes compute on two CPUs; a coroutine takes no thread.
    more = replace(KNOWN, cpus=4, workers=2, one=ONE.model_copy(update={"hops": 0.0}))
    assert predicted(more) == Bound("users", 3200.0)
    assert Bound("gil", 5000.0) in bounds(more)


def test_nothing_is_predicted_when_an_unknown_limit_slowed_few_users() -> None:
    held = FORTY.model_copy(update={"throughput": 500.0})
    assert predicted(replace(KNOWN, few=held)) is None
    assert predicted(replace(KNOWN, one=None, few=None, ceiling=None)) is None


def test_nothing_is_predicted_from_one_user_alone(tmp_path: Path) -> None:
    """A short run calibrates with one user, which does not show what a request costs among others."""
    plan = scripted.plan(cells=[("x", 64), ("y", 64)])
    run, _ = scripted.run(tmp_path, plan, lambda *_: Scripted())
    one, forty = (each.model_copy(update={"arm": "sync"}) for each in (ONE, FORTY))
    other = forty.model_copy(update={"scenario": "y"})
    for calibrations, few in (((one,), None), ((one, other), None), ((one, forty, other), forty)):
        told = known(run.model_copy(update={"calibrations": calibrations}), plan.cells[0], "sync")
        assert told.few == few
        assert (predicted(told) is None) == (few is None)


def test_a_prediction_says_by_how_much_it_is_too_high() -> None:
    cell = Cell(scenario="x", load=Load(users=64))
    assert Prediction(cell, "a", Bound("cpu", 1100.0), 1000.0).error == pytest.approx(0.1)


REAL = [
    # Sixteen users wait for five threads and for one lock as 64 do, and take a quarter of the time.
    replace(one, users=16)
    for one in planted()
    if one.what.startswith(("5 thread tokens", "a handler that computes, async", "SQLite held"))
]

CALIBRATION = CalibrationTimes(warmup=0.1, window=0.2, turns=1, ceiling=0.1)
"""Half of what users wait for: here it only bounds what is predicted."""


@pytest.mark.alone
@pytest.mark.parametrize("one", REAL, ids=[one.what for one in REAL])
def test_a_planted_bottleneck_is_named_first(one: Planted, tmp_path: Path) -> None:
    """Once each; `make bars-long` does it five times, and also with the client and the generator."""
    for seed in range(TRIES):
        run, found = named(one, seed, tmp_path, CALIBRATION)
        # Too noisy at the moment: noise from neighbours is transient.
        if not any(fault.blamed == "host" for fault in run.trials[-1].faults):
            break
    assert run.trials[-1].valid, run.trials[-1].faults
    assert found, "nothing was named"
    assert found[0][0] in one.names, found
    if one.names == ["event-loop"]:
        assert holders(run.trials[-1:])[0].what == "spin"


def test_percentiles_of_the_canary_are_limited_by_its_samples() -> None:
    """It needs ten samples beyond it, like every percentile."""
    for n, farthest in ((1000, 0.99), (200, 0.95), (100, 0.90), (20, 0.50)):
        times = np.sort(np.linspace(0.1, 1.0, n))
        assert next(part for part in CANARY_PARTS if percentile(times, part) is not None) == farthest
