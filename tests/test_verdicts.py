"""Scripted trials in, verdicts out."""

from __future__ import annotations

import math
import re
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np
import pytest

from loadtests.records import Cell, Load, Metric, Plan
from loadtests.records.samples import Samples
from reports.advice.caveats import caveats
from reports.analysis.readings import Readings, read
from reports.analysis.reservations import FarOff, RequestsFailed
from reports.analysis.rounds.consistency import Capped
from reports.analysis.statistics import FIRST_LOOK, repeated_interval
from reports.analysis.verdicts import Verdict, verdicts
from reports.conclusions import conclude, decided
from reports.gate.outcomes import speed
from reports.render.summary import summary
from reports.wording.advice.caveats import caveat_text
from reports.wording.reservations import reservation_text, rounds_text
from tests import scripted
from tests.scripted import Scripted


def judged(tmp_path: Path, script: scripted.Script, plan: Plan | None = None) -> list[Verdict]:
    run, directory = scripted.run(tmp_path, plan or scripted.plan(), script)
    return verdicts(run, Readings(directory))


def primary(found: list[Verdict]) -> Verdict:
    (verdict,) = (verdict for verdict in found if verdict.primary)
    return verdict


def ratio(async_to_sync: float, noise: float = 0.01, latency: float = 0.01) -> scripted.Script:
    """The async arm serves `async_to_sync` times as much, and its latency is divided by `latency`."""

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        factor = async_to_sync if arm == "async" else 1.0
        wobble = math.exp(Random(f"{arm}{round}").gauss(0.0, noise))
        return Scripted(requests=round_to(2000 * factor * wobble), latency=latency / factor)

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
    assert "use " in reservation_text(verdict.reservations[0])


def test_an_open_cell_says_how_many_rounds_would_decide_it_if_they_are_allowed() -> None:
    assert rounds_text(14) == "about 14 rounds would decide: use --rounds 14"
    assert rounds_text(37).startswith("deciding takes about 37 such rounds, and 20 is the maximum")
    assert rounds_text(None).startswith("deciding takes more than 1,000 such rounds")


def test_an_arm_that_fails_more_than_1_percent_is_failing_at_any_speed(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=1000, failures=20 if arm == "async" else 0)

    verdict = primary(judged(tmp_path, script))
    assert verdict.verdict == "failing"
    assert verdict.reservations == (RequestsFailed("async", 0.02),)


def test_1_percent_of_failures_is_still_judged_and_they_do_not_count_as_served(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=1000, failures=10 if arm == "async" else 0)

    verdict = primary(judged(tmp_path, script))
    assert verdict.values == {"sync": pytest.approx(1000.0), "async": pytest.approx(990.0)}


def test_a_saturated_generator_makes_the_cell_invalid_and_says_why(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(generator_cpu=0.95)

    verdict = primary(judged(tmp_path, script))
    assert verdict.verdict == "invalid"
    assert "95% of its core" in reservation_text(verdict.reservations[0])
    assert verdict.ratio is None


def test_a_round_lost_to_a_fault_leaves_the_others_to_judge(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        fault = arm == "async" and round == 2
        return Scripted(requests=800 if arm == "async" else 400, generator_cpu=0.95 if fault else 0.1)

    verdict = primary(judged(tmp_path, script, scripted.plan(rounds=6)))
    assert (verdict.verdict, verdict.n) == ("faster", 5)


def test_an_outlier_round_is_named_by_its_number(tmp_path: Path) -> None:
    """Also if an earlier round does not count."""

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        far = 4 if arm == "async" and round == 4 else 1
        wobble = 7 * round % 5 if arm == "async" else 0
        return Scripted(requests=(400 + wobble) * far, generator_cpu=0.95 if round == 1 else 0.1)

    verdict = primary(judged(tmp_path, script, scripted.plan(rounds=8)))
    assert verdict.n == 7
    assert FarOff(5) in verdict.reservations


def warned(tmp_path: Path, script: scripted.Script, rounds: int = 8) -> str:
    """The warnings of the primary verdict."""
    run, directory = scripted.run(tmp_path, scripted.plan(rounds=rounds), script)
    return " ".join(map(reservation_text, primary(verdicts(run, Readings(directory))).reservations))


def scattered(round: int) -> int:
    """A little noise without a trend."""
    return (7, -11, 5, -3, -6, 9, -4, 3)[round % 8]


def test_a_ratio_that_drifts_over_the_rounds_is_flagged(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=1000 + scattered(round) + (20 * round if arm == "async" else 0))

    assert "drifts by 14% over the rounds" in warned(tmp_path, script)


def test_a_ratio_that_depends_on_which_arm_comes_first_is_flagged(tmp_path: Path) -> None:
    plan = scripted.plan(rounds=8)

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        first = plan.order(cell, round)[0].name == arm
        return Scripted(requests=1000 + scattered(round) + (60 if first else 0))

    assert "depends on which arm comes first, by 12%" in warned(tmp_path, script)


def test_an_arm_that_is_not_steady_is_flagged(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        growth = 1.2 if arm == "async" else 1.0
        return Scripted(requests=1000 + 10 * scattered(round), latency=0.001, growth=growth)

    said = warned(tmp_path, script, rounds=4)
    assert re.search(r"async served (19|20|21)% more in the second half of its windows", said), said
    assert "sync served" not in said.replace("async served", "")


def test_steady_rounds_are_not_flagged(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=1000 + (scattered(round) if arm == "sync" else scattered(round + 3)))

    assert warned(tmp_path, script) == ""


def test_a_percentile_without_ten_samples_beyond_it_has_no_value_and_says_what_it_needs(
    tmp_path: Path,
) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=400)

    found = {verdict.metric: verdict for verdict in judged(tmp_path, script)}
    assert found["p95"].values["sync"] is not None
    assert found["p99"].values == {"sync": None, "async": None}
    assert found["p99"].verdict == "inconclusive"
    assert "needs 1,000 requests" in reservation_text(found["p99"].reservations[0])


def test_a_mix_is_judged_in_total_and_its_endpoints_only_by_latency(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=800, endpoints=("ping", "posts.read"))

    found = judged(tmp_path, script, scripted.plan(cells=[("mixed", 64)]))
    assert primary(found).endpoint == "all"
    rest = {(verdict.endpoint, verdict.metric) for verdict in found if verdict.endpoint != "all"}
    assert rest == {(e, m) for e in ("ping", "posts.read") for m in ("p50", "p95", "p99")}


def test_three_arms_are_each_judged_against_the_first_at_half_the_error(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(
            requests={"sync": 400, "async": 800, "more": 420}[arm] + Random(f"{arm}{round}").randint(0, 9)
        )

    plan = scripted.plan(arms=("sync", "async", "more"), rounds=6)
    found = [verdict for verdict in judged(tmp_path, script, plan) if verdict.primary]
    assert [(verdict.arm, verdict.verdict) for verdict in found] == [
        ("async", "faster"),
        ("more", "equivalent"),
    ]


@pytest.mark.parametrize(
    ("rounds", "most", "said"),
    [
        (4, 4, None),
        (3, 3, "2 of the 4 rounds that an interval needs: use --rounds 4 or more"),
        # The plan allowed enough of them: another number would change nothing.
        (3, 4, "2 of the 4 rounds that an interval needs: use a longer --max-time, or `duel resume` for the"),
    ],
)
@pytest.mark.parametrize(
    "arms", [("sync", "async"), ("sync", "async", "more"), ("sync", "async", "b", "c", "d")]
)
def test_four_rounds_are_four_usable_ones_however_many_arms(
    tmp_path: Path, arms: tuple[str, ...], rounds: int, most: int, said: str | None
) -> None:
    """Of three arms, four rounds were three usable ones, with the hint to use four."""
    plan = scripted.plan(arms).model_copy(update={"min_rounds": rounds, "max_rounds": most})
    run, directory = scripted.run(tmp_path, plan, ratio(2.0), rounds=rounds)
    first = next(verdict for verdict in verdicts(run, Readings(directory)) if verdict.primary)
    assert (first.verdict, first.n) == (("faster", 4) if said is None else ("inconclusive", 2))
    assert said is None or reservation_text(first.reservations[0]).startswith(said)


def test_half_a_block_of_rounds_is_not_counted(tmp_path: Path) -> None:
    """Five rounds of two arms: the fifth has no counterpart with the reverse order, so four count."""
    run, directory = scripted.run(tmp_path, scripted.plan(), ratio(2.0), rounds=5)
    assert primary(verdicts(run, Readings(directory))).n == 4


def test_a_decided_cell_needs_no_more_rounds_and_an_open_one_does(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        if cell.scenario == "ping":
            return ratio(2.0)(arm, cell, round)
        return ratio(1.1, noise=0.2)(arm, cell, round)

    plan = scripted.plan(cells=[("ping", 64), ("sleep", 64)])
    run, directory = scripted.run(tmp_path, plan, script)
    assert decided(run, Readings(directory)) == {plan.cells[0]}


def test_requests_that_end_in_the_window_are_served_and_those_that_start_in_it_are_timed() -> None:
    """Rows: ended before; started before and ended within; within; started within and ended after; failed."""
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
                with np.load(directory.path / trial.files.samples) as file:
                    rows = file["rows"]
                inside = (rows["end"] >= 0) & (rows["end"] < trial.window)
                started = (rows["start"] >= 0) & (rows["start"] < trial.window)
                times = np.sort((rows["end"] - rows["start"])[started])
                values[trial.arm] = inside.sum() / trial.window, times[math.ceil(len(times) / 2) - 1]
        logs["throughput"].append(math.log(values["async"][0] / values["sync"][0]))
        logs["p50"].append(math.log(values["async"][1] / values["sync"][1]))
    for row in stated:
        if row["metric"] in logs:
            assert row["ratio"] == pytest.approx(math.exp(np.mean(logs[row["metric"]])), rel=1e-9)


def test_an_expensive_client_is_named_with_its_cost(tmp_path: Path) -> None:
    """duel's own client is not named, however busy; an external server is reported as such."""

    def caveats_of(client: str, app: str) -> str:
        plan = scripted.plan()
        plan = plan.model_copy(
            update={"arms": tuple(arm.model_copy(update={"app": app}) for arm in plan.arms)}
        )
        told = scripted.Scripted(requests=400, generator_cpu=0.4)
        run, directory = scripted.run(tmp_path / client, plan, lambda *_: told)
        trials = tuple(trial.model_copy(update={"client": client}) for trial in run.trials)
        run = run.model_copy(update={"trials": trials})
        return "\n".join(map(caveat_text, caveats(run, verdicts(run, Readings(directory)))))

    heavy = caveats_of("HttpUser", "http://127.0.0.1:9000")
    assert "its HttpUser costs 1000 µs per request, 40% of the generator's core" in heavy
    assert "external servers" in heavy
    assert "async (127.0.0.1:9000)" in heavy
    lean = caveats_of("LeanUser", "shop:app")
    assert "LeanUser" not in lean
    assert "external" not in lean


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
    """0.90 exceeds a margin of 10%, which is 1 ÷ 1.1; a longer response time is worse, not better."""
    cell = Cell(scenario="ping", load=Load(users=8))
    found = Verdict(cell, "ping", metric, True, "head", "base", "inconclusive", 1.0, low, high, 8, {})
    assert speed(found, 0.10).outcome == word


@pytest.mark.parametrize(
    ("metric", "side", "words"),
    [
        ("throughput", "at least", ["inconclusive", "pass"]),
        ("throughput", "at most", ["regression", "inconclusive"]),
        ("p50", "at most", ["pass", "inconclusive"]),
        ("throughput", None, ["inconclusive", "inconclusive"]),
    ],
)
def test_a_gate_judges_a_capped_cell_from_the_side_that_is_known(
    metric: Metric, side: Literal["at least", "at most"] | None, words: list[str]
) -> None:
    """A head near the generator's maximum rate is truly faster than it reads."""
    capped = (Capped(("head",), side, 1.0),)
    cell = Cell(scenario="ping", load=Load(users=8))
    found = [
        Verdict(cell, "ping", metric, True, "head", "base", "inconclusive", 1.0, low, high, 8, {},
                reservations=capped)
        for low, high in ((0.5, 0.6), (1.5, 1.6))
    ]  # fmt: skip
    assert [speed(one, 0.10).outcome for one in found] == words


def test_gates_keep_their_error_rate_and_find_twice_the_margin() -> None:
    """Simulated with 5% noise, stopping once decided: a change exactly at the margin, where errors are
    likeliest, is called a regression in at most 5% of runs; twice the margin is found in 90%."""
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
            word = speed(one, 0.10).outcome
            if word != "inconclusive":
                return word
        return "inconclusive"

    at_margin = [found(1 / 1.1) for _ in range(1_000)].count("regression")
    assert at_margin <= 45
    unchanged = [found(1.0) for _ in range(500)]
    assert unchanged.count("regression") == 0
    assert unchanged.count("pass") >= 450
    assert [found(1 / 1.21) for _ in range(300)].count("regression") >= 270
