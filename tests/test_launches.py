"""What a few rounds cannot show is said, and more are measured where launches differ."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks import coverage
from loadtests.records import Cell, Fault, Run
from loadtests.records.arrays import write_samples
from loadtests.records.directory import RunDirectory
from loadtests.records.samples import Samples
from reports.advice.caveats import FewRounds, caveats
from reports.analysis.readings import Readings
from reports.analysis.reservations import Reservation
from reports.analysis.rounds.consistency import Capped, FiguresDisagree
from reports.analysis.rounds.launches import (
    NotNormal,
    launch_differs,
    not_normal,
    rounds_if_launches_differ,
    rounds_required,
    unseen,
)
from reports.analysis.statistics import repeated_interval, shapiro_francia
from reports.analysis.verdicts import Verdict, verdicts
from reports.conclusions import decided
from reports.export.cases import Gate
from reports.export.trackers import openmetrics
from reports.gate.outcomes import speed
from reports.render.html import strip
from reports.wording.advice.caveats import caveat_text
from reports.wording.reservations import reservation_text
from reports.wording.sentences import finding
from tests import scripted
from tests.scripted import Scripted

METHOD = Path(__file__).parent.parent / "docs" / "method.md"
HALF = -math.log(2.0)


@pytest.mark.parametrize("n", [6, 8, 12, 20])
def test_normal_rounds_are_called_not_normal_as_rarely_as_stated(n: int) -> None:
    random = np.random.default_rng(n)
    ps = np.array([shapiro_francia(random.standard_normal(n).tolist()) for _ in range(4_000)], dtype=float)
    assert np.mean(ps < 0.01) == pytest.approx(0.01, abs=0.006)
    assert np.mean(ps < 0.5) == pytest.approx(0.5, abs=0.05)


def test_the_p_value_is_that_of_a_known_example() -> None:
    """The weights of Shapiro and Wilk (1965), whose W' is 0.80 and p about 0.01."""
    weights = [148.0, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236]
    assert shapiro_francia(weights) == pytest.approx(0.009, abs=0.004)
    assert shapiro_francia([1.0, 1.0, 1.0, 1.0, 1.0, 1.0]) is None
    assert shapiro_francia([1.0, 2.0, 3.0, 4.0]) is None


def spread(n: int, slow: tuple[int, ...], noise: float = 0.03) -> list[float]:
    """Differences of `n` rounds, in some of which an arm runs at half its speed."""
    random = Random(n)
    return [random.gauss(0.0, noise) + (HALF if i in slow else 0.0) for i in range(n)]


@pytest.mark.parametrize(("n", "slow"), [(6, (2,)), (8, (1, 5)), (10, (0, 4)), (20, (3, 7, 11, 15))])
def test_a_launch_in_five_at_half_speed_is_said_once_it_is_seen(n: int, slow: tuple[int, ...]) -> None:
    found = not_normal(spread(n, slow), margin=0.10)
    assert isinstance(found, NotNormal)
    assert found.lowest == pytest.approx(0.5, rel=0.1)
    assert "do not spread normally" in reservation_text(found)


def test_too_few_rounds_and_spreads_that_do_not_matter_are_not_judged() -> None:
    assert not_normal(spread(5, (2,)), margin=0.10) is None
    assert not_normal([one * 0.05 for one in spread(8, (2,))], margin=0.10) is None


def test_four_rounds_miss_one_launch_of_five_in_41_percent_and_fourteen_in_5() -> None:
    assert unseen(4) == pytest.approx(0.4096)
    assert rounds_if_launches_differ() == 14
    assert unseen(14) < 0.05 < unseen(12)


def required(*cells: list[float]) -> list[int]:
    """Of cells of different scenarios."""
    return rounds_required([(str(place), cell) for place, cell in enumerate(cells)], 0.10)


def test_where_any_cell_shows_a_launch_that_differs_all_cells_of_the_arm_need_more_rounds() -> None:
    even, odd, wild = spread(4, ()), spread(4, (1,), noise=0.01), spread(4, (), noise=0.3)
    assert launch_differs(odd, 0.10)
    assert not launch_differs(even, 0.10)
    assert required(even, even) == [4, 4]
    assert required(even, odd) == [14, 14]
    assert required(even, wild) == [4, 6]


def test_a_few_launches_of_hundreds_that_differ_ask_for_more_rounds_of_their_scenarios_alone() -> None:
    """A run of 126 cells measured 40 decided ones on, since one round of one cell differed."""
    even, odd = [0.0, 0.01, -0.01, 0.02], [0.0, 0.01, -0.01, 0.7]
    assert required(odd, *[even] * 30) == [14, *[4] * 30]
    assert required(*[odd] * 3, *[even] * 28) == [14] * 31
    cells = [("ping", odd), ("ping", even), *[(str(place), even) for place in range(30)]]
    assert rounds_required(cells, 0.10) == [14, 14, *[4] * 30]


def slow_launches(arm: str, cell: Cell, round: int) -> Scripted:
    """In one round of `ping`, async runs at half its speed; in the other cell it always serves as much."""
    noise = Random(f"{arm}{cell.key}{round}").randrange(20)
    slow = (arm, cell.scenario, round) == ("async", "ping", 2)
    return Scripted(requests=(500 if slow else 1000) + noise)


@pytest.mark.parametrize(("rounds", "settled"), [(4, False), (12, False), (14, True)])
def test_a_cell_that_is_equivalent_goes_on_while_another_shows_launches_that_differ(
    tmp_path: Path, rounds: int, settled: bool
) -> None:
    plan = scripted.plan(cells=[("ping", 64), ("posts.read", 64)])
    run, directory = scripted.run(tmp_path, plan, slow_launches, rounds)
    readings = Readings(directory)
    primary = {one.cell.scenario: one for one in verdicts(run, readings) if one.primary}
    assert primary["posts.read"].verdict == "equivalent"
    assert (plan.cells[1] in decided(run, readings)) == settled


@pytest.mark.parametrize(("rounds", "said"), [(4, True), (6, False)])
def test_a_verdict_on_four_rounds_says_what_they_cannot_show(tmp_path: Path, rounds: int, said: bool) -> None:
    run, directory = scripted.run(
        tmp_path, scripted.plan(), lambda *asked: Scripted(requests=1000 + asked[2]), rounds
    )
    found = [one for one in caveats(run, verdicts(run, Readings(directory))) if isinstance(one, FewRounds)]
    assert bool(found) == said
    if found:
        text = caveat_text(found[0])
        assert text.startswith("4 rounds cannot show what happens in one launch of five: with a probability")
        assert "41%" in text


def near_the_limit(tmp_path: Path, arms: tuple[str, ...], ratio: float) -> Verdict:
    """A cell of which a first attempt of `arms` came too close to the generator's own rate."""

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=math.ceil(1000 * (ratio if arm == "async" else 1.0)) + round % 3)

    run, directory = scripted.run(tmp_path, scripted.plan(), script)
    fault = Fault(kind="near-ceiling", value=1100.0, limit=1050.0, whole=1500.0)
    trials = []
    for trial in run.trials:
        if trial.arm in arms and trial.round == 1:
            trials.append(trial.model_copy(update={"faults": (fault,)}))
            trials.append(trial.model_copy(update={"attempt": 2}))
        else:
            trials.append(trial)
    run = run.model_copy(update={"trials": tuple(trials)})
    return next(one for one in verdicts(run, Readings(directory)) if one.primary)


def caps(reservations: tuple[Reservation, ...]) -> list[Capped]:
    return [one for one in reservations if isinstance(one, Capped)]


@pytest.mark.parametrize(
    ("arms", "ratio", "word", "side"),
    [
        # Within the margin by the slower rounds that are left: the truth may be ×1.12.
        (("async",), 1.06, "faster", "at least"),
        (("async",), 1.0, "inconclusive", "at least"),
        (("async",), 0.8, "inconclusive", "at least"),
        (("async",), 2.0, "faster", "at least"),
        (("sync",), 0.5, "slower", "at most"),
        (("sync",), 1.0, "inconclusive", "at most"),
        (("sync", "async"), 1.5, "inconclusive", None),
        ((), 1.0, "equivalent", None),
    ],
)
def test_a_capped_cell_has_a_bound_on_one_side_and_is_never_equivalent(
    tmp_path: Path, arms: tuple[str, ...], ratio: float, word: str, side: str | None
) -> None:
    verdict = near_the_limit(tmp_path, arms, ratio)
    assert verdict.verdict == word
    found = caps(verdict.reservations)
    assert [(one.arms, one.side) for one in found] == ([(arms, side)] if arms else [])
    if side is not None:
        assert speed(verdict, 0.10).outcome != {"at least": "regression", "at most": "pass"}[side]
        assert finding(verdict).count("≥" if side == "at least" else "≤") == 1
        assert ("at least" in finding(verdict)) == (word != "inconclusive")
        assert found[0].bound == (verdict.low if side == "at least" else verdict.high)
        assert f"the true ratio is {side} ×" in reservation_text(verdict.reservations[0])


@pytest.mark.parametrize(
    ("arms", "known", "unknown"), [(("async",), "low", "high"), (("sync",), "high", "low")]
)
def test_a_capped_ratio_is_drawn_and_exported_with_the_end_that_is_known(
    tmp_path: Path, arms: tuple[str, ...], known: str, unknown: str
) -> None:
    verdict = near_the_limit(tmp_path, arms, 1.5)
    drawn = strip(verdict)
    assert getattr(drawn, unknown) == drawn.mark != getattr(drawn, known)
    text = openmetrics([], [verdict], Gate("title", "run", ()))
    assert re.findall(r'bound="(\w+)"', text) == ["estimate", known]


def test_throughputs_and_response_times_that_contradict_each_other_are_said(tmp_path: Path) -> None:
    """The waves of the first release: as many requests ended, and each took 17% longer."""
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted())
    run = waves(directory, run, {"sync": 0.338, "async": 0.395})
    verdict = next(one for one in verdicts(run, Readings(directory)) if one.primary)
    (found,) = (one for one in verdict.reservations if isinstance(one, FiguresDisagree))
    assert found.throughput == pytest.approx(1.0, abs=0.01)
    assert found.response_time == pytest.approx(0.338 / 0.395, abs=0.01)
    assert "×1.00 by throughput, ×0.86 by mean response time" in reservation_text(found)
    assert verdict.verdict == "equivalent"


def test_a_record_with_a_tail_is_counted_by_shares_and_does_not_contradict_itself(tmp_path: Path) -> None:
    """The same waves of a load that continued: their ratio is that of the waits."""
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted())
    run = waves(directory, run, {"sync": 0.338, "async": 0.395})
    trials = tuple(trial.model_copy(update={"tail": 0.4}) for trial in run.trials)
    run = run.model_copy(update={"trials": trials})
    verdict = next(one for one in verdicts(run, Readings(directory)) if one.primary)
    assert verdict.verdict == "slower"
    assert verdict.ratio == pytest.approx(0.338 / 0.395, rel=1e-9)
    assert not any(isinstance(one, FiguresDisagree) for one in verdict.reservations)


def waves(directory: RunDirectory, run: Run, waits: Mapping[str, float]) -> Run:
    """Replace the samples: 64 users who begin together and wait equally long, two waves in a window."""
    files = {}
    for trial in run.trials:
        wait = waits[trial.arm]
        start = np.repeat(-0.3 + wait * np.arange(5), 64)
        n = len(start)
        none = np.zeros(n, dtype=np.uint16)
        samples = Samples(
            due=start, start=start, end=start + wait, size=np.zeros(n, dtype=np.uint32), endpoint=none,
            status=none + np.uint16(200), error=none,
        )  # fmt: skip
        files[trial.number] = {"samples": write_samples(directory.path / trial.files.samples, samples)}
    return scripted.with_files(run, directory, files)


def row_of_coverage(launches: coverage.Launches) -> tuple[float, float, float]:
    """What docs/method.md states: covered, called equivalent (fractions) and rounds."""
    pattern = rf"^\| {re.escape(launches.about)} \| [^|]+ \| ([\d.]+)% \| ([\d.]+)% \| ([\d.]+) \|$"
    (found,) = re.findall(pattern, METHOD.read_text(encoding="utf-8"), re.MULTILINE)
    covered, equivalent, rounds = map(float, found)
    return covered / 100.0, equivalent / 100.0, rounds


@pytest.mark.parametrize("launches", coverage.MODELS, ids=lambda one: one.about)
def test_the_table_of_coverage_is_what_the_functions_give(launches: coverage.Launches) -> None:
    """Within four standard errors of 300 verdicts."""
    found = coverage.outcome(launches, 300 // launches.cells, seed=7)
    covered, equivalent, rounds = row_of_coverage(launches)
    for seen, stated in ((found.covered, covered), (found.equivalent, equivalent)):
        assert seen == pytest.approx(stated, abs=4.0 * math.sqrt(max(stated * (1 - stated), 0.005) / 300))
    assert found.rounds == pytest.approx(rounds, abs=2.0)


@pytest.mark.parametrize("rounds", [4, 6, 8, 12, 14, 20])
def test_the_table_of_fixed_rounds_is_what_the_functions_give(rounds: int) -> None:
    """Within four standard errors of 600 runs."""
    launches = next(one for one in coverage.MODELS if one.about == coverage.HALF_OF_FIVE)
    (row,) = re.findall(
        rf"^\| {rounds} \| ([\d.]+)% \| ([\d.]+)% \|$", METHOD.read_text("utf-8"), re.MULTILINE
    )
    none_seen, covered = (float(figure) / 100.0 for figure in row)
    assert unseen(rounds) == pytest.approx(none_seen, abs=0.0005)
    assert coverage.fixed(launches, rounds, 600, seed=7).covered == pytest.approx(covered, abs=0.085)


PAGES = [METHOD.parent.parent / "README.md", *sorted(METHOD.parent.glob("*.md"))]
PRINTED = sorted((METHOD.parent.parent / "reports").glob("wording/**/*.py")) + sorted(
    (METHOD.parent.parent / "reports").glob("render/**/*.py")
)


@pytest.mark.parametrize("file", [*PAGES, *PRINTED], ids=lambda path: path.name)
def test_no_text_calls_a_finding_proven(file: Path) -> None:
    """Four rounds are the usual number, and they prove nothing of the fifth. `duel prove` is a command, and
    `--no-prove` its flag, `proof` a key of its data."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        constants = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        text = "\n".join(one for one in constants if isinstance(one, str) and one != "proof")
    assert not re.search(r"(?<!duel )(?<!--no-)\b(prove[nsd]?|proof)\b", text, re.IGNORECASE)


def test_rounds_below_the_generators_limit_are_biased_and_their_lower_bound_holds() -> None:
    """A true ratio of ×1.12, of which the arm comes near the limit in half of its attempts: the rounds that
    are left read ×1.06 to ×1.08, and would be called equivalent."""
    random = np.random.default_rng(3)
    read, held = [], 0
    for _ in range(500):
        rival = np.log(1.12) + random.normal(0.0, 0.05, (12, 3))
        kept = np.where(rival < np.log(1.12), rival, np.nan)
        first = np.array([row[np.isfinite(row)][0] for row in kept if np.isfinite(row).any()][:8])
        interval = repeated_interval((first - random.normal(0.0, 0.02, len(first))).tolist(), 0.05)
        assert interval is not None
        read.append(math.log(interval.ratio))
        held += interval.low <= 1.12
    assert 1.06 < math.exp(np.mean(read)) < 1.08
    assert held / 500 >= 0.97
