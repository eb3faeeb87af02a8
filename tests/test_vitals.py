"""The heartbeat inside a server: real servers whose state is known while they are loaded."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests import vitals
from loadtests.plan import BUILT_IN, Arm, Serving
from loadtests.processes import Child
from loadtests.records import Beats, RecordError, RunDirectory, read_beats, read_samples, write_beats
from loadtests.servers import Server, Surroundings
from reports.backlog import left_behind
from tests import scripted
from tests.serving import app, get, loaded

Locust = tuple[Child, dict[str, Any]]


def watched(
    arm: Arm, around: Surroundings, locust: Locust, path: Path, **load: Any
) -> tuple[Beats, dict[str, Any]]:
    """The heartbeats of an arm's server during a load."""
    with Server(arm, around, f"1.{arm.name}") as server:
        facts = loaded(locust[0], server.url, path, **load)
        return Beats.of(server.heartbeats(facts["opened"]), facts["opened"]), facts


def inside(beats: Beats, name: str, window: float) -> Any:
    """A column, at the beats that were due in the window."""
    return getattr(beats, name)[(beats.due >= 0.0) & (beats.due < window)]


def test_the_columns_that_are_told_are_the_columns_that_are_recorded() -> None:
    assert ("worker", *vitals.COLUMNS) == tuple(field.name for field in fields(Beats))


def test_a_loop_that_is_blocked_comes_late_and_misses_no_beat(
    around: Surroundings, locust: Locust, tmp_path: Path
) -> None:
    """Handlers that block for 20 ms; a beat every 50 ms all the same, each as late as it was."""
    beats, facts = watched(app("blocked_loop", "planted"), around, locust, tmp_path / "s.npz", users=4)
    calm, _ = watched(app("counting"), around, locust, tmp_path / "s.npz", users=1)
    window = facts["window"]
    assert np.quantile(inside(beats, "lag", window), 0.9) > 0.01
    assert np.quantile(inside(beats, "lag", window), 0.5) > np.quantile(inside(calm, "lag", 1.0), 0.5)
    gaps = np.diff(beats.due[:-1])
    assert np.allclose(gaps, vitals.BEAT, atol=1e-6)
    assert len(inside(beats, "lag", window)) == pytest.approx(window / vitals.BEAT, abs=1.5)


def test_thread_tokens_and_the_tasks_that_wait_for_them_are_seen(
    around: Surroundings, locust: Locust, tmp_path: Path
) -> None:
    arm = Arm(name="two", app=BUILT_IN["sync"].app, serving=Serving(threads=2))
    beats, facts = watched(arm, around, locust, tmp_path / "s.npz", scenario="sleep", users=16)
    assert set(beats.tokens) == {2.0}
    assert np.median(inside(beats, "borrowed", facts["window"])) == 2
    assert np.median(inside(beats, "queued", facts["window"])) > 5


@pytest.mark.parametrize(("twin", "hops"), [("sync", 2.0), ("async", 0.0)])
def test_thread_hops_per_request_are_counted(
    around: Surroundings, locust: Locust, tmp_path: Path, twin: str, hops: float
) -> None:
    """A `def` route with a response model goes to a thread twice, a coroutine never."""
    beats, facts = watched(BUILT_IN[twin], around, locust, tmp_path / "s.npz", users=1)
    samples = read_samples(tmp_path / "s.npz")
    ended = int(((samples.end >= 0.0) & (samples.end < facts["window"])).sum())
    assert (beats.spent("hops", facts["window"]) or 0.0) / ended == pytest.approx(hops, rel=0.15)


def test_a_pool_of_one_connection_is_seen_to_be_used_up(
    around: Surroundings, locust: Locust, tmp_path: Path
) -> None:
    beats, facts = watched(app("one_connection", "planted"), around, locust, tmp_path / "s.npz", users=16)
    window = facts["window"]
    assert set(inside(beats, "pool", window)) == {1.0}
    assert np.median(inside(beats, "checked_out", window)) == 1.0
    assert np.median(inside(beats, "pool_queued", window)) > 1.0
    # Fifteen of sixteen users wait for it at any time.
    assert (beats.spent("pool_wait", window) or 0.0) / window == pytest.approx(15.0, rel=0.25)
    assert (beats.spent("statements", window) or 0.0) > 10
    assert beats.spent("locks", window) == 0.0


def test_the_wait_for_a_lock_is_told_from_other_statements(
    around: Surroundings, locust: Locust, tmp_path: Path
) -> None:
    """Eight users who must all write spend most of their time in the queue for one lock."""
    beats, facts = watched(app("locked", "planted"), around, locust, tmp_path / "s.npz", users=8)
    locks, lock_time = (beats.spent(name, facts["window"]) for name in ("locks", "lock_time"))
    assert locks
    assert lock_time
    assert 0.5 < lock_time / (8 * facts["window"]) < 1.1
    assert beats.spent("statements", facts["window"]) == 0.0


@pytest.mark.parametrize(("twin", "left"), [("sync", False), ("async", True)])
def test_work_that_is_left_behind_answers_is_seen(
    around: Surroundings, locust: Locust, tmp_path: Path, twin: str, left: bool
) -> None:
    """Under many users an event loop goes on answering and hardly does what comes after answers; threads are
    taken by that work, and answers wait for them."""
    load = {"scenario": "background", "users": 128, "warmup": 2.0}
    beats, facts = watched(BUILT_IN[twin], around, locust, tmp_path / "s.npz", **load)
    behind = left_behind(beats, read_samples(tmp_path / "s.npz"), facts["window"])
    assert behind is not None
    assert (behind > 0.5) if left else (behind < 0.05)


def test_all_users_are_heard_however_long_a_turn_of_the_loop_takes(
    around: Surroundings, locust: Locust, tmp_path: Path
) -> None:
    """A handler that computes; uvloop takes up one connection a turn, so users who connect under load would
    wait for most of the trial."""
    load = {"scenario": "python", "users": 96, "warmup": 1.5, "canary": str(tmp_path / "canary.npz")}
    _, facts = watched(BUILT_IN["async"], around, locust, tmp_path / "s.npz", **load)
    samples, canary = read_samples(tmp_path / "s.npz"), read_samples(tmp_path / "canary.npz")
    window = facts["window"]
    during = (samples.start < window) & (samples.end >= 0.0)
    turn = float(np.median(samples.service_time[during]))
    assert samples.service_time[during].max() < 6 * turn
    # Nor does the canary wait longer than those who make the load, by much.
    due = (canary.due >= 0.0) & (canary.due < window)
    assert float(np.median(canary.response_time[due])) < 5 * turn


def test_every_worker_has_a_heart(around: Surroundings, locust: Locust, tmp_path: Path) -> None:
    arm = app("counting", serving=Serving(workers=3))
    beats, facts = watched(arm, around, locust, tmp_path / "s.npz")
    assert set(beats.worker) == {0.0, 1.0, 2.0}
    assert (beats.spent("cpu", facts["window"]) or 0.0) > 0.0


def test_an_app_without_a_database_tells_of_none(
    around: Surroundings, locust: Locust, tmp_path: Path
) -> None:
    beats, facts = watched(app("counting"), around, locust, tmp_path / "s.npz")
    assert np.isnan(beats.pool).all()
    assert beats.spent("locks", facts["window"]) is None


def test_vitals_that_are_off_tell_nothing(around: Surroundings, locust: Locust, tmp_path: Path) -> None:
    beats, _ = watched(app("counting", serving=Serving(vitals="off")), around, locust, tmp_path / "s.npz")
    assert len(beats) == 0
    assert beats.spent("cpu", 1.0) is None


def test_the_canary_is_recorded_apart_from_the_load(
    around: Surroundings, locust: Locust, tmp_path: Path
) -> None:
    """The server counts both; 50 a second of them are the canary's."""
    with Server(app("counting"), around, "1.canary") as server:
        order = {"scenario": "sleep", "canary": str(tmp_path / "canary.npz")}
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", **order)
        canary, load = read_samples(tmp_path / "canary.npz"), read_samples(tmp_path / "s.npz")
        assert len(canary) + len(load) == int(get(f"{server.url}/count"))
    due = canary.due[(canary.due >= 0.0) & (canary.due < facts["window"])]
    assert len(due) == pytest.approx(50 * facts["window"], abs=1.5)
    assert np.allclose(np.diff(due), 0.02, atol=1e-6)


def test_the_canary_keeps_coming_while_the_server_stands_still(
    around: Surroundings, locust: Locust, tmp_path: Path
) -> None:
    """Handlers that block for 20 ms, eight users: every canary waits for its turn, and none is left out."""
    with Server(app("blocked_loop", "planted"), around, "1.still") as server:
        order = {"scenario": "sleep", "canary": str(tmp_path / "canary.npz"), "users": 8}
        # The app knows no other route than `/ping`: the load is answered at once, with 404.
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", **order)
    canary = read_samples(tmp_path / "canary.npz")
    during = canary.response_time[(canary.due >= 0.0) & (canary.due < facts["window"])]
    assert len(during) == pytest.approx(50 * facts["window"], abs=1.5)
    assert during.min() > 0.02


def test_running_totals_are_read_at_the_edges_of_the_window() -> None:
    """A total that grows by one a second grows by two in a window of two, in each of two workers."""
    names = list(vitals.COLUMNS)
    row = [0.0] * len(names)
    workers = []
    for start in (0.0, 100.0):
        rows = []
        for step in range(-2, 50):
            told = list(row)
            told[names.index("due")] = 7.0 + step * 0.05
            told[names.index("hops")] = start + step * 0.05
            rows.append(told)
        workers.append(rows)
    beats = Beats.of(workers, opened=7.0)
    assert beats.spent("hops", 2.0) == pytest.approx(4.0)


def test_heartbeats_survive_their_file_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: scripted.Told(), rounds=1)
    trial = run.trials[0]
    assert directory.beats(trial) is None
    beats = Beats.of([[[1.0] * len(vitals.COLUMNS)] * 3], opened=0.5)
    path = directory.path / trial.beats_file
    write_beats(path, beats)
    assert np.array_equal(read_beats(path).lag, beats.lag)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match="cannot read"):
        RunDirectory(directory.path).beats(trial)
