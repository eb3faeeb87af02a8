"""A gate over several cells: it measures until its own decision stands, and errs as seldom as it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.power import gate_plan, gates
from loadtests.errors import Exit, PlanError
from loadtests.measure.calibration import refusals
from loadtests.measure.prospects.obstacles import check_fits
from loadtests.plan.arms import Arm
from loadtests.records import Calibration, Refusal, ServerEnd
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Outcome
from reports.conclusions import Conclusions, conclude, decided
from reports.exit_codes import exit_code, outcomes_of
from reports.export import formats
from reports.render import report_directory
from reports.wording.sentences import sentences
from tests import scripted
from tests.scripted import Scripted


@pytest.mark.parametrize(("cells", "number"), [(1, 200), (5, 200), (20, 300)])
def test_a_regression_of_twice_the_margin_in_one_cell_is_found_by_nine_gates_in_ten(
    cells: int, number: int
) -> None:
    """Stopped at each cell's own 5%, Holm took the finding back: 100, 10 and 0% were found."""
    found = sum(words[0] == "regression" for words, _ in gates(cells, 0.21, number, seed=cells))
    assert found >= 0.9 * number


@pytest.mark.parametrize(("cells", "number"), [(1, 300), (5, 150), (20, 60)])
def test_a_gate_in_which_nothing_changed_calls_a_regression_in_one_of_twenty_at_most(
    cells: int, number: int
) -> None:
    """Also at the edge of what may pass: a head worse by the margin itself is no regression."""
    for change in (0.0, 0.10):
        false = sum("regression" in words for words, _ in gates(cells, change, number, seed=100 + cells))
        assert false <= 0.05 * number


def script_of(worse: float) -> scripted.Script:
    """A head worse by a fifth on the first of several cells, by few and noisy enough rounds that one cell
    alone would decide and all together would not."""

    def script(arm: str, cell: object, round: int) -> Scripted:
        factor = worse if arm == "head" and str(cell).startswith("endpoint-0") else 1.0
        return Scripted(requests=round_(1000 * factor * (1.0 + 0.02 * (-1) ** round * (arm == "head"))))

    def round_(number: float) -> int:
        return int(number + 0.5)

    return script


def test_a_cell_is_measured_on_until_its_regression_stands_among_all_cells(tmp_path: Path) -> None:
    def run_of(cells: int, name: str) -> tuple[set[str], tuple[Outcome, ...]]:
        (tmp_path / name).mkdir()
        plan = gate_plan(cells)
        arms = tuple(Arm(name=arm, app="shop:app") for arm in ("base", "head"))
        plan = plan.model_copy(update={"arms": arms})
        run, directory = scripted.run(tmp_path / name, plan, script_of(0.84))
        readings = Readings(directory)
        closed = {cell.scenario for cell in decided(run, readings)}
        return closed, conclude(run, readings).outcomes

    alone, outcome = run_of(1, "alone")
    assert (alone, outcome) == ({"endpoint-0"}, ("regression",))
    closed, outcomes_ = run_of(8, "among")
    assert outcomes_[0] == "inconclusive"
    assert closed == {f"endpoint-{number}" for number in range(1, 8)}


Script = Callable[[str, int], Scripted]
"""What an arm shows in a round."""


def gate(parent: Path, script: Script, rounds: int = 4, refusal: Refusal | None = None) -> Conclusions:
    """A gate of one cell, measured for `rounds` unless it was refused."""
    plan = gate_plan(1)
    run, directory = scripted.run(
        parent, plan, lambda arm, _, round: script(arm, round), rounds=0 if refusal else rounds
    )
    if refusal is not None:
        run = run.model_copy(update={"refused": {plan.cells[0].key: refusal}})
        directory.save(run)
    return conclude(run, Readings(directory))


def requests(round: int) -> int:
    return 1000 + 5 * round


def answers(
    base: float, head: float, faster: float = 1.0, generator_cpu: float = 0.1, base_cpu: float = 0.1
) -> Script:
    """Arms that fail shares of their requests. The head makes `faster` times as many, on a generator that
    uses a share of its core, as for the base (`base_cpu`)."""

    def script(arm: str, round: int) -> Scripted:
        number = round_(requests(round) * (faster if arm == "head" else 1.0))
        failed = round_(number * (base if arm == "base" else head))
        busy = generator_cpu if arm == "head" else base_cpu
        return Scripted(requests=number, failures=failed, generator_cpu=busy)

    def round_(number: float) -> int:
        return int(number + 0.5)

    return script


def silent(*rounds: int, arm: str = "head", faster: float = 1.0) -> Script:
    """An arm that answers nothing in some rounds; the head serves `faster` times as much in the others."""

    def script(name: str, round: int) -> Scripted:
        factor = faster if name == "head" else 1.0
        return Scripted(requests=0 if name == arm and round in rounds else int(requests(round) * factor))

    return script


def dropping(base: int, head: int) -> Script:
    """Arms that drop the connections of some of their requests, which the client sends again."""

    def script(arm: str, round: int) -> Scripted:
        return Scripted(requests=requests(round), resent=base if arm == "base" else head)

    return script


@pytest.mark.parametrize(
    ("script", "outcome", "code", "said"),
    [
        # Masked by the client: passed once, as equally fast without any failure.
        (dropping(0, 500), "regression", 3, "head dropped the connections of 50% of its requests, and of 0%"),
        (dropping(500, 500), "pass", 0, "sent again: base 50%, head 50%"),
        (dropping(0, 5), "pass", 0, "sent again: base 0%, head 0.5%"),
        # Worst outcomes: said to be inconclusive or invalid once, with exit 0 and 5.
        (silent(0, 1, 2, 3), "regression", 3, "head failed 100% of its requests, and 0% in base"),
        (answers(0.02, 1.0), "regression", 3, "head failed 100% of its requests, and 2% in base"),
        (answers(0.0, 1.0, generator_cpu=0.95), "regression", 3, "head failed 100% of its requests"),
        (answers(0.02, 0.1), "regression", 3, "head failed 10% of its requests, and 2% in base"),
        (silent(1), "regression", 3, "head failed 25% of its requests, and 0% in base"),
        # A base that fails a little more does not excuse a head that is half as fast.
        (answers(0.015, 0.005, faster=0.5), "regression", 3, "0.50–0.51, n = 4); head failed 0.6%"),
        # Of 1,000 requests nine more in each round, and two more, whose even number proves nothing.
        (answers(0.0, 0.009), "regression", 3, "head failed 0.89% of its requests, and 0% in base"),
        (answers(0.0, 0.002), "inconclusive", 0, "head failed 0.2% of its requests, and 0% in base"),
        # Near: said to be a regression, or not decided, by which side of 1% each share was on.
        (answers(0.0098, 0.0105), "inconclusive", 0, "head failed 1.1% of its requests, and 0.99% in base"),
        (answers(0.05, 0.052), "inconclusive", 0, "head failed 5.2% of its requests, and 5% in base"),
        # The base failed, and the head does not.
        (answers(1.0, 0.0), "pass", 0, "base has no figure in any round"),
        (answers(0.3, 0.0), "pass", 0, "head failed 0% of its requests, and 30% in base"),
        # Unknown: neither answers; the base is silent in one round, the head half as fast in the others.
        (answers(1.0, 1.0), "inconclusive", 0, "not decided whether it is worse than base"),
        (silent(1, arm="base", faster=0.5), "inconclusive", 0, "and 25% in base"),
        # The measurement failed, and nothing else.
        (answers(0.0, 0.0, generator_cpu=0.95, base_cpu=0.95), "invalid", 5, "4 of 4 rounds do not count"),
        # A busy generator only makes a head look slower than it is.
        (answers(0.0, 0.0, generator_cpu=0.95), "pass", 0, "head"),
    ],
)
def test_worst_outcomes_are_regressions_and_inconclusive_is_for_what_is_near(
    tmp_path: Path, script: Script, outcome: Outcome, code: int, said: str
) -> None:
    found = gate(tmp_path, script)
    assert found.outcomes == (outcome,)
    assert exit_code(outcomes_of(found)) == code
    assert said in sentences(found)[0]


def test_a_head_whose_server_ended_is_a_regression_with_the_reason(tmp_path: Path) -> None:
    """In one launch of four, after nearly all of its requests."""
    end = ServerEnd(during="load", code=3)

    def dying(arm: str, round: int) -> Scripted:
        return Scripted(requests=requests(round), ended=end if arm == "head" and round == 2 else None)

    found = gate(tmp_path, dying)
    assert found.outcomes == ("regression",)
    assert "worse than base: head: its server ended under load (exit code 3) in 1 of 4" in sentences(found)[0]


@pytest.mark.parametrize("lost", [False, True], ids=["calm", "busy host"])
def test_a_head_that_no_longer_starts_in_later_rounds_is_a_regression_in_every_export(
    tmp_path: Path, lost: bool
) -> None:
    """Whatever disturbed the other rounds; its trials without requests make up no endpoint beside theirs."""
    end = ServerEnd(during="start", code=1, log=("RuntimeError: no more starts",))

    def stopping(arm: str, round: int) -> Scripted:
        if arm == "head" and round >= 2:
            return Scripted(requests=0, endpoints=(), ended=end)
        return Scripted(requests=requests(round), endpoints=("/x",), generator_cpu=0.97 if lost else 0.1)

    found = gate(tmp_path, stopping)
    assert found.outcomes == ("regression",)
    assert exit_code(outcomes_of(found)) == Exit.GATE
    assert lost or {one.endpoint for one in found.verdicts} == {"/x"}
    exported = formats.Exported(found, None, 0.10)
    assert "outcome=regression" in formats.FORMATS["github-outputs"](exported).splitlines()
    for name in ("github-annotations", "github-summary", "comment", "junit"):
        said = formats.FORMATS[name](exported)
        assert "did not start" in said, name
        assert "invalid" not in said, name


def refusal(base: float, head: float) -> Refusal:
    needs = {"base": base, "head": head}
    return Refusal(kind="window-too-long", needed=max(base, head), limit=10.0, trials=8, turns=5, needs=needs)


@pytest.mark.parametrize(
    ("base", "head", "outcome"),
    [
        (2.0, 31.0, "regression"),
        (12.0, 20.0, "inconclusive"),
        (12.0, 31.0, "regression"),
        (31.0, 2.0, "inconclusive"),
    ],
)
def test_a_head_whose_window_would_not_fit_is_a_regression(
    tmp_path: Path, base: float, head: float, outcome: Outcome
) -> None:
    found = gate(tmp_path, answers(0.0, 0.0), refusal=refusal(base, head))
    assert found.outcomes == (outcome,)
    assert f"head needs windows of {head:.1f} s, and at most {base:.1f} s in base" in sentences(found)[0]


def test_a_gate_whose_only_cell_was_refused_has_its_report(tmp_path: Path) -> None:
    found = gate(tmp_path, answers(0.0, 0.0), refusal=refusal(2.0, 31.0))
    assert report_directory.write(found)
    assert exit_code(outcomes_of(found)) == 3
    report = found.readings.directory.report / "report.md"
    assert "gate breached: 1 worse" in report.read_text(encoding="utf-8")


def needing(base: float, head: float) -> tuple[Calibration, ...]:
    """Calibrations by which 8 users need windows of `base` and `head` seconds."""
    return tuple(
        Calibration(arm=arm, scenario="endpoint-0", users=users, throughput=40 / need, service_time=1.0)
        for arm, need in (("base", base), ("head", head))
        for users in (1, 40)
    )


def test_a_gate_measures_a_head_that_needs_up_to_twice_the_time_and_ends_where_it_needs_more() -> None:
    """An interval says how much slower it is; without one, only much slower is a regression."""
    plan = gate_plan(1)
    assert refusals(plan, needing(2.0, 19.0)) == {}
    (refused,) = refusals(plan, needing(2.0, 31.0)).values()
    assert refused.needs == {"base": pytest.approx(2.0), "head": pytest.approx(31.0)}
    check_fits(plan, refusals(plan, needing(2.0, 31.0)))
    with pytest.raises(PlanError, match="no cell fits"):
        check_fits(plan, refusals(plan, needing(31.0, 31.0)))
