"""The heartbeat inside a server: real servers with a known state under load."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from loadtests.errors import RecordError
from loadtests.plan.arms import BUILT_IN, Arm, Serving
from loadtests.records.arrays import read_heartbeats, write_heartbeats
from loadtests.records.directory import RunDirectory
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.samples import Samples
from loadtests.records.trial import Slice
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inside import heartbeat
from loadtests.serving.server import Server
from loadtests.system.processes import Child
from reports.analysis.backlogs.growth import growing
from tests import scripted
from tests.serving import app, get, loaded, read_samples

Locust = tuple[Child, dict[str, Any]]
BRIEF = {"warmup": 0.1, "window": 0.3}
"""A load for what every heartbeat shows."""


def watched(
    arm: Arm, environment: ServingEnvironment, locust: Locust, path: Path, **load: Any
) -> tuple[Heartbeats, dict[str, Any]]:
    """The heartbeats of an arm's server under load."""
    with Server(arm, environment, f"1.{arm.name}") as server:
        facts = loaded(locust[0], server.url, path, pulse_path=server.pulse, **load)
        return Heartbeats.of(server.heartbeats(facts["opened"]), facts["opened"]), facts


def inside(beats: Heartbeats, name: str, window: float) -> Any:
    """A column, for the heartbeats that were due in the window."""
    return getattr(beats, name)[(beats.due >= 0.0) & (beats.due < window)]


def during(light: Samples, window: float) -> NDArray[np.float64]:
    """Response times of the light requests that were due in the window."""
    return light.response_time[(light.due >= 0.0) & (light.due < window)]


def test_servers_send_the_columns_that_are_recorded() -> None:
    assert ("worker", *heartbeat.COLUMNS) == tuple(field.name for field in fields(Heartbeats))


def test_a_blocked_loop_delays_heartbeats_and_loses_none(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path
) -> None:
    """Handlers block for 20 ms; still one heartbeat per 50 ms, each with its actual lateness."""
    beats, facts = watched(app("blocked_loop", "planted"), environment, locust, tmp_path / "s.npz", users=4)
    calm, _ = watched(app("counting"), environment, locust, tmp_path / "s.npz", users=1)
    window = facts["window"]
    assert np.quantile(inside(beats, "lag", window), 0.9) > 0.01
    assert np.quantile(inside(beats, "lag", window), 0.5) > np.quantile(inside(calm, "lag", 1.0), 0.5)
    gaps = np.diff(beats.due[:-1])
    assert np.allclose(gaps, heartbeat.BEAT, atol=1e-6)
    assert len(inside(beats, "lag", window)) == pytest.approx(window / heartbeat.BEAT, abs=1.5)


@dataclass(frozen=True)
class Taken:
    """What a load of `def` routes for all threads showed."""

    beats: Heartbeats
    facts: dict[str, Any]
    canary: Samples
    pulse: Samples


@pytest.fixture(scope="module")
def taken(environment: ServingEnvironment, locust: Locust, tmp_path_factory: pytest.TempPathFactory) -> Taken:
    """Sixteen users of two threads; the canary's route is `def`, too."""
    arm = Arm(name="two", app=BUILT_IN["sync"].app, serving=Serving(threads=2))
    path = tmp_path_factory.mktemp("taken")
    files = {kind: path / f"{kind}.npz" for kind in ("canary", "pulse")}
    load = {"scenario": "sleep", "users": 16, **{kind: str(file) for kind, file in files.items()}}
    beats, facts = watched(arm, environment, locust, path / "s.npz", **load)
    return Taken(beats, facts, *map(read_samples, files.values()))


def test_with_all_threads_taken_the_canary_waits_and_the_pulse_does_not(taken: Taken) -> None:
    """An `async def` neighbour of `def` routes waits for the loop only."""
    canary, pulse = (during(one, taken.facts["window"]) for one in (taken.canary, taken.pulse))
    assert taken.pulse.ok.all()
    assert len(pulse) == pytest.approx(len(canary), abs=2)
    assert np.median(canary) > 5 * np.median(pulse)


def test_canary_and_pulse_are_due_half_a_gap_apart(taken: Taken) -> None:
    """Neither waits for the other."""
    first, second = taken.canary.due, taken.pulse.due
    gaps = np.abs(second[1:, np.newaxis] - first[np.newaxis, 1:]).min(axis=1)
    assert np.allclose(gaps, 0.01, atol=1e-6)


def test_thread_tokens_and_the_tasks_that_wait_for_them_are_recorded(taken: Taken) -> None:
    beats, facts = taken.beats, taken.facts
    assert set(beats.tokens) == {2.0}
    assert np.median(inside(beats, "borrowed", facts["window"])) == 2
    assert np.median(inside(beats, "queued", facts["window"])) > 5


@pytest.mark.parametrize(("twin", "hops"), [("sync", 2.0), ("async", 0.0)])
def test_thread_hops_per_request_are_counted(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path, twin: str, hops: float
) -> None:
    """A `def` route with a response model makes two thread hops, a coroutine none."""
    beats, facts = watched(BUILT_IN[twin], environment, locust, tmp_path / "s.npz", users=1)
    samples = read_samples(tmp_path / "s.npz")
    ended = int(((samples.end >= 0.0) & (samples.end < facts["window"])).sum())
    assert (beats.spent("hops", facts["window"]) or 0.0) / ended == pytest.approx(hops, rel=0.15)


def test_an_exhausted_pool_of_one_connection_is_recorded(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path
) -> None:
    beats, facts = watched(
        app("one_connection", "planted"), environment, locust, tmp_path / "s.npz", users=16
    )
    window = facts["window"]
    assert set(inside(beats, "pool", window)) == {1.0}
    assert np.median(inside(beats, "checked_out", window)) == 1.0
    assert np.median(inside(beats, "pool_queued", window)) > 1.0
    # At any time 15 of 16 users wait for it.
    assert (beats.spent("pool_wait", window) or 0.0) / window == pytest.approx(15.0, rel=0.25)
    assert (beats.spent("statements", window) or 0.0) > 10
    assert beats.spent("locks", window) == 0.0


def test_waiting_for_a_lock_is_distinguished_from_other_statements(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path
) -> None:
    """Eight users that all write spend most of their time waiting for one lock."""
    beats, facts = watched(app("locked", "planted"), environment, locust, tmp_path / "s.npz", users=8)
    locks, lock_time = (beats.spent(name, facts["window"]) for name in ("locks", "lock_time"))
    assert locks
    assert lock_time
    assert 0.5 < lock_time / (8 * facts["window"]) < 1.1
    assert beats.spent("statements", facts["window"]) == 0.0


@pytest.mark.parametrize(("twin", "left"), [("sync", False), ("async", True)])
def test_background_tasks_that_pile_up_are_detected(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path, twin: str, left: bool
) -> None:
    """With many users an event loop keeps responding and hardly runs its background tasks; in the sync twin
    these tasks occupy threads, and responses wait for them."""
    # Twice the usual window: a slow host must leave behind more than the requests in flight, too.
    load = {"scenario": "background", "users": 128, "warmup": 0.3, "window": 2.0}
    beats, facts = watched(BUILT_IN[twin], environment, locust, tmp_path / "s.npz", **load)
    behind = growing(
        beats, read_samples(tmp_path / "s.npz"), [Slice(opened=0.0, window=facts["window"])]
    ).get("tasks")
    assert behind is not None
    assert (behind > 0.5) if left else (behind < 0.05)


def test_all_users_are_served_even_with_long_loop_iterations(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path
) -> None:
    """The handler computes; uvloop accepts one connection per loop iteration, so users that connect under
    load would wait for most of the trial."""
    load = {"scenario": "python", "users": 96, "warmup": 1.5, "canary": str(tmp_path / "canary.npz")}
    _, facts = watched(BUILT_IN["async"], environment, locust, tmp_path / "s.npz", **load)
    samples, canary = read_samples(tmp_path / "s.npz"), read_samples(tmp_path / "canary.npz")
    window = facts["window"]
    during = (samples.start < window) & (samples.end >= 0.0)
    turn = float(np.median(samples.service_time[during]))
    assert samples.service_time[during].max() < 6 * turn
    # The canary does not wait much longer than the load's own requests either.
    due = (canary.due >= 0.0) & (canary.due < window)
    assert float(np.median(canary.response_time[due])) < 5 * turn


def test_every_worker_has_heartbeats(environment: ServingEnvironment, locust: Locust, tmp_path: Path) -> None:
    arm = app("counting", serving=Serving(workers=3))
    beats, facts = watched(arm, environment, locust, tmp_path / "s.npz", **BRIEF)
    assert set(beats.worker) == {0.0, 1.0, 2.0}
    assert (beats.spent("cpu", facts["window"]) or 0.0) > 0.0


def test_an_app_without_a_database_reports_none(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path
) -> None:
    beats, facts = watched(app("counting"), environment, locust, tmp_path / "s.npz", **BRIEF)
    assert np.isnan(beats.pool).all()
    assert beats.spent("locks", facts["window"]) is None


def test_disabled_heartbeats_record_nothing(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path
) -> None:
    arm = app("counting", serving=Serving(heartbeats="off"))
    beats, _ = watched(arm, environment, locust, tmp_path / "s.npz", **BRIEF)
    assert len(beats) == 0
    assert beats.spent("cpu", 1.0) is None


def test_the_canary_is_recorded_apart_from_the_load(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path
) -> None:
    """The server counts both; 50 per second are the canary's."""
    with Server(app("counting"), environment, "1.canary") as server:
        order = {"scenario": "sleep", "canary": str(tmp_path / "canary.npz")}
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", **order)
        canary, load = read_samples(tmp_path / "canary.npz"), read_samples(tmp_path / "s.npz")
        assert len(canary) + len(load) == int(get(f"{server.url}/count"))
    due = canary.due[(canary.due >= 0.0) & (canary.due < facts["window"])]
    assert len(due) == pytest.approx(50 * facts["window"], abs=1.5)
    assert np.allclose(np.diff(np.sort(due)), 0.02, atol=1e-6)


def test_canary_and_pulse_keep_their_schedules_and_wait_while_the_loop_is_blocked(
    environment: ServingEnvironment, locust: Locust, tmp_path: Path
) -> None:
    """The canary's handler blocks the loop for 20 ms, 50 times a second: every canary request queues, the
    pulse's arrive while it is blocked, and none is skipped."""
    files = {kind: tmp_path / f"{kind}.npz" for kind in ("canary", "pulse")}
    with Server(app("blocked_loop", "planted"), environment, "1.still") as server:
        order = {"scenario": "sleep", "users": 8, "pulse_path": server.pulse}
        order |= {kind: str(file) for kind, file in files.items()}
        # The app has no route except `/ping`: the load gets 404 at once.
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", **order)
    canary, pulse = (during(read_samples(file), facts["window"]) for file in files.values())
    for one in (canary, pulse):
        assert len(one) == pytest.approx(50 * facts["window"], abs=1.5)
    assert canary.min() > 0.02
    assert np.median(pulse) > 0.01


def test_running_totals_are_read_at_the_edges_of_the_window() -> None:
    """A total that grows by 1/s grows by 2 in a window of two seconds, in each of two workers."""
    names = list(heartbeat.COLUMNS)
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
    beats = Heartbeats.of(workers, opened=7.0)
    assert beats.spent("hops", 2.0) == pytest.approx(4.0)


def test_heartbeats_survive_their_file_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: scripted.Scripted(), rounds=1)
    trial = run.trials[0]
    assert directory.heartbeats(trial) is None
    beats = Heartbeats.of([[[1.0] * len(heartbeat.COLUMNS)] * 3], opened=0.5)
    path = directory.path / trial.files.heartbeats
    file = write_heartbeats(path, beats)
    trial = scripted.with_files(run, directory, {1: {"heartbeats": file}}).trials[0]
    assert np.array_equal(read_heartbeats(path, file).lag, beats.lag)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RecordError, match="cannot read"):
        RunDirectory(directory.path).heartbeats(trial)
