"""What goes wrong while a run is measured: it ends soon, with the right exit code, and nobody left behind."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import psutil
import pytest

from loadtests.config import ENDPOINTS
from loadtests.processes import ROOT
from loadtests.records import Run, RunDirectory
from shared_models.settings import Settings
from tests import scripted
from tests.conftest import APPS
from tests.shapes import even
from tests.test_cli import DUEL, PLAIN, carried_out, duel

GATES = ["--app-dir", str(APPS), "--arm", "fast=gate:fast", "--arm", "slow=gate:slow"]
SHORT = ["run", "-s", "ping", "-u", "4", "-t", "0.6", "--warmup", "0.2", "--rounds", "8", "--seed", "1"]
SYNC_FIRST = "1"
"""A seed."""
PATIENCE = 60.0
"""Seconds after which a run that should end is taken to hang."""


@contextmanager
def started(
    directory: Path, arguments: Sequence[str] = (*SHORT, *GATES), **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """A run on its way."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DUEL_")}
    with subprocess.Popen(
        [*DUEL, *arguments], cwd=directory, env={**clean, **PLAIN, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        return []


def member(process: subprocess.Popen[str], words: str, patience: float = PATIENCE) -> psutil.Process:
    """The child whose command line holds `words`, as soon as there is one."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        for child in family(process):
            try:
                if words in " ".join(child.cmdline()):
                    return child
            except psutil.Error:
                continue
        time.sleep(0.02)
    raise AssertionError(f"no child with {words!r}")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def runs(directory: Path) -> list[Path]:
    return sorted((directory / "runs").glob("*"))


def trials(directory: Path) -> int:
    """How many trials are on disk."""
    found = [path for path in runs(directory) if (path / "run.json").exists()]
    return len(RunDirectory(found[0]).load().trials) if found else 0


def nobody_left(children: list[psutil.Process], patience: float = 10.0) -> None:
    _, alive = psutil.wait_procs(children, timeout=patience)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("victim", "message"),
    [
        ("loadtests.generator", "the load generator ended by signal SIGKILL"),
        ("slow_service", "the slow service"),
    ],
)
def test_a_run_whose_harness_dies_ends_with_5_and_keeps_its_rounds(
    tmp_path: Path, victim: str, message: str
) -> None:
    with started(tmp_path) as process:
        wait_for(lambda: trials(tmp_path) >= 2, "two trials")
        children = family(process)
        member(process, victim).kill()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 5, said
    assert message in said
    assert "what was measured is kept" in said
    assert "Traceback" not in said
    nobody_left(children)
    run = RunDirectory(runs(tmp_path)[0]).load()
    assert len(run.trials) >= 2
    assert not run.complete
    again = duel("report", str(runs(tmp_path)[0]), cwd=tmp_path)
    carried_out(again.returncode, again.stderr)
    assert "this run was interrupted" in again.stdout


def test_a_server_that_dies_under_load_is_a_result_of_its_arm_and_the_run_goes_on(tmp_path: Path) -> None:
    """Killed in every window of one arm: it fails requests, the other arm does not."""
    with started(tmp_path, [*SHORT, "--rounds", "2", *GATES]) as process:
        killed = 0
        while process.poll() is None:
            for child in family(process):
                try:
                    if "gate:slow" in " ".join(child.cmdline()) and time.time() - child.create_time() > 0.9:
                        child.kill()
                        killed += 1
                except psutil.Error:
                    continue
            time.sleep(0.02)
        out, said = process.communicate(timeout=PATIENCE)
    assert killed
    # Before the rounds it is a fault; in them a result.
    assert process.returncode in (0, 5), said
    assert "Traceback" not in said
    if process.returncode == 0:
        assert "failing" in out


def locked(file: Path) -> sqlite3.Connection:
    """A foreign writer that does not let go."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def emptied(file: Path) -> None:
    """Tables and all are gone."""
    for path in file.parent.glob(f"{file.name}*"):
        path.write_bytes(b"")


@pytest.mark.alone
@pytest.mark.parametrize("fault", [locked, emptied])
def test_a_database_that_is_locked_or_gone_is_a_result_of_its_arm_and_the_run_goes_on(
    tmp_path: Path, fault: Callable[[Path], object]
) -> None:
    arms = ["--arm=sync", "--arm=async=async_app.main:create_app,env.DUEL_APP_BUSY_TIMEOUT=0.2"]
    words = ["run", "-s", "posts.create", "-u", "4", "-t", "1", "--warmup", "0.3", "--rounds", "1"]
    struck: dict[int, object] = {}
    with started(tmp_path, [*words, *arms, "--seed", SYNC_FIRST, "--app-dir", str(ROOT)]) as process:
        wait_for(lambda: trials(tmp_path) >= 1 or process.poll() is not None, "a trial")
        while process.poll() is None:
            for child in family(process):
                with suppress(psutil.Error):
                    data = child.environ().get("DUEL_APP_DATA")
                    if child.pid in struck or not data or "async_app" not in " ".join(child.cmdline()):
                        continue
                    # Under load: one that cannot even start is an error of the whole run.
                    if any(one.status == psutil.CONN_ESTABLISHED for one in child.net_connections("tcp")):
                        struck[child.pid] = fault(Settings(data=data).sqlite_file)
            time.sleep(0.02)
        out, said = process.communicate(timeout=PATIENCE)
    assert struck
    carried_out(process.returncode, said)
    assert "Traceback" not in said
    run = RunDirectory(runs(tmp_path)[0]).load()
    assert run.complete
    assert process.returncode == 5 or "failing" in out
    assert not [trial for trial in run.trials if trial.arm == "sync" and trial.errors]
    assert [trial for trial in run.trials if trial.arm == "async" and trial.errors]


@pytest.mark.parametrize(
    ("app", "message"),
    [("broken:app", "did not start"), ("odd:silent", "said nothing for"), ("odd:dying", "did not start")],
)
def test_an_app_that_does_not_come_up_is_one_clear_error_within_bounded_time(
    tmp_path: Path, app: str, message: str
) -> None:
    arms = ["--app-dir", str(APPS), "--arm", f"a={app}", "--arm", "fast=gate:fast"]
    done = duel(*SHORT, "--boot-timeout", "3", *arms, cwd=tmp_path)
    assert done.returncode == 5, done.stderr
    assert message in done.stderr
    assert "last lines of" in done.stderr
    assert ("--boot-timeout" in done.stderr) == (app == "odd:silent")


@contextmanager
def small_disk(where: Path, size: str) -> Iterator[Path]:
    """A file system of `size`."""
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(where)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=False)  # as mount


def test_a_disk_that_is_nearly_full_is_refused_before_any_load(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "8m") as disk:
        done = duel(*SHORT, *GATES, "-o", str(disk / "runs"), cwd=tmp_path)
        assert done.returncode == 2
        assert "MiB are left" in done.stderr


def test_a_disk_that_fills_up_ends_the_run_and_keeps_its_rounds(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "40m") as disk:
        (disk / "runs").mkdir()
        (tmp_path / "runs").symlink_to(disk / "runs")
        with started(tmp_path) as process:
            wait_for(lambda: trials(tmp_path) >= 2, "two trials")
            children = family(process)
            with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while filler.write(b"\0" * 4096):
                    pass
            _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode in (2, 5), said
        assert "No space left" in said
        assert "Traceback (most" not in said.splitlines()[0]
        nobody_left(children)
        (disk / "filler").unlink()
        assert len(RunDirectory(runs(tmp_path)[0]).load().trials) >= 2


def test_a_directory_that_cannot_be_written_is_refused_before_any_load(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = duel(*SHORT, *GATES, "-o", str(tmp_path / "file" / "runs"), cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot create the run directory" in done.stderr


def test_an_interrupt_at_any_moment_leaves_nobody_and_a_readable_run(tmp_path: Path, interrupt: int) -> None:
    """At seeded moments from before the first server to the rounds: Ctrl-C, a job's end, a closed terminal,
    and an impatient user."""
    random = Random(f"interrupt/{interrupt}")
    first = random.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    with started(tmp_path) as process:
        wait_for(lambda: bool(list((tmp_path / "runs").glob("*/run.json"))), "a run directory")
        time.sleep(random.uniform(0.0, 5.0))
        children = family(process)
        process.send_signal(first)
        if interrupt % 3 == 0:
            time.sleep(random.uniform(0.0, 0.3))
            process.send_signal(random.choice((signal.SIGINT, signal.SIGTERM)))
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    nobody_left(children)
    (where,) = runs(tmp_path)
    run = RunDirectory(where).load()
    assert not run.complete
    assert not list(where.rglob("*.partial"))
    assert str(where.relative_to(tmp_path)) in said
    if run.trials:
        carried_out((again := duel("report", str(where), cwd=tmp_path)).returncode, again.stderr)


def test_a_database_server_that_stops_ends_the_run_with_5_and_keeps_its_rounds(tmp_path: Path) -> None:
    words = ["run", "-s", "ping", "-u", "4", "-t", "0.6", "--warmup", "0.2", "--database", "postgresql"]
    with started(tmp_path, words) as process:
        wait_for(lambda: trials(tmp_path) >= 1, "a trial")
        children = family(process)
        member(process, "loadtests.postgresql_server").kill()
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 5, said
    assert "the database server refused to go on" in said
    assert "what was measured is kept" in said
    nobody_left(children)
    assert trials(tmp_path) >= 1


def test_the_children_of_a_run_that_is_killed_are_gone_soon_after(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        wait_for(lambda: trials(tmp_path) >= 1, "a trial")
        children = family(process)
        assert children
        process.kill()
        process.wait()
        nobody_left(children, 20.0)
    assert trials(tmp_path) >= 1


def test_two_runs_at_once_do_not_mix_the_second_is_refused_or_waits(tmp_path: Path) -> None:
    """A machine that measures two things at once measures neither."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for directory in (first, second, third):
        directory.mkdir()
    short = [*SHORT[:-4], "--rounds", "1", "--seed", "1"]
    with started(first, [*short, "--rounds", "2", *GATES]) as process:
        wait_for(lambda: bool(runs(first)), "a run directory")
        member(process, "loadtests.generator")
        refused = duel(*short, *GATES, cwd=second)
        assert refused.returncode == 2, refused.stderr
        assert re.search(r"run \S+ \(pid \d+\) is being measured on this machine", refused.stderr)
        assert "--wait" in refused.stderr
        assert process.poll() is None
        waited = duel(*short, *GATES, "--wait", cwd=third)
        _, said = process.communicate(timeout=PATIENCE)
        carried_out(process.returncode, said)
    carried_out(waited.returncode, waited.stderr)
    assert "waiting for run" in waited.stderr
    # Some may not have counted, where other tests run beside these.
    assert trials(first) >= 4
    assert trials(third) >= 2


def test_a_report_whose_process_is_killed_leaves_nobody_behind(tmp_path: Path) -> None:
    """Its charts are drawn by a second process."""
    with started(tmp_path, ["report", many_cells(tmp_path)]) as process:
        painter = painter_of(process)
        process.kill()
        assert psutil.wait_procs([painter], timeout=10.0)[1] == []


def test_a_painter_that_is_killed_costs_time_and_no_chart(tmp_path: Path) -> None:
    where = many_cells(tmp_path)
    with started(tmp_path, ["report", where]) as process:
        painter = painter_of(process)
        time.sleep(0.3)  # in the middle of a chart
        painter.kill()
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (0, "")
    assert len(list((Path(where) / "report").glob("*.svg"))) == 12


def many_cells(parent: Path) -> str:
    """A run whose charts take a while to draw."""
    cells = [(scenario, 64) for scenario in ENDPOINTS[:12]]
    _, directory = scripted.run(parent, scripted.plan(cells=cells), even)
    return str(directory.path)


def painter_of(process: subprocess.Popen[str]) -> psutil.Process:
    """The process that draws for a report, as soon as there is one."""
    while not (found := family(process)):
        assert process.poll() is None
        time.sleep(0.01)
    return found[0]


def test_a_report_that_is_interrupted_says_so_and_nothing_else(tmp_path: Path) -> None:
    words = [*DUEL, "report", many_cells(tmp_path)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        painter_of(process)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert said == "interrupted\n"


def run_without(taken: str, cwd: Path) -> tuple[Run, str]:
    """A run on a platform from which something is `taken`, and what it printed."""
    code = f"{taken}\nimport sys\nsys.argv[0] = 'duel'\nimport cli\ncli.main()"
    words = [sys.executable, "-P", "-c", code, *SHORT[:-4], "--rounds", "1", *GATES]
    done = subprocess.run(
        words, cwd=cwd, env={**os.environ, **PLAIN}, capture_output=True, text=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    carried_out(done.returncode, done.stderr)
    return RunDirectory(runs(cwd)[0]).load(), " ".join(done.stdout.split())


def test_where_processes_cannot_be_bound_to_cpus_a_run_goes_on_and_says_so(tmp_path: Path) -> None:
    run, said = run_without("import os; del os.sched_setaffinity, os.sched_getaffinity", tmp_path)
    assert "server and generator shared their CPUs" in said
    assert run.machine.placement == {}


def test_where_no_processes_are_shown_a_run_goes_on_and_says_so(tmp_path: Path) -> None:
    run, said = run_without("import psutil; psutil.PROCFS_PATH = '/nowhere'", tmp_path)
    assert "this platform does not show its processes" in said
    assert run.trials
    assert all(trial.vitals.server_cpu is None for trial in run.trials)
    assert all(trial.vitals.host_foreign is None for trial in run.trials)
