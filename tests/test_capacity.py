"""`duel capacity`: which rates are tried, what a search finds on simulated queues, and on a real gate."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from loadtests.errors import PlanError
from loadtests.measure.capacity import search as searching
from loadtests.measure.capacity.planning import capacity_plan
from loadtests.measure.capacity.rates import Bracket, bracket, in_turns, made, on_grid, scouted
from loadtests.measure.capacity.search import Search, search
from loadtests.measure.known_answers.apps import GATE
from loadtests.measure.opening import Opened
from loadtests.measure.runs import begin, limited
from loadtests.measure.trials.underway import TrialTask
from loadtests.plan.base.commit import BaseCommit
from loadtests.plan.capacity.target import CapacityGoal, target
from loadtests.plan.settings import RunSettings
from loadtests.records.answers import AnswerCheck, AnswerDifference
from loadtests.records.arrays import write_samples
from loadtests.records.directory import RunDirectory
from loadtests.records.faults import Fault
from loadtests.records.run import Run
from loadtests.records.samples import Samples
from loadtests.records.trial import Resources, ServerEnd, Trial, TrialArrays, TrialFiles
from reports.analysis.capacity.searches import CapacityRatio
from reports.analysis.readings import Readings
from reports.analysis.statistics import Interval
from reports.capacities import Capacities, find, locating, outcomes_of_searches
from reports.conclusions import conclude
from reports.render.capacity.directory import markdown_of_searches, show_searches, write_searches
from reports.render.capacity.progress import SearchLines
from reports.wording.capacity import search_headline, search_lines, search_text
from reports.wording.sentences import judged_value
from tests import scripted
from tests.queues import arrivals, carried, gated

Waiting = Callable[[float, int], tuple[np.ndarray, np.ndarray]]
"""Rate and seed → due times in a window of two seconds and response times."""

Ends = Callable[[TrialTask], ServerEnd | None]
"""How the server of a slice ends."""


@pytest.fixture(scope="module")
def truth() -> float:
    """What the gate carries."""
    return carried(0.01)


def queue(gate: float) -> Waiting:
    def slice(rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        moments = arrivals(rate, 2.5, np.random.default_rng(seed))
        counted = moments >= 0.5
        return moments[counted] - 0.5, gated(moments, gate)[counted]

    return slice


def recorded(
    task: TrialTask, waiting: Waiting, directory: Path, faults: tuple[Fault, ...] = (),
    ended: ServerEnd | None = None,
) -> Trial:  # fmt: skip
    """A slice as if it had been measured."""
    due, took = waiting(task.cell.load.level, task.number)
    if ended is not None and ended.during == "start":
        due, took = due[:0], took[:0]
    n = len(due)
    samples = Samples(
        due=due, start=due, end=due + took, size=np.full(n, 17, np.uint32), status=np.full(n, 200, np.uint16),
        endpoint=np.zeros(n, np.uint16), error=np.zeros(n, np.uint16),
    )  # fmt: skip
    file = write_samples(directory / TrialFiles.of(task.number).samples, samples)
    return Trial(
        number=task.number, round=task.round, place=task.place, attempt=task.attempt, cell=task.cell,
        arm=task.arm.name, began="2026-01-01T00:00:00+00:00", boot=0.5, warmup=0.5, window=2.0, drain=0.1,
        endpoints=("ping",), arrivals=n, dropped=0, resources=Resources(generator_cpu=0.1),
        arrays=TrialArrays(samples=file), faults=faults, ended=ended,
    )  # fmt: skip


class Simulated:
    """Searches whose slices are simulated: by arm, how long its requests take."""

    def __init__(self, patch: pytest.MonkeyPatch, parent: Path) -> None:
        self.patch, self.parent = patch, parent
        self.notes = io.StringIO()

    def found(
        self, arms: Mapping[str, Waiting], most: float = 2_000.0, foreign: float = 0.0,
        ends: Ends = lambda _: None, **settings: Any,
    ) -> Capacities:  # fmt: skip
        """`most`: arrivals per second that the generator makes; `foreign`: CPUs that other processes use."""
        run, directory = self.run(arms, **settings)

        def loaded(of: Search, _: object, task: TrialTask, __: str) -> Trial:
            beyond = task.cell.load.level > most
            faults = [Fault(kind="generator-busy", value=0.9, limit=0.8)] if beyond else []
            faults += [Fault(kind="foreign-work", value=foreign, limit=0.15)] if foreign else []
            return recorded(task, arms[task.arm.name], of.directory.path, tuple(faults), ends(task))

        facts = SimpleNamespace(facts=dict)
        bench: Any = SimpleNamespace(apart=None, environment=facts)

        @contextmanager
        def opened(run: Run, *_: object) -> Iterator[Opened]:
            yield Opened(run, bench, 0.0)

        self.patch.setattr(searching, "opened", opened)
        self.patch.setattr(Search, "servers", lambda *_: nullcontext())
        self.patch.setattr(Search, "loaded", loaded)
        self.patch.setattr(Search, "first", lambda *_: 40.0)
        self.patch.setattr("time.perf_counter", lambda: 0.0)
        self.directory = directory
        return find(self.resumed(run), Readings(directory))

    def resumed(self, run: Run) -> Run:
        """A run of the same arms, measured on."""
        watcher = SearchLines(Console(file=self.notes, width=200), run, self.directory)
        return search(run, self.directory, locating(run, self.directory), watcher)

    def run(self, arms: Mapping[str, Waiting], **settings: Any) -> tuple[Run, RunDirectory]:
        texts = tuple(f"{name}=sync_app.main:create_app" for name in arms)
        chosen = RunSettings(scenario=("ping",), arm=texts, seed=1, **settings)
        plan = capacity_plan(chosen, {"target": "p(99)<100", "precision": None, "highest": None})
        return begin(plan, self.parent)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulated:
    return Simulated(monkeypatch, tmp_path)


def test_scouting_goes_up_from_below_and_stops_at_the_first_miss() -> None:
    shares: dict[float, float] = {}
    while (rate := scouted(shares, [], 0.01, 100.0, 10_000.0)) is not None:
        shares[rate] = 0.4 if rate > 350.0 else 0.0
    assert sorted(shares) == list(shares)
    assert [share > 0.0 for share in shares.values()] == [False, False, False, True]
    found = bracket(shares, 0.01, 10_000.0)
    assert found.held is not None
    assert found.missed is not None
    assert 200.0 < found.held <= 350.0 < found.missed < 500.0


def test_scouting_ends_where_no_rate_holds_and_where_the_generator_ends() -> None:
    missed: dict[float, float] = {}
    while (rate := scouted(missed, [], 0.01, 100.0, 10_000.0)) is not None:
        missed[rate] = 1.0
    assert 1 < len(missed) < 6
    held: dict[float, float] = {}
    while (rate := scouted(held, [], 0.01, 100.0, 500.0)) is not None:
        held[rate] = 0.0
    assert max(held) == 500.0
    assert bracket(held, 0.01, 500.0).missed is None


def test_scouting_ends_where_the_generator_is_late_at_whatever_rate() -> None:
    """It halved the rate a thousand times."""
    beyond: list[float] = []
    while (rate := scouted({}, beyond, 0.01, 100.0, made({}, beyond) or 10_000.0)) is not None:
        beyond.append(rate)
    assert 1 < len(beyond) < 6
    assert scouted({400.0: 0.0}, [800.0, 600.0], 0.01, 100.0, 400.0) is None
    assert made({400.0: 0.0}, [800.0, 600.0]) == 400.0


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_a_round_that_was_interrupted_is_measured_again_whole(simulated: Simulated, kept: int) -> None:
    """The slices that were left counted as measured, and one arm had a round that the other had not."""
    done = simulated.found({"one": queue(GATE), "other": queue(GATE)}).run
    before = [trial for trial in done.trials if trial.round < 3]
    third = [trial for trial in done.trials if trial.round == 3]
    cut = done.model_copy(update={"trials": (*before, *third[:kept]), "complete": False})
    resumed = simulated.resumed(cut)
    again = [trial for trial in resumed.trials[len(cut.trials) :] if trial.round == 3]
    asked = [(trial.arm, trial.cell.load.level) for trial in third]
    assert [(trial.arm, trial.cell.load.level) for trial in again] == asked
    assert max(trial.round for trial in resumed.trials) >= 4


def test_a_round_that_is_complete_is_not_measured_again(simulated: Simulated) -> None:
    done = simulated.found({"one": queue(GATE), "other": queue(GATE)}).run
    cut = done.model_copy(update={"trials": tuple(one for one in done.trials if one.round < 4)})
    later = simulated.resumed(cut).trials[len(cut.trials) :]
    assert later[0].round == 4


def test_the_rates_of_a_round_close_in_on_the_crossing_and_are_the_same_for_arms_close_together() -> None:
    found = Bracket(100.0, 160.0, 1_000.0)
    first, later = found.rates(127.0, 1), found.rates(127.0, 5)
    assert len(first) == len(later) == 3
    assert first[0] < later[0] < 127.0 < later[2] < first[2]
    assert found.rates(127.0, 5) == found.rates(127.5, 5)
    assert Bracket(100.0, None, 110.0).rates(130.0, 2)[-1] == 110.0
    assert Bracket(None, 2.0, 110.0).rates(0.5, 2)[0] == 2.0


def test_arms_take_turns_in_both_orders_and_overloads_come_last() -> None:
    rates = {"a": (1.0, 2.0, 3.0), "b": (10.0, 20.0, 30.0)}
    steps = in_turns(rates, ["a", "b"])
    assert steps == [("a", 2.0), ("b", 20.0), ("b", 10.0), ("a", 1.0), ("a", 3.0), ("b", 30.0)]
    assert in_turns({"a": (5.0,), "b": ()}, ["a", "b"]) == [("a", 5.0)]


def test_a_search_finds_what_two_gates_carry_and_says_so_everywhere(
    simulated: Simulated, truth: float, tmp_path: Path
) -> None:
    found = simulated.found({"one": queue(GATE), "two": queue(2.0 * GATE)})
    one, two = found.searches
    assert (one.word, two.word) == ("found", "found")
    assert one.rate == pytest.approx(truth, rel=0.08)
    (ratio,) = found.ratios
    assert ratio.interval is not None
    assert ratio.interval.low < 2.15 < ratio.interval.high
    assert all(seen.interval is not None and seen.interval.half_width <= 0.1 for seen in found.searches)
    assert outcomes_of_searches(found) == set()
    write_searches(found)
    report = found.readings.directory.report
    data = json.loads((report / "summary.json").read_text())
    assert [seen["rate"] for seen in data["searches"]] == [one.rate, two.rate]
    with (tmp_path / "shown").open("w") as file:
        show_searches(Console(file=file, width=200), found)
    for text in ((tmp_path / "shown").read_text(), (report / "report.html").read_text()):
        assert f"two carries {two.rate:.0f}/s" in text
    assert "one carries" in (report / "report.md").read_text()
    assert "p(99)&lt;100" in (report / "capacity-light.svg").read_text()
    notes = simulated.notes.getvalue()
    assert "scouting ping: one at" in notes
    assert "round 4: one" in notes


def test_a_target_that_nothing_meets_and_one_that_the_generator_cannot_reach_are_said_so(
    simulated: Simulated,
) -> None:
    def slow(rate: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        due, took = queue(1e6)(rate, seed)
        return due, took + 0.5

    found = simulated.found({"slow": slow, "fast": queue(1e6)}, most=1_000.0)
    slow_arm, fast = found.searches
    assert (slow_arm.word, fast.word) == ("never", "beyond")
    assert fast.rate is not None
    assert 500.0 < fast.rate <= 1_000.0
    assert found.ratios[0].ratio is None
    assert max(trial.cell.load.level for trial in found.run.trials) < 2_000.0


def test_a_busy_machine_measures_nothing_and_says_so(simulated: Simulated) -> None:
    found = simulated.found({"one": queue(GATE)}, foreign=1.5, thresholds={"capacity": ("rate>1",)})
    (one,) = found.searches
    assert (one.word, one.interval) == ("invalid", None)
    assert "12 of 12 slices do not count: other processes used" in search_lines(found, "ping")[0]
    assert outcomes_of_searches(found) == {"invalid", "inconclusive"}
    (judgement,) = found.judgements
    assert judged_value(judgement) == "not measured: too many slices were disturbed"
    assert max(trial.round for trial in found.run.trials) == 4


def test_thresholds_on_capacities_are_judged_on_the_interval_and_others_are_left_to_other_runs(
    simulated: Simulated,
) -> None:
    table = {
        "capacity{arm:one}": ("rate>=100", "rate>=400"),
        "capacity{scenario:ping}": ("rate<100",),
        "http_req_failed": ("rate<0.01",),
    }
    found = simulated.found({"one": queue(GATE)}, thresholds=table)
    words = [one.word for one in found.judgements]
    assert words == ["met", "missed", "missed"]
    assert "missed" in outcomes_of_searches(found)


def test_a_run_of_searches_has_no_verdicts_and_resumes_where_it_was_left(simulated: Simulated) -> None:
    found = simulated.found({"one": queue(GATE)})
    with pytest.raises(Exception, match="has no verdicts"):
        conclude(found.run, found.readings)
    directory = found.readings.directory
    half = found.run.model_copy(update={"trials": found.run.trials[:6], "complete": False})
    again = search(half, directory, locating(half, directory))
    assert again.trials[:6] == half.trials
    assert again.complete
    assert find(again, Readings(directory)).searches[0].word == "found"


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.95, 1.05, "pass"), (0.6, 0.8, "regression"), (0.8, 1.1, "inconclusive")],
)
def test_a_gate_asks_whether_a_head_carries_less_by_more_than_the_margin(
    simulated: Simulated, low: float, high: float, outcome: str
) -> None:
    run, directory = simulated.run({"base": queue(GATE), "head": queue(GATE)})
    gate = run.model_copy(update={"plan": run.plan.model_copy(update={"gate": True})})
    ratio = CapacityRatio("ping", "head", "base", 1.0, Interval(1.0, low, high, 4))
    found = replace(find(run, Readings(directory)), run=gate, ratios=(ratio,), searches=())
    assert found.outcome(ratio) == outcome
    assert outcomes_of_searches(found) == {outcome}
    assert replace(found, run=run).outcome(ratio) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no target"),
        ({"target": "p99"}, "cannot read"),
        ({"target": "p(99)<50", "precision": 2}, "precision"),
        ({"target": "p(99)<50", "highest": "many"}, "not a number"),
    ],
)
def test_a_search_that_cannot_be_planned_is_one_error(given: Mapping[str, Any], says: str) -> None:
    with pytest.raises(PlanError, match=says):
        capacity_plan(RunSettings(scenario=("ping",), capacity=dict(given)), {})


def answering_apart(run: Run) -> Run:
    """The run, as if one arm had answered an error with status 200."""
    difference = AnswerDifference(
        kind="shape", scenario="ping", endpoint="ping", request="GET /ping", reference="one", arm="two",
        reference_has=("pong: text",), arm_has=("error: text",),
    )  # fmt: skip
    check = AnswerCheck(requests=8, endpoints=("ping: ping",), differences=(difference,))
    return run.model_copy(update={"answers": check})


def test_an_arm_that_answers_something_else_carries_no_multiple_of_the_other(simulated: Simulated) -> None:
    """A quick error with status 200 carries more of nothing."""
    alike = simulated.found({"one": queue(GATE), "two": queue(2.0 * GATE)})
    run = answering_apart(alike.run)
    found = find(run, alike.readings)
    (ratio,) = found.ratios
    assert (ratio.ratio, ratio.bounds, ratio.different) == (None, (None, None), True)
    assert outcomes_of_searches(found) == {"different"}
    assert "×" not in search_headline(found, "ping")
    assert markdown_of_searches(found).startswith("> **The arms answer differently")
    write_searches(found)
    report = found.readings.directory.report
    assert "The arms answer differently" in (report / "report.html").read_text()
    accepted = find(run.accepting("differ"), alike.readings)
    assert accepted.ratios == alike.ratios
    assert "which --answers differ accepts" in markdown_of_searches(accepted)


def test_a_gate_on_rates_says_that_the_head_answers_something_else_and_judges_it(
    simulated: Simulated,
) -> None:
    alike = simulated.found({"one": queue(GATE), "two": queue(2.0 * GATE)})
    run = answering_apart(alike.run)
    gate = run.model_copy(update={"plan": run.plan.model_copy(update={"gate": True})})
    found = find(gate, alike.readings)
    assert outcomes_of_searches(found) == {"pass"}
    assert markdown_of_searches(found).startswith("> **Base and head answer differently, as a change may:**")


def test_what_the_base_lacks_and_what_is_not_judged_are_said_before_and_after_a_search(
    simulated: Simulated,
) -> None:
    run, directory = simulated.run({"base": queue(GATE), "head": queue(GATE)})
    base = BaseCommit(commit="0" * 40, repository="/shop", head="1" * 12, untracked=("shop/.env",))
    told = {"base": base, "thresholds": {"http_req_failed": ("rate<0.01",)}}
    plan = run.plan.model_copy(update=told)
    found = find(run.model_copy(update={"plan": plan}), Readings(directory))
    for text in (search_text(plan), markdown_of_searches(found).replace("\\", "")):
        assert "git does not track shop/.env" in text
        assert "not judged, since this run does not measure it: http_req_failed" in text


@given(st.floats(0.01, 1e6), st.floats(0.01, 1e6))
def test_no_rate_is_above_the_highest_one(rate: float, most: float) -> None:
    """1,088 was rounded to 1,090, which the run's own record did not allow."""
    assert on_grid(rate, most) <= most
    assert on_grid(rate, 1e9) == pytest.approx(rate, rel=0.02)


def test_a_resumed_search_has_the_limit_that_it_is_given() -> None:
    goal = CapacityGoal(target=target("p(99)<50"), seconds=180.0)
    plan = scripted.plan().model_copy(update={"capacity": goal})
    more, kept = limited(plan, 600.0, proved=False), limited(plan, None, proved=False)
    assert more.capacity is not None
    assert more.capacity.seconds == 600.0
    assert kept.capacity == goal
