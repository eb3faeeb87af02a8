"""What failed is said first, and an arm that fails most of its requests is `failing`, whatever disturbed the
measurement."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from loadtests.errors import Exit
from loadtests.measure.validity import closed_faults, faults
from loadtests.records import Cell, Fault, FaultKind, Load
from loadtests.records.arrays import write_samples
from loadtests.records.samples import Samples
from reports.advice.cards import NOT_DECIDED, Advice, choose
from reports.advice.weighing.behind import FinishesMore, finishes_more
from reports.analysis.backlogs.judgement import Backlog
from reports.analysis.bottlenecks import FewUsers, few_users
from reports.analysis.failures.kinds import FailureKind
from reports.analysis.names.endpoints import ALL
from reports.analysis.readings import Failed, Readings, failed
from reports.analysis.reservations import RequestsFailed, RequestsUnanswered, RoundsLost
from reports.analysis.signs import Signs
from reports.conclusions import Conclusions, conclude, side
from reports.exit_codes import exit_code, outcomes_of
from reports.export import formats
from reports.gate.comparison import compare
from reports.render import changes, markdown, terminal
from reports.render.html import page
from reports.render.live import FailuresSeen, Lines, LiveView
from reports.render.summary import summary
from reports.wording.bottlenecks import evidence_text
from reports.wording.failures import MOST_LINES, failure_lines
from tests import scripted
from tests.scripted import Scripted
from tests.serving import UNFINISHED
from tests.test_bottlenecks import KNOWN, ONE
from tests.test_cards import signs, verdict

IDLE = Fault(kind="users-idle", value=0.26, limit=0.1)
STEAL = Fault(kind="steal", value=0.2, limit=0.02)


def run_of(
    tmp_path: Path, told: Scripted, planted: tuple[Fault, ...] = (), thresholds: tuple[str, ...] = ()
) -> Conclusions:
    """Four rounds in which sync is whole, and async as it is told, with these faults of the measurement."""
    plan = scripted.plan().model_copy(
        update={"thresholds": {"http_req_failed{arm:async}": thresholds} if thresholds else {}}
    )

    def script(arm: str, *_: object) -> Scripted:
        return told if arm == "async" else Scripted(requests=1000, endpoints=told.endpoints)

    run, directory = scripted.run(tmp_path, plan, script)
    trials = tuple(
        one.model_copy(update={"faults": planted if one.arm == "async" else ()}) for one in run.trials
    )
    return conclude(run.model_copy(update={"trials": trials}), Readings(directory))


def printed(found: Conclusions) -> str:
    console = Console(file=StringIO(), width=120, color_system=None)
    terminal.show(console, found)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    return text


def test_the_kinds_of_errors_stand_first_in_every_format(tmp_path: Path) -> None:
    """Of 1,000 requests to two endpoints in turn, the first 300 of each round fail."""
    found = run_of(tmp_path, Scripted(requests=1000, failures=300, endpoints=("cart", "order")))
    line = "ping at 64 users, async, cart: 600 of 2,000 requests (30%): status 500, RequestFailed: 500"
    said = printed(found)
    assert said.startswith("✗ Failed requests")
    assert said.index(line) < said.index("failing: async failed")
    told = markdown.report(found)
    assert told.index("600 of 2,000 requests") < told.index("# Verdicts")
    html = page(found, [], summary(found))
    assert html.index(line) < html.index("What to write, and why")
    assert json.loads(json.dumps(summary(found)))["failed_requests"][0] == {
        "scenario": "ping", "load": {"users": 64}, "arm": "async", "endpoint": "cart", "status": 500,
        "exception": "RequestFailed", "example": "500", "count": 600, "requests": 2000,
    }  # fmt: skip
    exported = formats.Exported(found, None, 0.10)
    for name in ("junit", "comment", "github-summary"):
        assert "600 of 2,000 requests (30%)" in formats.FORMATS[name](exported).replace("\\", ""), name


def test_a_comparison_of_two_runs_says_what_failed_in_each(tmp_path: Path) -> None:
    """Every format of `duel compare`; a side without failures adds nothing."""
    (tmp_path / "base").mkdir()
    (tmp_path / "head").mkdir()
    sides = []
    for name, failures in (("base", 0), ("head", 300)):
        one = run_of(tmp_path / name, Scripted(requests=1000 + failures, failures=failures))
        fixed = one.run.plan.model_copy(update={"max_rounds": one.run.plan.min_rounds})
        sides.append(side(replace(one, run=one.run.model_copy(update={"plan": fixed}))))
    found = compare(replace(sides[0], run="before", began=None), sides[1], 0.10)
    line = "ping at 64 users, async, ping: 1,200 of 5,200 requests (23%): status 500, RequestFailed: 500"
    console = Console(file=StringIO(), width=120, color_system=None)
    changes.show(console, found)
    said: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert said.startswith("✗ Failed requests of the head")
    told = changes.markdown(found)
    assert line in said
    assert line in told.replace("\\", "")
    assert "Failed requests of the base" not in said + told
    kinds = json.loads(json.dumps(changes.data(found)))["failed_requests"]
    assert kinds["base"] == []
    assert [(one["arm"], one["status"], one["count"]) for one in kinds["head"]] == [("async", 500, 1200)]


def test_while_a_run_goes_on_each_kind_of_failure_is_said_once(tmp_path: Path) -> None:
    """By the live view and by the plain lines, with the trial that first shows it."""
    found = run_of(tmp_path, Scripted(requests=1000, failures=300, endpoints=("cart", "order")))
    for kind in (Lines, LiveView):
        console = Console(file=StringIO(), width=150, height=24, color_system=None)
        watcher = kind(console, found.readings)
        for trial in found.run.trials:
            watcher.trial_ends(found.run, trial)
        said: str = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
        failed = [line.strip() for line in said.splitlines() if "requests failed: " in line]
        assert failed == [
            f"requests failed: ping at 64 users, async, {name}: 150 of 500 requests (30%): status 500, "
            "RequestFailed: 500"
            for name in ("cart", "order")
        ]


def test_of_a_run_that_fails_in_very_many_ways_some_are_said(tmp_path: Path) -> None:
    told = Scripted(requests=1000, failures=300, endpoints=tuple(f"e{number}" for number in range(40)))
    found = run_of(tmp_path, told)
    lines = [line for trial in found.run.trials for line in FailuresSeen(found.readings).lines(trial)]
    seen = FailuresSeen(found.readings)
    said = [line for trial in found.run.trials for line in seen.lines(trial)]
    assert len(said) == MOST_LINES + 1 < len(lines)
    assert said[-1] == "requests failed in further ways"


def test_a_run_without_failures_says_nothing_of_them(tmp_path: Path) -> None:
    found = run_of(tmp_path, Scripted(requests=1000))
    assert found.failure_kinds == ()
    assert summary(found)["failed_requests"] == []
    assert "Failed requests" not in printed(found) + markdown.report(found)


def samples(*rows: tuple[float, float, int, int, int]) -> Samples:
    """Rows of start, end, endpoint, status, error."""
    start, end, endpoint, status, error = (np.array(column) for column in zip(*rows, strict=True))
    return Samples(
        due=start, start=start, end=end, size=np.zeros(len(rows), dtype=np.uint32),
        endpoint=endpoint.astype(np.uint16), status=status.astype(np.uint16), error=error.astype(np.uint16),
    )  # fmt: skip


def test_a_trials_kinds_are_counted_in_its_window_and_those_never_sent_are_one() -> None:
    trial = scripted.trial(
        Scripted(endpoints=("a", "b")), 1, 0, 0, Cell(scenario="x", load=Load(users=1)), "s"
    )
    trial = trial.model_copy(update={"errors": ("HTTPError: 503", "OSError: gone"), "dropped": 7})
    rows = samples(
        (-0.5, -0.1, 0, 503, 1), (-0.5, 0.1, 0, 503, 1), (0.2, 0.3, 1, 200, 0), (0.2, 0.3, 1, 200, 2),
        (0.9, 6.0, 0, 0, 2), (1.1, 1.2, 0, 503, 1),
    )  # fmt: skip
    assert failed(rows, trial) == {
        Failed("a", 503, "HTTPError: 503"): 1, Failed("b", 200, "OSError: gone"): 1,
        Failed("a", 0, "OSError: gone"): 1, Failed(ALL, 0, ""): 7,
    }  # fmt: skip


def test_of_very_many_endpoints_none_is_distinguished(tmp_path: Path) -> None:
    """A path per item would be a line per item."""
    paths = tuple(f"/items/{number}" for number in range(60))
    (kind,) = run_of(tmp_path, Scripted(requests=600, failures=120, endpoints=paths)).failure_kinds
    assert (kind.endpoint, kind.status, kind.count, kind.requests) == (ALL, 500, 480, 2400)


def test_of_many_kinds_those_of_most_requests_are_listed_and_the_others_counted() -> None:
    cell = Cell(scenario="shop", load=Load(rate=10.0, arrivals="poisson"))
    one = FailureKind(cell, "a", "cart", None, "ConnectionResetError", "", 1, 1000)
    many = [replace(one, endpoint=f"e{number}", count=number) for number in range(1, 20)]
    lines = failure_lines([*many, replace(one, exception=None, endpoint=ALL, count=900)])
    assert len(lines) == 1 + MOST_LINES + 1
    assert lines[1].startswith("shop at 10/s, a, e9: 9 of 1,000 requests (0.9%): no answer, ConnectionReset")
    assert "all endpoints: 900 of 1,000 requests (90%): never sent" in lines[-2]
    assert lines[-1] == "and 8 more kinds"


NOTHING_RIGHT = Scripted(requests=4676, latency=0.001, failures=4676)
STANDSTILL = Scripted(requests=591, latency=0.3, failures=515)

CERTAIN = {
    "nothing was answered right on a busy host": (NOTHING_RIGHT, (STEAL,)),
    "nothing was answered right by a generator that is busy with that": (
        NOTHING_RIGHT, (Fault(kind="generator-busy", value=0.94, limit=0.8), IDLE),
    ),
    "a pool is wedged, and users seem idle": (STANDSTILL, (IDLE,)),
}  # fmt: skip


@pytest.mark.parametrize(("told", "planted"), CERTAIN.values(), ids=CERTAIN)
def test_an_arm_is_failing_whatever_else_is_true(
    tmp_path: Path, told: Scripted, planted: tuple[Fault, ...]
) -> None:
    found = run_of(tmp_path, told, planted, ("rate<0.01",))
    (one,) = found.primaries
    part = told.failures / told.requests
    assert (one.verdict, one.failing) == ("failing", ("async",))
    assert one.failed == {"sync": 0.0, "async": pytest.approx(part)}
    first, *others = one.reservations
    assert isinstance(first, RequestsFailed)
    assert first.arm == "async"
    assert first.part == pytest.approx(part)
    # Rounds in which the generator was the limit are no lost ones.
    assert [type(other) for other in others] == ([RoundsLost] if planted == (STEAL,) else [])
    assert found.cards[0].advice.name in ("sync", "def")
    assert [judged.word for judged in found.judgements] == ["missed"]
    assert exit_code(outcomes_of(found)) == Exit.GATE
    assert found.cards[0].limits["async"] == ()
    said = printed(found)
    assert said.index("status 500") < said.index("failing: async failed") < said.index("warning:")


def shedding(tolerant: bool) -> scripted.Script:
    """shared/cases/18: 16 users on requests of 51.5 ms; `async` turns 30% of its requests away at once and
    so answers 1.45 times as many. A tolerant user calls a 503 a success."""

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        if arm == "sync":
            return Scripted(requests=310 + round, latency=0.0515)
        failures = 0 if tolerant else 135
        return Scripted(requests=450 + round, latency=0.0515, failures=failures)

    return script


def test_failing_fast_does_not_look_fast(tmp_path: Path) -> None:
    table = {
        "http_req_failed{arm:async}": ("rate<0.01",), "http_req_duration{arm:async}": ("med>45",),
    }  # fmt: skip
    plan = scripted.plan().model_copy(update={"thresholds": table})
    (tmp_path / "tolerant").mkdir()
    found = [
        conclude(run, Readings(directory))
        for place, tolerant in ((tmp_path, False), (tmp_path / "tolerant", True))
        for run, directory in [scripted.run(place, plan, shedding(tolerant))]
    ]
    (worker,), (tolerant_user,) = (one.primaries for one in found)
    assert (worker.verdict, worker.failing) == ("failing", ("async",))
    assert worker.failed["async"] == pytest.approx(0.30, abs=0.02)
    assert worker.values["async"] == pytest.approx(316, abs=3)
    assert [[one.word for one in each.judgements] for each in found] == [["missed", "met"], ["met", "met"]]
    assert [exit_code(outcomes_of(one)) for one in found] == [Exit.GATE, Exit.DONE]
    assert tolerant_user.verdict == "faster"
    assert found[0].cards[0].advice.name == "def"


@pytest.mark.parametrize(("broken", "outcome"), [("async", "regression"), ("sync", "pass")])
def test_a_gate_is_breached_by_a_head_that_answers_nothing_on_a_busy_host(
    tmp_path: Path, broken: str, outcome: str
) -> None:
    """And no head is worse than a base that answers nothing."""
    plan = scripted.plan().model_copy(update={"gate": True, "against": {"async": "sync"}})
    run, directory = scripted.run(
        tmp_path, plan, lambda arm, *_: NOTHING_RIGHT if arm == broken else Scripted(requests=1000)
    )
    trials = tuple(one.model_copy(update={"faults": (STEAL,)}) for one in run.trials)
    found = conclude(run.model_copy(update={"trials": trials}), Readings(directory))
    assert found.outcomes == (outcome,)
    assert found.failure_kinds[0].arm == broken


OURS: dict[FaultKind, Scripted] = {
    "generators-lost": NOTHING_RIGHT,
    "no-sockets": NOTHING_RIGHT,
    "steal": Scripted(requests=1000, failures=300),
}


@pytest.mark.parametrize("kind", OURS)
def test_requests_that_fail_by_our_fault_or_less_than_half_of_them_leave_it_invalid(
    tmp_path: Path, kind: FaultKind
) -> None:
    found = run_of(tmp_path, OURS[kind], (Fault(kind=kind, value=1.0, limit=0.1),))
    assert [one.verdict for one in found.primaries] == ["invalid"]
    # What failed is said all the same.
    assert found.failure_kinds[0].status == 500


def wedged(users: int, cut_off: int) -> Samples:
    """Users of whom `cut_off` are never answered, until the drain ends, and the others begin late again and
    again, since the server refuses their connections for a while."""
    waiting = [(-1.0, 7.0, 0, 0, 1)] * cut_off
    others = [
        (float(at), float(at) + 0.12, 0, 200, 0) for at in (0.1, 0.4, 0.7) for _ in range(users - cut_off)
    ]
    return samples(*waiting, *others)


def test_users_cut_off_when_the_drain_ends_are_failed_requests_and_no_idleness() -> None:
    """200 users on a wedged pool were called idle; those who wait in vain keep the others from asking."""
    cell = Cell(scenario="held", load=Load(users=200))
    trial = scripted.trial(Scripted(failures=1), 1, 0, 0, cell, "sync")
    rows = wedged(200, 120)
    assert [one.kind for one in closed_faults(rows, 1.0, 200)] == ["users-idle"]
    assert faults(trial, rows) == ()
    assert [one.kind for one in faults(trial, wedged(200, 20))] == ["users-idle"]


def test_users_that_wait_in_vain_for_most_of_the_time_are_a_standstill(tmp_path: Path) -> None:
    """Few requests fail, since users who wait send none; the time tells."""
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted())
    rows = samples(
        *((-0.5, 6.0, 0, 0, 1) for _ in range(20)),
        *((at / 1000, at / 1000 + 0.0001, 0, 200, 0) for at in range(999)),
    )
    files = {
        one.number: {"samples": write_samples(directory.path / one.files.samples, rows)} for one in run.trials
    }
    run = scripted.with_files(run, directory, files)
    trials = [one.model_copy(update={"faults": (IDLE,), "errors": (UNFINISHED,)}) for one in run.trials]
    found = conclude(run.model_copy(update={"trials": tuple(trials)}), Readings(directory))
    (one,) = found.primaries
    assert (one.verdict, one.failing) == ("failing", ("sync", "async"))
    assert all(isinstance(why, RequestsUnanswered) for why in one.reservations[:2])
    assert "no answer, Unfinished: cut off" in printed(found)


def test_what_the_users_ask_for_at_most_is_never_less_than_what_was_measured() -> None:
    """64 users at 44 ms alone would ask for 1,456/s at most; 1,490/s were measured."""
    known = replace(KNOWN, one=ONE.model_copy(update={"service_time": 64 / 1456}))
    (limit,) = few_users(replace(signs(), throughput=1490.0, cores=0.2), known)
    assert isinstance(limit.evidence, FewUsers)
    assert limit.evidence.throughput >= 1490.0
    assert "1,490/s" in evidence_text(limit.evidence)
    (slower,) = few_users(replace(signs(), throughput=1400.0, cores=0.2), known)
    assert isinstance(slower.evidence, FewUsers)
    assert slower.evidence.throughput == pytest.approx(1456.0)


PILES = {
    "it finishes 17 times as many": (Backlog("async", "tasks", 0.3), 4566.0, 188.0, "not-decided"),
    "it answers more and finishes fewer": (Backlog("async", "tasks", 0.3), 200.0, 188.0, "arm"),
    "several tasks a response, by their CPU time": (
        Backlog("async", "tasks", 2.0, alone=0.002, loaded=0.0005), 1000.0, 188.0, "not-decided",
    ),
    "several tasks a response, hardly any done": (
        Backlog("async", "tasks", 2.0, alone=0.002, loaded=0.0001), 1000.0, 188.0, "arm",
    ),
    "several tasks a response, and nothing else known": (
        Backlog("async", "items", 2.0), 1000.0, 188.0, "not-decided",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("pile", "answers", "others", "advice"), PILES.values(), ids=PILES)
def test_an_arm_that_finishes_fewer_tasks_is_no_remedy(
    pile: Backlog, answers: float, others: float, advice: str
) -> None:
    """Background mail: 188/s on a blocked loop was advised over an arm that finished 17 times as many."""
    one = replace(verdict("failing", failing=["async"]), reservations=(pile,))
    found: dict[str, Signs | None] = {
        "sync": replace(signs(), throughput=others), "async": replace(signs(), throughput=answers),
    }  # fmt: skip
    reference, rival = scripted.plan().arms
    assert choose(one, reference, rival, found, None, {}).kind == advice
    assert isinstance(finishes_more(one, found), FinishesMore) == (advice == "not-decided")
    both = replace(one, failing=("sync", "async"))
    assert choose(both, reference, rival, found, None, {}) == NOT_DECIDED
    broken = replace(one, reservations=(RequestsFailed("async", 0.3),))
    assert choose(broken, reference, rival, found, None, {}) == Advice("arm", "sync")
