"""Failures during a run: it ends soon, with the right exit code and no leftover processes."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadtests.errors import ChildFailed
from loadtests.measure import validity
from loadtests.measure.bench import Bench
from loadtests.measure.generator import expect
from loadtests.measure.trials import trial, underway
from loadtests.plan.arms import Arm
from loadtests.plan.request import TrialRequest
from loadtests.records.directory import RunDirectory
from loadtests.records.faults import Fault
from loadtests.records.trial import Trial
from loadtests.serving.databases import postgresql_server
from loadtests.serving.databases.keeping import program
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server, Target
from loadtests.serving.services.redis_server import server_program
from loadtests.system import lock
from loadtests.system.accounting import ClockReading, Clocks, Spent
from loadtests.system.processes import ROOT, Child
from reports.render import report_directory
from shared_models.settings import Settings
from tests.commands import brisk_here, carried_out, duel_here, judged_here
from tests.conftest import APPS
from tests.interrupting import before

GATES = ["--app-dir", str(APPS), "--arm", "fast=limiter:fast", "--arm", "slow=limiter:slow"]
SHORT = ["run", "-s", "ping", "-u", "4", "-t", "0.3", "--warmup", "0.1", "--rounds", "8", "--seed", "1"]
ONCE, TWICE = ([*SHORT[:-4], "--rounds", rounds, "--seed", "1"] for rounds in "12")


def runs(directory: Path) -> list[Path]:
    return sorted((directory / "runs").glob("*"))


def trials(directory: Path) -> int:
    """How many trials are on disk."""
    found = [path for path in runs(directory) if (path / "run.json").exists()]
    return len(RunDirectory(found[0]).load().trials) if found else 0


def no_process_left(children: list[psutil.Process], patience: float = 10.0) -> None:
    _, alive = psutil.wait_procs(children, timeout=patience)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


Strike = Callable[[Target, Bench], object]


@pytest.fixture
def in_windows(monkeypatch: pytest.MonkeyPatch) -> Callable[[Strike], None]:
    """Does something in every window, with the server under load and what the run keeps open."""

    def striking(strike: Strike) -> None:
        load = underway.load
        loaded: list[tuple[Target, Bench]] = []

        def loading(
            server: Target, request: TrialRequest, bench: Bench, enough: float
        ) -> underway.LoadedSlice:
            loaded.append((server, bench))
            return load(server, request, bench, enough)

        def expecting(child: Child, event: str, timeout: float) -> dict[str, Any]:
            if event == "closed":
                strike(*loaded[-1])
            return expect(child, event, timeout)

        monkeypatch.setattr(underway, "load", loading)
        monkeypatch.setattr(underway, "expect", expecting)

    return striking


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        (lambda bench: bench.generator, "the load generator ended by signal SIGKILL"),
        (lambda bench: bench.environment.slow_child, "the slow service"),
    ],
    ids=["generator", "slow service"],
)
def test_a_run_whose_harness_dies_ends_with_5_and_keeps_its_rounds(
    tmp_path: Path,
    unprepared: None,
    unseeded: None,
    in_windows: Callable[[Strike], None],
    monkeypatch: pytest.MonkeyPatch,
    victim: Callable[[Bench], Child],
    message: str,
) -> None:
    children: list[psutil.Process] = []

    def kill(server: Target, bench: Bench) -> None:
        if trials(tmp_path) == 2 and not children:
            ours = (bench.generator.pid, bench.environment.slow_child.pid, server.pid)
            children.extend(map(psutil.Process, ours))
            victim(bench)._process.kill()

    in_windows(kill)
    done = brisk_here(*SHORT, *GATES, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert message in done.stderr
    assert "what was measured is kept" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(children) == 3
    no_process_left(children)
    run = RunDirectory(runs(tmp_path)[0]).load()
    assert (len(run.trials), run.complete) == (2, False)
    monkeypatch.setattr(report_directory, "charts", lambda _: ())
    again = duel_here("report", str(runs(tmp_path)[0]), cwd=tmp_path)
    carried_out(again.returncode, again.stderr)
    assert "this run was interrupted" in again.stdout


@pytest.fixture
def judged_if_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of servers that lived count, whatever else this machine does; those of others are judged."""

    def faults(one: Trial, *others: Any) -> tuple[Fault, ...]:
        return validity.faults(one, *others) if one.ended else ()

    monkeypatch.setattr(trial, "faults", faults)


def test_an_arm_that_dies_in_every_second_launch_is_failing_and_none_of_that_is_repeated(
    tmp_path: Path, judged_if_ended: None
) -> None:
    """The first release repeated each of these trials until the server lived, and said `equivalent`."""
    arms = ["--app-dir", str(APPS), "--arm", "steady=steady:fast"]
    arms += ["--arm", f"mortal=odd:mortal,env.LAUNCHES={tmp_path / 'launches'}"]
    # Long enough for its 200 requests also on a busy machine.
    done = judged_here(*TWICE, "-t", "0.6", *arms, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "ping at 4 users: failing: mortal: its server ended under load (exit code 3)" in done.stdout
    assert "/ out of luck" in done.stdout
    run = RunDirectory(runs(tmp_path)[0]).load()
    died = [trial for trial in run.trials if trial.ended is not None]
    assert {trial.arm for trial in died} == {"mortal"}
    assert all(trial.valid for trial in died)
    # The first launch was for the preflight; each later one is a trial, and there is one in each round.
    launches = [trial for trial in run.trials if trial.arm == "mortal"]
    assert [trial.ended is not None for trial in launches] == [True, False]


@pytest.mark.parametrize("after", [None, 1.49], ids=["server", "worker"])
def test_the_work_of_a_server_that_ended_is_neither_negative_nor_foreign(after: float | None) -> None:
    """It took 1.5 seconds to boot, and nothing else ran: an error here would hide a failing arm."""
    clocks = Clocks([])
    spent: Spent = {1: (2.0, 0.0), 2: (1.5, 0.0)}
    start = ClockReading(at=0.0, host=(10.0, 0.0, 8.0), ours={1: 3.5}, server=1.5, spent=spent)
    end = replace(start, at=1.0, host=(12.0, 0.0, 9.5), server=after, spent={1: (2.5, 0.0)})
    use = clocks.between(start, end)
    assert use.server_cpu is None
    assert use.host_foreign is None
    assert use.host_steal == 0.0


def locked(file: Path) -> sqlite3.Connection:
    """Another process that keeps the write lock."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def emptied(file: Path) -> None:
    """The database is empty, without tables."""
    for path in file.parent.glob(f"{file.name}*"):
        path.write_bytes(b"")


FAULTS: dict[str, Callable[[Path], object]] = {"locked": locked, "emptied": emptied}


def test_a_locked_or_lost_database_is_a_result_of_its_arm_and_the_run_continues(
    tmp_path: Path, unprepared: None, in_windows: Callable[[Strike], None]
) -> None:
    struck: dict[str, object] = {}

    def strike(server: Target, _: Bench) -> None:
        fault = FAULTS.get(server.arm.name)
        if fault is not None and isinstance(server, Server) and server.arm.name not in struck:
            # Kept: a lock is held by an open connection.
            struck[server.arm.name] = fault(Settings(data=str(server.data)).sqlite_file)

    in_windows(strike)
    arms = [f"--arm={name}=async_app.main:create_app,env.DUEL_APP_BUSY_TIMEOUT=0.2" for name in FAULTS]
    words = ["-s", "posts.create", "-u", "4", "-t", "0.6", "--warmup", "0.1", "--rounds", "1"]
    done = brisk_here("run", *words, "--arm=sync", *arms, "--app-dir", str(ROOT), cwd=tmp_path)
    assert set(struck) == set(FAULTS), done.stderr
    lock = struck["locked"]
    assert isinstance(lock, sqlite3.Connection)
    lock.close()
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("failing") >= 2
    run = RunDirectory(runs(tmp_path)[0]).load()
    assert run.complete
    assert {trial.arm: bool(trial.errors) for trial in run.trials} == {
        "sync": False,
        "locked": True,
        "emptied": True,
    }


@pytest.mark.parametrize(
    ("app", "message", "patience"),
    [
        ("broken:app", "did not start", 30.0),
        ("odd:silent", "no response within", 1.0),
        ("odd:dying", "did not start", 30.0),
    ],
)
def test_an_app_that_does_not_start_is_one_clear_error_within_bounded_time(
    environment: ServingEnvironment,
    monkeypatch: pytest.MonkeyPatch,
    app: str,
    message: str,
    patience: float,
) -> None:
    monkeypatch.setattr(environment, "boot_timeout", patience)
    monkeypatch.setattr(Child, "grace", 0.5)
    with pytest.raises(ChildFailed, match=message) as caught:
        Server(Arm(name="a", app=app, app_dir=str(APPS)), environment, "f.1").become_ready()
    # Only a run keeps its logs.
    assert ".log" not in caught.value.cause
    assert ("--boot-timeout" in caught.value.hint) == (app == "odd:silent")


def test_a_run_whose_app_does_not_start_is_one_clear_error_within_bounded_time(
    tmp_path: Path, unseeded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Child, "grace", 0.5)
    arms = ["--app-dir", str(APPS), "--arm", "a=odd:silent", "--arm", "fast=limiter:fast", "--boot-timeout=1"]
    done = duel_here(*SHORT, *arms, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert "no response within 1 s" in done.stderr
    assert "a.log)" in done.stderr
    assert "--boot-timeout" in done.stderr


@contextmanager
def small_disk(where: Path, size: str) -> Iterator[Path]:
    """A file system of `size`."""
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a file system")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=False)  # as mount


def test_a_disk_that_is_nearly_full_is_refused_before_any_load(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        done = duel_here(*SHORT, *GATES, "-o", str(disk / "runs"), cwd=tmp_path)
        assert done.returncode == 2
        assert "MiB are free" in done.stderr


def test_a_disk_that_fills_up_ends_the_run_and_keeps_its_rounds(
    tmp_path: Path, unprepared: None, unseeded: None, in_windows: Callable[[Strike], None]
) -> None:
    with small_disk(tmp_path / "disk", "40m") as disk:
        (disk / "runs").mkdir()
        (tmp_path / "runs").symlink_to(disk / "runs")
        children: list[psutil.Process] = []

        def fill(server: Target, bench: Bench) -> None:
            if trials(tmp_path) == 2 and not children:
                children.extend(psutil.Process(pid) for pid in (bench.generator.pid, server.pid))
                with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                    while filler.write(b"\0" * 4096):
                        pass

        in_windows(fill)
        done = brisk_here(*SHORT, *GATES, cwd=tmp_path)
        assert done.returncode in (2, 5), done.stderr
        assert "No space left" in done.stderr
        assert "Traceback (most" not in done.stderr.splitlines()[0]
        assert len(children) == 2
        no_process_left(children)
        (disk / "filler").unlink()
        assert len(RunDirectory(runs(tmp_path)[0]).load().trials) == 2


def test_a_directory_that_cannot_be_written_is_refused_before_any_load(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = duel_here(*SHORT, *GATES, "-o", str(tmp_path / "file" / "runs"), cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot create the run directory" in done.stderr


@pytest.mark.parametrize(
    ("words", "module", "installed", "lost"),
    [
        (
            ["--database", "postgresql"],
            "databases.postgresql_server",
            lambda: program("postgres", postgresql_server.PLACES),
            "the database server",
        ),
        (["--redis"], "services.redis_server", server_program, "the Redis server"),
    ],
    ids=["PostgreSQL", "Redis"],
)
def test_a_server_of_ours_that_stops_ends_the_run_with_5_and_keeps_its_rounds(
    tmp_path: Path,
    unprepared: None,
    unseeded: None,
    in_windows: Callable[[Strike], None],
    words: list[str],
    module: str,
    installed: Callable[[], object],
    lost: str,
) -> None:
    if not installed() and not os.environ.get("CI"):
        pytest.skip(f"{lost} is not installed")
    children: list[psutil.Process] = []

    def kill(_: Target, bench: Bench) -> None:
        if trials(tmp_path) == 2 and not children:
            keeper = psutil.Process(bench.environment.pids[0])
            assert f"loadtests.serving.{module}" in keeper.cmdline()
            children.extend([*keeper.children(recursive=True), psutil.Process(bench.generator.pid)])
            keeper.kill()

    in_windows(kill)
    done = brisk_here(*SHORT, *GATES, *words, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert f"lost {lost}" in done.stderr
    assert "what was measured is kept" in done.stderr
    assert len(children) >= 2
    no_process_left(children)
    assert trials(tmp_path) == 2


def test_a_second_run_at_the_same_time_waits_or_is_refused(
    tmp_path: Path,
    unprepared: None,
    unseeded: None,
    in_windows: Callable[[Strike], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two measurements at once on one machine would both be invalid."""
    refused: list[subprocess.CompletedProcess[str]] = []
    other = tmp_path / "other"
    other.mkdir()
    holder = ExitStack()
    holder.enter_context(lock.measurement_lock("run first"))
    asked = count(1)
    # The first one ends after this one has looked at the queue twice.
    before(lock, "ahead_of", lambda *_: next(asked) == 3, holder.close, put=monkeypatch.setattr)
    in_windows(lambda *_: refused.append(duel_here(*SHORT, *GATES, cwd=other)))
    waited = brisk_here(*ONCE, *GATES, "--wait", "--no-progress", cwd=tmp_path)
    line = f"waiting for run first (pid {os.getpid()}), which is being measured on this machine: place 1"
    assert waited.stderr.count(line) == 1
    assert waited.returncode == 0, waited.stderr
    assert trials(tmp_path) == 2
    # One in each slice.
    assert len(refused) == 3
    for attempt in refused:
        assert attempt.returncode == 2, attempt.stderr
        assert re.search(r"run \S+ \(pid \d+\) is being measured on this machine", attempt.stderr)
        assert "--wait" in attempt.stderr
    assert trials(other) == 0


def test_on_a_platform_without_cpu_pinning_and_process_list_a_run_continues_and_says_so(
    tmp_path: Path, unseeded: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(psutil, "PROCFS_PATH", "/nowhere")
    done = brisk_here(*ONCE, *GATES, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "server and generator shared their CPUs" in said
    assert "this platform does not show its processes" in said
    run = RunDirectory(runs(tmp_path)[0]).load()
    assert run.machine.placement == {}
    assert run.trials
    assert all(trial.resources.server_cpu is None for trial in run.trials)
    assert all(trial.resources.host_foreign is None for trial in run.trials)
