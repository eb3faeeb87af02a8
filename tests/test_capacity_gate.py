"""What a gate and a threshold make of searches, whatever word they end with."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from scipy.special import expit

from loadtests.measure.capacity.planning import capacity_plan
from loadtests.measure.runs import begin
from loadtests.plan.settings import RunSettings
from loadtests.records.run import Run
from loadtests.records.trial import ServerEnd
from reports.analysis.capacity.crossing import RateSlice, crossing, logit
from reports.analysis.capacity.searches import ArmSearch, EndedSlices, narrow, ratio_of, word_of
from reports.analysis.readings import Readings
from reports.analysis.thresholds import parse, place
from reports.analysis.verdicts import Outcome
from reports.capacities import Capacities, bounds, goal_of
from reports.wording.capacity import capacity_row, gate_line, rate_text, search_headline

SHARE, ALPHA, MARGIN = 0.01, 0.05, 0.1


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Readings]:
    """A gate whose arms have not been measured."""
    arms = tuple(f"{name}=sync_app.main:create_app" for name in ("base", "head"))
    settings = RunSettings(scenario=("ping",), arm=arms, seed=1)
    plan = capacity_plan(settings, {"target": "p(99)<50"})
    made, directory = begin(
        plan.model_copy(update={"gate": True, "margin": MARGIN}), tmp_path_factory.mktemp("gates")
    )
    return made, Readings(directory)


def slices(word: str, rate: float, requests: int) -> list[RateSlice]:
    """Four rounds that lead to a word: of a search that found a rate, that one."""
    outside = {"beyond": 0, "open": 0, "never": requests}
    if word in outside:
        return [RateSlice(round, rate, outside[word], requests) for round in range(1, 5)]
    found = []
    for round in range(1, 5):
        moved = rate * (1.0 + 0.004 * (-1) ** round)
        for at in (0.94 * rate, rate, 1.06 * rate):
            share = float(expit(logit(SHARE) + 25.0 * math.log(at / moved)))
            found.append(RateSlice(round, at, round_(share * requests), requests))
    return found


def round_(number: float) -> int:
    return int(number + 0.5)


def arm(name: str, told: str, requests: int = 10_000) -> ArmSearch:
    """`found 500`: a search that ended with that word, at that rate."""
    word, rate = told.split()
    few = 30 if word == "open" else requests
    seen = crossing(slices(word, float(rate), few), SHARE, ALPHA)
    assert word_of(seen) == word
    return ArmSearch("ping", name, word_of(seen), float(rate), seen, ())


def capacities(run: tuple[Run, Readings], *arms: ArmSearch) -> Capacities:
    """What a gate has found."""
    made, readings = run
    ratio = ratio_of(made, "ping", {one.arm: one for one in arms}, "head")
    return Capacities(made, readings, goal_of(made), arms, (ratio,), ())


@pytest.mark.parametrize(
    ("base", "head", "outcome"),
    [
        ("found 500", "found 500", "pass"),
        ("found 500", "found 400", "regression"),
        ("found 500", "never 60", "regression"),
        ("beyond 700", "never 60", "regression"),
        ("beyond 700", "found 500", "regression"),
        ("never 60", "found 500", "pass"),
        ("never 60", "beyond 700", "pass"),
        ("found 500", "beyond 700", "pass"),
        # Which of the two misses it by more, or holds longer, no rate shows.
        ("never 60", "never 60", "inconclusive"),
        ("beyond 700", "beyond 700", "inconclusive"),
        # The bound is within the margin of the other's interval.
        ("found 500", "never 490", "inconclusive"),
        ("found 500", "beyond 450", "inconclusive"),
        ("beyond 500", "found 490", "inconclusive"),
        # An open search shows nothing.
        ("found 500", "open 60", "inconclusive"),
        ("open 700", "found 500", "inconclusive"),
        ("open 700", "never 60", "inconclusive"),
    ],
)
def test_a_gate_judges_a_head_by_all_that_is_known_of_both_arms(
    run: tuple[Run, Readings], base: str, head: str, outcome: Outcome
) -> None:
    found = capacities(run, arm("base", base), arm("head", head))
    assert found.outcome(found.ratios[0]) == outcome


def test_a_gate_without_a_ratio_says_which_side_of_it_is_known(run: tuple[Run, Readings]) -> None:
    found = capacities(run, arm("base", "found 500"), arm("head", "never 60"))
    (ratio,) = found.ratios
    said = "at most ×0.13"
    assert gate_line(ratio, "regression") == f"gate: head against base: worse: {said}"
    assert search_headline(found, "ping").endswith(f": {said}")
    assert capacity_row(found.searches[1], found)[2:7] == ("< 60.0/s", "≤ 60.0", "–", "–", "≤ 0.13")


def test_what_few_requests_leave_open_at_the_highest_rate_meets_no_threshold() -> None:
    """None of 4,000 missed a target of 1%, in bursts of dozens: it may still be missed."""
    one, other = arm("one", "beyond 700", 1_000), arm("one", "beyond 700")
    places = [
        [place(threshold, bounds(seen)) for threshold in parse({"capacity": ("rate>=700", "rate>=500")})]
        for seen in (one, other)
    ]
    assert places == [["inconclusive", "met"], ["met", "met"]]
    assert rate_text(one).endswith("/s (at 700/s, the highest rate measured, not decided)")
    assert rate_text(other) == "carries more than 700/s, beyond what the generator reaches"
    assert one.crossing is not None
    assert other.crossing is not None
    assert [narrow(seen, 0.1) for seen in (one.crossing, other.crossing)] == [False, True]


def test_a_failing_arm_has_a_rate_and_no_ratio_in_the_headline(run: tuple[Run, Readings]) -> None:
    ended = EndedSlices(1, 30, ServerEnd(during="load", code=-9))
    found = capacities(run, arm("base", "found 500"), replace(arm("head", "found 500"), ended=ended))
    assert search_headline(found, "ping").startswith("ping: head is failing, and carries 500/s [")
    assert "×" not in search_headline(found, "ping")
    assert found.outcome(found.ratios[0]) == "regression"
