"""Scripted trials in, verdicts out."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from loadtests.records import Cell, Load, Metric, Plan, Samples
from reports.caveats import caveats
from reports.conclusions import conclude
from reports.estimates import Readings, read
from reports.statistics import FIRST_LOOK, repeated_interval
from reports.summary import summary
from reports.verdicts import Verdict, decided, outcome, remedy, standing, verdicts
from tests import scripted
from tests.scripted import Told


def judged(tmp_path: Path, script: scripted.Script, plan: Plan | None = None) -> list[Verdict]:
    run, directory = scripted.run(tmp_path, plan or scripted.plan(), script)
    return verdicts(run, Readings(directory))


def primary(found: list[Verdict]) -> Verdict:
    (verdict,) = (verdict for verdict in found if verdict.primary)
    return verdict


def ratio(async_to_sync: float, noise: float = 0.01, latency: float = 0.01) -> scripted.Script:
    """The async arm serves so many times as much, and each request takes so much less time."""

    def script(arm: str, cell: Cell, round: int) -> Told:
        factor = async_to_sync if arm == "async" else 1.0
        wobble = math.exp(Random(f"{arm}{round}").gauss(0.0, noise))
        return Told(requests=round_to(2000 * factor * wobble), latency=latency / factor)

    return script


def round_to(number: float) -> int:
    return int(number + 0.5)


def test_twice_the_throughput_is_faster_and_half_is_slower(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    twice = primary(judged(tmp_path / "a", ratio(2.0)))
    assert (twice.verdict, twice.n) == ("faster", 4)
    assert twice.low is not None
    assert twice.high is not None
    assert twice.low < 2.0 < twice.high
    half = primary(judged(tmp_path, ratio(0.5)))
    assert half.verdict == "slower"


def test_lower_latency_is_faster_although_its_ratio_is_below_one(tmp_path: Path) -> None:
    found = {verdict.metric: verdict for verdict in judged(tmp_path, ratio(2.0))}
    assert found["p50"].verdict == "faster"
    assert found["p50"].ratio == pytest.approx(0.5)
    assert not found["p50"].primary


def test_a_proven_small_difference_is_equivalent(tmp_path: Path) -> None:
    assert primary(judged(tmp_path, ratio(1.03, noise=0.002))).verdict == "equivalent"


def test_noise_leaves_a_cell_undecided_and_says_what_would_decide(tmp_path: Path) -> None:
    verdict = primary(judged(tmp_path, ratio(1.1, noise=0.2)))
    assert verdict.verdict == "inconclusive"
    assert "use " in verdict.warnings[0]


def test_an_open_cell_says_how_many_rounds_would_decide_it_where_so_many_are_allowed() -> None:
    assert remedy(14) == "about 14 rounds would decide: use --rounds 14"
    assert remedy(37).startswith("about 37 rounds like these would be needed, and 20 is the most")
    assert remedy(None).startswith("more than 1,000 rounds")


def test_an_arm_that_fails_more_than_one_per_cent_is_failing_whatever_its_speed(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(requests=1000, failures=20 if arm == "async" else 0)

    verdict = primary(judged(tmp_path, script))
    assert verdict.verdict == "failing"
    assert verdict.warnings == ("async failed 2.0% of its requests",)


def test_one_per_cent_of_failures_is_still_judged_and_they_do_not_count_as_served(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(requests=1000, failures=10 if arm == "async" else 0)

    verdict = primary(judged(tmp_path, script))
    assert verdict.values == {"sync": pytest.approx(1000.0), "async": pytest.approx(990.0)}


def test_a_saturated_generator_makes_the_cell_invalid_and_says_why(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(generator_cpu=0.95 if arm == "async" else 0.1)

    verdict = primary(judged(tmp_path, script))
    assert verdict.verdict == "invalid"
    assert "95% of its core" in verdict.warnings[0]
    assert verdict.ratio is None


def test_a_round_lost_to_a_fault_leaves_the_others_to_judge(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        fault = arm == "sync" and round == 2
        return Told(requests=800 if arm == "async" else 400, generator_cpu=0.95 if fault else 0.1)

    verdict = primary(judged(tmp_path, script, scripted.plan(rounds=6)))
    assert (verdict.verdict, verdict.n) == ("faster", 5)


def test_a_round_that_lies_far_off_is_named_by_its_own_number(tmp_path: Path) -> None:
    """Also when a round before it does not count."""

    def script(arm: str, cell: Cell, round: int) -> Told:
        far = 4 if arm == "async" and round == 4 else 1
        wobble = 7 * round % 5 if arm == "async" else 0
        return Told(requests=(400 + wobble) * far, generator_cpu=0.95 if round == 1 else 0.1)

    verdict = primary(judged(tmp_path, script, scripted.plan(rounds=8)))
    assert verdict.n == 7
    assert "round 5 lies far from the others (it counts all the same)" in verdict.warnings


def warned(tmp_path: Path, script: scripted.Script, rounds: int = 8) -> str:
    """The warnings of the primary verdict."""
    run, directory = scripted.run(tmp_path, scripted.plan(rounds=rounds), script)
    return " ".join(next(v for v in verdicts(run, Readings(directory)) if v.primary).warnings)


def scattered(round: int) -> int:
    """A little noise that leans to neither side."""
    return (7, -11, 5, -3, -6, 9, -4, 3)[round % 8]


def test_a_ratio_that_drifts_over_the_rounds_is_flagged(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(requests=1000 + scattered(round) + (20 * round if arm == "async" else 0))

    assert "drifts over the rounds, by 14%" in warned(tmp_path, script)


def test_a_ratio_that_depends_on_which_arm_comes_first_is_flagged(tmp_path: Path) -> None:
    plan = scripted.plan(rounds=8)

    def script(arm: str, cell: Cell, round: int) -> Told:
        first = plan.order(cell, round)[0].name == arm
        return Told(requests=1000 + scattered(round) + (60 if first else 0))

    assert "depends on which arm comes first, by 12%" in warned(tmp_path, script)


def test_an_arm_that_is_not_steady_is_flagged(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        growth = 1.2 if arm == "async" else 1.0
        return Told(requests=1000 + 10 * scattered(round), latency=0.001, growth=growth)

    said = warned(tmp_path, script, rounds=4)
    assert re.search(r"async served (19|20|21)% more in the second half of its windows", said), said
    assert "sync served" not in said.replace("async served", "")


def test_steady_rounds_are_not_flagged(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(requests=1000 + (scattered(round) if arm == "sync" else scattered(round + 3)))

    assert warned(tmp_path, script) == ""


def test_a_percentile_without_ten_samples_beyond_it_has_no_value_and_says_what_it_needs(
    tmp_path: Path,
) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(requests=400)

    found = {verdict.metric: verdict for verdict in judged(tmp_path, script)}
    assert found["p95"].values["sync"] is not None
    assert found["p99"].values == {"sync": None, "async": None}
    assert found["p99"].verdict == "inconclusive"
    assert "needs 1,000 requests" in found["p99"].warnings[0]


def test_a_mix_is_judged_as_a_whole_and_its_endpoints_by_latency_only(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(requests=800, endpoints=("ping", "posts.read"))

    found = judged(tmp_path, script, scripted.plan(cells=[("mixed", 64)]))
    assert primary(found).endpoint == "all"
    rest = {(verdict.endpoint, verdict.metric) for verdict in found if verdict.endpoint != "all"}
    assert rest == {(e, m) for e in ("ping", "posts.read") for m in ("p50", "p95", "p99")}


def test_three_arms_are_each_judged_against_the_first_at_half_the_error(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(
            requests={"sync": 400, "async": 800, "more": 420}[arm] + Random(f"{arm}{round}").randint(0, 9)
        )

    plan = scripted.plan(arms=("sync", "async", "more"), rounds=6)
    found = [verdict for verdict in judged(tmp_path, script, plan) if verdict.primary]
    assert [(verdict.arm, verdict.verdict) for verdict in found] == [
        ("async", "faster"),
        ("more", "equivalent"),
    ]


def test_half_a_block_of_rounds_is_not_counted(tmp_path: Path) -> None:
    """Five rounds of two arms: the fifth has no counterpart in the order, so four count."""
    run, directory = scripted.run(tmp_path, scripted.plan(), ratio(2.0), rounds=5)
    assert primary(verdicts(run, Readings(directory))).n == 4


def test_a_decided_cell_needs_no_more_rounds_and_an_open_one_does(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        if cell.scenario == "ping":
            return ratio(2.0)(arm, cell, round)
        return ratio(1.1, noise=0.2)(arm, cell, round)

    plan = scripted.plan(cells=[("ping", 64), ("sleep", 64)])
    run, directory = scripted.run(tmp_path, plan, script)
    assert decided(run, Readings(directory)) == {plan.cells[0]}


def test_differences_are_also_counted_as_one_family(tmp_path: Path) -> None:
    """A clear difference stands among many cells; one at the edge of its own 5 % does not."""

    def edge(arm: str, cell: Cell, round: int) -> Told:
        if cell.load.users == 1:
            return ratio(2.0)(arm, cell, round)
        return Told(requests=2000 + (arm == "async") * (560 + (round % 2) * 340))

    plan = scripted.plan(cells=[("ping", users) for users in (1, 2, 3, 4)])
    found = judged(tmp_path, edge, plan)
    assert {v.verdict for v in found if v.primary} == {"faster"}
    assert standing(found, 0.05) == (4, 1)


def test_only_what_ended_in_the_window_is_served_and_only_what_started_in_it_is_timed() -> None:
    """Rows: ended before; began before and ended within; within; began within and ended after; failed."""
    samples = Samples(
        endpoint=np.zeros(5, dtype=np.uint16),
        due=np.array([-0.5, -0.1, 0.2, 0.9, 0.3]),
        start=np.array([-0.5, -0.1, 0.2, 0.9, 0.3]),
        end=np.array([-0.1, 0.1, 0.3, 1.4, 0.5]),
        status=np.array([200, 200, 200, 200, 500], dtype=np.uint16),
        size=np.zeros(5, dtype=np.uint32),
        error=np.array([0, 0, 0, 0, 1], dtype=np.uint16),
    )
    reading = read(samples, window=1.0)
    assert reading.throughput == 2.0
    assert (reading.requests, reading.failures) == (4, 1)


def test_every_number_of_the_summary_can_be_recomputed_from_the_run_directory(tmp_path: Path) -> None:
    """From the raw samples with numpy alone, to 1e-9."""
    run, directory = scripted.run(tmp_path, scripted.plan(), ratio(1.5))
    stated = summary(conclude(run, Readings(directory)))["verdicts"]
    logs: dict[str, list[float]] = {"throughput": [], "p50": []}
    for round in range(4):
        values = {}
        for trial in run.trials:
            if trial.round == round:
                with np.load(directory.path / trial.samples_file) as file:
                    inside = (file["end"] >= 0) & (file["end"] < trial.window)
                    started = (file["start"] >= 0) & (file["start"] < trial.window)
                    times = np.sort((file["end"] - file["start"])[started])
                    values[trial.arm] = inside.sum() / trial.window, times[math.ceil(len(times) / 2) - 1]
        logs["throughput"].append(math.log(values["async"][0] / values["sync"][0]))
        logs["p50"].append(math.log(values["async"][1] / values["sync"][1]))
    for row in stated:
        if row["metric"] in logs:
            assert row["ratio"] == pytest.approx(math.exp(np.mean(logs[row["metric"]])), rel=1e-9)


def test_a_client_that_measures_itself_is_named_with_its_cost(tmp_path: Path) -> None:
    """Ours is not, however busy; a server that runs already is said to be one."""

    def caveats_of(client: str, app: str) -> str:
        plan = scripted.plan()
        plan = plan.model_copy(
            update={"arms": tuple(arm.model_copy(update={"app": app}) for arm in plan.arms)}
        )
        told = scripted.Told(requests=400, generator_cpu=0.4)
        run, directory = scripted.run(tmp_path / client, plan, lambda *_: told)
        trials = tuple(trial.model_copy(update={"client": client}) for trial in run.trials)
        run = run.model_copy(update={"trials": trials})
        return "\n".join(caveats(run, verdicts(run, Readings(directory))))

    heavy = caveats_of("HttpUser", "http://127.0.0.1:9000")
    assert "its HttpUser takes 1000 µs a request, 40% of the generator's core" in heavy
    assert "servers that ran already" in heavy
    assert "async (127.0.0.1:9000)" in heavy
    lean = caveats_of("LeanUser", "shop:app")
    assert "LeanUser" not in lean
    assert "already" not in lean


@pytest.mark.parametrize(
    ("metric", "low", "high", "word"),
    [
        ("throughput", 0.95, 1.05, "pass"),
        ("throughput", 0.80, 0.95, "inconclusive"),
        ("throughput", 0.80, 0.90, "regression"),
        ("throughput", 1.20, 1.30, "pass"),
        ("p99", 0.95, 1.05, "pass"),
        ("p99", 1.05, 1.20, "inconclusive"),
        ("p99", 1.12, 1.20, "regression"),
        ("p99", 0.50, 0.60, "pass"),
        ("throughput", None, None, "inconclusive"),
    ],
)
def test_an_arm_is_worse_where_its_whole_interval_is_beyond_the_margin(
    metric: Metric, low: float | None, high: float | None, word: str
) -> None:
    """0.90 lies beyond a margin of 10 %, which is 1 ÷ 1.1; a longer response time is worse, not better."""
    cell = Cell(scenario="ping", load=Load(users=8))
    found = Verdict(cell, "ping", metric, True, "head", "base", "inconclusive", 1.0, low, high, 8, {})
    assert outcome(found, 0.10) == word


def test_an_arm_that_began_to_fail_is_worse_and_one_whose_base_failed_is_not() -> None:
    cell = Cell(scenario="ping", load=Load(users=8))
    found = Verdict(cell, "ping", "throughput", True, "head", "base", "failing", None, None, None, 8, {})
    assert outcome(replace(found, failing=("head",)), 0.10) == "regression"
    assert outcome(replace(found, failing=("base", "head")), 0.10) == "inconclusive"
    assert outcome(replace(found, failing=("base",)), 0.10) == "inconclusive"


def test_gates_err_as_seldom_as_they_say_and_find_what_is_twice_the_margin() -> None:
    """Simulated, stopping as soon as decided, 5 % noise: a change at the margin itself, which is where errors
    are likeliest, is called a regression in 5 % at most; twice the margin is found in 90 %."""
    random = np.random.default_rng(5)

    def found(true: float) -> str:
        differences = np.log(true) + random.normal(0.0, 0.07, size=20)
        for n in range(FIRST_LOOK, 21, 2):
            interval = repeated_interval(tuple(differences[:n]), 0.05)
            assert interval is not None
            cell = Cell(scenario="ping", load=Load(users=8))
            one = Verdict(
                cell, "ping", "throughput", True, "head", "base", "inconclusive", interval.ratio,
                interval.low, interval.high, n, {},
            )  # fmt: skip
            word = outcome(one, 0.10)
            if word != "inconclusive":
                return word
        return "inconclusive"

    at_margin = [found(1 / 1.1) for _ in range(1_000)].count("regression")
    assert at_margin <= 45
    unchanged = [found(1.0) for _ in range(500)]
    assert unchanged.count("regression") == 0
    assert unchanged.count("pass") >= 450
    assert [found(1 / 1.21) for _ in range(300)].count("regression") >= 270
