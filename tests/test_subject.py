"""What the subject does is the subject's: a server that ends, refuses, or leaves requests unanswered is a
result of its arm, never a fault of the measurement that is repeated until it goes away."""

from __future__ import annotations

import signal
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import psutil
import pytest

from loadtests.measure.bench import Bench
from loadtests.measure.generator import GeneratorOptions, generator
from loadtests.measure.trials.trial import measure_round
from loadtests.measure.trials.underway import TrialTask
from loadtests.measure.validity import faults
from loadtests.plan.arms import Arm, Serving
from loadtests.records import Cell, Fault, FaultKind, Load, ServerEnd, Trial
from loadtests.records.arrays import write_samples
from loadtests.records.samples import Samples
from loadtests.records.trial import Resources
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system.accounting import Clocks
from loadtests.system.processes import OWN_BOOT, Child
from reports.analysis.readings import Readings, read
from reports.analysis.reservations import RequestsUnanswered, ServerEnded, failures
from reports.analysis.verdicts import Verdict, verdicts
from tests import scripted
from tests.conftest import APPS
from tests.scripted import Scripted
from tests.serving import UNFINISHED, app, get, loaded, read_samples

CELL = Cell(scenario="ping", load=Load(users=8))


@contextmanager
def refusing() -> Iterator[str]:
    """A port on which a server listened until a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def silent() -> Iterator[str]:
    """Accepts every connection, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def full() -> Iterator[str]:
    """No longer accepts connections: its backlog is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def dropping() -> Iterator[str]:
    """Closes every connection at its second request, without an answer."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(65_536):
                self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                self.request.recv(65_536)

    class Threads(socketserver.ThreadingTCPServer):
        request_queue_size = 64
        daemon_threads = True

    with Threads(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def test_requests_sent_again_on_a_used_connection_are_counted(
    locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """Each connection serves one request and drops the next, whose user gets its answer from a new one."""
    with dropping() as url:
        facts = loaded(locust[0], url, tmp_path / "s.npz", users=4, window=0.4, warmup=0.1)
    samples = read_samples(tmp_path / "s.npz")
    inside = int(((samples.end >= 0.0) & (samples.end < facts["window"])).sum())
    assert samples.ok.all()
    assert facts["resent"] == pytest.approx(inside, abs=1)


@pytest.mark.parametrize("server", [refusing, silent, full])
def test_a_server_that_does_not_answer_is_never_a_fault_of_the_generator(
    server: Callable[[], AbstractContextManager[str]],
    locust: tuple[Child, dict[str, Any]],
    tmp_path: Path,
) -> None:
    """The first release blamed the generator: its users were idle, and busy with refused connections."""
    short = {"users": 8, "warmup": 0.2, "window": 0.6, "drain": 0.3, "warmup_turns": 0, "window_turns": 0}
    with server() as url:
        facts = loaded(locust[0], url, tmp_path / "s.npz", **short)
    samples = read_samples(tmp_path / "s.npz")
    trial = judged_trial(facts["window"], facts["generator_cpu"])
    assert faults(trial, samples, ceiling=100.0) == ()
    # A dead server does not keep the generator busy either.
    assert len(samples) < 200
    assert not samples.ok.any()


def test_stock_users_whom_the_server_leaves_without_an_answer_are_waiting_and_not_idle(
    tmp_path: Path,
) -> None:
    """Locust's own clients do not report requests in flight at the end: its users looked idle."""
    file = GeneratorOptions(locustfile=str(APPS / "own_load.py"), canary=None)
    short = {"users": 8, "warmup": 0.2, "window": 0.5, "drain": 0.3, "warmup_turns": 0, "window_turns": 0}
    with generator(tmp_path, {}, file) as child:
        child.receive(OWN_BOOT)
        for scenario in ("Fast", "Stock"):
            with silent() as url:
                facts = loaded(child, url, tmp_path / "s.npz", scenario=scenario, **short)
            samples = read_samples(tmp_path / "s.npz")
            assert len(samples) == 8
            assert facts["errors"] == [UNFINISHED]
            assert faults(judged_trial(facts["window"], facts["generator_cpu"]), samples) == ()
            assert read(samples, facts["window"]).failures == 8


def judged_trial(window: float, generator_cpu: float, **changes: Any) -> Trial:
    facts: dict[str, Any] = {
        "number": 1, "round": 0, "place": 0, "cell": CELL, "arm": "sync", "began": "2026-01-01", "boot": 0.5,
        "warmup": 0.5, "window": window, "drain": 0.1, "endpoints": ("ping",),
        "resources": Resources(generator_cpu=generator_cpu, host_steal=0.0, host_foreign=0.0),
        "arrays": scripted.NO_ARRAYS,
    }  # fmt: skip
    return Trial(**{**facts, **changes})


def test_errors_that_come_at_once_keep_the_generator_busy_and_are_still_a_result() -> None:
    """A shedding server answers as fast as the generator can ask: no rule about the generator applies."""
    n = 9_000
    start = [at / n for at in range(n)]
    quick = made(start, [at + 0.00005 for at in start], status=503, failing=range(0, n, 2))
    busy = judged_trial(1.0, 0.99)
    assert faults(busy, quick, ceiling=6_000.0) == ()
    few = made(start, [at + 0.00005 for at in start], status=503, failing=range(0, n, 100))
    assert kinds(faults(busy, few, ceiling=6_000.0)) == {"generator-busy", "near-ceiling", "users-idle"}


def test_a_server_that_ended_counts_whatever_else_was_disturbed() -> None:
    """Or an arm that dies in every second launch could have each of these trials repeated."""
    trial = judged_trial(1.0, 0.99, lost=1, ended=ServerEnd(during="load", code=-9))
    disturbed = trial.resources.model_copy(update={"host_steal": 0.5, "host_foreign": 1.0})
    assert faults(trial.model_copy(update={"resources": disturbed}), Samples.none()) == ()


def kinds(found: Sequence[Fault]) -> set[FaultKind]:
    return {fault.kind for fault in found}


def made(
    start: Sequence[float], end: Sequence[float], status: int = 200, failing: Sequence[int] = ()
) -> Samples:
    """Requests; those at the indices `failing` end with `status`, 0 for no answer."""
    n = len(start)
    error = np.zeros(n, dtype=np.uint16)
    error[list(failing)] = 1
    return Samples(
        due=np.array(start), start=np.array(start), end=np.array(end), size=np.zeros(n, dtype=np.uint32),
        endpoint=np.zeros(n, dtype=np.uint16), error=error,
        status=np.where(error == 0, 200, status).astype(np.uint16),
    )  # fmt: skip


def test_a_worker_that_ends_ends_its_server_with_its_own_exit_code(environment: ServingEnvironment) -> None:
    with Server(app("knobs", serving=Serving(workers=2)), environment, "s.w") as server:
        workers = psutil.Process(server.pid).children()
        workers[0].kill()
        server.child._process.wait(20)
        ended = server.ended()
    assert ended is not None
    assert ended.code == 128 + signal.SIGKILL
    assert ended.log[-1] == "a worker ended by signal 9"


def test_a_server_that_does_not_start_in_a_round_is_a_result_of_its_arm(
    environment: ServingEnvironment, tmp_path: Path
) -> None:
    """Before the rounds it is an error; but then it was served once."""
    (tmp_path / "samples").mkdir()
    plan = scripted.plan(cells=[("ping", 8)])
    task = TrialTask(1, plan.cells[0], app("dying"), 0, 0, 1)
    bench = cast(Bench, SimpleNamespace(environment=environment))
    (trial,) = measure_round([task], plan, bench, tmp_path)
    assert trial.valid
    assert trial.ended is not None
    assert (trial.ended.during, trial.ended.code) == ("start", 3)
    assert "no table called users" in " ".join(trial.ended.log)
    assert len(read_samples(tmp_path / trial.files.samples)) == 0


def test_an_external_server_that_is_gone_is_a_result_of_its_arm(
    environment: ServingEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "samples").mkdir()
    plan = scripted.plan(cells=[("ping", 8)])
    with refusing() as url:
        task = TrialTask(1, plan.cells[0], Arm(name="one", app=url), 0, 0, 1)
        bench = cast(Bench, SimpleNamespace(environment=environment))
        (trial,) = measure_round([task], plan, bench, tmp_path)
    assert (trial.ended, trial.faults) == (ServerEnd(during="start"), ())


def test_work_of_children_that_have_ended_is_still_the_servers(environment: ServingEnvironment) -> None:
    """An app that starts a process per request: its work was taken for that of a foreign program."""
    with Server(app("spawning"), environment, "s.c") as server:
        before = Clocks([]).read(server.pid).server
        spent = float(get(server.url))
        after = Clocks([]).read(server.pid).server
    assert before is not None
    assert after is not None
    assert spent > 0.05
    assert after - before > 0.8 * spent


def judged(tmp_path: Path, script: scripted.Script, rounds: int = 4) -> list[Verdict]:
    run, directory = scripted.run(tmp_path, scripted.plan(rounds=rounds), script)
    return [verdict for verdict in verdicts(run, Readings(directory)) if verdict.primary]


DIED = ServerEnd(during="load", code=3, log=("out of luck",))


def test_an_arm_that_dies_in_every_second_launch_is_failing_and_not_equivalent(tmp_path: Path) -> None:
    """It answers as well as the other arm as long as it lives: the first release said `equivalent`."""

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        return Scripted(requests=2000 + round % 2, ended=DIED if arm == "async" and round % 2 else None)

    (verdict,) = judged(tmp_path, script)
    assert (verdict.verdict, verdict.failing) == ("failing", ("async",))
    assert verdict.reservations == (ServerEnded("async", 2, 4, DIED),)


def test_that_a_server_ended_stands_also_where_most_rounds_are_lost(tmp_path: Path) -> None:
    def script(arm: str, cell: Cell, round: int) -> Scripted:
        died = arm == "async" and round == 1
        return Scripted(ended=DIED if died else None, generator_cpu=0.1 if died else 0.95)

    (verdict,) = judged(tmp_path, script)
    assert (verdict.verdict, verdict.failing, verdict.n) == ("failing", ("async",), 0)


def test_users_left_without_an_answer_count_by_their_time(tmp_path: Path) -> None:
    """Sixty-four users wait in vain from the middle of a window on: 0.3% of the requests, 50% of the
    time."""
    n, users = 20_000, 64
    start = np.concatenate([np.linspace(0.0, 0.499, n), np.full(users, 0.5)])
    end = np.concatenate([start[:n] + users * 0.5 / n, np.full(users, 6.0)])
    samples = made(start.tolist(), end.tolist(), status=0, failing=range(n, n + users))
    plan = scripted.plan()
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted(), rounds=1)
    file = write_samples(directory.path / run.trials[1].files.samples, samples)
    run = scripted.with_files(run, directory, {2: {"samples": file}})
    seen = Readings(directory).whole(run.trials[1].model_copy(update={"errors": ("Unfinished: ",)}))
    assert seen.failures / seen.requests < 0.01
    (found,) = failures({"async": [seen]}, {}, {}).values()
    assert isinstance(found, RequestsUnanswered)
    assert found.part == pytest.approx(0.5, abs=0.01)
    assert failures({"sync": [Readings(directory).whole(run.trials[0])]}, {}, {}) == {}
