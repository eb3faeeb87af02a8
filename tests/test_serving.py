"""Real servers and a real generator, each in a process of its own."""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loadtests.config import ENDPOINTS, MIXES
from loadtests.plan import Arm, Serving
from loadtests.processes import Child, ChildFailed
from loadtests.records import read_samples
from loadtests.servers import BOOT_TIMEOUT, Server, Surroundings, lives, owner, serve_arguments
from reports.estimates import read
from shared_models import seed
from tests.conftest import APPS
from tests.serving import app, get, loaded


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    """By the process that made it, which is gone or another one by now; what somebody still uses stays."""
    with Surroundings(tmp_path, {}) as around:
        beside = around.scratch.parent
    names = {"duel-gone": "999999999 1.0", "duel-other": "1 1000.0", "duel-ours": owner(os.getpid())}
    for name, told in names.items():
        (beside / name).mkdir()
        (beside / name / "owner").write_text(told)
    try:
        with Surroundings(tmp_path, {}):
            assert [name for name in names if (beside / name).exists()] == ["duel-ours"]
    finally:
        for name in names:
            shutil.rmtree(beside / name, ignore_errors=True)


def test_a_clock_that_is_set_takes_nothing_from_the_living(monkeypatch: pytest.MonkeyPatch) -> None:
    told = owner(os.getpid())
    at = psutil.boot_time()
    for step in (1.0, -1.0, 3600.0):
        monkeypatch.setattr("psutil._psplatform.boot_time", lambda step=step: at + step)
        assert psutil.boot_time() == at + step
        assert lives(told)


def test_where_no_processes_are_shown_what_a_living_one_uses_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its birth cannot be compared there, neither with one that was written down nor by itself."""
    told = owner(os.getpid())
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/nowhere")
    assert owner(os.getpid()) == str(os.getpid())
    assert lives(told)
    assert lives(str(os.getpid()))
    assert not lives("999999999 1.0")


def test_the_server_counts_as_many_requests_as_the_generator(
    around: Surroundings, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """Nothing is lost between the socket and the file, warm-up and drain included."""
    with Server(app("counting"), around, "s.1") as server:
        loaded(locust[0], server.url, tmp_path / "s.npz", users=16)
        assert len(read_samples(tmp_path / "s.npz")) == int(get(f"{server.url}/count"))


def test_an_app_that_prints_is_neither_blocked_nor_believed(
    around: Surroundings, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """More than a pipe holds, and a line that looks like a server's own message."""
    with Server(app("talkative"), around, "s.0") as server:
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", window=0.5)
    assert facts["errors"] == []
    assert len(read_samples(tmp_path / "s.npz")) > 100


def test_a_gate_of_400_a_second_is_read_as_400(
    around: Surroundings, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """Within the planted gaps' own scatter: 1.4 % at 400 requests, tested at four times that."""
    with Server(app("fast", "gate"), around, "s.2") as server:
        facts = loaded(locust[0], server.url, tmp_path / "s.npz")
    reading = read(read_samples(tmp_path / "s.npz"), facts["window"])
    assert reading.throughput == pytest.approx(400, rel=0.06)
    assert reading.failures == 0


def test_the_latencies_of_the_slow_service_are_read_as_it_logged_them(
    around: Surroundings, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """The users call it directly. The hang guard aside, only the difference of medians is bounded."""
    url = f"{around.slow_url}/77.1"
    facts = loaded(locust[0], url, tmp_path / "s.npz", window=1.5)
    given = np.array(around.delays_given("77.1"))
    reading = read(read_samples(tmp_path / "s.npz"), facts["window"])
    assert reading.p50 is not None
    assert 0.0 <= reading.p50 - np.median(given) < 0.25 * np.median(given)


def test_a_server_that_only_fails_is_recorded_as_failures_with_their_kind(
    around: Surroundings, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    with Server(app("failing"), around, "s.3") as server:
        facts = loaded(locust[0], server.url, tmp_path / "s.npz")
    samples = read_samples(tmp_path / "s.npz")
    assert len(samples)
    assert not samples.ok.any()
    assert set(samples.status) == {503}
    assert facts["errors"] == ["RequestFailed: 503 for ping"]


def test_a_server_that_is_gone_is_recorded_as_failures_and_the_generator_lives_on(
    locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    facts = loaded(locust[0], "http://127.0.0.1:9", tmp_path / "s.npz", users=2, window=0.2)
    samples = read_samples(tmp_path / "s.npz")
    assert not samples.ok.any()
    assert "ECONNREFUSED" in facts["errors"][0]
    assert locust[0].alive


def test_a_request_that_is_never_answered_is_kept_with_its_censored_latency(
    around: Surroundings, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """A stopped server: every user hangs, and every one of them is in the record."""
    with Server(app("counting"), around, "s.4") as server:
        server.child._process.send_signal(signal.SIGSTOP)
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", users=4, window=0.3, drain=0.3, warmup=0.1)
        server.child._process.send_signal(signal.SIGCONT)
    samples = read_samples(tmp_path / "s.npz")
    assert facts["errors"] == ["Unfinished: "]
    assert len(samples) == 4
    assert samples.service_time.min() > 0.3


def test_the_catalogue_of_scenarios_is_the_one_the_configuration_knows(
    locust: tuple[Child, dict[str, Any]],
) -> None:
    scenarios = locust[1]["scenarios"]
    assert set(scenarios) == {*ENDPOINTS, *MIXES}
    for name in ENDPOINTS:
        assert scenarios[name]["endpoints"] == {name: 1}
    for name in MIXES:
        assert set(scenarios[name]["endpoints"]) <= set(ENDPOINTS)
        assert scenarios[name]["about"]


def test_the_scenarios_ask_for_what_the_seed_put_there() -> None:
    """scenarios.py cannot import the seed, so its two numbers are held equal here."""
    text = (Path(__file__).parent.parent / "loadtests" / "scenarios.py").read_text()
    assert f"\nUSERS = {seed.USERS:_}\n" in text
    assert f"\nPOSTS = {seed.POSTS:_}\n" in text


def test_an_app_that_dies_on_import_is_reported_with_its_cause(around: Surroundings) -> None:
    with pytest.raises(ChildFailed) as caught:
        Server(app("app", "broken"), around, "s.5")
    assert "arm 'app' (broken:app) did not start" in str(caught.value)
    assert "a_package_that_nobody_has" in caught.value.cause
    assert "duel check" in caught.value.hint


@pytest.mark.parametrize("target", ["odd:nothing", "odd", "nowhere:app"])
def test_an_app_that_is_not_there_is_reported_with_its_cause(around: Surroundings, target: str) -> None:
    with pytest.raises(ChildFailed) as caught:
        Server(Arm(name="a", app=target, app_dir=str(APPS)), around, "s.6")
    assert target.partition(":")[0] in caught.value.cause


def test_the_thread_limit_is_the_one_asked_for(
    around: Surroundings, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """Two tokens and a sleep of 20 ms: never more than 100 a second, however many users."""
    arm = Arm(name="two", app="sync_app.main:create_app", serving=Serving(threads=2))
    with Server(arm, around, "s.7") as server:
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", scenario="sleep", users=16)
    reading = read(read_samples(tmp_path / "s.npz"), facts["window"])
    assert 40 < reading.throughput <= 101


@pytest.mark.parametrize(
    ("serving", "frozen", "youngest"),
    [
        (Serving(), True, 10_000),
        (Serving(gc="default"), False, gc.get_threshold()[0]),
        (Serving(gc_threshold=1234), True, 1234),
    ],
)
def test_the_garbage_collector_is_set_as_asked_for(
    around: Surroundings, serving: Serving, frozen: bool, youngest: int
) -> None:
    with Server(app("knobs", serving=serving), around, "s.10") as server:
        told = json.loads(get(server.url))
    assert (told["frozen"], told["thresholds"][0]) == (frozen, youngest)


def test_an_idle_connection_is_kept_as_long_as_asked_for(around: Surroundings) -> None:
    with Server(app("knobs", serving=Serving(keep_alive=1)), around, "s.11") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: duel\r\n\r\n")
            with connection.makefile("rb") as answers:
                # Read to its end, which is where the server closes the connection.
                assert answers.read().startswith(b"HTTP/1.1 200")


def test_several_workers_share_the_requests_and_go_together(around: Surroundings) -> None:
    """Each worker says who it is; when one is killed, the others and the server end."""
    with Server(app("knobs", serving=Serving(workers=3)), around, "s.12") as server:
        deadline = time.monotonic() + 30
        seen: set[int] = set()
        while len(seen) < 3 and time.monotonic() < deadline:
            seen.add(json.loads(get(server.url))["pid"])
        family = {child.pid for child in psutil.Process(server.child.pid).children(recursive=True)}
        assert len(seen) == 3
        assert seen <= family
        victim, *others = [psutil.Process(pid) for pid in seen]
        victim.kill()
        _, alive = psutil.wait_procs(others, timeout=20)
        assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
        psutil.Process(server.child.pid).wait(timeout=20)


def test_a_server_goes_when_its_parent_closes_the_pipe(tmp_path: Path) -> None:
    """However the parent dies, its end of stdin closes."""
    child = Child("a server", serve_arguments(app("counting")), tmp_path / "log")
    child.receive(BOOT_TIMEOUT)
    child._stdin.close()
    assert psutil.Process(child.pid).wait(timeout=10) is not None or not psutil.pid_exists(child.pid)
    child.stop()


def test_every_trial_gets_data_of_its_own_and_leaves_none_behind(around: Surroundings) -> None:
    arm = Arm(name="sync", app="sync_app.main:create_app")
    with Server(arm, around, "s.8") as first, Server(arm, around, "s.9") as second:
        assert first.data != second.data
        assert first.data.is_dir()
    assert not first.data.exists()
    assert not second.data.exists()


def test_the_slow_service_gives_every_arm_of_a_round_the_same_delays(around: Surroundings) -> None:
    """The stream's seed is what stands before the dot."""
    given = []
    for stream in ("5.1", "5.2", "6.3"):
        for _ in range(5):
            get(f"{around.slow_url}/{stream}/?delay=0.05")
        given.append(around.delays_given(stream))
    first, second, other = (np.array(delays) for delays in given)
    assert np.corrcoef(first, second)[0, 1] > 0.9
    assert np.abs(first - other).max() > 3 * np.abs(first - second).max()


def test_the_slow_service_forgets_a_stream_once_its_log_was_read(around: Surroundings) -> None:
    get(f"{around.slow_url}/8.1/?delay=0.001")
    assert len(json.loads(get(f"{around.slow_url}/8.1/log"))) == 1
    assert json.loads(get(f"{around.slow_url}/8.1/log")) == []


def test_what_a_child_started_goes_with_it(tmp_path: Path) -> None:
    """Also when the child itself is killed and cannot clean up, as a pool of processes may need."""
    code = (
        "import json, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(json.dumps({'pid': grandchild.pid}), flush=True)\n"
        "time.sleep(60)"
    )
    child = Child("a parent", ["-c", code], tmp_path / "log")
    grandchild = psutil.Process(child.receive(30)["pid"])
    child.stop(grace=0.2)
    _, alive = psutil.wait_procs([grandchild], timeout=10)
    assert not child.alive
    assert not alive


def test_a_child_that_says_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    with Child("a mute", ["-c", "import time; time.sleep(60)"], tmp_path / "log") as child:
        began = time.monotonic()
        with pytest.raises(ChildFailed, match=r"said nothing for 0\.5 s"):
            child.receive(0.5)
        assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform != "linux", reason="what a full backlog does is the platform's own affair")
@pytest.mark.parametrize(("backlog", "least", "most"), [(3, 3, 5), (2048, 20, 20)])
def test_as_many_connections_wait_to_be_accepted_as_the_backlog_says(
    around: Surroundings, backlog: int, least: int, most: int
) -> None:
    """Twenty come while the server stands still; Linux lets one more in than it was told."""
    with Server(app("counting", serving=Serving(backlog=backlog)), around, "s.20") as server:
        server.child._process.send_signal(signal.SIGSTOP)
        callers = [socket.socket() for _ in range(20)]
        try:
            for caller in callers:
                caller.setblocking(False)
                caller.connect_ex(("127.0.0.1", server.port))
            time.sleep(0.3)
            _, connected, _ = select.select([], callers, [], 0)
            assert least <= len(connected) <= most
        finally:
            for caller in callers:
                caller.close()
            server.child._process.send_signal(signal.SIGCONT)
