"""One arm by itself: its figures with intervals, what limits it, what to try next; compared with nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.errors import Exit, PlanError
from loadtests.records import Cell, Fault, InForce
from reports.analysis.readings import Readings
from reports.analysis.rounds.consistency import CappedAlone
from reports.conclusions import Conclusions, conclude, decided
from reports.exit_codes import exit_code, outcomes_of
from reports.export.cases import of_run
from reports.export.measures import measures
from reports.render import markdown, report_directory, terminal
from reports.render.charts import LIGHT, growth
from reports.runs import check_thresholds
from reports.wording.advice.portraits import next_text
from tests import scripted
from tests.commands import duel_here
from tests.scripted import Script, Scripted

RATES = (970, 1010, 1030, 990)
"""Requests per second of four rounds, whose mean they tell to within 10%."""

LOAD = """from locust import HttpUser, task

class Reader(HttpUser):
    @task
    def read(self):
        self.client.get("/")
"""


def seen(
    parent: Path, script: Script, cells: Sequence[tuple[str, int]] = (("ping", 64),), rounds: int = 4
) -> Conclusions:
    plan = scripted.plan(["app"], cells, rounds)
    run, directory = scripted.run(parent, plan, script)
    return conclude(run, Readings(directory))


def printed(found: Conclusions, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    terminal.show(console, found)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_an_only_arm_is_measured_once_its_throughput_is_known_within_the_margin(tmp_path: Path) -> None:
    found = seen(tmp_path, lambda _, __, round: Scripted(requests=RATES[round]))
    (portrait,) = found.portraits
    known = portrait.whole.figures["throughput"]
    assert portrait.word == "measured"
    assert known.low is not None
    assert known.high is not None
    assert known.low < 1000 < known.high
    assert known.value == pytest.approx(1000, rel=0.001)
    assert found.verdicts == ()
    assert decided(found.run, found.readings) == set(found.run.plan.cells)
    assert exit_code(outcomes_of(found), strict=True) == Exit.DONE


def test_rounds_that_scatter_leave_it_open_and_strict_says_so(tmp_path: Path) -> None:
    found = seen(tmp_path, lambda _, __, round: Scripted(requests=1000 + 400 * (round % 2)))
    assert found.portraits[0].word == "inconclusive"
    assert decided(found.run, found.readings) == set()
    assert exit_code(outcomes_of(found), strict=True) == Exit.INCONCLUSIVE


def test_an_only_arm_that_fails_one_request_in_fifty_is_failing(tmp_path: Path) -> None:
    found = seen(tmp_path, lambda _, __, ___: Scripted(requests=1000, failures=20))
    assert found.portraits[0].word == "failing"
    assert "failing" in printed(found)


def test_an_only_arm_whose_generator_was_busy_is_invalid(tmp_path: Path) -> None:
    found = seen(tmp_path, lambda _, __, ___: Scripted(generator_cpu=0.97))
    assert found.portraits[0].word == "invalid"
    assert exit_code(outcomes_of(found)) == Exit.INVALID
    assert json.loads(report_directory.as_json(found))["valid"] is False


def test_an_only_arms_cells_are_cases_of_its_ci_job(tmp_path: Path) -> None:
    """An export without cases looks like a job that has measured nothing, and passes."""
    scripts = {"quick": Scripted(requests=1000), "busy": Scripted(generator_cpu=0.97)}
    plan = scripted.plan(["app"], [("quick", 8), ("busy", 8)], 4)
    run, directory = scripted.run(tmp_path, plan, lambda _, cell, __: scripts[cell.scenario])
    exported = of_run(conclude(run, Readings(directory)))
    assert [(case.group, case.name, case.outcome) for case in exported.cases] == [
        ("app by itself", "busy at 8 users", "invalid"),
        ("app by itself", "quick at 8 users", "pass"),
    ]
    assert exported.outcome == "invalid"


def test_a_log_in_before_the_windows_makes_no_mix(tmp_path: Path) -> None:
    script = Scripted(requests=1000, endpoints=("log in", "read"), weights=(0, 1))
    found = seen(tmp_path, lambda _, __, ___: script)
    (row,) = found.portraits[0].rows
    assert row.endpoint == "read"
    assert row.requests > 0


def test_each_endpoint_of_a_mix_has_its_own_row_and_their_throughputs_add_up(tmp_path: Path) -> None:
    found = seen(
        tmp_path, lambda _, __, round: Scripted(requests=RATES[round], endpoints=("list", "read")),
        [("mixed", 64)],
    )  # fmt: skip
    whole, *parts = found.portraits[0].rows
    assert [row.endpoint for row in parts] == ["list", "read"]
    assert sum(row.requests for row in parts) == whole.requests
    total = sum(row.figures["throughput"].value for row in parts)
    assert total == pytest.approx(whole.figures["throughput"].value, rel=0.01)


def test_an_endpoint_that_a_round_lacks_has_no_figures_of_fewer_rounds(tmp_path: Path) -> None:
    def script(_: str, __: Cell, round: int) -> Scripted:
        return Scripted(requests=RATES[round], endpoints=("list", "read") if round else ("list",))

    found = seen(tmp_path, script, [("mixed", 64)])
    rows = {row.endpoint: row for row in found.portraits[0].rows}
    assert "throughput" in rows["list"].figures
    assert rows["read"].requests > 0
    assert rows["read"].figures == {}


def test_more_threads_are_those_in_force_and_no_sweep_where_the_app_sets_them(tmp_path: Path) -> None:
    found = seen(tmp_path, lambda _, __, round: Scripted(requests=RATES[round]))
    (portrait,) = found.portraits
    assert "--sweep threads=40,80,160" in next_text("more-threads", portrait, found.run)
    own = found.run.model_copy(update={"in_force": {"app": InForce(workers=1, threads=8)}})
    assert next_text("more-threads", portrait, own) == (
        "more threads than the 8 that the app sets itself, as a second --arm"
    )


@pytest.mark.parametrize(
    ("server", "where"), [((0,), ", on a machine with more CPUs for the server than one"), ((0, 1), "")]
)
def test_more_processes_are_suggested_where_they_have_cpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: tuple[int, ...], where: str
) -> None:
    """Those that share one serve less: such a sweep would show no more than that."""
    placed = scripted.MACHINE.model_copy(update={"placement": {"server": server, "generator": (1,)}})
    monkeypatch.setattr(scripted, "MACHINE", placed)
    found = seen(tmp_path, lambda _, __, round: Scripted(requests=RATES[round]))
    (portrait,) = found.portraits
    told = next_text("more-workers", portrait, found.run)
    assert told == f"more processes{where}: --sweep workers=1,2"


def test_more_users_are_suggested_at_the_highest_load_alone(tmp_path: Path) -> None:
    found = seen(tmp_path, lambda _, __, round: Scripted(requests=RATES[round]), [("ping", 1), ("ping", 8)])
    assert [one.next_step for one in found.portraits] == [None, "more-users"]


def test_every_report_of_an_only_arm_shows_its_figures_and_no_ratio(tmp_path: Path) -> None:
    cells = [("ping", users) for users in (1, 8, 64)]
    found = seen(tmp_path, lambda _, __, round: Scripted(requests=RATES[round], canary=0.003), cells)
    report_directory.write(found)
    report = found.readings.directory.report
    texts = [
        printed(found, width=80),
        (report / "report.md").read_text(),
        (report / "report.html").read_text(),
    ]
    for text in texts:
        assert "1,000/s" in text
        assert "×" not in text.split("<script")[0]
    assert max(len(line) for line in texts[0].splitlines() if line.startswith(("scenario", "ping"))) <= 80
    assert {"throughput-light.svg", "latency-light.svg", "tails-light.svg"} <= {
        path.name for path in report.iterdir()
    }


def test_the_thresholds_of_an_only_arm_have_a_section_after_its_results(tmp_path: Path) -> None:
    plan = scripted.plan(["app"]).model_copy(update={"thresholds": {"http_reqs": ("rate>1",)}})
    run, directory = scripted.run(tmp_path, plan, steady)
    title, results, table, *rest = markdown.report(conclude(run, Readings(directory))).split("\n\n")
    assert title == "# app by itself"
    assert results.startswith("- ✓ ping at 64 users: throughput 1,000/s")
    assert table.startswith("| scenario |")
    assert rest[0] == "# Thresholds"
    assert rest[1].startswith("- ✓ http\\_reqs: rate\\>1: ping at 64 users, app: 1,000")
    assert "\n" not in rest[1]


def test_a_speedup_of_an_only_arm_is_refused_before_load() -> None:
    plan = scripted.plan(["app"]).model_copy(update={"thresholds": {"speedup": ("ratio>=1.2",)}})
    with pytest.raises(PlanError, match="speedup") as refused:
        check_thresholds(plan)
    assert "only arm" in refused.value.hint


def test_an_app_is_named_without_an_arm(tmp_path: Path) -> None:
    (tmp_path / "load.py").write_text(LOAD)
    done = duel_here("run", "shop.main:app", "-f", "load.py", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("app by itself: ")
    both = duel_here("run", "shop.main:app", "--arm", "sync", "-f", "load.py", "--dry-run", cwd=tmp_path)
    assert both.returncode == Exit.USAGE
    assert "--arm" in both.stderr


def test_an_app_without_users_is_refused_with_the_way_to_get_some(tmp_path: Path) -> None:
    done = duel_here("run", "shop.main:app", "--dry-run", cwd=tmp_path)
    assert done.returncode == Exit.USAGE
    assert "duel init shop.main:app" in done.stderr


def test_of_an_only_arm_whose_users_think_the_response_time_must_be_known(tmp_path: Path) -> None:
    """Their throughput is known at once, and says nothing of the arm."""

    def script(_: object, __: object, round: int) -> Scripted:
        return Scripted(requests=60, latency=0.02 * (1.0 + round % 2), thinks=True)

    found = seen(tmp_path, script)
    (portrait,) = found.portraits
    assert (portrait.metric, portrait.word) == ("p50", "inconclusive")
    assert decided(found.run, found.readings) == set()


def held_back(
    parent: Path, script: Script, cells: Sequence[tuple[str, int]] = (("ping", 64),)
) -> Conclusions:
    """A run whose first attempt at round 1 came too near the generator's maximum rate, and was repeated."""
    found = seen(parent, script, cells)
    near = Fault(kind="near-ceiling", value=1880.0, limit=1820.0, whole=2600.0)
    lost = [
        trial.model_copy(update={"faults": (near,), "client": "HttpUser"})
        for trial in found.run.trials
        if trial.round == 1
    ]
    kept = [trial.model_copy(update={"client": "HttpUser"}) for trial in found.run.trials]
    run = found.run.model_copy(update={"trials": (*lost, *kept)})
    return conclude(run, found.readings)


def steady(_: object, __: object, round: int) -> Scripted:
    return Scripted(requests=RATES[round], latency=0.01 + 0.0001 * round)


def test_of_an_only_arm_that_the_generator_held_back_one_end_is_known(tmp_path: Path) -> None:
    """Its rounds that were repeated were its faster ones: the first releases gave both ends, and no word."""
    found = held_back(tmp_path, steady)
    (portrait,) = found.portraits
    throughput, median = (portrait.whole.figures[metric] for metric in ("throughput", "p50"))
    assert throughput.low is not None
    assert (throughput.low < 1000, throughput.high) == (True, None)
    assert median.high is not None
    assert (median.low, median.high > median.value) == (None, True)
    assert portrait.reservations == (CappedAlone("app", "throughput", throughput.low, "HttpUser"),)
    assert portrait.next_step == "lighter-generator"
    # Never `measured`; but further rounds would not tell more.
    assert portrait.word == "inconclusive"
    assert decided(found.run, found.readings) == set(found.run.plan.cells)
    assert exit_code(outcomes_of(found), strict=True) == Exit.INCONCLUSIVE


def test_every_report_of_a_capped_only_arm_says_what_is_known(tmp_path: Path) -> None:
    found = held_back(tmp_path, steady)
    low = f"{found.portraits[0].whole.figures['throughput'].low:.0f}/s"
    text = " ".join(printed(found).split())
    assert f"throughput 1,000/s (at least {low}), median response time 10.1 ms, n = 4: known from one" in text
    assert "capped: the load generator held app back: it is truly faster than it seems, and its" in text
    assert f"throughput is at least {low}: use LeanUser of loadtests.load.users in place of HttpUser" in text
    assert f"≥ {low}" in text
    (stated,) = json.loads(report_directory.as_json(found))["portraits"]
    (row,) = stated["endpoints"]
    assert row["throughput"]["high"] is row["p50"]["low"] is row["p95"]["low"] is None
    assert row["throughput"]["low"] < row["throughput"]["value"]
    ends = {one.metric: (one.low is None, one.high is None) for one in measures(found)}
    assert ends["throughput"] == (False, True)
    assert ends["p50"] == (True, False)


@pytest.mark.parametrize("users", [(64,), (8, 64)])
def test_the_chart_of_a_capped_only_arm_has_one_end(tmp_path: Path, users: tuple[int, ...]) -> None:
    drawn = growth.chart(held_back(tmp_path, steady, [("ping", each) for each in users]))
    assert drawn is not None
    assert {row[3].partition(" 9")[0] for row in drawn.rows} == {"at least"}
    assert drawn.reading.endswith("An interval that is known from one side only ends at the mean.")
    assert drawn.draw(LIGHT) is not None


def test_each_endpoint_of_a_capped_mixture_is_known_from_one_side(tmp_path: Path) -> None:
    def script(_: object, __: object, round: int) -> Scripted:
        return Scripted(requests=RATES[round], endpoints=("list", "read"))

    found = held_back(tmp_path, script, [("mixed", 64)])
    for row in found.portraits[0].rows:
        assert row.figures["throughput"].high is None
        assert row.figures["throughput"].low is not None
