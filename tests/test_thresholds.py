"""Thresholds: k6's grammar, judged on the interval, and never silently without a match."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as any_of
from matplotlib.collections import LineCollection
from rich.console import Console

from loadtests.errors import PlanError
from loadtests.plan.plan import LocustFile
from loadtests.plan.values import table
from loadtests.records import Cell, Fault, ServerEnd
from reports.analysis.readings import Readings
from reports.analysis.statistics import FIRST_LOOK, mean_share
from reports.analysis.thresholds import ThresholdError, check, one, parse, place
from reports.conclusions import Conclusions, conclude
from reports.exit_codes import exit_code, outcomes_of
from reports.export import formats
from reports.gate.outcomes import speed
from reports.gate.sides import standing
from reports.render import terminal
from reports.render.charts import LIGHT, files, latency
from reports.runs import check_thresholds
from reports.wording.headlines import headline
from reports.wording.plans import plan_text
from reports.wording.sentences import judged_value, warnings
from tests import scripted
from tests.commands import chartless_here, duel_here
from tests.scripted import Scripted


def judged(
    tmp_path: Path, thresholds: Mapping[str, tuple[str, ...]], told: Scripted | None = None, noise: int = 10
) -> Conclusions:
    """A run of 64 users on two scenarios: sync serves 1,000/s in 10 ms, async 1,500/s in 8 ms."""
    plan = scripted.plan(cells=[("ping", 64), ("sleep", 64)])
    plan = plan.model_copy(update={"thresholds": thresholds})

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        if told is not None:
            return replace(told, requests=told.requests + noise * (round % 2))
        if arm == "sync":
            return Scripted(requests=1000 + noise * (round % 2), latency=0.010 + 0.0001 * (round % 2))
        return Scripted(requests=1500 + noise * (round % 2), latency=0.008 + 0.0001 * (round % 2))

    run, directory = scripted.run(tmp_path, plan, script)
    return conclude(run, Readings(directory))


def words(found: Conclusions) -> dict[tuple[str, str], str]:
    return {(str(one.cell.scenario), one.arm): one.word for one in found.judgements}


def test_a_threshold_covers_every_arm_and_cell_that_it_does_not_exclude(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("capped", "speedup", "rate", "p95"),
    [
        # By threshold: ratio>=1.2, ratio>=1.9; rate>1200, rate>1600; p(95)<9, p(95)<7. All are sure of async.
        ((), ("met", "missed"), ("met", "missed"), ("met", "missed")),
        # Async is faster than its rounds show, so that no threshold on it is missed.
        (("async",), ("met", "inconclusive"), ("met", "inconclusive"), ("met", "inconclusive")),
        # Sync is, so that the ratio is lower.
        (("sync",), ("inconclusive", "missed"), ("met", "missed"), ("met", "missed")),
        (("sync", "async"), ("inconclusive",) * 2, ("met", "inconclusive"), ("met", "inconclusive")),
    ],
)
def test_a_capped_arm_meets_and_misses_what_is_known_of_it_only(
    tmp_path: Path,
    capped: tuple[str, ...],
    speedup: tuple[str, str],
    rate: tuple[str, str],
    p95: tuple[str, str],
) -> None:
    """Its rounds near the generator's maximum rate are lost: the others are its slower ones."""
    found = judged(tmp_path, {
        "speedup{scenario:ping}": ("ratio>=1.2", "ratio>=1.9"),
        "http_reqs{scenario:ping,arm:async}": ("rate>1200", "rate>1600"),
        "http_req_duration{scenario:ping,arm:async}": ("p(95)<9", "p(95)<7"),
    })  # fmt: skip
    fault = Fault(kind="near-ceiling", value=1600.0, limit=1550.0, whole=2214.0)
    trials = [
        trial.model_copy(update={"faults": (fault,)})
        for trial in found.run.trials
        if trial.arm in capped and trial.round == 1
    ]
    # First attempts, which were measured again.
    run = found.run.model_copy(update={"trials": (*trials, *found.run.trials)})
    words = [one.word for one in conclude(run, found.readings).judgements]
    assert words == [*speedup, *rate, *p95]


def test_the_rounds_left_of_an_invalid_cell_break_no_build(tmp_path: Path) -> None:
    """A third of the rounds were lost: exit 5, and not 3."""
    plan = scripted.plan(rounds=6).model_copy(update={"thresholds": {"speedup": ("ratio>=1.2",)}})
    busy = {1, 2}

    def script(_: str, __: Cell, round: int) -> Scripted:
        return Scripted(requests=1000 + round, generator_cpu=0.95 if round in busy else 0.1)

    run, directory = scripted.run(tmp_path, plan, script)
    found = conclude(run, Readings(directory))
    assert [one.verdict for one in found.primaries] == ["invalid"]
    assert ([one.word for one in found.judgements], exit_code(outcomes_of(found))) == (["inconclusive"], 5)


def test_the_rounds_left_of_a_cell_decide_nothing_although_an_arm_is_failing(tmp_path: Path) -> None:
    """The reference's server ended once, so that the cell is `failing` and not `invalid`; three rounds of ten
    were lost to other guests of the host."""
    plan = scripted.plan(rounds=10).model_copy(update={"thresholds": {"speedup": ("ratio>=1.2",)}})
    end = ServerEnd(during="load", code=1)

    def script(arm: str, _: Cell, round: int) -> Scripted:
        if arm == "async":
            return Scripted(requests=1500 + round)
        return Scripted(requests=1000 + round, ended=end if round == 5 else None)

    run, directory = scripted.run(tmp_path, plan, script)
    steal = (Fault(kind="steal", value=0.1, limit=0.02),)
    trials = tuple(
        trial.model_copy(update={"faults": steal}) if trial.round in {1, 2, 3} else trial
        for trial in run.trials
    )
    found = conclude(run.model_copy(update={"trials": trials}), Readings(directory))
    (verdict,) = found.primaries
    assert (verdict.verdict, verdict.failing, verdict.n) == ("failing", ("sync",), 7)
    assert [one.word for one in found.judgements] == ["inconclusive"]
    assert speed(verdict, 0.10).outcome == "inconclusive"
    assert standing(verdict).differences == ()


def test_a_threshold_on_failures_counts_rounds_and_not_attempts(tmp_path: Path) -> None:
    """An arm is measured again in a round that another arm lost; its last attempt counts, as in verdicts."""
    table = {"http_req_failed{arm:async}": ("rate<0.01",)}
    plan = scripted.plan().model_copy(update={"thresholds": table})
    run, directory = scripted.run(
        tmp_path, plan, lambda _, __, round: Scripted(requests=1000, failures=100 if round < 4 else 0), 8
    )
    trials = tuple(one.model_copy(update={"round": one.round % 4}) for one in run.trials)
    (found,) = conclude(run.model_copy(update={"trials": trials}), Readings(directory)).judgements
    assert (found.word, found.value) == ("met", 0.0)


def test_a_failing_arm_meets_no_threshold_on_its_speedup(tmp_path: Path) -> None:
    """One that answers errors faster, or leaves its work for later."""
    plan = scripted.plan().model_copy(update={"thresholds": {"speedup": ("ratio>=1.2",)}})

    def script(arm: str, *_: object) -> Scripted:
        return Scripted(requests=1000) if arm == "sync" else Scripted(requests=4000, failures=400)

    run, directory = scripted.run(tmp_path, plan, script)
    found = conclude(run, Readings(directory))
    assert ([one.word for one in found.judgements], exit_code(outcomes_of(found))) == (["missed"], 3)


def test_an_arm_that_answers_nothing_misses_every_threshold(tmp_path: Path) -> None:
    gone = Scripted(requests=0, ended=ServerEnd(during="start", code=1))
    every = {"http_reqs": ("rate>1",), "http_req_failed": ("rate<0.01",)}
    found = judged(tmp_path, every, gone, noise=0)
    assert {one.word for one in found.judgements} == {"missed"}


def test_a_percentile_that_failures_make_infinite_misses_its_threshold(tmp_path: Path) -> None:
    """The first release left failed requests out of it, and said `met`; with too few requests, nothing is
    known."""
    shedding = Scripted(requests=1000, latency=0.008, failures=100)
    found = judged(tmp_path, {"http_req_duration{scenario:ping,arm:sync}": ("p(95)<50", "med<50")}, shedding)
    assert [one.word for one in found.judgements] == ["missed", "met"]
    assert judged_value(found.judgements[0]) == "none, since too many requests failed"
    (tmp_path / "few").mkdir()
    few = Scripted(requests=100, latency=0.008, failures=10)
    found = judged(tmp_path / "few", {"http_req_duration{scenario:ping,arm:sync}": ("p(95)<50",)}, few)
    assert [one.word for one in found.judgements] == ["inconclusive"]


def test_throughput_and_failures_have_thresholds_too(tmp_path: Path) -> None:
    found = judged(
        tmp_path, {"http_reqs{arm:async}": ("rate>1000",), "http_req_failed": ("rate<0.01",)},
        Scripted(requests=2000, failures=4),
    )  # fmt: skip
    assert set(words(found).values()) == {"met"}


def test_an_arm_that_fails_10_percent_misses_a_threshold_of_1_percent(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_failed": ("rate<0.01",)}, Scripted(requests=2000, failures=200))
    assert set(words(found).values()) == {"missed"}


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        # A true rate of 2% looks like this in 13% of all runs.
        ([(0, 25)] * 4, "inconclusive"),
        # Even gaps between failures have no variance, and are chance.
        ([(1, 120)] * 4, "inconclusive"),
        ([(0, 120)] * 4, "met"),
        ([(0, 25)] * 20, "inconclusive"),
        ([(9, 25)] * 4, "missed"),
        ([(0, 1_000)] * 3, "inconclusive"),
    ],
)
def test_a_threshold_on_failures_takes_as_many_requests_as_show_that_it_holds(
    counts: list[tuple[int, int]], word: str
) -> None:
    found = mean_share([failed / of for failed, of in counts], counts, 0.05)
    assert place(one("http_req_failed", "rate<0.01"), found) == word
    assert (found is None) == (len(counts) < FIRST_LOOK)


@pytest.mark.parametrize("rounds", [4, 6, 20])
@pytest.mark.parametrize("requests", [25, 120, 1_000, 20_000])
def test_a_threshold_on_failures_that_the_truth_violates_is_met_in_one_of_twenty_runs_at_most(
    rounds: int, requests: int
) -> None:
    """Also where the truth is the limit itself, which is where errors are most likely."""
    random = np.random.default_rng(1)
    for limit, truth in ((0.005, 0.005), (0.01, 0.01), (0.02, 0.02), (0.01, 0.02), (0.005, 0.01)):
        rule = one("http_req_failed", f"rate<{limit}")
        met = 0
        for drawn in random.binomial(requests, truth, (400, rounds)).tolist():
            counts = [(failed, requests) for failed in drawn]
            met += place(rule, mean_share([part / of for part, of in counts], counts, 0.05)) == "met"
        assert met <= 0.05 * 400, (limit, truth)


def test_a_threshold_on_failures_is_not_met_by_a_hundred_requests(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_failed": ("rate<0.01",)}, Scripted(requests=25), noise=0)
    assert set(words(found).values()) == {"inconclusive"}
    assert judged_value(found.judgements[0]) == "0.00 (0.00 to 0.0439)"


def test_an_arm_whose_servers_never_started_has_failed_every_request_for_certain(tmp_path: Path) -> None:
    gone = Scripted(requests=0, ended=ServerEnd(during="start", code=1))
    found = judged(tmp_path, {"http_req_failed": ("rate<0.9",)}, gone, noise=0)
    assert {(one.word, one.value, one.low) for one in found.judgements} == {("missed", 1.0, 1.0)}


def test_what_cannot_be_stated_is_not_decided(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_duration{arm:sync}": ("p(99)<1000",)}, Scripted(requests=500))
    assert set(words(found).values()) == {"inconclusive"}
    assert judged_value(found.judgements[0]) == "too few rounds, or too few samples per window"


@pytest.mark.parametrize(
    ("key", "expression", "message", "hint"),
    [
        ("http_req_duratoin", "p(95)<5", "no metric 'http_req_duratoin'", "http_req_duration"),
        ("http_req_duration{colour:red}", "p(95)<5", "no tag 'colour'", "arm, scenario"),
        ("http_req_duration{arm}", "p(95)<5", "'arm' is not tag:value", "tags:"),
        ("http_req_duration", "p(95)=5", "cannot read 'p(95)=5'", "such as p(95)<50"),
        ("http_req_duration", "p(90)<5", "'p(90)' in 'p(90)<5' is not supported", "p(95)"),
        ("http_req_duration", "p(99.9)<5", "'p(99.9)' in", "p(99)"),
        ("http_req_duration", "avg<5", "'avg' in 'avg<5' is not supported", "med, p(50), p(95), p(99)"),
        ("http_reqs", "count>100", "'count' in", "takes rate with <, <=, >, >="),
        ("http_req_failed", "ratio<5", "'ratio' in", "rate"),
        ("http_req_failed", "rate==0", "'==' in 'rate==0' is not supported", "never equals a number"),
        ("http_req_failed", "rate!=0", "'!=' in", "<, <=, >, >="),
        ("http_req_failed", "rate<1%", "cannot read 'rate<1%'", "one expression per string"),
        ("http_req_duration", "p(95)<200,p(99)<500", "cannot read", "one expression per string"),
        ("http_req_duration{arm:a,arm:b}", "p(95)<5", "duplicate tag 'arm'", "one threshold each"),
        ("http_req_duration{url:http://127.0.0.1/}", "p(95)<5", "no tag 'url'", "users, rate"),
        ("HTTP_REQ_DURATION", "p(95)<5", "no metric", "http_req_duration"),
    ],
)
def test_a_meaningless_threshold_is_one_clear_error(
    key: str, expression: str, message: str, hint: str
) -> None:
    with pytest.raises(ThresholdError) as caught:
        one(key, expression)
    assert message in str(caught.value)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("expression", "of", "bound"),
    [("rate<.01", "rate", 0.01), ("rate<1e-2", "rate", 0.01), ("rate < 1.", "rate", 1.0)],
)
def test_a_number_is_read_as_k6_reads_it(expression: str, of: str, bound: float) -> None:
    found = one("http_req_failed", expression)
    assert (found.of, found.bound) == (of, bound)


def test_a_percentile_may_be_written_with_a_fraction() -> None:
    assert one("http_req_duration", "p( 95.0 ) <= 200").of == "p(95)"


@pytest.mark.parametrize("value", [{"threshold": "p(95)<500"}, [{"threshold": "p(95)<500"}]])
def test_k6s_objects_are_refused_by_name(value: object) -> None:
    with pytest.raises(ValueError, match=r"objects with `threshold` and `abortOnFail` are not supported"):
        table({"http_req_duration": value})


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("http_reqs{arm:asinc}", "did you mean async"),
        ("http_reqs{scenario:pong}", "did you mean ping"),
        ("http_reqs{users:65}", "known: 64"),
        ("http_reqs{rate:10}", "its loads are users:64"),
        ("speedup{arm:sync}", "speedup is that of async"),
    ],
)
def test_a_threshold_without_a_match_suggests_the_nearest(key: str, hint: str) -> None:
    rule = one(key, "ratio>1" if key.startswith("speedup") else "rate>1")
    with pytest.raises(ThresholdError, match="matches nothing that is measured") as caught:
        check([rule], scripted.plan())
    assert hint in caught.value.hint


@given(any_of.text(max_size=40), any_of.text(max_size=40))
def test_no_text_breaks_the_grammar(key: str, expression: str) -> None:
    with suppress(ThresholdError):
        parse({key: (expression,)})


@pytest.mark.parametrize(
    ("tags", "label"),
    [
        ("", "threshold"),
        ("{arm:async}", "threshold, async"),
        ("{users:8}", "threshold, 8 users"),
        ("{arm:sync,users:64}", "threshold, sync, 64 users"),
    ],
)
def test_a_threshold_on_p95_is_a_line_in_the_latency_chart_that_says_what_it_applies_to(
    tmp_path: Path, tags: str, label: str
) -> None:
    plan = scripted.plan(cells=[("ping", 8), ("ping", 64)])
    plan = plan.model_copy(update={"thresholds": {f"http_req_duration{tags}": ("p(95)<25",)}})
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted(requests=900))
    chart = latency.chart(conclude(run, Readings(directory)))
    assert chart is not None
    assert f">{label}<" in files(chart)["light.svg"].decode()


def test_a_threshold_of_one_arm_in_one_cell_is_drawn_beside_that_arm_in_that_row(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("ping", 8), ("sleep", 8)])
    limits = {"http_req_duration{scenario:ping,arm:async}": ("p(95)<25",)}
    plan = plan.model_copy(update={"thresholds": limits})
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted(requests=900))
    chart = latency.chart(conclude(run, Readings(directory)))
    assert chart is not None
    (axes,) = chart.draw(LIGHT).axes
    marks = [one for one in axes.collections if isinstance(one, LineCollection)]
    lines = [line for one in marks for line in one.get_segments()]
    # Rows are 1 apart, the first at 1, with sync above its middle and async below.
    (drawn,) = [sorted(y for _, y in line) for line in lines if {x for x, _ in line} == {0.025}]
    assert drawn == pytest.approx([0.65, 1.0])


def test_the_report_shows_them_everywhere_and_the_exit_code_is_the_gates(tmp_path: Path) -> None:
    found = judged(tmp_path, {"http_req_duration{scenario:ping}": ("p(95)<9",)})
    where = found.readings.directory.path
    done = chartless_here("report", str(where), cwd=tmp_path)
    assert done.returncode == 3, done.stderr
    line = "✗ http_req_duration{scenario:ping}: p(95)<9: ping at 64 users, sync: 10."
    assert line in done.stdout
    assert done.stdout.index("ping at 64 users: async serves") < done.stdout.index(line)
    assert "# Thresholds" in (where / "report" / "report.md").read_text()
    assert "thresholds-title" in (where / "report" / "report.html").read_text()
    stated = json.loads((where / "report" / "summary.json").read_text())["thresholds"]
    assert [one["outcome"] for one in stated] == ["missed", "met"]


def test_bad_thresholds_end_a_run_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.duel.thresholds]\n"http_req_duration{scenario:pong}" = ["p(95)<50"]\n'
    )
    done = duel_here("run", "-s", "ping", "--dry-run", cwd=tmp_path)
    assert done.returncode == 2
    assert "matches nothing that is measured" in done.stderr
    assert "hint: did you mean ping?" in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "key",
    [
        "http_reqs{scenario:sleep}",
        "http_reqs{arm:async-asyncpg}",
        "http_reqs{arm:sync,scenario:mixed}",
        "http_reqs{arm:async-base}",
        "http_reqs{arm:sync-head}",
    ],
)
def test_a_threshold_of_another_run_is_skipped_with_a_note(tmp_path: Path, key: str) -> None:
    """One table serves several runs, of which each measures a part."""
    plan = scripted.plan().model_copy(update={"thresholds": {key: ("rate>1",), "http_reqs": ("rate>1",)}})
    check_thresholds(plan)
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted())
    found = conclude(run, Readings(directory))
    assert {one.threshold.key for one in found.judgements} == {"http_reqs"}
    assert any(f"`{key}`" in line for line in warnings(run, found.verdicts))
    assert key in plan_text(plan)


def test_a_scenario_of_a_locustfile_that_is_not_in_this_run_is_no_unknown_name() -> None:
    file = LocustFile(file="/load.py", digest="0", scenarios=("ping", "Buyer"))
    plan = scripted.plan().model_copy(update={"locustfile": file})
    check_thresholds(plan.model_copy(update={"thresholds": {"http_reqs{scenario:Buyer}": ("rate>1",)}}))
    with pytest.raises(PlanError, match="matches nothing"):
        check_thresholds(plan.model_copy(update={"thresholds": {"http_reqs{scenario:sleep}": ("rate>1",)}}))


def gated(
    tmp_path: Path, thresholds: Mapping[str, tuple[str, ...]], base: float = 0.010, head: float = 0.008
) -> Conclusions:
    """A gate whose sides serve the same, with latencies in seconds."""
    pair = {"gate": True, "against": {"shop-head": "shop-base"}, "thresholds": thresholds}
    plan = scripted.plan(["shop-base", "shop-head"]).model_copy(update=pair)
    check_thresholds(plan)

    def script(arm: str, _: Cell, round: int) -> Scripted:
        latency = base if arm == "shop-base" else head
        return Scripted(requests=1000 + round, latency=latency + 0.0001 * (round % 2))

    run, directory = scripted.run(tmp_path, plan, script)
    return conclude(run, Readings(directory))


def test_a_gate_does_not_blame_the_change_for_what_its_base_misses(tmp_path: Path) -> None:
    """The change that repairs it would fail."""
    found = gated(tmp_path, {"http_req_duration": ("p(95)<9",)})
    assert [(one.arm, one.word) for one in found.judgements] == [("shop-head", "met")]
    assert exit_code(outcomes_of(found)) == 0


def test_a_base_is_judged_where_a_threshold_names_it(tmp_path: Path) -> None:
    found = gated(tmp_path, {"http_req_duration{arm:shop-base}": ("p(95)<9",)})
    assert [(one.arm, one.word) for one in found.judgements] == [("shop-base", "missed")]


def test_an_arm_is_called_in_a_gate_what_it_is_called_elsewhere(tmp_path: Path) -> None:
    found = gated(tmp_path, {"http_req_duration{arm:shop}": ("p(95)<9",)})
    assert [(one.arm, one.word) for one in found.judgements] == [("shop-head", "met")]
    with pytest.raises(PlanError, match="matches nothing") as refused:
        gated(tmp_path, {"http_reqs{arm:shap}": ("rate>1",)})
    assert "did you mean shop" in refused.value.hint


@pytest.mark.parametrize("key", ["speedup", "speedup{scenario:ping}", "speedup{arm:shop}"])
def test_a_speedup_says_nothing_of_a_base_and_its_head(tmp_path: Path, key: str) -> None:
    """Of a change that costs nothing it is 1, whatever the arms' is."""
    found = gated(tmp_path, {key: ("ratio>=1.1",)}, head=0.010)
    assert (found.judgements, exit_code(outcomes_of(found))) == ((), 0)
    assert any(f"`{key}`" in line for line in warnings(found.run, found.verdicts))


@pytest.mark.parametrize(
    ("expression", "strict", "code", "title"),
    [
        ("rate>1000000", False, 3, "gate breached: 1 not worse, of 1 case; 1 threshold missed"),
        ("rate>1001.5", True, 4, "gate not decided: 1 not worse, of 1 case; 1 threshold not decided"),
        ("rate>1", True, 0, "gate passed: 1 not worse, of 1 case; 1 threshold met"),
    ],
)
def test_every_report_has_the_headline_that_the_exit_code_follows(
    tmp_path: Path, expression: str, strict: bool, code: int, title: str
) -> None:
    found = gated(tmp_path, {"http_reqs": (expression,)})
    assert exit_code(outcomes_of(found), strict) == code
    out = StringIO()
    terminal.show(Console(file=out, width=120), found)
    assert title in out.getvalue()
    assert title in formats.write("markdown", found)
    assert headline(found) == title
    assert f"title={title}" in formats.write("github-outputs", found)
