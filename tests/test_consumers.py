"""What reads the exports takes and compares all of them, and finds the same names in every run of a plan."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import Plan
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude, side
from reports.export import junit
from reports.export.cases import gate, of_run
from reports.export.formats import write
from reports.export.measures import measures, series
from reports.gate import baseline
from reports.gate.comparison import compare
from tests import consumers, scripted
from tests.scripted import Scripted

Script = Callable[[str, Cell, int], Scripted]
TRACKED = ("benchmark-bigger", "benchmark-smaller", "bencher")
PLAN = scripted.plan(cells=[("ping", 4), ("report", 64)], rounds=4).model_copy(
    update={"thresholds": {"http_req_duration": ("p(95)<500", "med<1"), "http_req_failed": ("rate<0.01",)}}
)


def ran(parent: Path, script: Script, plan: Plan = PLAN, id: str = "one") -> Conclusions:
    parent.mkdir(exist_ok=True)
    run, directory = scripted.run(parent, plan, script, id=id)
    return conclude(run, Readings(directory))


def serving(requests: int, failures: int = 0) -> Script:
    def script(arm: str, _: Cell, round: int) -> Scripted:
        return Scripted(requests=requests + round * (2 if arm == "async" else 1), failures=failures)

    return script


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Conclusions, Conclusions]:
    """Two runs of one plan: windows of the first just miss the requests that a p95 needs."""
    path = tmp_path_factory.mktemp("two")
    return ran(path / "a", serving(190)), ran(path / "b", serving(210), id="two")


def names(found: Conclusions, form: str) -> list[str]:
    text = write(form, found)
    if form == "bencher":
        return [f"{name}, {one}" for name, mine in consumers.bencher(text).items() for one in mine]
    return [row["name"] for row in consumers.extract(text)]


@pytest.mark.parametrize("form", TRACKED)
def test_two_runs_of_one_plan_have_the_same_names_each_once(
    two: tuple[Conclusions, Conclusions], form: str
) -> None:
    first, second = (names(found, form) for found in two)
    assert first == second
    assert len(set(first)) == len(first)
    assert any("p95" in name for name in first) == (form != "benchmark-bigger")


def test_junit_follows_the_schema_of_jenkins_and_its_names_are_stable(
    two: tuple[Conclusions, Conclusions],
) -> None:
    read = [consumers.jenkins(write("junit", found)) for found in two]
    for whole in read:
        suites = list(whole.iter("testsuite"))
        assert [suite.get("name") for suite in suites] == ["async against sync", "thresholds"]
        for suite in suites:
            cases = list(suite.iter("testcase"))
            assert suite.get("tests") == str(len(cases))
            assert float(suite.get("time", "")) == pytest.approx(
                sum(float(one.get("time", "")) for one in cases)
            )
        # Both arms, four rounds, 1.6 s of load each.
        assert suites[0][1].get("time") == "12.800"
    first, second = (
        sorted((one.get("classname"), one.get("name")) for one in whole.iter("testcase")) for whole in read
    )
    assert first == second
    assert len(set(first)) == len(first)
    assert not any("one" in f"{name}" or "two" in f"{name}" for name in first)


def test_every_failure_has_a_type_and_a_message(tmp_path: Path) -> None:
    """Readers skip those without."""
    slow = ran(tmp_path / "slow", lambda *_: Scripted(requests=400, latency=0.6))
    whole = consumers.jenkins(junit.text(of_run(slow)))
    found = [one for tag in ("failure", "error", "skipped") for one in whole.iter(tag)]
    assert found
    assert all(one.get("type") and one.get("message") for one in found)


def test_a_gate_without_cases_is_still_a_document() -> None:
    assert consumers.jenkins(junit.text(gate("title", "run x", []))).get("tests") == "0"


def test_an_arm_that_answers_nothing_does_not_vanish_from_its_series(tmp_path: Path) -> None:
    """Missing names are not compared, so that nothing would fail, silently."""
    before, gone = ran(tmp_path / "a", serving(300)), ran(tmp_path / "b", serving(300, failures=400))
    earlier, now = (consumers.extract(write("benchmark-bigger", one)) for one in (before, gone))
    assert [row["name"] for row in now] == [row["name"] for row in earlier]
    assert len(consumers.alerts(earlier, now, bigger=True)) == len(now)
    read = consumers.bencher(write("bencher", gone))["ping at 4 users, sync"]
    assert read["throughput"]["value"] == 0.0
    assert read["failed-requests"]["value"] == 1.0
    healthy = consumers.bencher(write("bencher", before))["ping at 4 users, sync"]
    assert healthy["failed-requests"] == {"value": 0.0}


def test_a_value_half_as_good_is_an_alert_in_each_direction(tmp_path: Path) -> None:
    sides = [ran(tmp_path / name, lambda *_, n=n: Scripted(requests=n, latency=4 / n)) for name, n in
             (("a", 1000), ("b", 400))]  # fmt: skip
    for form, bigger in (("benchmark-bigger", True), ("benchmark-smaller", False)):
        before, now = (consumers.extract(write(form, one)) for one in sides)
        assert len(consumers.alerts(before, now, bigger)) == len(now)
        assert consumers.alerts(now, before, bigger) == []


def test_both_files_under_one_name_are_never_compared(two: tuple[Conclusions, Conclusions]) -> None:
    """Why docs/ci.md gives each file a `name` of its own: the action takes the last entry of another commit,
    which is the other file's."""
    bigger, smaller = (consumers.extract(write(form, two[0])) for form in TRACKED[:2])
    entries = [("before", bigger), ("before", smaller)]
    halved = [{**row, "value": row["value"] / 10} for row in bigger]
    assert consumers.alerts(consumers.entry_before(entries, "now"), halved, bigger=True) == []
    assert consumers.alerts(consumers.entry_before(entries[:1], "now"), halved, bigger=True)


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        (Load(users=1), ["throughput", "p50"]),
        (Load(users=20), ["throughput", "p50", "p95"]),
        (Load(users=100), ["throughput", "p50", "p95", "p99"]),
        (Load(rate=10, arrivals="poisson"), ["throughput", "p50"]),
        (Load(rate=500, arrivals="constant"), ["throughput", "p50", "p95", "p99"]),
    ],
    ids=str,
)
def test_the_plan_decides_which_percentiles_are_series(load: Load, expected: list[str]) -> None:
    assert series(PLAN, Cell(scenario="ping", load=load)) == expected


def test_a_percentile_with_too_few_requests_in_a_round_is_that_of_all_rounds(
    two: tuple[Conclusions, Conclusions],
) -> None:
    found = [
        next(one for one in measures(side) if (one.metric, one.cell.scenario) == ("p95", "report"))
        for side in two
    ]
    assert [one.value for one in found] == pytest.approx([0.01, 0.01])
    assert found[0].low is None
    assert found[1].low is not None


def test_a_machine_twice_as_slow_for_both_arms_is_no_regression(tmp_path: Path) -> None:
    plan = PLAN.model_copy(update={"min_rounds": 4, "max_rounds": 4})
    base = side(ran(tmp_path / "a", serving(400), plan))
    head = side(ran(tmp_path / "b", serving(402), plan, id="two"))
    exported = json.loads(baseline.write(base))
    for row in exported["rows"]:
        row["values"] = [2 * value for value in row["values"]]
    path = tmp_path / "faster.json"
    path.write_text(json.dumps(exported))
    for before in (base, baseline.read(path)):
        assert {one.outcome for one in compare(before, head, 0.10).changes} <= {"pass", "inconclusive"}
