"""Work that piles up: planted counts, processes and CPU times with a known answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loadtests.records import Cell, Run, RunDirectory, Slice, Trial
from loadtests.records.arrays import write_heartbeats
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.samples import Samples
from loadtests.serving.inside.heartbeat import BEAT, COLUMNS, COUNTED
from reports.advice.cards import Advice
from reports.advice.notes import MayNotLast
from reports.analysis.backlogs.growth import BacklogKind, growing
from reports.analysis.backlogs.keeping import KeepsMore, kept
from reports.analysis.readings import Readings
from reports.analysis.verdicts import verdicts
from reports.conclusions import conclude
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


@pytest.mark.parametrize(("rate", "behind"), [(16.0, 0.0), (50.0, 1.0)])
def test_a_request_of_several_tasks_is_no_pile_up_by_itself(rate: float, behind: float) -> None:
    """Eight requests in flight under a BaseHTTPMiddleware are 64 tasks, which vary; one more task for each
    response is a pile-up there, too."""
    counts = counted(rate, from_the_start=64.0, number=50)
    found = growing(counts, requests(50.0, 0.16), WINDOWS).get("tasks")
    assert found == pytest.approx(behind, abs=0.05)


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
    "with requests in flight it varies": (living(lambda at: 2e5 + 120.0 * at, at_rest=220_000), 0.0),
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
