"""Thresholds: k6's grammar, judged on the interval, and never silently about nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as any_of

from loadtests.records import Cell
from reports.charts import files, latency
from reports.conclusions import Conclusions, conclude
from reports.estimates import Readings
from reports.thresholds import ThresholdError, check, failure_interval, one, parse
from tests import scripted
from tests.scripted import Told
from tests.test_cli import duel


def judged(
    tmp_path: Path, thresholds: Mapping[str, tuple[str, ...]], told: Told | None = None, noise: int = 10
) -> Conclusions:
    """A run of 64 users on two scenarios: sync serves 1,000/s in 10 ms, async 1,500/s in 8 ms."""
    plan = scripted.plan(cells=[("ping", 64), ("sleep", 64)])
    plan = plan.model_copy(update={"thresholds": thresholds})

    def script(arm: str, cell: Cell, round: int) -> Told:
        if told is not None:
            return replace(told, requests=told.requests + noise * (round % 2))
        if arm == "sync":
            return Told(requests=1000 + noise * (round % 2), latency=0.010 + 0.0001 * (round % 2))
        return Told(requests=1500 + noise * (round % 2), latency=0.008 + 0.0001 * (round % 2))

    run, directory = scripted.run(tmp_path, plan, script)
    return conclude(run, Readings(directory))


def words(found: Conclusions) -> dict[tuple[str, str], str]:
    return {(str(one.cell.scenario), one.arm): one.word for one in found.judgements}


def test_a_threshold_speaks_of_every_arm_and_cell_that_it_does_not_leave_out(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_duration": ("p(95)<9",)})
    assert words(found) == {
        ("ping", "sync"): "missed", ("ping", "async"): "met",
        ("sleep", "sync"): "missed", ("sleep", "async"): "met",
    }  # fmt: skip


def test_tags_narrow_it(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_duration{arm:async, scenario:ping, users:64}": ("med<9", "p(95)<5")})
    assert [(one.threshold.of, one.word) for one in found.judgements] == [("med", "met"), ("p(95)", "missed")]


@pytest.mark.parametrize(
    ("expression", "word"), [("ratio>=1.2", "met"), ("ratio>=1.5", "inconclusive"), ("ratio>=1.9", "missed")]
)
def test_a_speedup_is_judged_on_its_interval(tmp_path: Path, expression: str, word: str) -> None:
    found = judged(tmp_path, {"speedup{scenario:ping}": (expression,)})
    assert [(one.arm, one.word) for one in found.judgements] == [("async", word)]


def test_throughput_and_failures_have_thresholds_too(tmp_path: Path) -> None:
    found = judged(
        tmp_path, {"http_reqs{arm:async}": ("rate>1000",), "http_req_failed": ("rate<0.01",)},
        Told(requests=2000, failures=4),
    )  # fmt: skip
    assert set(words(found).values()) == {"met"}


def test_an_arm_that_fails_one_request_in_ten_misses_a_rate_of_one_in_a_hundred(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_failed": ("rate<0.01",)}, Told(requests=2000, failures=200))
    assert set(words(found).values()) == {"missed"}


def test_without_failures_the_interval_is_zero_and_before_the_first_look_there_is_none() -> None:
    assert failure_interval([0.0] * 4, 0.05) == (0.0, 0.0, 0.0)
    assert failure_interval([0.0] * 3, 0.05) is None


def test_what_cannot_be_stated_is_not_decided(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_duration{arm:sync}": ("p(99)<1000",)}, Told(requests=500))
    assert set(words(found).values()) == {"inconclusive"}
    assert found.judgements[0].shown == "not enough rounds, or samples in a window"


@pytest.mark.parametrize(
    ("key", "expression", "message", "hint"),
    [
        ("http_req_duratoin", "p(95)<5", "no metric 'http_req_duratoin'", "http_req_duration"),
        ("http_req_duration{colour:red}", "p(95)<5", "no tag 'colour'", "arm, scenario"),
        ("http_req_duration{arm}", "p(95)<5", "'arm' is not tag:value", "tags:"),
        ("http_req_duration", "p(95)=5", "cannot read 'p(95)=5'", "such as p(95)<50"),
        ("http_req_duration", "p(90)<5", "has no 'p(90)'", "p(95)"),
        ("http_req_failed", "ratio<5", "has no 'ratio'", "rate"),
    ],
)
def test_a_threshold_that_says_nothing_is_one_clear_error(
    key: str, expression: str, message: str, hint: str
) -> None:
    with pytest.raises(ThresholdError) as caught:
        one(key, expression)
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("http_reqs{arm:asinc}", "did you mean async"),
        ("http_reqs{scenario:pong}", "did you mean ping"),
        ("http_reqs{users:65}", "did you mean 64"),
        ("http_reqs{rate:10}", "known: "),
        ("speedup{arm:sync}", "no cell has all of these tags"),
    ],
)
def test_a_threshold_that_matches_nothing_names_the_nearest(key: str, hint: str) -> None:
    rule = one(key, "ratio>1" if key.startswith("speedup") else "rate>1")
    with pytest.raises(ThresholdError, match="matches nothing that is measured") as caught:
        check([rule], scripted.plan())
    assert hint in caught.value.hint


@given(any_of.text(max_size=40), any_of.text(max_size=40))
def test_no_text_at_all_breaks_the_grammar(key: str, expression: str) -> None:
    with suppress(ThresholdError):
        parse({key: (expression,)})


def test_a_threshold_on_p95_is_a_line_in_the_latency_chart(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("ping", 8), ("ping", 64)])
    plan = plan.model_copy(update={"thresholds": {"http_req_duration": ("p(95)<25",)}})
    run, directory = scripted.run(tmp_path, plan, lambda *_: Told(requests=900))
    chart = latency.chart(conclude(run, Readings(directory)))
    assert chart is not None
    assert ">threshold<" in files(chart)["light.svg"].decode()


def test_the_report_shows_them_everywhere_and_the_exit_code_is_the_gates(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_duration{scenario:ping}": ("p(95)<9",)})
    where = found.readings.directory.path
    done = duel("report", str(where), cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    line = "✗ http_req_duration{scenario:ping}: p(95)<9: ping at 64 users, sync: 10."
    assert line in done.stdout
    assert done.stdout.index("ping at 64 users: async serves") < done.stdout.index(line)
    assert "# Thresholds" in (where / "report" / "report.md").read_text()
    assert "thresholds-title" in (where / "report" / "report.html").read_text()
    stated = json.loads((where / "report" / "summary.json").read_text())["thresholds"]
    assert [one["outcome"] for one in stated] == ["missed", "met"]


def test_bad_thresholds_end_a_run_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.duel.thresholds]\n"http_req_duration{scenario:pong}" = ["p(95)<50"]\n'
    )
    done = duel("run", "-s", "ping", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "matches nothing that is measured" in done.stderr
    assert "hint: did you mean ping?" in done.stderr
    assert not (tmp_path / "runs").exists()
