"""Real servers and a real generator, each in its own process."""

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from loadtests.errors import ChildFailed
from loadtests.measure.generator import generator
from loadtests.plan.arms import BUILT_IN, Arm, Serving
from loadtests.plan.profiles import ENDPOINTS, MIXES, SERVICES
from loadtests.serving.command import serve_arguments
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.external import ExternalServer
from loadtests.serving.server import Server
from loadtests.system.processes import OWN_BOOT, Child, at_work
from loadtests.system.scratch import lives, owner
from reports.analysis.readings import read
from shared_models import seed
from tests.conftest import APPS
from tests.serving import UNFINISHED, app, get, loaded, read_samples, request


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    """A directory names its process, which has ended or whose pid was reused; directories in use stay."""
    with ServingEnvironment(tmp_path, {}) as environment:
        beside = environment.scratch.parent
    names = {"duel-gone": "999999999 1.0", "duel-other": "1 1000.0", "duel-ours": owner(os.getpid())}
    for name, recorded in names.items():
        (beside / name).mkdir()
        (beside / name / "owner").write_text(recorded)
    try:
        with ServingEnvironment(tmp_path, {}):
            assert [name for name in names if (beside / name).exists()] == ["duel-ours"]
    finally:
        for name in names:
            shutil.rmtree(beside / name, ignore_errors=True)


def test_setting_the_clock_removes_nothing_of_running_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = owner(os.getpid())
    at = psutil.boot_time()
    for step in (1.0, -1.0, 3600.0):
        monkeypatch.setattr("psutil._psplatform.boot_time", lambda step=step: at + step)
        assert psutil.boot_time() == at + step
        assert lives(recorded)


def test_without_a_process_list_directories_of_running_processes_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The process's start time is unavailable there, so it cannot be compared with the recorded one."""
    recorded = owner(os.getpid())
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/nowhere")
    assert owner(os.getpid()) == str(os.getpid())
    assert lives(recorded)
    assert lives(str(os.getpid()))
    assert not lives("999999999 1.0")


def test_the_server_counts_as_many_requests_as_the_generator(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """Nothing is lost between the socket and the file, including warm-up and drain."""
    with Server(app("counting"), environment, "s.1") as server:
        loaded(locust[0], server.url, tmp_path / "s.npz", users=16, warmup=0.1, window=0.4)
        assert len(read_samples(tmp_path / "s.npz")) == int(get(f"{server.url}/count"))


def test_output_of_an_app_neither_blocks_it_nor_passes_for_a_message(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """More than a pipe buffers, and a line that looks like a server's own message."""
    with Server(app("talkative"), environment, "s.0") as server:
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", window=0.5)
    assert facts["errors"] == []
    assert len(read_samples(tmp_path / "s.npz")) > 100


@pytest.mark.calm
def test_a_limiter_of_400_per_second_is_measured_as_400(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """Within the scatter of the planted gaps: 1.4% at 400 requests, tested at four times that."""
    with Server(app("fast", "limiter"), environment, "s.2") as server:
        facts = loaded(locust[0], server.url, tmp_path / "s.npz")
    reading = read(read_samples(tmp_path / "s.npz"), facts["window"])
    assert reading.throughput == pytest.approx(400, rel=0.06)
    assert reading.failures == 0


def test_measured_latencies_match_the_log_of_the_slow_service(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """The users call it directly. Apart from the hang guard, only the difference of medians is bounded."""
    url = f"{environment.slow_url}/77.1"
    facts = loaded(locust[0], url, tmp_path / "s.npz", window=1.5)
    given = np.array(environment.delays_given("77.1"))
    reading = read(read_samples(tmp_path / "s.npz"), facts["window"])
    assert reading.p50 is not None
    assert 0.0 <= reading.p50 - np.median(given) < 0.25 * np.median(given)


def test_a_server_that_only_fails_is_recorded_as_failures_with_their_kind(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    with Server(app("failing"), environment, "s.3") as server:
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", window=0.3)
    samples = read_samples(tmp_path / "s.npz")
    assert len(samples)
    assert not samples.ok.any()
    assert set(samples.status) == {503}
    assert facts["errors"] == ["RequestFailed: 503 for ping"]


def test_a_server_that_died_is_recorded_as_failures_and_the_generator_survives(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    with Server(app("counting"), environment, "s.12") as server:
        assert server.ended() is None
        server.child._process.kill()
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", users=2, window=0.2)
        ended = server.ended()
    assert ended is not None
    assert (ended.during, ended.code) == ("load", -signal.SIGKILL)
    samples = read_samples(tmp_path / "s.npz")
    assert not samples.ok.any()
    assert "ECONNREFUSED" in facts["errors"][0]
    assert locust[0].alive


def test_a_request_without_a_response_is_kept_with_its_censored_latency(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """A stopped server: every user hangs, and each hanging request is recorded."""
    with Server(app("counting"), environment, "s.4") as server:
        server.child._process.send_signal(signal.SIGSTOP)
        # It does not wait for the usual turns, of which there are none.
        times = {"warmup": 0.1, "window": 0.3, "drain": 0.3, "longest": 0.3}
        facts = loaded(locust[0], server.url, tmp_path / "s.npz", users=4, **times)
        server.child._process.send_signal(signal.SIGCONT)
    samples = read_samples(tmp_path / "s.npz")
    assert facts["errors"] == [UNFINISHED]
    assert len(samples) == 4
    assert samples.service_time.min() > 0.3


def test_the_catalogue_of_scenarios_is_the_one_the_configuration_knows(
    locust: tuple[Child, dict[str, Any]],
) -> None:
    scenarios = locust[1]["scenarios"]
    assert set(scenarios) == {*ENDPOINTS, *MIXES, *SERVICES}
    for name in (*ENDPOINTS, *SERVICES):
        assert scenarios[name]["endpoints"] == {name: 1}
    for name in MIXES:
        assert set(scenarios[name]["endpoints"]) <= set(ENDPOINTS)
    assert [name for name, one in scenarios.items() if not one["about"]] == [], "the classes' docstrings"


def test_the_scenarios_request_seeded_data() -> None:
    """endpoints.py cannot import the seed, so this test keeps its two numbers equal."""
    text = (Path(__file__).parent.parent / "loadtests" / "load" / "endpoints.py").read_text()
    assert f"\nUSERS = {seed.USERS:_}\n" in text
    assert f"\nPOSTS = {seed.POSTS:_}\n" in text


def test_an_app_that_dies_on_import_is_reported_with_its_cause(environment: ServingEnvironment) -> None:
    with pytest.raises(ChildFailed) as caught:
        Server(app("app", "broken"), environment, "s.5").become_ready()
    assert "arm 'app' (broken:app) did not start" in str(caught.value)
    assert "a_package_that_nobody_has" in caught.value.cause
    assert "python=PATH" in caught.value.hint


@pytest.mark.parametrize("target", ["odd:nothing", "odd", "nowhere:app"])
def test_a_missing_app_is_reported_with_its_cause(environment: ServingEnvironment, target: str) -> None:
    with pytest.raises(ChildFailed) as caught:
        Server(Arm(name="a", app=target, app_dir=str(APPS)), environment, "s.6").become_ready()
    assert target.partition(":")[0] in caught.value.cause


def test_the_thread_limit_is_the_configured_one(
    environment: ServingEnvironment, locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """Two tokens and a sleep of 20 ms: at most 100 requests per second with any number of users."""
    arm = Arm(name="two", app="sync_app.main:create_app", serving=Serving(threads=2))
    with Server(arm, environment, "s.7") as server:
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
def test_the_garbage_collector_is_set_as_configured(
    environment: ServingEnvironment, serving: Serving, frozen: bool, youngest: int
) -> None:
    with Server(app("knobs", serving=serving), environment, "s.10") as server:
        told = json.loads(get(server.url))
    assert (told["frozen"], told["thresholds"][0]) == (frozen, youngest)


def test_an_idle_connection_is_kept_for_the_configured_time(environment: ServingEnvironment) -> None:
    with Server(app("knobs", serving=Serving(keep_alive=1)), environment, "s.11") as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: duel\r\n\r\n")
            with connection.makefile("rb") as answers:
                # Read to the end, where the server closes the connection.
                assert answers.read().startswith(b"HTTP/1.1 200")


def test_several_workers_share_the_requests_and_end_together(environment: ServingEnvironment) -> None:
    """Each worker reports its pid; when one is killed, the others and the server end."""
    with Server(app("knobs", serving=Serving(workers=3)), environment, "s.12") as server:
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


def test_a_server_ends_when_its_parent_closes_the_pipe(tmp_path: Path) -> None:
    """Its end of stdin closes for any cause of the parent's death."""
    child = Child("a server", serve_arguments(app("counting")), tmp_path / "log")
    child.receive(OWN_BOOT)
    child._stdin.close()
    assert psutil.Process(child.pid).wait(timeout=10) is not None or not psutil.pid_exists(child.pid)
    child.stop()


def test_every_trial_gets_its_own_data_and_leaves_none(environment: ServingEnvironment) -> None:
    arm = app("counting")
    with Server(arm, environment, "s.8") as first, Server(arm, environment, "s.9") as second:
        assert first.data != second.data
        assert first.data.is_dir()
    assert not first.data.exists()
    assert not second.data.exists()


def test_the_slow_service_gives_every_arm_of_a_round_the_same_delays(environment: ServingEnvironment) -> None:
    """The stream's seed is the part before the dot."""

    def given(stream: str) -> list[float]:
        for _ in range(5):
            get(f"{environment.slow_url}/{stream}/?delay=0.4")
        return environment.delays_given(stream)

    with ThreadPoolExecutor() as together:
        first, second, other = map(np.array, together.map(given, ("5.1", "5.2", "6.3")))
    # Medians: a stalled host makes single timers late.
    assert np.median(np.abs(first - other)) > 3 * np.median(np.abs(first - second))


def test_the_slow_service_drops_a_stream_once_its_log_is_read(environment: ServingEnvironment) -> None:
    get(f"{environment.slow_url}/8.1/?delay=0.001")
    assert len(json.loads(get(f"{environment.slow_url}/8.1/log"))) == 1
    assert json.loads(get(f"{environment.slow_url}/8.1/log")) == []


def test_processes_started_by_a_child_end_with_it(tmp_path: Path) -> None:
    """Even if the child is killed and cannot clean up, as with a process pool."""
    code = (
        "import json, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "grandchild = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(json.dumps({'pid': grandchild.pid}), flush=True)\n"
        "time.sleep(60)"
    )
    child = Child("a parent", ["-c", code], tmp_path / "log")
    grandchild = psutil.Process(child.receive(30)["pid"])
    child.grace = 0.2
    child.stop()
    _, alive = psutil.wait_procs([grandchild], timeout=10)
    assert not child.alive
    assert not alive


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_server_has_started_ends_even_where_the_server_has_ended_by_itself(
    environment: ServingEnvironment, workers: int
) -> None:
    """As when the kernel kills it or a worker of it for its memory: a process pool would stay behind."""
    arm = BUILT_IN["sync"].model_copy(update={"serving": Serving(workers=workers)})
    with Server(arm, environment, "s.13") as server:
        get(f"{server.url}/pitfalls/process?iterations=1000")
        process = psutil.Process(server.pid)
        started = process.children(recursive=True)
        dying = process if workers == 1 else next(one for one in process.children() if one.children())
        dying.kill()
        server.child._process.wait(timeout=20)
        assert any(map(at_work, started))
    _, alive = psutil.wait_procs(started, timeout=10)
    assert not any(map(at_work, alive))


def test_a_stuck_server_ends_what_it_has_started_when_its_parent_is_gone(tmp_path: Path) -> None:
    child = Child("a server", serve_arguments(app("holding_on")), tmp_path / "log")
    port = child.receive(OWN_BOOT)["ready"]
    grandchild = psutil.Process(int(get(f"http://127.0.0.1:{port}")))
    child._stdin.close()
    child._process.wait(timeout=20)
    psutil.wait_procs([grandchild], timeout=10)
    left = at_work(grandchild)
    child.stop()
    assert not left


def test_an_unresponsive_child_times_out(tmp_path: Path) -> None:
    with Child("a mute", ["-c", "import time; time.sleep(60)"], tmp_path / "log") as child:
        began = time.monotonic()
        with pytest.raises(ChildFailed, match=r"no response within 0\.5 s"):
            child.receive(0.5)
        assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform != "linux", reason="what a full backlog does is the platform's own affair")
def test_a_server_that_accepts_no_connections_is_stopped_after_the_boot_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as opened:
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        host, port = full.getsockname()
        environment = ServingEnvironment(tmp_path, {}, boot_timeout=0.5)
        began = time.monotonic()
        with pytest.raises(ChildFailed, match="does not accept connections"):
            ExternalServer(Arm(name="full", app=f"http://{host}:{port}"), environment)
        assert 0.4 < time.monotonic() - began < 10.0


def test_a_generator_ends_on_an_incomplete_request(tmp_path: Path) -> None:
    order = asdict(request("http://127.0.0.1:9", tmp_path / "s.npz"))
    del order["window_turns"]
    with generator(tmp_path, {}) as child:
        child.receive(OWN_BOOT)
        child.send(order)
        with pytest.raises(ChildFailed, match="ended with exit code 1") as caught:
            child.receive(30)
    assert "window_turns" in caught.value.cause


@pytest.mark.skipif(sys.platform != "linux", reason="what a full backlog does is the platform's own affair")
@pytest.mark.parametrize(("backlog", "least", "most"), [(3, 3, 5), (2048, 20, 20)])
def test_the_backlog_sets_how_many_connections_wait_to_be_accepted(
    environment: ServingEnvironment, backlog: int, least: int, most: int
) -> None:
    """Twenty connect while the server is stopped; Linux accepts one more than the backlog."""
    with Server(app("counting", serving=Serving(backlog=backlog)), environment, "s.20") as server:
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
