"""Work that piles up: planted counts, processes and CPU times with a known answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loadtests.measure.bench import Probe
from loadtests.records import Calibration, Cell, Footprint, Run, RunDirectory, Settling, Slice, Trial
from loadtests.records.arrays import write_heartbeats
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.samples import Samples
from loadtests.records.trial import Resources
from loadtests.serving.inside.heartbeat import BEAT, COLUMNS, COUNTED
from loadtests.serving.versions import Sources
from loadtests.system.settling import STEP, FamilyClock, settle
from reports.advice.cards import NOT_DECIDED, Advice, choose
from reports.advice.caveats import AheadUnobserved, HandsWorkOn, unobserved_work
from reports.advice.notes import MayNotLast
from reports.analysis.backlogs.growth import BacklogKind, growing
from reports.analysis.backlogs.judgement import Backlog
from reports.analysis.backlogs.keeping import KeepsMore, kept
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict, verdicts
from reports.conclusions import conclude
from reports.gate.findings import health
from reports.wording.reservations import reservation_text
from tests import scripted
from tests.scripted import Scripted

WINDOW = 2.0

WINDOWS = (Slice(opened=0.0, window=WINDOW),)


def counted(*workers: float, from_the_start: float = 40.0, number: int = 60) -> Heartbeats:
    """Heartbeats of workers whose tasks grow at a given rate per second; some are counted, as in a server."""
    told = []
    for growth in workers:
        rows = []
        for step in range(number):
            due = -0.2 + step * BEAT
            tasks = from_the_start + growth * due if step % COUNTED == 0 else np.nan
            known = {"due": due, "tasks": tasks}
            rows.append([known.get(name, 0.0) for name in COLUMNS])
        told.append(rows)
    return Heartbeats.of(told, opened=0.0)


def requests(rate: float, took: NDArray[np.float64] | float = 0.01) -> Samples:
    """Requests at `rate` per second, from half a second before the window to half a second after it."""
    start = np.arange(-0.5, WINDOW + 0.5, 1.0 / rate)
    zeros = np.zeros(len(start), dtype=np.uint16)
    return Samples(
        endpoint=zeros, due=start, start=start, end=start + took, status=zeros + np.uint16(200),
        size=zeros.astype(np.uint32), error=zeros,
    )  # fmt: skip


def test_tasks_that_grow_under_steady_requests_are_piling_up() -> None:
    """200 tasks per second at 400 responses per second: one per two responses."""
    assert growing(counted(200.0), requests(400.0), WINDOWS).get("tasks") == pytest.approx(0.5, rel=0.01)


def test_the_tasks_of_all_workers_count() -> None:
    assert growing(counted(150.0, 50.0), requests(400.0), WINDOWS).get("tasks") == pytest.approx(
        0.5, rel=0.01
    )


def test_a_constant_number_of_tasks_is_no_pile_up() -> None:
    assert growing(counted(0.0, from_the_start=9_000.0), requests(400.0), WINDOWS).get("tasks") == 0.0


def test_a_decreasing_number_of_tasks_is_no_pile_up() -> None:
    assert growing(counted(-100.0, from_the_start=500.0), requests(400.0), WINDOWS).get("tasks") == 0.0


def test_a_few_tasks_of_the_app_itself_are_no_pile_up() -> None:
    assert growing(counted(5.0), requests(10.0), WINDOWS).get("tasks") == 0.0


def test_fewer_tasks_than_requests_in_flight_are_no_pile_up() -> None:
    """400 requests per second that take 0.5 s: about 200 are in flight, which may all wait for the same pool
    at one count, and none at the next."""
    assert growing(counted(180.0), requests(400.0, 0.5), WINDOWS).get("tasks") == 0.0


def test_an_overload_of_unanswered_requests_is_no_pile_up() -> None:
    """Each request takes longer than the previous one, so the number in flight grows."""
    longer = requests(400.0, np.linspace(0.0, 3.0, 1200))
    assert growing(counted(250.0), longer, WINDOWS).get("tasks") is None


@pytest.mark.parametrize("beats", [None, counted(200.0, number=12)])
def test_without_three_counts_there_is_no_result(beats: Heartbeats | None) -> None:
    assert growing(beats, requests(400.0), WINDOWS).get("tasks") is None


def test_heartbeats_without_task_counts_give_no_result() -> None:
    beats = counted(200.0)
    assert (
        growing(replace(beats, tasks=np.full(len(beats), np.nan)), requests(400.0), WINDOWS).get("tasks")
        is None
    )


def with_backlog(run: Run, directory: RunDirectory, left: Callable[[Trial], float]) -> Run:
    """The run with heartbeats that show this many unfinished tasks per second."""
    files = {
        trial.number: {
            "heartbeats": write_heartbeats(directory.path / trial.files.heartbeats, counted(left(trial)))
        }
        for trial in run.trials
    }
    return scripted.with_files(run, directory, files)


def test_an_arm_whose_tasks_pile_up_is_failing_regardless_of_its_throughput(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=2000 if arm == "async" else 1000, latency=0.005)

    run, directory = scripted.run(tmp_path, scripted.plan(), script)
    run = with_backlog(run, directory, lambda trial: 1400.0 if trial.arm == "async" else 0.0)
    for verdict in verdicts(run, Readings(directory)):
        assert (verdict.verdict, verdict.failing) == ("failing", ("async",))
        warning = reservation_text(verdict.reservations[0])
        assert warning.startswith("async: background tasks pile up: +")
        assert "unfinished per 100 responses" in warning
        assert "--rate" in warning
    (card,) = conclude(run, Readings(directory)).cards
    assert card.advice == Advice("style", "def")


def test_one_round_without_a_pile_up_is_outvoted(tmp_path: Path) -> None:
    """The median over rounds counts."""
    run, directory = scripted.run(
        tmp_path, scripted.plan(), lambda *_: Scripted(requests=1000, latency=0.005)
    )
    run = with_backlog(
        run, directory, lambda trial: 900.0 if trial.arm == "async" and trial.round == 1 else 0.0
    )
    assert not [one for one in verdicts(run, Readings(directory)) if one.failing]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("items", "items"),
        ("thread_jobs", "thread-jobs"),
        ("process_jobs", "process-jobs"),
        ("threads", "threads"),
    ],
)
def test_each_kind_of_work_is_counted_for_itself(column: str, kind: BacklogKind) -> None:
    """200 per second at 400 responses per second; the tasks stay as they are."""
    steady, more = counted(0.0), counted(200.0)
    found = growing(replace(steady, **{column: more.tasks}), requests(400.0), WINDOWS)
    assert found.pop(kind) == pytest.approx(0.5, rel=0.01)
    assert set(found.values()) == {0.0}


def living(*workers: Callable[[float], float], at_rest: float, number: int = 60) -> Heartbeats:
    """Heartbeats of workers with a number of blocks at every second, and one once each is at rest."""
    told = []
    for blocks in workers:
        due = [-0.2 + step * BEAT for step in range(number)]
        known = [{"due": at, "blocks": blocks(at)} for at in due]
        known.append({"due": due[-1] + BEAT, "blocks": at_rest})
        told.append([[row.get(name, 0.0) for name in COLUMNS] for row in known])
    return Heartbeats.of(told, opened=0.0)


def list_of_mails(at: float) -> float:
    """Four objects per response at 400 per second."""
    return 200_000 + 1600.0 * at


def garbage(at: float) -> float:
    """22 objects per response, collected 2.5 s after the load began, as in a window that ends before that."""
    return 200_000 + 8800.0 * at


def collected(at: float) -> float:
    """The same, collected four times per second."""
    return 200_000 + 8800.0 * (at % 0.25)


KEPT = {
    "a list of mails grows": (living(list_of_mails, at_rest=204_000), 4.0),
    "it grows by less than it did under load": (living(list_of_mails, at_rest=202_000), 2.0),
    "garbage is not collected before the window ends": (living(garbage, at_rest=198_000), 0.0),
    "garbage is collected now and then": (living(collected, at_rest=198_000), 0.0),
    "a list grows beside garbage": (living(lambda at: collected(at) + 1600.0 * at, at_rest=204_000), 4.0),
    "something is made at rest only": (living(lambda _: 200_000.0, at_rest=220_000), 0.0),
    "an app has a few objects of its own": (living(list_of_mails, at_rest=200_400), 0.0),
    "two workers share the requests": (
        living(lambda at: 2e5 + 800.0 * at, lambda at: 2e5 + 800.0 * at, at_rest=202_000), 4.0,
    ),
    "there are too few heartbeats": (living(list_of_mails, at_rest=204_000, number=4), None),
    "they are of an earlier version": (living(lambda _: np.nan, at_rest=np.nan), None),
    "there are none": (None, None),
}  # fmt: skip


@pytest.mark.parametrize(("beats", "expected"), KEPT.values(), ids=KEPT)
def test_what_stays_after_the_load_is_kept(beats: Heartbeats | None, expected: float | None) -> None:
    found = kept(beats, requests(400.0), WINDOWS)
    assert found == (expected and pytest.approx(expected, rel=0.05))


def test_an_arm_that_keeps_more_is_still_advised_and_said_to(tmp_path: Path) -> None:
    """In three of four rounds: nothing outside tells a growing cache from work that waits."""
    run, directory = scripted.run(
        tmp_path,
        scripted.plan(),
        lambda arm, *_: Scripted(requests=2000 if arm == "async" else 1000, latency=0.005),
    )

    def told(rounds: int) -> Run:
        grown = {
            trial.number: living(
                lambda at: 2e5 + 4000.0 * at,
                at_rest=210_000.0 if trial.arm == "async" and trial.round < rounds else 2e5,
            )
            for trial in run.trials
        }
        files = {
            trial.number: {
                "heartbeats": write_heartbeats(directory.path / trial.files.heartbeats, grown[trial.number])
            }
            for trial in run.trials
        }
        return scripted.with_files(run, directory, files)

    often = conclude(told(3), Readings(directory))
    (verdict,) = (one for one in often.verdicts if one.primary)
    assert (verdict.verdict, verdict.failing, verdict.blemished) == ("faster", (), ())
    assert [one.arm for one in verdict.reservations if isinstance(one, KeepsMore)] == ["async"]
    (card,) = often.cards
    assert card.advice == Advice("style", "async def")
    assert MayNotLast("async") in card.notes
    once = conclude(told(1), Readings(directory))
    assert not [one for found in once.verdicts for one in found.reservations if isinstance(one, KeepsMore)]


AT_REST = Settling(seconds=0.02, cpu=0.0, rested=True)
STILL_WORKING = Settling(seconds=0.2, cpu=0.1, rested=False)


@pytest.mark.parametrize(("clocked", "work"), [(0.0, 0.002), (0.75, 0.002), (1.5, None)])
def test_a_late_clock_takes_its_requests_with_it(clocked: float, work: float | None) -> None:
    """100 requests per second of 2 ms each, whose CPU time was counted from `clocked` to 2.51 s: on a busy
    machine, a request alone seemed to cost what was left of it, so that nothing was missing under load."""
    probe = Probe(
        opened=0.0, window=WINDOW, samples=requests(100.0), resources=Resources(generator_cpu=0.0), errors=(),
        lost=0, thinks=False, work=0.2 * (WINDOW + 0.5 - clocked), clocked=clocked,
    )  # fmt: skip
    assert probe.work_per_request == (work and pytest.approx(work, rel=0.01))


@dataclass(frozen=True)
class Seen:
    """What is planted of an arm: 1,000 responses in a window of one second, five requests in flight."""

    settling: Settling | None
    """After its last response."""
    loaded: float = 0.0005
    """CPU seconds per response."""
    alone: float | None = 0.002
    """CPU seconds per request with one user; None: no calibration."""
    before: Settling = AT_REST
    """Before the calibration."""
    after: Settling = AT_REST
    """After the calibration."""
    children: int = 1
    """At the window's end; one before the load."""


def judged(parent: Path, seen: Seen, speed: int = 1, instead: Mapping[int, Seen] | None = None) -> Verdict:
    """The verdict on an arm of which `seen` was seen, against one that came to rest at its cost alone; it
    serves `speed` times as much. `instead`: what was seen of it in some rounds."""

    def script(arm: str, *_: object) -> Scripted:
        return Scripted(requests=1000 if arm == "async" else 1000 // speed, latency=0.005)

    run, directory = scripted.run(parent, scripted.plan(), script)
    trials, calibrations = [], []
    for arm, one in (("sync", Seen(AT_REST, 0.002)), ("async", seen)):
        if one.alone is not None:
            calibrations.append(
                Calibration(
                    arm=arm, scenario="ping", users=1, throughput=400.0, work=one.alone, before=one.before,
                    after=one.after,
                )
            )  # fmt: skip
        other = (instead or {}) if arm == "async" else {}
        trials += [planted(t, other.get(t.round, one)) for t in run.trials if t.arm == arm]
    told = run.model_copy(update={"trials": tuple(trials), "calibrations": tuple(calibrations)})
    return next(one for one in verdicts(told, Readings(directory)) if one.primary)


def planted(trial: Trial, seen: Seen) -> Trial:
    resources = trial.resources.model_copy(
        update={
            "server_cpu": 1000 * seen.loaded, "settling": seen.settling, "server_children": seen.children,
            "before": Footprint(rss=2**26, threads=4, children=1),
            "after": Footprint(rss=2**27, threads=4, children=1),
        }
    )  # fmt: skip
    return trial.model_copy(update={"resources": resources})


BUSY = Settling(seconds=0.2, cpu=0.1, rested=False)
"""Half a CPU, as before any load."""

INNOCENT = {
    "it comes to rest at once: many requests share wake-ups and caches": Seen(AT_REST),
    "the last requests leave some work": Seen(AT_REST.model_copy(update={"cpu": 0.06}), 0.0019),
    "it works on, but no CPU time is missing: a full queue": Seen(STILL_WORKING, 0.002),
    "a thread of its own always computes": Seen(BUSY, 0.001, before=BUSY, after=BUSY),
    "the platform shows no processes": Seen(None),
    "a process pool stays open": Seen(AT_REST, 0.002, children=9),
    "there is no calibration, and it came to rest": Seen(AT_REST, alone=None),
}


@pytest.mark.parametrize("seen", INNOCENT.values(), ids=INNOCENT)
def test_nothing_piles_up_where(tmp_path: Path, seen: Seen) -> None:
    verdict = judged(tmp_path, seen)
    assert (verdict.failing, verdict.blemished) == ((), ())


PILING = {
    "it works on, and CPU time is missing": (Seen(STILL_WORKING), "work", 0.75),
    "more work is missing than one user's load had finished": (
        Seen(STILL_WORKING, after=STILL_WORKING), "work", 0.75,
    ),
    "it worked off 150 requests' worth of work": (
        Seen(AT_REST.model_copy(update={"cpu": 0.3})), "work", 0.15,
    ),
    "each other response starts a process that does not end": (
        Seen(AT_REST, 0.002, children=751), "processes", 0.5,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("seen", "kind", "behind"), PILING.values(), ids=PILING)
def test_work_piles_up_where(tmp_path: Path, seen: Seen, kind: str, behind: float) -> None:
    verdict = judged(tmp_path, seen, speed=4)
    assert (verdict.verdict, verdict.failing) == ("failing", ("async",))
    (found,) = (one for one in verdict.reservations if isinstance(one, Backlog))
    assert found.kind == kind
    assert found.behind == pytest.approx(behind, rel=0.01)
    assert verdict.degrees["async"].behind == pytest.approx([behind] * 4, rel=0.01)


PILED = Seen(Settling(seconds=1.0, cpu=0.6, rested=False), 0.005, 0.01)
UNTOLD = {
    "the processes could not be read": Seen(None, alone=0.01),
    "it was observed for less than the last requests may need": Seen(STILL_WORKING, 0.005, 0.01),
}


@pytest.mark.parametrize("untold", UNTOLD.values(), ids=UNTOLD)
def test_a_round_of_which_nothing_is_known_hides_no_backlog(tmp_path: Path, untold: Seen) -> None:
    """Three of four rounds show it: the arm was `faster`, and advised."""
    verdict = judged(tmp_path, PILED, 4, {1: untold})
    assert (verdict.verdict, verdict.failing) == ("failing", ("async",))


def test_rounds_that_show_a_backlog_do_not_exclude_it_in_those_that_cannot_tell(tmp_path: Path) -> None:
    """One round shows it, two cannot tell, one excludes it."""
    _, short = UNTOLD.values()
    verdict = judged(tmp_path, PILED, 4, {1: short, 2: short, 3: replace(short, settling=AT_REST)})
    assert (verdict.verdict, verdict.blemished) == ("faster", ("async",))


def test_the_report_says_what_was_seen_of_a_backlog(tmp_path: Path) -> None:
    text = reservation_text(judged(tmp_path, Seen(STILL_WORKING)).reservations[0])
    assert "2.00 ms of CPU time alone, 500 µs under load" in text
    assert "still working 200 ms after the last response" in text
    assert "64 MiB more memory" in text
    assert "--rate" in text


DOUBTFUL = {
    "one user's work was not done either, and none is missing": Seen(
        STILL_WORKING, 0.002, after=STILL_WORKING
    ),
    "one user's load began with earlier work": Seen(STILL_WORKING, before=STILL_WORKING),
    "there is no calibration": Seen(STILL_WORKING, alone=None),
    "it was observed for less than the last requests may need": Seen(STILL_WORKING, 0.005, 0.01),
}


@pytest.mark.parametrize("seen", DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_cannot_be_excluded_is_said_and_not_advised(tmp_path: Path, seen: Seen) -> None:
    verdict = judged(tmp_path, seen, speed=4)
    assert (verdict.verdict, verdict.failing, verdict.blemished) == ("faster", (), ("async",))
    assert any("was still working 200 ms" in reservation_text(one) for one in verdict.reservations)
    reference, rival = scripted.plan().arms
    assert choose(verdict, reference, rival, {}, None, {}) == NOT_DECIDED
    # A gate does not pass it for its speed either.
    assert [health(verdict, arm.name).may_pile_up for arm in (reference, rival)] == [False, True]


def test_task_queues_and_unobserved_servers_far_ahead_are_caveats(tmp_path: Path) -> None:
    """And only they: no other run gets a warning about what it did not observe."""
    plan = scripted.plan()
    remote = plan.arms[1].model_copy(update={"app": "http://127.0.0.1:8000"})
    for number, (arms, speed, expected) in enumerate(
        (
            (plan.arms, 4, []),
            ((plan.arms[0], remote), 1, []),
            ((plan.arms[0], remote), 4, ["async, 4.0"]),
        )
    ):

        def script(arm: str, *_: object, speed: int = speed) -> Scripted:
            return Scripted(requests=2000 if arm == "async" else 2000 // speed, latency=0.005)

        made = plan.model_copy(update={"arms": arms})
        run, directory = scripted.run(tmp_path / str(number), made, script)
        found = unobserved_work(run, verdicts(run, Readings(directory)))
        assert [
            f"{one.arm}, {one.factor:.1f}" for one in found if isinstance(one, AheadUnobserved)
        ] == expected
        assert len(found) == len(expected)
    queued = run.model_copy(update={"task_queues": {"sync": ("celery",)}})
    assert unobserved_work(queued, []) == [HandsWorkOn((("sync", "celery"),))]


def test_packages_that_hand_work_to_other_processes_are_noted_by_arm() -> None:
    sources = Sources()
    arm = scripted.plan().arms[0]
    sources.note_task_queues(arm, {"celery": ["/lib/celery/__init__.py"], "celery.app": [], "shop": []})
    sources.note_task_queues(scripted.plan().arms[1], {"fastapi": []})
    assert sources.task_queues == {"sync": ("celery",)}


class Starved(FamilyClock):
    """The clock of a server that gets no CPU at the first readings, and then has nothing to do."""

    def __init__(self, readings: int) -> None:
        super().__init__(os.getpid())
        self.left = readings

    def read(self) -> float:
        return 0.0

    def waits_for_cpu(self) -> bool:
        self.left -= 1
        return self.left >= 0


def test_a_server_that_others_keep_from_the_cpu_is_not_at_rest() -> None:
    """Beside busy programs, 20 ms without work passed for rest, and what it still had to do was not seen."""
    clock = Starved(5)
    settled = settle(clock)
    assert settled is not None
    assert settled.rested
    assert settled.seconds >= 7 * STEP
    assert clock.left == -2


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc")
@pytest.mark.parametrize(("program", "waits"), [("while True: pass", True), ("input()", False)])
def test_a_thread_that_could_run_is_seen(program: str, waits: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as process:
        try:
            clock = FamilyClock(process.pid)
            # It starts first, which takes a CPU.
            deadline = time.monotonic() + 20.0
            while clock.waits_for_cpu() is not waits and time.monotonic() < deadline:
                time.sleep(STEP)
            assert clock.waits_for_cpu() is waits
        finally:
            process.kill()
