"""Work after the last response: what CPU times and processes show of it, and how a server comes to rest."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from loadtests.measure.bench import Probe
from loadtests.records import Calibration, Footprint, Settling, Trial
from loadtests.records.trial import JobsLeft, Resources
from loadtests.serving.versions import Sources
from loadtests.system.settling import STEP, FamilyClock, settle
from reports.advice.cards import NOT_DECIDED, choose
from reports.advice.caveats import AheadUnobserved, HandsWorkOn, WorkersBeside, unobserved_work
from reports.analysis.backlogs.judgement import Backlog
from reports.analysis.backlogs.queues import JobsPileUp
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict, verdicts
from reports.gate.findings import health
from reports.wording.reservations import reservation_text
from tests import scripted
from tests.scripted import Scripted
from tests.test_backlog import WINDOW, requests

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
    unseen, unlimited = dict.fromkeys(("sync", "async")), dict.fromkeys(("sync", "async"), ())
    assert choose(verdict, reference, rival, unseen, None, unlimited) == NOT_DECIDED
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
    observed = queued.model_copy(update={"plan": queued.plan.model_copy(update={"redis": True})})
    assert unobserved_work(observed, []) == []


def test_jobs_that_pile_up_in_a_queue_and_the_work_of_its_workers_are_told_and_are_no_failure(
    tmp_path: Path,
) -> None:
    """1,000 responses per window: a worker that is 300 jobs behind, and one that is 10 behind."""
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(requests=1000))
    left = {"sync": JobsLeft(opened=100, closed=110), "async": JobsLeft(opened=100, closed=400)}
    trials = tuple(
        one.model_copy(
            update={"resources": one.resources.model_copy(update={"jobs": left[one.arm], "worker_cpu": 0.6})}
        )
        for one in run.trials
    )
    run = run.model_copy(update={"trials": trials})
    (verdict,) = (one for one in verdicts(run, Readings(directory)) if one.primary)
    assert not verdict.failing
    (found,) = (one for one in verdict.reservations if isinstance(one, JobsPileUp))
    assert found.arm == "async"
    assert found.behind == pytest.approx(0.3, rel=0.1)
    assert "+30 undone per 100 responses" in reservation_text(found)
    assert unobserved_work(run, []) == [WorkersBeside((("sync", 0.6), ("async", 0.6)))]


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
