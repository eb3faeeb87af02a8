"""Files for CI services and trackers, each checked with the reader's own schema or parser."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from junitparser import JUnitXml, TestCase, TestSuite
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from loadtests.records.directory import RunDirectory
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude, side
from reports.export import github, junit
from reports.export.cases import Case, Gate, gate, of_run
from reports.export.formats import FORMATS, write
from reports.export.measures import measures
from reports.export.places import Place
from reports.render import html
from tests import scripted
from tests.commands import duel_here
from tests.scripted import Scripted
from tests.shapes import even

BENCHMARK = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "required": ["name", "unit", "value"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string"}, "unit": {"type": "string"}, "value": {"type": "number"},
            "range": {"type": "string"}, "extra": {"type": "string"},
        },
    },
}  # fmt: skip
"""The custom tool format that github-action-benchmark's extract.ts accepts."""
BENCHER = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": "^[a-z0-9-]+$"},
        "additionalProperties": {
            "type": "object",
            "required": ["value"],
            "additionalProperties": False,
            "properties": {name: {"type": "number"} for name in ("value", "lower_value", "upper_value")},
        },
    },
}
"""Bencher Metric Format, from its reference page."""
HOSTILE = "a<b>&\"'|`*_::,%\r\n::error::x\x1b[31m\x00 ü"


def concluded(tmp_path: Path, slower: float = 0.5, rounds: int = 6) -> Conclusions:
    """Base and head of one app; the head serves `slower` times as much as the base."""
    plan = scripted.plan(cells=[("ping", 8), ("posts.read", 8)], rounds=rounds).model_copy(
        update={"gate": True, "against": {"async": "sync"}}
    )

    def script(arm: str, cell: object, round: int) -> Scripted:
        there = slower if arm == "async" and "posts.read" in str(cell) else 1.0
        return Scripted(requests=round_to(2_000 * there) + 3 * round)

    run, directory = scripted.run(tmp_path, plan, script, rounds=rounds)
    return conclude(run, Readings(directory))


def round_to(number: float) -> int:
    return int(number)


def test_a_gate_names_what_became_worse_and_passes_what_did_not(tmp_path: Path) -> None:
    found = of_run(concluded(tmp_path))
    assert [(case.name, case.outcome) for case in found.cases] == [
        ("posts.read at 8 users", "regression"),
        ("ping at 8 users", "pass"),
    ]
    assert found.title == "gate breached: 1 worse, 1 not worse, of 2 cases"
    assert "worse than sync by more than 10%" in found.cases[0].message


@pytest.mark.parametrize(
    ("arms", "failures", "thresholds", "title"),
    [
        (("sync", "async"), 0, {}, "async is ahead in 0, sync in 6, equal in 0 of 6 cells"),
        (
            ("sync", "async"), 0, {"http_reqs": ("rate>1", "rate>1000000")},
            "async is ahead in 0, sync in 6, equal in 0 of 6 cells; 1 threshold missed; 1 threshold met",
        ),
        (("async",), 0, {}, "async by itself: measured in 6 of 6 cells"),
        (("async",), 400, {}, "async by itself: failing in 6 of 6 cells"),
    ],
)  # fmt: skip
def test_a_run_that_is_no_gate_is_headed_by_what_it_has_found(
    tmp_path: Path, arms: Sequence[str], failures: int, thresholds: Mapping[str, tuple[str, ...]], title: str
) -> None:
    """It said `gate passed: 6 not worse` of arms that are five times slower, or fail every request."""
    plan = scripted.plan(arms, [("ping", users) for users in (1, 2, 4, 8, 16, 32)])
    plan = plan.model_copy(update={"thresholds": thresholds})

    def script(arm: str, _: object, round: int) -> Scripted:
        return Scripted(requests=(2_000 if arm == "sync" else 400) + round, failures=failures)

    run, directory = scripted.run(tmp_path, plan, script)
    found = conclude(run, Readings(directory))
    assert of_run(found).title == title
    assert write("comment", found).splitlines()[1] == f"### {title}"
    assert f"<title>{title} – duel</title>" in html.page(found, [], {})


def test_a_margin_is_stated_as_it_was_set(tmp_path: Path) -> None:
    plan = scripted.plan().model_copy(update={"gate": True, "against": {"async": "sync"}, "margin": 0.025})

    def script(arm: str, _: object, round: int) -> Scripted:
        return Scripted(requests=(1_000 if arm == "async" else 2_000) + round)

    run, directory = scripted.run(tmp_path, plan, script)
    (case,) = of_run(conclude(run, Readings(directory))).cases
    assert "worse than sync by more than 2.5%" in case.message


def test_junit_is_read_by_a_parser_of_it_and_each_case_is_unique(tmp_path: Path) -> None:
    text = write("junit", concluded(tmp_path))
    whole = JUnitXml.fromstring(text.encode())
    suites = [suite for suite in whole if isinstance(suite, TestSuite)]
    assert [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in suites] == [(2, 1, 0, 0)]
    cases = [case for suite in suites for case in suite if isinstance(case, TestCase)]
    assert len({(case.classname, case.name) for case in cases}) == len(cases)
    assert [case.is_failure for case in cases] == [True, False]


def test_junit_preserves_any_name() -> None:
    cases = [Case(HOSTILE, HOSTILE, "regression", HOSTILE), Case("b", "c", "inconclusive", "d")]
    found = gate("title", "run x", cases)
    whole = ElementTree.fromstring(junit.text(found))  # noqa: S314  # generated by duel
    first, second = whole.iter("testcase")
    assert first.get("name") == HOSTILE.replace("\x1b", "�").replace("\x00", "�")
    assert first[0].tag == "failure"
    assert second[0].tag == "skipped"


def test_openmetrics_is_read_by_its_reference_parser(tmp_path: Path) -> None:
    text = write("openmetrics", concluded(tmp_path))
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]  # it has no types
    assert set(families) == {
        "duel_throughput", "duel_response_time_seconds", "duel_ratio", "duel_failed_ratio", "duel_case",
    }  # fmt: skip
    ratios = {
        (sample.labels["scenario"], sample.labels["bound"]): sample.value
        for sample in families["duel_ratio"].samples
    }
    assert ratios["posts.read", "estimate"] == pytest.approx(0.5, rel=0.01)
    assert ratios["posts.read", "low"] <= 0.5 <= ratios["posts.read", "high"] * 1.01


def test_trackers_get_the_format_they_expect(tmp_path: Path) -> None:
    conclusions = concluded(tmp_path)
    for name, form in (
        ("benchmark-bigger", BENCHMARK),
        ("benchmark-smaller", BENCHMARK),
        ("bencher", BENCHER),
    ):
        jsonschema.validate(json.loads(write(name, conclusions)), form)
    bigger = {row["name"]: row for row in json.loads(write("benchmark-bigger", conclusions))}
    assert bigger["ping at 8 users, sync: throughput"]["unit"] == "requests/s"
    bencher = json.loads(write("bencher", conclusions))
    (p50,) = (
        one.value for one in measures(conclusions)
        if (one.metric, one.arm, one.cell.scenario) == ("p50", "sync", "ping")
    )  # fmt: skip
    assert bencher["ping at 8 users, sync"]["latency"]["value"] == pytest.approx(p50 * 1e9)


def test_a_summary_is_never_longer_than_github_takes() -> None:
    long = github.summary("ü" * 50 + "\n" + "| row |\n" * 300_000)
    assert len(long.encode()) <= 1_000 * 1024
    assert "Truncated" in long
    assert github.summary("short\n") == "short\n"


def test_a_comment_has_the_verdict_first_and_keeps_its_length(tmp_path: Path) -> None:
    text = write("comment", concluded(tmp_path))
    first, second, *_ = text.splitlines()
    assert first == github.MARKER
    assert second == "### gate breached: 1 worse, 1 not worse, of 2 cases"
    found = Gate("x", "y", tuple(Case("g", str(n), "regression", "m" * 3_000) for n in range(40)))
    assert len(github.comment(found, "row\n" * 50_000)) <= 65_536


def test_annotations_are_at_most_ten_worst_first_and_escaped() -> None:
    cases = [Case("g", f"c{n}", "inconclusive", "?") for n in range(8)]
    cases += [Case("g", f"{n}{HOSTILE}", "regression", HOSTILE) for n in range(8)]
    lines = github.commands(gate("title", "run", cases), lambda _: Place("shop/a,b.py", 7)).splitlines()
    assert len(lines) == 10
    assert [line.partition(" ")[0] for line in lines] == ["::error"] * 8 + ["::warning"] * 2
    for line in lines[:8]:
        found = re.fullmatch(r"::error file=shop/a%2Cb\.py,line=7,title=([^:,]*)::(.*)", line)
        assert found is not None
        assert not {"\r", "\n"} & set(line)
        assert "%25%0D%0A::error::x" in found[2]


def test_outputs_are_one_line_each_for_any_content(tmp_path: Path) -> None:
    found = Gate("title\nregressions=0", "run", (Case("g", "n", "regression", "m"),))
    lines = github.outputs(found).splitlines()
    assert [line.partition("=")[0] for line in lines] == ["outcome", "title", "regressions", "invalid"]
    assert lines[2] == "regressions=1"
    assert github.outputs(of_run(concluded(tmp_path))).startswith("outcome=regression\n")


def test_a_gate_without_cases_passes_nothing() -> None:
    assert gate("title", "run", []).outcome == "invalid"


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"baseline"}))
def test_every_format_is_the_same_for_the_same_records(tmp_path: Path, name: str) -> None:
    conclusions = concluded(tmp_path)
    again = RunDirectory(conclusions.readings.directory.path)
    assert write(name, conclusions) == write(name, conclude(again.load(), Readings(again)))


def test_a_run_is_judged_against_a_base_where_one_is_given(tmp_path: Path) -> None:
    """The cases of `--against` equal those of `compare`."""
    sides = []
    for name, faster in (("base", 2.0), ("head", 1.0)):
        plan = scripted.plan(cells=[("ping", 8)], rounds=12).model_copy(update={"max_rounds": 12})

        def script(arm: str, cell: object, round: int, faster: float = faster) -> Scripted:
            return Scripted(requests=int(2_000 * (faster if arm == "async" else 1.0)) + 5 * (round % 3))

        run, directory = scripted.run(tmp_path / name, plan, script, rounds=12, id=name)
        sides.append(conclude(run, Readings(directory)))
    text = write("junit", sides[1], side(sides[0]))
    assert "<failure" in text
    assert "worse by more than 10%" in text


def test_several_formats_need_a_file_each(tmp_path: Path) -> None:
    _, directory = scripted.run(tmp_path, scripted.plan(), even)
    both = ["export", str(directory.path), "--format", "junit", "--format", "github-outputs"]
    refused = duel_here(*both, cwd=tmp_path)
    assert refused.returncode == 2
    assert "one -o FILE per --format" in refused.stderr
    done = duel_here(*both, "-o", "junit.xml", "-o", "-", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("outcome=pass")
    assert "<testsuites" in (tmp_path / "junit.xml").read_text()


def test_openmetrics_has_one_failure_rate_of_a_reference_whatever_rounds_its_rivals_lost(
    tmp_path: Path,
) -> None:
    """A file with a sample twice is refused as a whole."""
    plan = scripted.plan(("sync", "async", "other"), rounds=8)

    def script(arm: str, _: object, round: int) -> Scripted:
        busy = 0.97 if (arm, round) == ("other", 3) else 0.1
        failures = 4 * round if arm == "sync" else 0
        return Scripted(requests=2_000 + round, failures=failures, generator_cpu=busy)

    run, directory = scripted.run(tmp_path, plan, script, rounds=8)
    text = write("openmetrics", conclude(run, Readings(directory)))
    names = [line.rpartition(" ")[0] for line in text.splitlines()]
    assert len(names) == len(set(names))
    assert any(name.startswith("duel_failed_ratio") and 'arm="sync"' in name for name in names)


def test_a_comment_fits_whatever_is_long_in_it() -> None:
    long = [Case("g", f"c{n}", "regression", f"{n} {'x' * 9_000}") for n in range(10)]
    for cases in (long, [Case("g", "c", "regression", "x" * 90_000)], long[:1]):
        text = github.comment(gate("gate breached", "run", cases), "line\n" * 30_000)
        assert len(text) <= github.MOST_COMMENT
        assert text.startswith(f"{github.MARKER}\n### gate breached")
        assert text.endswith("</details>\n")
        assert "Truncated" in text
