"""Before its rounds, a run measures what it needs to know, and nothing else."""

from __future__ import annotations

from loadtests.measure.calibration import calibrated, ceilings_needed, crowd, expected_turn
from loadtests.plan.plan import Plan
from loadtests.records.run import Calibration
from tests import scripted

FEW, SHORT, LONG = (40,), 180.0, 3600.0


def plan(cells: list[tuple[str, int]], max_time: float | None = SHORT, canary: str | None = None) -> Plan:
    return scripted.plan(cells=cells).model_copy(update={"max_time": max_time, "canary": canary})


def alone(
    service_time: float | None,
    scenario: str = "ping",
    arm: str = "sync",
    cpu: float | None = None,
    generator: float | None = None,
) -> Calibration:
    return Calibration(
        arm=arm, scenario=scenario, users=1, throughput=1.0, service_time=service_time, cpu=cpu,
        generator=generator,
    )  # fmt: skip


def test_a_crowd_calibrates_what_may_not_fit_the_longest_window() -> None:
    """Where 64 users were served one after another, five requests of each take 320 service times."""
    short = plan([("ping", 64)])
    assert crowd(short, "ping", alone(0.030), thinks=False) == ()
    assert crowd(short, "ping", alone(0.032), thinks=False) == FEW
    # One user got no answer: a crowd may show why.
    assert crowd(short, "ping", alone(None), thinks=False) == FEW


def test_a_crowd_calibrates_curves_and_whatever_a_long_run_has() -> None:
    curve = plan([("ping", 1), ("ping", 64)])
    assert crowd(curve, "ping", alone(0.001), thinks=False) == FEW
    for max_time in (LONG, None):
        assert crowd(plan([("ping", 64)], max_time), "ping", alone(0.001), thinks=False) == FEW
        assert crowd(plan([("ping", 64)], max_time), "ping", alone(0.001), thinks=True) == ()


def test_the_canary_is_calibrated_with_one_user_and_once() -> None:
    """A scenario of ours that asks for the same path shows the same."""
    assert calibrated(plan([("mixed", 64)], canary="/ping")) == ["canary", "mixed"]
    assert calibrated(plan([("mixed", 64), ("ping", 64)], canary="/ping")) == ["mixed", "ping"]
    assert calibrated(plan([("ping", 64)])) == ["ping"]
    assert crowd(plan([("mixed", 64)], LONG, "/ping"), "canary", alone(0.001, "canary"), thinks=False) == ()


def test_the_generators_best_rate_is_measured_where_it_may_be_near() -> None:
    """A request of 0.1 ms of the generator's CPU: 2,500 in a second are a quarter of a core."""
    cells = plan([("ping", 64), ("python", 64), ("upstream", 64)])

    def needed(ping: float, python: float, upstream: float, generator: float | None = 1e-4) -> set[str]:
        costs = {"ping": (0.0002, ping), "python": (0.0002, python), "upstream": (upstream, 0.0)}
        known = [
            alone(service, scenario, arm, cpu, generator)
            for scenario, (service, cpu) in costs.items()
            for arm in ("sync", "async")
        ]
        return set(ceilings_needed(cells, known))

    # The server's CPU limits `ping` and `python`, the users limit `upstream`.
    assert needed(ping=0.00030, python=0.002, upstream=0.050) == {"ping"}
    assert needed(ping=0.00050, python=0.002, upstream=0.020) == {"upstream"}
    assert needed(0.00050, 0.002, 0.050) == set()
    # Without its cost, whatever may be must be known.
    assert needed(0.00050, 0.002, 0.050, generator=None) == {"ping", "python", "upstream"}


def test_a_turn_is_a_request_alone_or_the_cpu_time_of_all_where_no_crowd_was_seen() -> None:
    (cell,) = plan([("ping", 64)]).cells
    assert expected_turn(cell, "sync", [alone(0.050, cpu=0.0001)]) == 0.050
    assert expected_turn(cell, "sync", [alone(0.002, cpu=0.0015)]) == 64 * 0.0015
