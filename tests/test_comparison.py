"""The gate: three outcomes, an error rate that holds, nothing that passes silently."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from loadtests.records import Cell, Load, Machine, RecordError, RunDirectory
from reports import baseline, changes
from reports.comparison import Change, Comparison, Incompatible, Side, Standing, compare, side
from reports.conclusions import conclude
from reports.estimates import Readings
from reports.statistics import shift
from reports.verdicts import Word
from tests import scripted
from tests.scripted import MACHINE, Told
from tests.test_cli import duel

MARGIN = 0.10


def row(
    differences: Sequence[float],
    users: int = 64,
    word: Word = "equivalent",
    failing: Sequence[str] = (),
    values: tuple[float, float] = (1000.0, 1000.0),
) -> Standing:
    cell = Cell(scenario="ping", load=Load(users=users))
    return Standing(cell, "throughput", "sync", "async", word, tuple(differences), values, tuple(failing))


def a_side(*rows: Standing, machine: Machine = MACHINE) -> Side:
    return Side("a-run", machine, rows)


def noisy(mean: float, random: Random, n: int = 12, spread: float = 0.07) -> list[float]:
    return [random.gauss(mean, spread) for _ in range(n)]


def only(base: Standing, head: Standing) -> Change:
    (found,) = compare(a_side(base), a_side(head), MARGIN).changes
    return found


def even(mean: float) -> list[float]:
    """Twelve rounds with little noise around a mean."""
    return [mean + 0.01 * (-1) ** number for number in range(12)]


@pytest.mark.parametrize(
    ("mean", "outcome"),
    [(0.0, "pass"), (0.2, "pass"), (-0.02, "pass"), (-0.1, "inconclusive"), (-0.25, "regression")],
)
def test_a_cell_passes_is_worse_or_is_not_decided(mean: float, outcome: str) -> None:
    assert only(row(even(0.3)), row(even(0.3 + mean))).outcome == outcome


def test_without_a_change_the_gate_hardly_ever_fires_and_twice_the_margin_is_mostly_found() -> None:
    """2,000 gates of one cell, 12 rounds, 5 % noise a trial, sessions that differ by 2 % by themselves."""
    random = Random(1)
    fired = {0.0: 0, -2 * math.log1p(MARGIN): 0}
    for change in fired:
        for _ in range(2000):
            sessions = [random.gauss(0.0, 0.02) for _ in range(2)]
            base, head = noisy(sessions[0], random), noisy(sessions[1] + change, random)
            fired[change] += only(row(base), row(head)).outcome == "regression"
    assert fired[0.0] <= 20
    assert fired[-2 * math.log1p(MARGIN)] >= 1300


def test_at_the_margin_itself_a_gate_of_many_cells_errs_in_one_of_twenty() -> None:
    """Ten cells that all lie exactly at the margin: some cell is called worse in 5 % of the gates at most."""
    random = Random(2)
    fired = 0
    for _ in range(400):
        base, head = [], []
        for users in range(1, 11):
            sessions = [random.gauss(0.0, 0.02) for _ in range(2)]
            base.append(row(noisy(sessions[0], random), users))
            head.append(row(noisy(sessions[1] - math.log1p(MARGIN), random), users))
        fired += any(
            one.outcome == "regression" for one in compare(a_side(*base), a_side(*head), MARGIN).changes
        )
    assert fired <= 0.05 * 400 + 3 * math.sqrt(400 * 0.05 * 0.95)


def test_holm_takes_back_what_one_cell_alone_would_have_called_worse() -> None:
    cells = [row(even(0.0), users) for users in range(1, 21)]
    # About 1.9 standard errors beyond the margin: enough alone, not among twenty.
    edge = -math.log1p(MARGIN) - 1.9 * math.sqrt(2) * 0.02
    worse = [row(even(edge), 1), *(row(even(0.0), users) for users in range(2, 21))]
    assert only(cells[0], worse[0]).outcome == "regression"
    among = compare(a_side(*cells), a_side(*worse), MARGIN)
    assert among.changes[0].outcome == "inconclusive"
    assert "not among 20 cells (Holm)" in among.changes[0].notes[0]


def test_a_latency_that_rises_is_worse() -> None:
    cell = Cell(scenario="ping", load=Load(rate=100.0, arrivals="poisson"))
    before, after = (
        Standing(cell, "p99", "sync", "async", "equivalent", tuple(even(mean)), (0.01, 0.01))
        for mean in (0.0, 0.4)
    )
    assert only(before, after).outcome == "regression"
    assert only(after, before).outcome == "pass"


def test_the_arm_that_moved_is_named() -> None:
    before = row(even(0.0), values=(1000.0, 1000.0))
    after = row(even(-0.4), values=(1010.0, 670.0))
    assert only(before, after).notes == ("async itself did worse: 1,000/s before, 670/s now",)


@pytest.mark.parametrize(
    ("before", "after", "outcome", "note"),
    [
        ((), ("async",), "regression", "async began to fail"),
        (("async",), (), "inconclusive", "async failed before"),
        (("async",), ("async",), "inconclusive", "async failed before"),
    ],
)
def test_errors_never_pass_silently(
    before: Sequence[str], after: Sequence[str], outcome: str, note: str
) -> None:
    found = only(row((), word="failing", failing=before), row((), word="failing", failing=after))
    assert (found.outcome, found.notes) == (outcome, (note,))


def test_a_failed_measurement_is_invalid_whichever_side_it_is_on() -> None:
    good, bad = row(even(0.0)), row(even(0.0), word="invalid")
    assert only(good, bad).notes == ("the measurement failed in head",)
    assert only(bad, bad).notes == ("the measurement failed in base and head",)
    assert only(bad, good).outcome == "invalid"


def test_a_missing_cell_is_refused_and_an_added_one_told() -> None:
    both, one = a_side(row(even(0.0), 8), row(even(0.0), 64)), a_side(row(even(0.0), 64))
    with pytest.raises(Incompatible, match="lacks ping at 8 users, async against sync"):
        compare(both, one, MARGIN)
    assert compare(one, both, MARGIN).added == ("ping at 8 users, async against sync",)


def test_another_machine_widens_the_gate_and_is_told() -> None:
    elsewhere = MACHINE.model_copy(update={"cpu": "another"})
    base, head = row(even(0.0)), row(even(-0.17))
    here = compare(a_side(base), a_side(head), MARGIN)
    there = compare(a_side(base), a_side(head, machine=elsewhere), MARGIN)
    assert (here.outcome, there.outcome) == ("regression", "inconclusive")
    assert "cpu: A processor, now another" in changes.warnings(there)[0]


def test_changed_packages_are_told() -> None:
    newer = MACHINE.model_copy(update={"packages": {"fastapi": "0.166.0"}})
    found = compare(a_side(row(even(0.0))), a_side(row(even(0.0)), machine=newer), MARGIN)
    assert "not only the code changed: fastapi 0.165.0 → 0.166.0" in changes.warnings(found)


def test_the_shift_is_welchs() -> None:
    """Against the textbook formula, without drift."""
    before, after = [1.0, 2.0, 3.0, 5.0], [2.0, 4.0, 5.0, 7.0, 9.0]
    found = shift(before, after, 0.0)
    assert found is not None
    one, other = 2.9166666666666665 / 4, 7.3 / 5
    assert found.error == pytest.approx(math.sqrt(one + other))
    assert found.freedom == pytest.approx((one + other) ** 2 / (one**2 / 3 + other**2 / 4))
    assert shift([1.0] * 3, after, 0.0) is None


def fixed(tmp_path: Path, name: str, factor: float, rounds: int = 12) -> RunDirectory:
    """A run of exactly so many rounds in which async serves `factor` times as much as sync."""
    plan = scripted.plan(cells=[("ping", 8), ("ping", 64)], rounds=rounds)
    plan = plan.model_copy(update={"max_rounds": rounds})

    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(requests=int(1000 * (factor if arm == "async" else 1.0)) + 5 * round)

    (tmp_path / name).mkdir()
    return scripted.run(tmp_path / name, plan, script)[1]


def of(directory: RunDirectory) -> Side:
    return side(conclude(directory.load(), Readings(directory)))


def test_a_run_that_stopped_when_decided_is_refused(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Told())
    with pytest.raises(Incompatible, match="stopped each cell when it was decided"):
        side(conclude(run, Readings(directory)))


def test_a_run_that_lacks_rounds_is_refused(tmp_path: Path) -> None:
    directory = fixed(tmp_path, "short", 1.0)
    run = directory.load()
    directory.save(run.model_copy(update={"trials": run.trials[:-2]}))
    with pytest.raises(Incompatible, match="has not all 12 rounds"):
        of(directory)


def test_a_baseline_says_the_same_as_the_run_it_came_from(tmp_path: Path) -> None:
    whole = of(fixed(tmp_path, "base", 1.3))
    path = tmp_path / "baseline.json"
    path.write_text(baseline.write(whole))
    again = baseline.read(path)
    assert baseline.write(again) == path.read_text()
    head = of(fixed(tmp_path, "head", 1.0))
    one, other = (compare(base, head, MARGIN) for base in (whole, again))
    assert [change.outcome for change in one.changes] == [change.outcome for change in other.changes]
    for mine, theirs in zip(one.changes, other.changes, strict=True):
        assert mine.ratio == pytest.approx(theirs.ratio, rel=1e-4)


def test_a_baseline_is_a_line_per_cell(tmp_path: Path) -> None:
    text = baseline.write(of(fixed(tmp_path, "base", 1.3)))
    assert len([line for line in text.splitlines() if '"differences"' in line]) == 2
    assert len(text) < 4000


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema": "duel-baseline/2"}', '{"schema": "duel-baseline/1", "rows": 1}', "[" * 9999],
)
def test_anything_else_is_no_baseline(tmp_path: Path, content: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=r"baseline\.json"):
        baseline.read(path)


def test_the_command_compares_runs_and_files_with_the_exit_codes_of_the_gate(tmp_path: Path) -> None:
    base, same, worse = (
        fixed(tmp_path, name, factor).path for name, factor in (("base", 1.3), ("same", 1.3), ("worse", 0.7))
    )
    passed = duel("compare", str(base), str(same), cwd=tmp_path)
    assert passed.returncode == 0, passed.stderr
    assert passed.stdout.startswith("gate passed: 2 not worse of 2 cells")
    breached = duel("compare", str(base), str(worse), "--json", "-", cwd=tmp_path)
    assert breached.returncode == 3
    assert json.loads(breached.stdout)["outcome"] == "regression"
    report = worse / "report"
    assert (report / "change.md").read_text().startswith("# gate breached: 2 worse of 2 cells")
    assert {"change-light.svg", "change-dark.svg", "change-light.png", "change-dark.png"} <= {
        path.name for path in report.iterdir()
    }

    exported = duel("export", str(base), "--format", "baseline", "-o", "baseline.json", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert duel("compare", "baseline.json", str(worse), cwd=tmp_path).returncode == 3
    assert duel("compare", "baseline.json", str(same), cwd=tmp_path).returncode == 0
    for wrong in (["nowhere", str(same)], [str(base), "nowhere"]):
        refused = duel("compare", *wrong, cwd=tmp_path)
        assert refused.returncode == 6
        assert "Traceback" not in refused.stderr


def test_an_unclear_gate_is_a_warning_and_with_strict_exit_4(tmp_path: Path) -> None:
    base, head = fixed(tmp_path, "base", 1.0, 4).path, fixed(tmp_path, "head", 0.9, 4).path
    done = duel("compare", str(base), str(head), cwd=tmp_path)
    assert done.returncode == 0
    assert "warning: 2 cells not decided" in done.stdout
    assert duel("compare", str(base), str(head), "--strict", cwd=tmp_path).returncode == 4


def test_every_word_of_a_comparison_is_harmless_in_markdown() -> None:
    found = compare(a_side(row(even(0.0))), a_side(row(even(-0.4))), MARGIN)
    assert isinstance(found, Comparison)
    text = changes.markdown(found)
    assert text.startswith("# gate breached: 1 worse of 1 cell\n")
    assert "| ✗ regression |" in text
