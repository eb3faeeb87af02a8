"""The `duel` command for tests: in a child process or in this one."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

import cli
from loadtests.plan.plan import Plan
from loadtests.system import suitability
from tests.brisk import count_every_trial, hurry, leave_charts_out

DUEL = [str(Path(sys.executable).with_name("duel"))]
PLAIN = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "120"}
TRIES = 4
BRISK = [sys.executable, "-P", str(Path(__file__).with_name("brisk.py"))]
"""Like `brisk_here`, for what must be a process."""


def duel(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return called(DUEL, *arguments, cwd=cwd, **environment)


def called(
    command: Sequence[str], *arguments: str, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DUEL_")}
    return subprocess.run(
        [*command, *arguments],
        cwd=cwd,
        env={**clean, **PLAIN, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def duel_here(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Like `duel`, but in this process, which is much faster: for tests that do not need a child process."""
    ours = {key: None for key in os.environ if key.startswith("DUEL_")}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with contextlib.chdir(cwd):
            result = CliRunner().invoke(cli.app, list(arguments), env={**ours, **PLAIN, **environment})
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(arguments, result.exit_code, result.stdout, result.stderr)


def chartless_here(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Like `duel_here`, but reports have no charts: drawing them takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reports.render.report_directory.charts", lambda _: ())
        patch.setattr("reports.render.report_directory.files", lambda _: {})
        return duel_here(*arguments, cwd=cwd, **environment)


def brisk_here(
    *arguments: str, cwd: Path, charts: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Like `duel_here`, with short calibrations and every trial counted, so that other tests can run in
    parallel; the report has charts only with `charts`."""
    with pytest.MonkeyPatch.context() as patch:
        count_every_trial(patch.setattr)
        patch.setattr(suitability, "disturbances", list)
        if charts:
            return hurried_here(*arguments, cwd=cwd, **environment)
        return judged_here(*arguments, cwd=cwd, **environment)


def judged_here(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Like `brisk_here`, but noisy trials do not count."""
    with pytest.MonkeyPatch.context() as patch:
        leave_charts_out(patch.setattr)
        return hurried_here(*arguments, cwd=cwd, **environment)


def calibrated_here(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Like `brisk_here`, with calibrations long enough to compute bounds from."""
    with pytest.MonkeyPatch.context() as patch:
        count_every_trial(patch.setattr)
        leave_charts_out(patch.setattr)
        return duel_here(*arguments, cwd=cwd, **environment)


def hurried_here(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Like `duel_here`, with short calibrations."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            hurry(patch.setattr)
            return duel_here(*arguments, cwd=cwd, **environment)
    finally:
        Plan.model_rebuild(force=True)


def carried_out(code: int | None, said: str) -> None:
    """Assert that a run completed, even if this host was too noisy for it to count. A harness failure also
    exits with 5, but prints "error"."""
    assert code in (0, 5), said
    assert not re.search(r"^error: ", said, flags=re.MULTILINE), said
