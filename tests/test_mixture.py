"""A mixture of endpoints never hides a change: every endpoint is a case of a gate, judged by its response
time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as any_of
from rich.console import Console

from benchmarks.power import mixtures
from loadtests.plan.cells import Cell, Load
from loadtests.records.arrays import write_samples
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from reports.analysis.names.endpoints import ALL, TOGETHER, endpoint_name, request_name
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Outcome
from reports.conclusions import Conclusions, conclude, decided, side
from reports.exit_codes import exit_code, outcomes_of
from reports.export.cases import of_run
from reports.gate import baseline
from reports.gate.comparison import compare
from reports.gate.sides import Side
from reports.render import html, markdown, report_directory, terminal
from reports.render.changes import markdown as changes_markdown
from reports.render.charts import forest
from reports.render.tables.endpoints import HEAD, NARROW, arm_labels, by_cell, left_out, lines_of_arms
from reports.wording.advice.cards import card_advice, card_lines
from reports.wording.gates.changes import headline
from reports.wording.gates.changes import warnings as change_warnings
from reports.wording.sentences import gate_lines, sentences, warnings
from tests import scripted
from tests.scripted import Scripted

WEIGHTS = {"list": 10, "read": 4, "search": 3, "write": 2, "change": 2, "home": 1, "login": 1}
LATENCY = 0.01


def mixture(
    parent: Path,
    slower: Mapping[str, float],
    *,
    thinks: bool = True,
    served: float = 1.0,
    requests: int = 1_000,
    rounds: int = 8,
    gate: bool = True,
    noise: float = 0.02,
    failures: int = 0,
) -> tuple[Run, RunDirectory]:
    """A run of a mixture of seven endpoints, some of them slower in the head, which serves `served` times as
    many requests, and fails the first `failures` of every window."""
    plan = scripted.plan(["base", "head"], [("shop", 20)], rounds)
    plan = plan.model_copy(update={"gate": gate, "against": {"head": "base"} if gate else {}, "margin": 0.10})

    def script(arm: str, _: Cell, round: int) -> Scripted:
        head = arm == "head"
        times = [1.0 + 0.1 * place for place in range(len(WEIGHTS))]
        factors = [slower.get(name, 1.0) if head else 1.0 for name in WEIGHTS]
        return Scripted(
            requests=round_(requests * (served if head else 1.0) * (1.0 + noise / 4 * (round % 2) * head)),
            latency=LATENCY * (1.0 + noise * (round % 3) * head - noise * head),
            endpoints=tuple(WEIGHTS),
            weights=tuple(WEIGHTS.values()),
            slower=tuple(time * factor for time, factor in zip(times, factors, strict=True)),
            thinks=thinks,
            failures=failures if head else 0,
        )

    return scripted.run(parent, plan, script)


def round_(number: float) -> int:
    return int(number + 0.5)


def concluded(run: Run, directory: RunDirectory) -> Conclusions:
    return conclude(run, Readings(directory))


def outcomes(found: Conclusions) -> dict[str, Outcome]:
    """By endpoint, `all` being the mixture as a whole."""
    return dict(zip((one.endpoint for one in found.cases), found.outcomes, strict=True))


def test_a_slower_route_of_users_who_think_breaches_the_gate_although_the_mixture_does_not_move(
    tmp_path: Path,
) -> None:
    found = concluded(*mixture(tmp_path, {"search": 1.4}))
    assert outcomes(found) == {**dict.fromkeys(("all", *WEIGHTS), "pass"), "search": "regression"}
    assert exit_code(outcomes_of(found)) == 3


def test_a_slower_route_breaches_the_gate_although_the_throughput_moves_by_less_than_the_margin(
    tmp_path: Path,
) -> None:
    found = concluded(*mixture(tmp_path, {"write": 1.4}, thinks=False, served=0.96))
    assert found.primaries[0].metric == "throughput"
    assert outcomes(found) == {**dict.fromkeys(("all", *WEIGHTS), "pass"), "write": "regression"}


def test_the_gate_says_which_endpoint_is_worse_and_names_the_others_in_one_line(tmp_path: Path) -> None:
    found = concluded(*mixture(tmp_path, {"search": 1.4}))
    lines = {line: word for word, line in gate_lines(found)}
    assert list(lines.values()) == ["regression", "pass", "pass"]
    worse, whole, passed = lines
    assert whole.startswith("shop at 20 users as a whole, head: not worse than base by more than 10%")
    assert worse.startswith(
        "shop at 20 users, search, head: worse than base by more than 10%: median response time 12.0 ms → "
    )
    assert passed.startswith("shop at 20 users, head: 6 of 7 endpoints not worse by response time: change, ")


def test_an_endpoint_with_too_few_requests_for_a_median_is_said_and_not_judged(tmp_path: Path) -> None:
    found = concluded(*mixture(tmp_path, {"login": 3.0}, requests=300))
    assert outcomes(found) == dict.fromkeys(("all", "list", "read", "search", "write", "change"), "pass")
    (said,) = (line for line in warnings(found.run, found.verdicts) if "not judged" in line)
    assert said == (
        "shop at 20 users, head: not judged, since a median needs 20 requests in every window; windows of 2 "
        "s (-t) would hold them: home, login"
    )


def test_an_endpoint_that_loses_its_requests_is_not_passed_over(tmp_path: Path) -> None:
    """The base has a median of each, the head of few: of what it still answers there is none."""
    found = concluded(*mixture(tmp_path, {}, thinks=True, served=0.3))
    assert outcomes(found)["login"] == "inconclusive"
    assert any("login, head: not decided" in line for line in sentences(found))


def test_a_cell_is_measured_on_until_every_endpoint_is_decided(tmp_path: Path) -> None:
    """A head that is near the margin on one route only."""
    clear, near = (
        mixture(tmp_path / name, {"search": factor}, rounds=4, noise=0.004)
        for name, factor in (("clear", 1.4), ("near", 1.1))
    )
    cell = Cell(scenario="shop", load=Load(users=20))
    assert decided(clear[0], Readings(clear[1])) == {cell}
    assert decided(near[0], Readings(near[1])) == set()


def test_outside_gates_a_mixture_is_decided_as_a_whole(tmp_path: Path) -> None:
    found = concluded(*mixture(tmp_path, {"read": 1.1}, gate=False, rounds=4, noise=0.004))
    assert found.cases == found.primaries
    assert len(decided(found.run, found.readings)) == 1


def sides(parent: Path, head: Mapping[str, float], requests: int = 1_000) -> tuple[Side, Side]:
    """Two runs, the second of which has slower endpoints in its second arm."""
    found = []
    for name, slower in (("before", {}), ("after", head)):
        run, directory = mixture(parent / name, slower, requests=requests, gate=False, rounds=12)
        plan = run.plan.model_copy(update={"max_rounds": 12})
        named = run.model_copy(update={"id": name, "began": name, "plan": plan})
        found.append(side(concluded(named, directory)))
    return found[0], found[1]


def compared(base: Side, head: Side) -> dict[str, Outcome]:
    return {one.head.endpoint or "all": one.outcome for one in compare(base, head, 0.10).changes}


def test_two_runs_are_compared_by_endpoints_also_through_a_baseline(tmp_path: Path) -> None:
    base, head = sides(tmp_path, {"search": 1.5})
    file = tmp_path / "baseline.json"
    file.write_text(baseline.write(base), encoding="utf-8")
    for one in (base, baseline.read(file)):
        found = compared(one, head)
        assert found == {**dict.fromkeys(("all", *WEIGHTS), "pass"), "search": "regression"}
    assert "1 worse, 7 not worse, of 8 cases" in headline(compare(base, head, 0.10))
    assert "shop at 20 users, search, head against base: worse by more than 10%" in changes_markdown(
        compare(base, head, 0.10)
    )


def test_endpoints_without_a_ratio_in_the_base_are_said_and_those_lost_by_the_head_are_not_decided(
    tmp_path: Path,
) -> None:
    few, many = sides(tmp_path / "few", {}, 300)[0], sides(tmp_path / "many", {})[1]
    assert set(compared(few, many)) == {"all", *WEIGHTS} - {"home", "login"}
    (said,) = (line for line in change_warnings(compare(few, many, 0.10)) if "not judged" in line)
    assert "home, head against base" in said
    assert compared(many, few)["login"] == "inconclusive"


def test_an_endpoint_that_only_the_base_requested_is_not_decided(tmp_path: Path) -> None:
    """It was said, and passed; of a cell that the head did not measure, the cell alone is judged."""
    base, head = sides(tmp_path, {})
    without = replace(head, rows=tuple(row for row in head.rows if row.endpoint != "search"))
    assert compared(base, without) == {**dict.fromkeys(("all", *WEIGHTS), "pass"), "search": "inconclusive"}
    (whole,) = (row for row in head.rows if row.endpoint is None)
    assert compared(base, replace(head, rows=(replace(whole, word="invalid"),))) == {"all": "invalid"}


def test_a_baseline_of_an_earlier_version_has_no_endpoints_and_that_is_said(tmp_path: Path) -> None:
    base, head = sides(tmp_path, {"search": 1.5})
    old = replace(base, rows=tuple(row for row in base.rows if row.endpoint is None))
    assert compared(old, head) == {"all": "pass"}
    (said,) = (line for line in change_warnings(compare(old, head, 0.10)) if "only head" in line)
    assert "shop at 20 users, search" in said


def test_every_endpoint_is_a_case_of_the_exports_with_a_name_of_its_own(tmp_path: Path) -> None:
    gate = of_run(concluded(*mixture(tmp_path, {"search": 1.4})))
    assert len({case.name for case in gate.cases}) == 8
    assert (gate.cases[0].name, gate.cases[0].outcome) == ("shop at 20 users, search", "regression")
    # The load is counted once.
    assert [case.name for case in gate.cases if case.seconds] == ["shop at 20 users"]


@pytest.fixture
def seen(tmp_path: Path) -> Conclusions:
    """A gate with a slower endpoint, and one that fails requests in the head."""
    return concluded(*mixture(tmp_path, {"search": 1.4}, failures=4))


def shown(found: Conclusions, width: int = 80) -> str:
    stream = StringIO()
    terminal.show(Console(file=stream, width=width), found)
    return stream.getvalue()


def test_requests_failures_and_response_times_of_every_endpoint_fit_a_terminal(seen: Conclusions) -> None:
    text = shown(seen)
    table = text[text.index("shop at 20 users, by endpoint") :].partition("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert table[1].split() == [*NARROW]
    (search,) = (number for number, line in enumerate(table) if line.startswith("search"))
    assert table[search].split()[:4] == ["search", "base", "1,032", "0"]
    assert "12.0 ms 12.0 ms" in table[search]
    assert table[search + 1].split()[-2:] == ["×1.40", "1.37–1.43"]
    (listed,) = (number for number, line in enumerate(table) if line.startswith("list"))
    assert table[listed + 1].split()[2] == "32"


def test_figures_stay_beside_the_arm_that_they_belong_to() -> None:
    """However long its name is; two arms are told apart by what they do not share."""
    assert arm_labels(["storefront-base", "storefront-head"]) == {
        "storefront-base": ["base"], "storefront-head": ["head"],
    }  # fmt: skip
    labels = arm_labels(["sync", "a-name-of-twenty-one"])
    rows = [{"arm": "a-name-of-twenty-one", "p50": "1 ms"}, {"arm": "sync", "p50": "2 ms"}]
    names, figures = lines_of_arms(rows, labels, ["arm", "p50"])
    assert names.splitlines() == ["a-name-of-twen", "ty-one", "sync"]
    assert figures.split("\n") == ["1 ms", "", "2 ms"]


def test_the_page_and_markdown_have_as_much_per_endpoint_as_locust_prints(seen: Conclusions) -> None:
    locust = {"requests", "failed", "avg", "min", "max", "p50", "p95", "p99", "per second"}
    assert locust < {*HEAD}
    text = markdown.report(seen)
    assert f"| {' | '.join(HEAD)} |" in text
    assert "| search | base | 1,032 | 0 | 129/s | 12.0 ms |" in text
    page = html.page(seen, [], {})
    assert '<th scope="rowgroup" rowspan="2">search</th>' in page
    assert page.count('scope="rowgroup"') == 8
    assert re.search(r'<td class="number">×1.40</td><td class="number">1.37–1.4\d</td>', page)


def test_the_card_of_a_mixture_names_the_endpoint_that_is_worse(seen: Conclusions) -> None:
    (card,) = seen.cards
    assert card_advice(card) == "worse"
    assert card_lines(card)[0].startswith("search: worse: median response time 12.0 ms → 16.8 ms (×1.40")


def test_a_cell_of_one_endpoint_has_no_table_of_endpoints(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted())
    found = concluded(run, directory)
    assert found.endpoints == ()
    assert "by endpoint" not in shown(found) + markdown.report(found) + html.page(found, [], {})


def test_where_a_window_holds_too_few_requests_a_percentile_is_that_of_all_rounds(tmp_path: Path) -> None:
    found = concluded(*mixture(tmp_path, {}, requests=300))
    login = next(one for one in found.endpoints if one.endpoint == "login")
    assert login.ratio is None
    base = login.figures["base"]
    assert base.requests == 8 * 13
    assert base.p50 == pytest.approx(0.016)
    assert base.p95 is None
    assert base.fastest == base.slowest == pytest.approx(0.016)


def test_of_many_endpoints_those_with_the_most_requests_are_shown(seen: Conclusions) -> None:
    (search,) = (one for one in seen.endpoints if one.endpoint == "search")
    many = [replace(search, endpoint=f"e{number}") for number in range(60)]
    ((cell, several),) = by_cell([*seen.endpoints, *many])
    assert len(several) == 51
    assert several[0].endpoint == "all"
    assert left_out(cell, [*seen.endpoints, *many]) == 17


@pytest.mark.parametrize("change", [0.0, 0.10])
def test_a_gate_over_seven_endpoints_without_a_change_errs_in_one_of_twenty_at_most(change: float) -> None:
    """Also where one of them is worse by the margin itself, which is no regression."""
    false = sum("regression" in words for words, _ in mixtures(7, change, 200, seed=1))
    assert false <= 0.05 * 200


def test_one_of_seven_endpoints_that_takes_longer_by_twice_the_margin_is_found_by_nine_gates_in_ten() -> None:
    assert sum(words[0] == "regression" for words, _ in mixtures(7, 0.21, 200, seed=2)) >= 0.9 * 200


def test_the_chart_of_a_gate_has_a_row_per_endpoint_of_a_mixture(seen: Conclusions) -> None:
    drawn = forest.chart(seen)
    assert drawn is not None
    assert [row[0] for row in drawn.rows][:2] == ["shop at 20 users", "shop at 20 users, change"]
    assert len(drawn.rows) == 8
    assert ("shop at 20 users, search", "×1.40") in {(row[0], row[4]) for row in drawn.rows}


@given(any_of.text(max_size=8) | any_of.text('"al', max_size=8))
def test_no_name_of_a_request_means_all_endpoints_and_different_names_stay_different(name: str) -> None:
    assert endpoint_name(name) not in (ALL, TOGETHER)
    assert request_name(endpoint_name(name)) == name


def called(parent: Path, name: str, gate: bool) -> tuple[Run, RunDirectory]:
    """A run of two endpoints, of which one in ten requests is called `name` and the others `one`; the head
    fails two in five of the latter, and still serves more."""
    plan = scripted.plan(["base", "head"], [("shop", 20)])
    plan = plan.model_copy(update={"gate": gate, "against": {"head": "base"} if gate else {}})

    def script(arm: str, _: Cell, round: int) -> Scripted:
        return Scripted(
            requests=2_000 if arm == "head" else 1_000, failures=1, endpoints=(name, "one"),
            weights=(1, 9),
        )  # fmt: skip

    run, directory = scripted.run(parent, plan, script)
    files = {}
    for trial in run.trials:
        samples = directory.samples(trial)
        ones = samples.endpoint == 1
        failed = ones & (np.cumsum(ones) % 5 < 2) & (trial.arm == "head")
        status = np.where(failed, 500, 200).astype(np.uint16)
        changed = replace(samples, error=failed.astype(np.uint16), status=status)
        files[trial.number] = {"samples": write_samples(directory.path / trial.files.samples, changed)}
    return scripted.with_files(run, directory, files), directory


@pytest.mark.parametrize("name", ["all", '"all"', "", "list"])
def test_an_endpoint_of_any_name_is_no_stand_in_for_the_mixture(tmp_path: Path, name: str) -> None:
    """One that was called `all` replaced it: the head was `faster`, with a tenth of its throughput."""
    found = concluded(*called(tmp_path, name, gate=False))
    (primary,) = found.primaries
    assert (primary.verdict, primary.failing) == ("failing", ("head",))
    assert primary.endpoint == "all"
    assert primary.requests == {"base": 4_000, "head": 8_000}
    assert primary.failed["head"] == pytest.approx(0.36)
    assert {one.endpoint for one in found.verdicts} == {"all", endpoint_name(name), "one"}
    stated = json.loads(report_directory.as_json(found))["endpoints"]
    failures = {one["endpoint"]: one["figures"]["head"]["failures"] for one in stated}
    assert failures == {"all": 2_880, endpoint_name(name): 0, "one": 2_880}
    (kind,) = found.failure_kinds
    assert (kind.endpoint, kind.count, kind.requests) == ("one", 2_880, 7_200)


@pytest.mark.parametrize("name", ["all", '"all"', ""])
def test_a_gate_sees_the_failures_of_a_mixture_in_which_an_endpoint_is_called_all(
    tmp_path: Path, name: str
) -> None:
    found = concluded(*called(tmp_path, name, gate=True))
    assert outcomes(found) == {"all": "regression", endpoint_name(name): "pass", "one": "pass"}
    whole, passed = (line for _, line in gate_lines(found))
    assert whole.startswith("shop at 20 users as a whole, head: worse than base: head failed 36% of its")
    assert passed.endswith(f"2 of 2 endpoints not worse by response time: {endpoint_name(name)}, one")


def test_the_only_endpoint_of_a_scenario_is_no_mixture_where_it_is_called_all(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(endpoints=("all",)))
    found = concluded(run, directory)
    assert found.primaries[0].endpoint == '"all"'
    assert found.endpoints == ()
