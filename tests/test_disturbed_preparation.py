"""Calibrations and ceilings that something disturbed: taken again, not trusted, and said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loadtests.measure import validity
from loadtests.measure.bench import Bench, Probe
from loadtests.measure.calibration import refusals
from loadtests.measure.validity import MOST_ATTEMPTS, calibration_faults, ceiling_faults
from loadtests.plan.request import TrialRequest
from loadtests.records import Calibration, Fault
from loadtests.records.samples import Samples
from loadtests.records.trial import Resources
from loadtests.serving.server import Target
from loadtests.serving.services.workers import QueueWorkers
from reports.advice.caveats import PreparationDisturbed, caveats
from reports.wording.advice.caveats import caveat_text
from tests import scripted
from tests.scripted import Scripted
from tests.test_transient import STEAL, ceiling
from tests.test_validity import loop


def probed(users: int, **changes: Any) -> Probe:
    """A closed loop of one second in which nothing was disturbed except for the `changes`; the generator uses
    a tenth of its core."""
    resources = {"generator_cpu": 0.1, "generator_lag": 0.0, "host_steal": 0.0, "host_foreign": 0.0}
    thinks = changes.pop("thinks", False)
    lost = changes.pop("lost", 0)
    idle = changes.pop("idle", 0.0)
    return Probe(
        opened=0.0, window=1.0, samples=loop(users, 0.01, idle), errors=(), lost=lost, thinks=thinks,
        resources=Resources(**{**resources, **changes}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "of_calibration", "of_ceiling"),
    [
        ({"generator_cpu": 0.9}, {"generator-busy"}, set()),
        ({"generator_cpu": 0.7}, set(), {"generator-idle"}),
        ({"generator_cpu": 0.7, "thinks": True}, set(), set()),
        ({"generator_cpu": 0.9, "host_steal": 0.03}, {"generator-busy", "steal"}, {"steal"}),
        ({"host_foreign": 0.2}, {"foreign-work"}, {"foreign-work", "generator-idle"}),
        ({"generator_lag": 0.02}, {"generator-late"}, {"generator-idle"}),
        ({"idle": 0.002}, {"users-idle"}, {"generator-idle"}),
        ({"lost": 1}, {"generators-lost"}, {"generators-lost", "generator-idle"}),
        ({"generator_cpu": 0.8}, set(), set()),
    ],
)
def test_calibrations_and_ceilings_are_checked_like_trials(
    changes: dict[str, Any], of_calibration: set[str], of_ceiling: set[str]
) -> None:
    """Against a server that does nothing the generator must be busy, against any other it must not."""
    probe = probed(64, **changes)
    assert {fault.kind for fault in calibration_faults(probe, probe.samples, 64)} == of_calibration
    assert {fault.kind for fault in ceiling_faults(probe, probe.samples, 64)} == of_ceiling


def test_few_users_need_not_keep_the_generator_busy() -> None:
    probe = probed(4)
    assert ceiling_faults(probe, probe.samples, 4) == ()


@pytest.mark.parametrize(
    ("steals", "attempts"), [([0.0], 1), ([0.1, 0.0], 2), ([0.1, 0.1, 0.0], 3), ([0.1] * 9, MOST_ATTEMPTS)]
)
def test_a_disturbed_calibration_is_taken_again_and_every_attempt_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steals: list[float], attempts: int
) -> None:
    plan = scripted.plan()
    bench = Bench(tmp_path, plan=plan)
    bench.environment.scratch = tmp_path
    for users in (1, 40):
        told = iter(steals)

        def probe(request: TrialRequest, *_: object, told: Iterator[float] = told) -> Probe:
            resources = Resources(generator_cpu=0.0, host_steal=next(told))
            return Probe(0.0, request.window, Samples.none(), resources, errors=(), lost=0, thinks=False)

        monkeypatch.setattr(bench, "probe", probe)
        server = cast(
            Target,
            SimpleNamespace(
                pid=None,
                url="http://a",
                pulse=None,
                arm=plan.arms[0],
                heartbeats=lambda _: [],
                workers=QueueWorkers(),
            ),
        )
        measure = lambda: bench.calibration(server, "ping", users, 1, None)  # noqa: B023, E731  # called at once
        found = validity.until_undisturbed(measure)
        assert [bool(one.faults) for one in found] == [steal > 0.0 for steal in steals[:attempts]]


def calibrations(faults: tuple[Fault, ...]) -> tuple[Calibration, ...]:
    """One user and forty are served 49 times per second: 256 need 26 s."""
    made = {"arm": "async", "scenario": "blocking", "throughput": 49.0}
    return (
        Calibration(users=1, service_time=0.02, **made),  # type: ignore[arg-type]  # of one type per field
        Calibration(users=40, service_time=0.8, faults=faults, **made),  # type: ignore[arg-type]
    )


def test_a_disturbed_calibration_refuses_no_cell() -> None:
    """In a gate, it would have been a regression without a single round."""
    plan = scripted.plan(cells=[("blocking", 256)])
    assert refusals(plan, calibrations(()))
    assert refusals(plan, calibrations((STEAL,))) == {}


def test_the_last_attempt_of_a_calibration_is_used(tmp_path: Path) -> None:
    run, _ = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(), rounds=0)
    sound = calibrations(())[1].model_copy(update={"throughput": 99.0})
    run = run.model_copy(update={"calibrations": (*calibrations((STEAL,)), sound)})
    assert run.calibration("async", "blocking", 40) == sound
    assert not any(isinstance(one, PreparationDisturbed) for one in caveats(run, []))


def test_what_was_disturbed_in_every_attempt_before_the_rounds_is_said(tmp_path: Path) -> None:
    run, _ = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(), rounds=0)
    facts = {"calibrations": calibrations((STEAL,)), "ceilings": (ceiling(1.0, True), ceiling(2.0, True))}
    (found,) = (
        one for one in caveats(run.model_copy(update=facts), []) if isinstance(one, PreparationDisturbed)
    )
    assert found == PreparationDisturbed(1, ("ping",), (STEAL,))
    assert caveat_text(found) == (
        "disturbed before the rounds in every attempt: 1 calibration (predicted throughputs may be off) and "
        "the generator's maximum rate in ping (may be too low): other guests took 10.0% of this host's CPU "
        "time (limit 2%): use a quieter machine"
    )
