"""A run that is interrupted: it ends soon, with code 130, no leftover processes and a readable record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import psutil
import pytest

from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.render import report_directory
from tests import scripted
from tests.commands import DUEL, PLAIN, duel_here
from tests.shapes import even
from tests.test_faults import GATES, ONCE, SHORT, TWICE, no_process_left, runs, trials

INTERRUPTING = [sys.executable, "-P", str(Path(__file__).with_name("interrupting.py"))]
PATIENCE = 60.0
"""Seconds after which a run that should end is considered hung."""


def as_in_a_terminal() -> None:
    """Tests may run under nohup, which runs of theirs would respect."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def started(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in progress."""
    with subprocess.Popen(
        [*DUEL, *SHORT, "-t", "0.6", *GATES], cwd=directory, env={**undirected(), **PLAIN}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=as_in_a_terminal,  # noqa: PLW1509  # the tests have no other threads then
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def undirected() -> dict[str, str]:
    """This process's environment without settings of duel."""
    return {key: value for key, value in os.environ.items() if not key.startswith("DUEL_")}


def drawable(parent: Path) -> Path:
    """A run whose report has charts."""
    _, directory = scripted.run(parent, scripted.plan(), even)
    return directory.path


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        return []


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


INTERRUPTS = {
    ("boot", "SIGINT"): 0,
    ("calibration", "SIGTERM"): 0,
    ("warm-up", "SIGHUP"): 0,
    ("window", "SIGINT,SIGTERM"): 0,
    ("between rounds", "SIGTERM,SIGINT"): 2,
    ("report", "SIGINT"): 2,
}
"""Ctrl-C, a cancelled job, a closed terminal, an impatient user; how many trials are on disk by then."""
KILLED, DRAWING = ("window", "SIGKILL"), ("drawing", "SIGINT")


@dataclass(frozen=True)
class Interrupted:
    """A `duel` process that was interrupted."""

    directory: Path
    code: int
    children: int
    """How many it had."""
    left: list[str]
    """Those that did not end soon after it."""

    @property
    def said(self) -> str:
        return (self.directory / "stderr").read_text()


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Interrupted]:
    """By moment and signals, `duel` interrupted there."""
    drawn = str(drawable(tmp_path_factory.mktemp("drawn")))
    cases = {}
    for moment, signals in [*INTERRUPTS, KILLED, DRAWING]:
        run = [*(ONCE if moment == "report" else TWICE), *GATES]
        cases[moment, signals] = {
            "moment": moment,
            "signals": signals.split(","),
            "arguments": ["report", drawn] if moment == "drawing" else run,
            "directory": str(tmp_path_factory.mktemp("interrupted")),
        }
    done = subprocess.run(
        INTERRUPTING, env={**undirected(), **PLAIN}, input=json.dumps([*cases.values()]), capture_output=True,
        text=True, timeout=4 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {
        key: Interrupted(Path(str(case["directory"])), **told)
        for (key, case), told in zip(cases.items(), json.loads(done.stdout), strict=True)
    }


@pytest.mark.parametrize(("moment", "signals"), INTERRUPTS)
def test_an_interrupt_leaves_no_process_and_a_readable_run(
    interrupted: dict[tuple[str, str], Interrupted],
    moment: str,
    signals: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report_directory, "charts", lambda _: ())
    found = interrupted[moment, signals]
    # Servers, generator and slow service; there are none during the report.
    assert found.children >= 2 or moment == "report"
    assert found.left == []
    assert found.code == 130, found.said
    assert "Traceback" not in found.said
    run = interrupted_run(found.directory)
    assert len(run.trials) == INTERRUPTS[moment, signals]
    # After all measurements, only the report is missing.
    assert run.complete == (moment == "report")
    (path,) = runs(found.directory)
    if run.complete:
        assert duel_here("report", str(path), cwd=found.directory).returncode == 0
    else:
        assert str(path.relative_to(found.directory)) in found.said


def test_the_children_of_a_run_that_is_killed_are_gone_soon_after(
    interrupted: dict[tuple[str, str], Interrupted],
) -> None:
    found = interrupted[KILLED]
    assert found.code == -signal.SIGKILL
    assert found.children >= 2
    assert found.left == []
    assert trials(found.directory) == 0


def test_a_report_that_is_interrupted_says_so_and_nothing_else(
    interrupted: dict[tuple[str, str], Interrupted],
) -> None:
    found = interrupted[DRAWING]
    assert found.code == 130
    assert found.said == "interrupted\n"


@pytest.mark.long
def test_an_interrupt_at_any_moment_leaves_no_process_and_a_readable_run(
    tmp_path: Path, interrupt: int
) -> None:
    """At seeded moments, from before the first server to the rounds."""
    random = Random(f"interrupt/{interrupt}")
    first = random.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    with started(tmp_path) as process:
        wait_for(lambda: bool(list((tmp_path / "runs").glob("*/run.json"))), "a run directory")
        time.sleep(random.uniform(0.0, 20.0))
        children = family(process)
        process.send_signal(first)
        if interrupt % 3 == 0:
            time.sleep(random.uniform(0.0, 0.3))
            process.send_signal(random.choice((signal.SIGINT, signal.SIGTERM)))
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    no_process_left(children)
    assert not interrupted_run(tmp_path).complete
    assert str(runs(tmp_path)[0].relative_to(tmp_path)) in said


def interrupted_run(directory: Path) -> Run:
    """The interrupted run, whose files must be complete and list what was measured."""
    (where,) = runs(directory)
    assert not list(where.rglob("*.partial"))
    run = RunDirectory(where).load()
    assert conclude(run, Readings(RunDirectory(where))).run == run
    return run
