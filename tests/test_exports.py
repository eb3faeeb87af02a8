"""What CI services and trackers read, each by the schema or the parser of the one who reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from junitparser import JUnitXml, TestCase, TestSuite
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from loadtests.records import RunDirectory
from reports import github, junit
from reports.cases import Case, Gate, gate, of_run
from reports.comparison import side
from reports.conclusions import Conclusions, conclude
from reports.estimates import Readings
from reports.exports import FORMATS, write
from reports.measures import measures
from tests import scripted
from tests.scripted import Told

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
"""What github-action-benchmark's extract.ts takes of a custom tool."""
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
"""Bencher Metric Format, by its reference page."""
HOSTILE = "a<b>&\"'|`*_::,%\r\n::error::x\x1b[31m\x00 ü"


def concluded(tmp_path: Path, slower: float = 0.5, rounds: int = 6) -> Conclusions:
    """Base and head of one app, of which the head serves `slower` times as much."""
    plan = scripted.plan(cells=[("ping", 8), ("posts.read", 8)], rounds=rounds).model_copy(
        update={"gate": True, "against": {"async": "sync"}}
    )

    def script(arm: str, cell: object, round: int) -> Told:
        there = slower if arm == "async" and "posts.read" in str(cell) else 1.0
        return Told(requests=round_to(2_000 * there) + 3 * round)

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


def test_junit_is_read_by_a_parser_of_it_and_each_case_is_unique(tmp_path: Path) -> None:
    text = write("junit", concluded(tmp_path))
    whole = JUnitXml.fromstring(text.encode())
    suites = [suite for suite in whole if isinstance(suite, TestSuite)]
    assert [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in suites] == [(2, 1, 0, 0)]
    cases = [case for suite in suites for case in suite if isinstance(case, TestCase)]
    assert len({(case.classname, case.name) for case in cases}) == len(cases)
    assert [case.is_failure for case in cases] == [True, False]


def test_junit_holds_whatever_a_name_holds() -> None:
    found = gate(
        "run x", [Case(HOSTILE, HOSTILE, "regression", HOSTILE), Case("b", "c", "inconclusive", "d")]
    )
    suite = ElementTree.fromstring(junit.text(found))[0]  # noqa: S314  # of our own making
    assert suite[0].get("name") == HOSTILE.replace("\x1b", "�").replace("\x00", "�")
    assert suite[0][0].tag == "failure"
    assert suite[1][0].tag == "skipped"


def test_openmetrics_is_read_by_its_reference_parser(tmp_path: Path) -> None:
    text = write("openmetrics", concluded(tmp_path))
    assert text.endswith("# EOF\n")
    families = {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]  # it has no types
    assert set(families) == {"duel_throughput", "duel_response_time_seconds", "duel_ratio", "duel_case"}
    ratios = {
        (sample.labels["scenario"], sample.labels["bound"]): sample.value
        for sample in families["duel_ratio"].samples
    }
    assert ratios["posts.read", "estimate"] == pytest.approx(0.5, rel=0.01)
    assert ratios["posts.read", "low"] <= 0.5 <= ratios["posts.read", "high"] * 1.01


def test_trackers_get_what_their_forms_ask_for(tmp_path: Path) -> None:
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
    assert "was cut" in long
    assert github.summary("short\n") == "short\n"


def test_a_comment_has_the_verdict_first_and_keeps_its_length(tmp_path: Path) -> None:
    text = write("comment", concluded(tmp_path))
    first, second, *_ = text.splitlines()
    assert first == github.MARKER
    assert second == "### gate breached: 1 worse, 1 not worse, of 2 cases"
    found = Gate("x", "y", tuple(Case("g", str(n), "regression", "m" * 3_000) for n in range(40)))
    assert len(github.comment(found, "row\n" * 50_000)) <= 65_536


def test_annotations_are_ten_at_most_the_worst_first_and_nothing_breaks_out_of_them() -> None:
    cases = [Case("g", f"c{n}", "inconclusive", "?") for n in range(8)]
    cases += [Case("g", f"{n}{HOSTILE}", "regression", HOSTILE) for n in range(8)]
    lines = github.commands(gate("run", cases), {"g": "shop/a,b.py"}).splitlines()
    assert len(lines) == 10
    assert [line.partition(" ")[0] for line in lines] == ["::error"] * 8 + ["::warning"] * 2
    for line in lines[:8]:
        found = re.fullmatch(r"::error file=shop/a%2Cb\.py,line=1,title=([^:,]*)::(.*)", line)
        assert found is not None
        assert not {"\r", "\n"} & set(line)
        assert "%25%0D%0A::error::x" in found[2]


def test_outputs_are_one_line_each_whatever_is_in_them(tmp_path: Path) -> None:
    found = Gate("title\nregressions=0", "run", (Case("g", "n", "regression", "m"),))
    lines = github.outputs(found).splitlines()
    assert [line.partition("=")[0] for line in lines] == ["outcome", "title", "regressions", "invalid"]
    assert lines[2] == "regressions=1"
    assert github.outputs(of_run(concluded(tmp_path))).startswith("outcome=regression\n")


def test_a_gate_without_cases_passes_nothing() -> None:
    assert gate("run", []).outcome == "invalid"


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"baseline"}))
def test_every_format_is_the_same_for_the_same_records(tmp_path: Path, name: str) -> None:
    conclusions = concluded(tmp_path)
    again = RunDirectory(conclusions.readings.directory.path)
    assert write(name, conclusions) == write(name, conclude(again.load(), Readings(again)))


def test_a_run_is_judged_against_a_base_where_one_is_given(tmp_path: Path) -> None:
    """The cases of `--against` are those of `compare`."""
    sides = []
    for name, faster in (("base", 2.0), ("head", 1.0)):
        plan = scripted.plan(cells=[("ping", 8)], rounds=12).model_copy(update={"max_rounds": 12})

        def script(arm: str, cell: object, round: int, faster: float = faster) -> Told:
            return Told(requests=int(2_000 * (faster if arm == "async" else 1.0)) + 5 * (round % 3))

        run, directory = scripted.run(tmp_path / name, plan, script, rounds=12)
        sides.append(conclude(run, Readings(directory)))
    text = write("junit", sides[1], side(sides[0]))
    assert "<failure" in text
    assert "more than 10% worse" in text
