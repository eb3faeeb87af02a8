"""Users who wait between requests: what they are asked for, what is measured, and what decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from loadtests.measure.bench import Bench, Probe, UsersSetTheRate
from loadtests.measure.generator import GeneratorOptions, generator
from loadtests.measure.trials.slices import stints
from loadtests.measure.trials.turns import Turns, turns
from loadtests.measure.trials.underway import TrialTask, TrialUnderway
from loadtests.measure.validity import closed_faults
from loadtests.plan.building import build_plan
from loadtests.plan.request import TrialRequest
from loadtests.plan.settings import RunSettings
from loadtests.records import Cell, Fault, Load, Metric, ServerEnd
from loadtests.records.arrays import write_samples
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from loadtests.records.samples import Samples
from loadtests.records.trial import Resources
from loadtests.serving.server import Target
from loadtests.serving.services.workers import QueueWorkers
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from reports.advice.cards import Card
from reports.analysis.bottlenecks import ThinkTime
from reports.analysis.readings import Readings
from reports.analysis.rounds.think_time import UsersThink
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions, conclude
from reports.render.charts import forest, growth
from reports.wording.advice.cards import card_lines
from reports.wording.plans import NO_THINK, plan_text
from reports.wording.reservations import reservation_text
from reports.wording.sentences import sentence, warnings
from tests import scripted
from tests.conftest import APPS
from tests.scripted import Scripted
from tests.serving import loaded, read_samples, request


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Child, Mapping[str, Any]]]:
    """A generator with the users of `thinking_load.py`, and what it says of them."""
    options = GeneratorOptions(locustfile=str(APPS / "thinking_load.py"), canary=None)
    with generator(tmp_path_factory.mktemp("logs"), {}, options) as child:
        yield child, child.receive(OWN_BOOT)["scenarios"]


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that does nothing."""
    log = tmp_path_factory.mktemp("logs") / "null-server.log"
    with Child("the null server", ["-m", "loadtests.serving.null_server"], log, env=OUR_PACKAGES) as child:
        yield f"http://127.0.0.1:{child.receive(OWN_BOOT)['ready']}"


@pytest.mark.parametrize(
    ("scenario", "pause"),
    [
        ("Eager", 0.0), ("Person", 2.0), ("Paced", 2.0), ("Steps", 0.25), ("Short", 0.1), ("Moody", None),
        # The longest of a user's task sets.
        ("Visit", 0.5),
        # What a task does is seen under load only.
        ("Sleeper", 0.0),
    ],
)  # fmt: skip
def test_how_long_users_wait_is_known_before_load(
    users: tuple[Child, Mapping[str, Any]], scenario: str, pause: float | None
) -> None:
    told = users[1][scenario]
    assert told["thinks"] == (pause != 0.0)
    # The mean of 32 draws between 1 and 3 is off by 0.1, a standard error.
    assert told["pause"] == (None if pause is None else pytest.approx(pause, abs=0.45 if pause > 1 else 0.01))


@pytest.mark.parametrize(
    ("scenario", "pauses", "thinks", "most"),
    [
        ("Short", True, True, 40),
        # Calibrations and ceilings show what the server or the generator can do.
        ("Short", False, False, None),
        ("Paced", False, False, None),
        # No `wait_time` says so, but the users sleep, whatever is asked of them.
        ("Napper", True, True, 60),
        ("Napper", False, True, 60),
        ("Eager", True, False, None),
    ],
)
def test_users_wait_in_trials_and_not_in_calibrations_and_ceilings(
    users: tuple[Child, Mapping[str, Any]], nothing: str, tmp_path: Path, scenario: str, pauses: bool,
    thinks: bool, most: int | None,
) -> None:  # fmt: skip
    times = {"users": 4, "warmup": 0.1, "warmup_turns": 0, "window": 0.4, "window_turns": 0}
    facts = loaded(
        users[0], nothing, tmp_path / "s.npz", scenario=scenario, pauses=pauses, drain=1.0, **times
    )
    assert facts["thinks"] == thinks
    made = len(read_samples(tmp_path / "s.npz"))
    assert made <= most if most is not None else made > 60


@pytest.mark.parametrize("scenario", ["Steps", "Short"])
def test_users_who_wait_equally_long_load_the_server_evenly(
    users: tuple[Child, Mapping[str, Any]], nothing: str, tmp_path: Path, scenario: str
) -> None:
    """Locust takes the time until a user's first request for a part of its first task: with `constant_pacing`
    all of them would make the second one together, and all others."""
    pace = users[1][scenario]["pause"]
    times = {"users": 16, "turn": pace, "warmup": 2 * pace, "warmup_turns": 0, "window": 2 * pace}
    loaded(users[0], nothing, tmp_path / "s.npz", scenario=scenario, window_turns=0, drain=1.0, **times)
    start = read_samples(tmp_path / "s.npz").start
    later = start[(start >= 0.0) & (start < 2 * pace)]
    fifths, _ = np.histogram(later % pace, bins=5, range=(0.0, pace))
    assert fifths.max() < 0.6 * len(later), fifths


def test_the_time_of_a_task_is_part_of_a_paced_users_wait(
    users: tuple[Child, Mapping[str, Any]], tmp_path: Path
) -> None:
    bench = Bench(tmp_path, plan=scripted.plan())
    bench.scenarios = dict(users[1])
    assert [bench.pause(name, 0.1) for name in ("Steps", "Short", "Eager", "Moody")] == [
        pytest.approx(0.15, abs=0.01), pytest.approx(0.1, abs=0.01), 0.0, None,
    ]  # fmt: skip
    assert bench.pause("Steps", 1.0) == 0.0


def test_a_task_that_sleeps_at_the_end_is_no_request_without_an_answer(
    users: tuple[Child, Mapping[str, Any]], nothing: str, tmp_path: Path
) -> None:
    times = {"users": 2, "warmup": 0.1, "warmup_turns": 0, "window": 0.1, "window_turns": 0, "drain": 0.3}
    facts = loaded(users[0], nothing, tmp_path / "s.npz", scenario="Sleeper", **times)
    assert facts["errors"] == []
    assert len(read_samples(tmp_path / "s.npz")) == 2


@pytest.mark.parametrize(
    ("served", "pause", "expected"),
    [
        # Without think time, and where it is not known: the usual turns.
        (0.02, 0.0, Turns(0.02, 3, 5)),
        (0.02, None, Turns(0.02, 3, 5)),
        (0.0, 0.0, Turns(0.0, 3, 5)),
        # Two seconds of thinking: not 6 s of warm-up and 10 s of window.
        (0.02, 2.0, Turns(2.02, 1, 2)),
        # A server that keeps users waiting for longer than they think.
        (6.0, 2.0, Turns(8.0, 3, 4)),
    ],
)
def test_users_who_think_are_waited_for_in_fewer_turns(
    served: float, pause: float | None, expected: Turns
) -> None:
    assert turns(served, 20, pause) == expected


def test_few_users_who_think_get_a_window_in_which_a_median_has_its_requests() -> None:
    assert turns(0.02, 2, 0.2).window * 2 >= 25


def test_a_crowd_of_users_who_think_is_not_calibrated_and_their_pace_is_no_ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = scripted.plan(cells=[("Person", 20)])
    bench = Bench(tmp_path, plan=plan)
    bench.environment.scratch = tmp_path
    bench.scenarios = {"Person": {"thinks": True, "pause": 2.0}}
    asked: list[TrialRequest] = []

    def probe(request: TrialRequest, *_: object) -> Probe:
        asked.append(request)
        return Probe(0.0, 1.0, Samples.none(), Resources(generator_cpu=0.0), errors=(), lost=0, thinks=True)

    monkeypatch.setattr(bench, "probe", probe)
    server = SimpleNamespace(
        url="http://127.0.0.1:9",
        pulse=None,
        arm=plan.arms[0],
        heartbeats=lambda _: [],
        pid=None,
        routes=list,
        workers=QueueWorkers(),
    )
    found = bench.calibrations(cast(Target, server), plan)
    assert {(one.scenario, one.users) for one in found} == {("Person", 1)}
    assert not any(one.pauses for one in asked)
    assert all(not one.faults for one in found)
    with pytest.raises(UsersSetTheRate):
        bench.ceiling(request("http://127.0.0.1:9", tmp_path / "s.npz", scenario="Person"), 1)


def thinking(parent: Path, latencies: Mapping[str, float], requests: int = 60) -> tuple[Run, RunDirectory]:
    """A run whose 20 users think: the arms serve as many requests, however long each takes. Another scenario
    has users who do not."""
    plan = scripted.plan(arms=tuple(latencies), cells=[("Person", 20), ("Eager", 20)])

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        latency = latencies[arm] * (1.0 + 0.01 * (round % 2))
        return Scripted(requests=requests, latency=latency, endpoints=("home",))

    run, directory = scripted.run(parent, plan, script)
    trials = tuple(
        one.model_copy(update={"thinks": one.cell.scenario == "Person", "tail": 0.1}) for one in run.trials
    )
    run = run.model_copy(update={"trials": trials})
    directory.save(run)
    return run, directory


def concluded(parent: Path, latencies: Mapping[str, float], requests: int = 60) -> Conclusions:
    run, directory = thinking(parent, latencies, requests)
    return conclude(run, Readings(directory))


def person(found: Conclusions) -> tuple[Verdict, Card]:
    return found.primaries[0], found.cards[0]


@pytest.mark.parametrize(("requests", "metric"), [(60, "p50"), (4_000, "p99")])
def test_an_arm_that_is_ten_times_slower_is_slower_although_the_users_set_the_throughput(
    tmp_path: Path, requests: int, metric: Metric
) -> None:
    """It was `invalid`, and before that `equivalent`."""
    found = concluded(tmp_path, {"fast": 0.02, "slow": 0.21}, requests)
    verdict, card = person(found)
    assert (verdict.metric, verdict.verdict) == (metric, "slower")
    assert verdict.ratio == pytest.approx(10.5, rel=0.02)
    assert verdict.values["fast"] == pytest.approx(0.02, rel=0.02)
    assert verdict.values["slow"] == pytest.approx(0.21, rel=0.02)
    assert card.advice.name == "fast"
    served = next(one for one in found.whole if one.cell == verdict.cell and one.metric == "throughput")
    assert served.verdict == "equivalent"
    if metric == "p50":
        text = sentence(verdict, found.run.plan)
        assert "slow takes 10.5 times as long as fast (median response time)" in text
        assert "; throughput is set by the users' think time" in text
        # The secondary figures say so as well.
        assert any(isinstance(one, UsersThink) for one in served.reservations)
        (warning,) = (one for one in warnings(found.run, found.verdicts) if "think time" in one)
        assert "(of their time: 94% with fast, 37% with slow)" in warning
        assert "--rate" in warning


def test_a_server_that_ends_in_the_first_round_does_not_change_the_percentile_that_decides(
    tmp_path: Path,
) -> None:
    """Nor does an attempt that lost a load generator: their windows hold fewer requests than users make."""
    run, _ = thinking(tmp_path, {"fast": 0.02, "slow": 0.21}, 4_000)
    person = run.plan.cells[0]
    first = next(one for one in run.trials if (one.cell, one.arm, one.round) == (person, "slow", 0))
    short = first.model_copy(update={"arrays": scripted.NO_ARRAYS})
    others = [one for one in run.trials if one is not first]
    gone = short.model_copy(update={"ended": ServerEnd(during="start", code=1)})
    died = short.model_copy(update={"ended": ServerEnd(during="load", code=1)})
    lost = short.model_copy(update={"faults": (Fault(kind="generators-lost", value=1.0),)})
    for told in ([gone], [died], [lost], [lost, first]):
        assert run.model_copy(update={"trials": (*told, *others)}).primary(person) == "p99"
    # By trials that count, it is the fewest requests that decide.
    assert run.model_copy(update={"trials": (short, *others)}).primary(person) == "p50"


def test_that_users_set_the_throughput_is_said_once(tmp_path: Path) -> None:
    """Of an invalid cell, too, whose sentence has all reservations."""
    found = concluded(tmp_path, {"fast": 0.02, "slow": 0.21}, 60)
    verdict, _ = person(found)
    for one in (verdict, replace(verdict, verdict="invalid")):
        assert sentence(one, found.run.plan).count("throughput is set by the users' think time") == 1


def test_arms_with_the_same_slow_tail_are_not_equivalent_while_their_medians_differ(tmp_path: Path) -> None:
    """Neither are they by the percentile that decides alone."""
    run, directory = thinking(tmp_path, {"fast": 0.02, "slow": 0.21}, 4_000)
    files = {}
    for trial in run.trials:
        told = Scripted(requests=4_000, latency=0.02 if trial.arm == "fast" else 0.21)
        samples = scripted.samples(told)
        samples.end[::50] = samples.start[::50] + 0.8
        files[trial.number] = {"samples": write_samples(directory.path / trial.files.samples, samples)}
    run = scripted.with_files(run, directory, files)
    verdict, _ = person(conclude(run, Readings(directory)))
    assert (verdict.metric, verdict.verdict) == ("p99", "inconclusive")
    assert verdict.ratio == pytest.approx(1.0)
    assert reservation_text(verdict.reservations[0]).startswith(
        "equivalent by p99 response time, but not by median response time: ×10.5"
    )


def test_what_limits_users_who_think_is_their_think_time(tmp_path: Path) -> None:
    found = concluded(tmp_path, {"fast": 0.02, "slow": 0.03})
    _, card = person(found)
    for arm in ("fast", "slow"):
        (limit,) = card.limits[arm]
        assert limit.name == "users"
        assert isinstance(limit.evidence, ThinkTime)
    assert "20 users wait between requests for 94% of their time" in card_lines(card)[0]


def test_equal_arms_are_equivalent_by_their_response_times(tmp_path: Path) -> None:
    verdict, _ = person(concluded(tmp_path, {"a": 0.02, "b": 0.0201}))
    assert (verdict.metric, verdict.verdict) == ("p50", "equivalent")


def test_other_cells_of_the_run_are_decided_by_throughput_and_charts_tell_them_apart(tmp_path: Path) -> None:
    found = concluded(tmp_path, {"fast": 0.02, "slow": 0.21})
    assert {one.cell.scenario: one.metric for one in found.primaries} == {
        "Person": "p50", "Eager": "throughput",
    }  # fmt: skip
    drawn = forest.chart(found)
    assert drawn is not None
    assert drawn.finding.startswith("slow is ahead in 0, fast in 1")
    rows = growth.chart(found)
    assert rows is not None
    assert rows.stem == "response"
    assert {row[2] for row in rows.rows} == {"20.1 ms", "211 ms"}


def test_no_trial_is_lost_since_its_users_were_idle() -> None:
    """Twenty users with one request each in two seconds."""
    start: NDArray[np.float64] = np.linspace(0.0, 1.9, 20)
    none = np.zeros(20, dtype=np.uint16)
    samples = Samples(
        due=start, start=start, end=np.add(start, 0.02), size=none.astype(np.uint32), endpoint=none,
        status=none + np.uint16(200), error=none,
    )  # fmt: skip
    assert closed_faults(samples, 2.0, 20, thinks=True) == []
    assert [fault.kind for fault in closed_faults(samples, 2.0, 20)] == ["users-idle"]


def test_in_an_open_loop_arrivals_are_scheduled_and_no_think_time_counts(tmp_path: Path) -> None:
    run, directory = thinking(tmp_path, {"fast": 0.02, "slow": 0.21})
    cells = tuple(Cell(scenario="Person", load=Load(rate=rate, arrivals="poisson")) for rate in (20.0, 30.0))
    moved = dict(zip(run.plan.cells, cells, strict=True))
    trials = tuple(
        one.model_copy(update={"cell": moved[one.cell], "arrivals": 60, "dropped": 0, "thinks": True})
        for one in run.trials
    )
    plan = run.plan.model_copy(update={"cells": cells})
    found = conclude(run.model_copy(update={"plan": plan, "trials": trials}), Readings(directory))
    for verdict in found.primaries:
        assert (verdict.metric, verdict.verdict) == ("p50", "slower")
        assert verdict.ratio == pytest.approx(10.5, rel=0.02)
        assert not any(isinstance(one, UsersThink) for one in verdict.reservations)


def test_without_think_time_the_same_users_are_planned_and_loaded_as_users_who_do_not_wait(
    tmp_path: Path,
) -> None:
    """`--no-think`: of turns, refusals and requests to the generator nothing knows of a pause."""
    file = tmp_path / "load.py"
    file.write_text("")
    person = {"Person": {"thinks": True, "pause": 2.0, "plain": True}}
    own = {"scenarios": person, "ignored": ()}
    settings = RunSettings(locustfile=str(file), arm=("sync", "async"), users=(8,), no_think=True)
    plan = build_plan(settings, own)
    assert plan.locustfile is not None
    assert plan.locustfile.pauses == {}
    assert NO_THINK in plan_text(plan)
    bench = Bench(tmp_path, plan=plan)
    bench.scenarios = person
    task = TrialTask(1, plan.cells[0], plan.arms[0], round=0, place=0, attempt=1, turn=0.02)
    server: Any = SimpleNamespace(url="http://127.0.0.1:9", pulse=None)
    (stint,) = stints(plan.arms[:1], 0)
    asked = TrialUnderway(task, plan, bench, tmp_path, server).request(stint)
    assert not asked.pauses
    assert asked.turn == 0.02
    assert not bench.thinks("Person")
    waiting = plan.model_copy(update={"no_think": False})
    bench = Bench(tmp_path, plan=waiting)
    assert TrialUnderway(task, waiting, bench, tmp_path, server).request(stint).pauses
