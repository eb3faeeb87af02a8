"""Work that is left behind: counts of tasks and requests that are made up, with a known answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from loadtests.records import Beats, Cell, Samples, read_beats, write_beats
from loadtests.vitals import BEAT, COLUMNS, COUNTED
from reports.backlog import left_behind
from reports.conclusions import conclude
from reports.estimates import Readings
from reports.verdicts import verdicts
from tests import scripted
from tests.scripted import Told

WINDOW = 2.0


def counted(*workers: float, from_the_start: float = 40.0, number: int = 60) -> Beats:
    """Heartbeats of workers whose tasks grow by so many a second; some are counted, as in a server."""
    told = []
    for growth in workers:
        rows = []
        for step in range(number):
            due = -0.2 + step * BEAT
            tasks = from_the_start + growth * due if step % COUNTED == 0 else np.nan
            known = {"due": due, "tasks": tasks}
            rows.append([known.get(name, 0.0) for name in COLUMNS])
        told.append(rows)
    return Beats.of(told, opened=0.0)


def requests(rate: float, took: NDArray[np.float64] | float = 0.01) -> Samples:
    """So many a second, from half a second before the window to half a second after it."""
    start = np.arange(-0.5, WINDOW + 0.5, 1.0 / rate)
    zeros = np.zeros(len(start), dtype=np.uint16)
    return Samples(
        endpoint=zeros, due=start, start=start, end=start + took, status=zeros + np.uint16(200),
        size=zeros.astype(np.uint32), error=zeros,
    )  # fmt: skip


def test_tasks_that_grow_beside_steady_requests_are_left_behind() -> None:
    """200 a second of 400 answers a second: every second one."""
    assert left_behind(counted(200.0), requests(400.0), WINDOW) == pytest.approx(0.5, rel=0.01)


def test_the_tasks_of_all_workers_count() -> None:
    assert left_behind(counted(150.0, 50.0), requests(400.0), WINDOW) == pytest.approx(0.5, rel=0.01)


def test_tasks_that_stay_as_many_leave_nothing_behind() -> None:
    assert left_behind(counted(0.0, from_the_start=9_000.0), requests(400.0), WINDOW) == 0.0


def test_tasks_that_become_fewer_leave_nothing_behind() -> None:
    assert left_behind(counted(-100.0, from_the_start=500.0), requests(400.0), WINDOW) == 0.0


def test_a_few_tasks_of_the_app_itself_are_not_taken_for_work() -> None:
    assert left_behind(counted(5.0), requests(10.0), WINDOW) == 0.0


def test_fewer_tasks_than_requests_in_flight_are_not_taken_for_work() -> None:
    """Of 400 requests a second that take half a second 200 are in flight, give or take."""
    assert left_behind(counted(80.0), requests(400.0, 0.5), WINDOW) == 0.0


def test_an_overload_of_requests_that_are_not_answered_is_not_work_left_behind() -> None:
    """Each request takes longer than the one before it, so more and more are in flight."""
    longer = requests(400.0, np.linspace(0.0, 3.0, 1200))
    assert left_behind(counted(250.0), longer, WINDOW) is None


@pytest.mark.parametrize("beats", [None, counted(200.0, number=12)])
def test_without_three_counts_nothing_is_told(beats: Beats | None) -> None:
    assert left_behind(beats, requests(400.0), WINDOW) is None


def test_heartbeats_from_before_tasks_were_counted_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "0001.vitals.npz"
    write_beats(path, counted(200.0))
    with np.load(path) as file:
        np.savez_compressed(path, **{name: file[name] for name in file.files if name != "tasks"})
    beats = read_beats(path)
    assert np.isnan(beats.tasks).all()
    assert left_behind(beats, requests(400.0), WINDOW) is None


def test_an_arm_that_leaves_work_behind_is_failing_however_much_it_answers(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Told:
        return Told(requests=2000 if arm == "async" else 1000, latency=0.005)

    run, directory = scripted.run(tmp_path, scripted.plan(), script)
    for trial in run.trials:
        write_beats(directory.path / trial.beats_file, counted(900.0 if trial.arm == "async" else 0.0))
    for verdict in verdicts(run, Readings(directory)):
        assert (verdict.verdict, verdict.failing) == ("failing", ("async",))
        assert verdict.warnings[0].startswith("async leaves work behind: for every 100 answers")
        assert "--rate" in verdict.warnings[0]
    (card,) = conclude(run, Readings(directory)).cards
    assert card.advice == "def"


def test_a_round_in_which_nothing_was_left_behind_is_outvoted(tmp_path: Path) -> None:
    """The median over rounds counts."""
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Told(requests=1000, latency=0.005))
    for trial in run.trials:
        odd = trial.arm == "async" and trial.round == 1
        write_beats(directory.path / trial.beats_file, counted(900.0 if odd else 0.0))
    assert not [one for one in verdicts(run, Readings(directory)) if one.failing]
