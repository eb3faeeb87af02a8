"""Runs and baseline files as the two sides of a gate, and the command that compares them."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.errors import RecordError
from loadtests.plan.options import Inputs
from loadtests.records import AnswerCheck, AnswerDifference, Cell
from loadtests.records.directory import RunDirectory
from reports.analysis.readings import Readings
from reports.conclusions import conclude, side
from reports.export import formats
from reports.gate import baseline
from reports.gate.comparison import compare
from reports.gate.findings import ArmsUnlike
from reports.gate.setups import setup_of
from reports.gate.sides import Incompatible, Side
from reports.render import changes
from tests import scripted
from tests.commands import chartless_here, duel_here
from tests.scripted import Scripted

MARGIN = 0.10


def fixed(tmp_path: Path, name: str, factor: float, rounds: int = 12) -> RunDirectory:
    """A run of exactly `rounds` rounds in which async serves `factor` times as much as sync."""
    plan = scripted.plan(cells=[("ping", 8), ("ping", 64)], rounds=rounds)
    plan = plan.model_copy(update={"max_rounds": rounds})

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=int(1000 * (factor if arm == "async" else 1.0)) + 5 * round)

    (tmp_path / name).mkdir()
    run, directory = scripted.run(tmp_path / name, plan, script, id=name)
    day = 1 if name == "base" else 2
    directory.save(run.model_copy(update={"began": f"2026-01-0{day}T00:00:00+00:00"}))
    return directory


def of(directory: RunDirectory) -> Side:
    return side(conclude(directory.load(), Readings(directory)))


@pytest.fixture(scope="module")
def kept_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A baseline, as a file has it."""
    return baseline.write(of(fixed(tmp_path_factory.mktemp("runs"), "base", 1.3)))


def test_a_run_that_stopped_when_decided_is_refused(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted())
    with pytest.raises(Incompatible, match="stopped each cell when it was decided") as refused:
        side(conclude(run, Readings(directory)))
    assert refused.value.cause == "such runs stop at extremes, and cannot be compared"


def test_a_run_of_too_few_rounds_is_refused_for_that_alone(tmp_path: Path) -> None:
    with pytest.raises(Incompatible, match="has 2 of the 4 rounds that an interval needs"):
        of(fixed(tmp_path, "few", 1.0, rounds=2))


def test_a_run_that_lacks_rounds_is_refused(tmp_path: Path) -> None:
    directory = fixed(tmp_path, "short", 1.0)
    run = directory.load()
    directory.save(run.model_copy(update={"trials": run.trials[:-2]}))
    with pytest.raises(Incompatible, match="has fewer than 12 rounds"):
        of(directory)


def test_a_baseline_gives_the_same_result_as_its_run(tmp_path: Path) -> None:
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
        assert mine.decision.notes == theirs.decision.notes


def test_a_baseline_is_a_line_per_cell(kept_base: str) -> None:
    assert len([line for line in kept_base.splitlines() if '"differences"' in line]) == 2
    assert len(kept_base) < 4000


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema": "duel-baseline/2"}', '{"schema": "duel-baseline/1", "rows": 1}', "[" * 9999],
)
def test_other_files_are_refused_as_a_baseline(tmp_path: Path, content: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(content)
    with pytest.raises(RecordError, match=r"baseline\.json"):
        baseline.read(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("differences", [1e308] * 12),
        ("values", [0.0, 1000.0]),
        ("health", [{"failed": [[5, 1]] * 12}, {}]),
        ("health", [{"failed": [[0, 0]] * 12}, {}]),
        ("health", [{"behind": [-1.0]}, {}]),
        ("health", [{}]),
    ],
)
def test_a_baseline_with_impossible_figures_is_refused(
    tmp_path: Path, kept_base: str, name: str, value: object
) -> None:
    """It may come from a stranger."""
    path = tmp_path / "baseline.json"
    whole = json.loads(kept_base)
    whole["rows"][0][name] = value
    path.write_text(json.dumps(whole))
    with pytest.raises(RecordError, match=r"baseline\.json"):
        baseline.read(path)


def test_the_command_compares_runs_and_files_with_the_exit_codes_of_the_gate(tmp_path: Path) -> None:
    base, same, worse = (
        fixed(tmp_path, name, factor).path for name, factor in (("base", 1.3), ("same", 1.3), ("worse", 0.7))
    )
    passed = chartless_here("compare", str(base), str(same), cwd=tmp_path)
    assert passed.returncode == 0, passed.stderr
    assert passed.stdout.startswith("gate passed: 2 not worse, of 2 cells")
    breached = duel_here("compare", str(base), str(worse), "--json", "-", cwd=tmp_path)
    assert breached.returncode == 3
    assert json.loads(breached.stdout)["outcome"] == "regression"
    report = worse / "report"
    assert (report / "change.md").read_text().startswith("# gate breached: 2 worse, of 2 cells")
    assert {"change-light.svg", "change-dark.svg", "change-light.png", "change-dark.png"} <= {
        path.name for path in report.iterdir()
    }

    exported = chartless_here(
        "export", str(base), "--format", "baseline", "-o", "baseline.json", cwd=tmp_path
    )
    assert exported.returncode == 0, exported.stderr
    assert chartless_here("compare", "baseline.json", str(worse), cwd=tmp_path).returncode == 3
    assert chartless_here("compare", "baseline.json", str(same), cwd=tmp_path).returncode == 0
    for wrong in (["nowhere", str(same)], [str(base), "nowhere"]):
        refused = chartless_here("compare", *wrong, cwd=tmp_path)
        assert refused.returncode == 6
        assert "Traceback" not in refused.stderr


def test_an_unclear_gate_is_a_warning_and_with_strict_exit_4(tmp_path: Path) -> None:
    base, head = fixed(tmp_path, "base", 1.0, 4).path, fixed(tmp_path, "head", 0.9, 4).path
    done = chartless_here("compare", str(base), str(head), cwd=tmp_path)
    assert done.returncode == 0
    assert "warning: 2 cells not decided" in done.stdout
    assert chartless_here("compare", str(base), str(head), "--strict", cwd=tmp_path).returncode == 4


@pytest.mark.parametrize("source", ["file", "environment", "flag"])
def test_a_margin_counts_wherever_it_is_set(tmp_path: Path, source: str) -> None:
    base, head = fixed(tmp_path, "base", 1.3).path, fixed(tmp_path, "head", 1.15).path
    outputs = ["export", str(head), "--against", str(base), "--format", "github-outputs"]
    assert "outcome=inconclusive" in chartless_here(*outputs, cwd=tmp_path).stdout
    assert chartless_here("compare", str(base), str(head), cwd=tmp_path).returncode == 0
    flags = ["--margin", "0.03"] if source == "flag" else []
    variables = {"DUEL_MARGIN": "0.03"} if source == "environment" else {}
    if source == "file":
        (tmp_path / "pyproject.toml").write_text("[tool.duel]\nmargin = 0.03\n")
    compared = chartless_here("compare", str(base), str(head), *flags, cwd=tmp_path, **variables)
    assert compared.returncode == 3
    exported = chartless_here(*outputs, *flags, cwd=tmp_path, **variables)
    assert "outcome=regression" in exported.stdout


def test_a_side_knows_the_packages_that_serve_its_apps(tmp_path: Path) -> None:
    run = fixed(tmp_path, "base", 1.3).load()
    assert setup_of(run).packages == {}
    installed = {
        "/shop/.venv/bin/python": {"FastAPI": "0.115.0", "python_multipart": "0.0.9"},
        "/old/bin/python": {"fastapi": "0.110.0"},
    }
    inputs = Inputs(directory="/shop", packages=installed)
    assert setup_of(run.model_copy(update={"inputs": inputs})).packages == {
        "fastapi": "0.110.0 and 0.115.0", "python-multipart": "0.0.9",
    }  # fmt: skip


def test_arms_that_began_to_answer_differently_are_said_to_do_so_everywhere(tmp_path: Path) -> None:
    """Not only that a ratio is missing, at exit code 0."""
    base, head = fixed(tmp_path, "base", 1.3), fixed(tmp_path, "head", 1.3)
    difference = AnswerDifference(
        kind="shape", scenario="ping", endpoint="ping", request="GET /ping", reference="sync", arm="async",
        reference_has=("pong: text",), arm_has=("error: text",),
    )  # fmt: skip
    check = AnswerCheck(requests=8, endpoints=("ping: ping",), differences=(difference,))
    head.save(head.load().model_copy(update={"answers": check}))
    found = compare(of(base), of(head), MARGIN)
    assert {one.notes for one in found.changes} == {(ArmsUnlike(("head",)),)}
    assert found.outcome == "inconclusive"
    out = StringIO()
    changes.show(Console(file=out, width=200), found)
    said = "head: ping at 8 users, async against sync"
    texts = {
        "terminal": out.getvalue(), "markdown": changes.markdown(found),
        "comment": formats.write("comment", conclude(head.load(), Readings(head)), of(base)),
    }  # fmt: skip
    for name, text in texts.items():
        assert "The arms answer differently, so no ratio compares them" in text, name
        assert said in text, name
        assert "the arms answer differently in head" in text, name
