"""The user's commands around every server. Their words are run as they are, without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from loadtests.errors import ChildFailed
from loadtests.plan.arms import Arm
from loadtests.plan.options import Hooks
from loadtests.records.files import open_log, writing
from loadtests.system.processes import LINES_SHOWN

PATIENCE = 120.0
"""Seconds that a command may take."""

READ = 2**16
"""Bytes of its output that are looked at for its last lines."""


def run_before(hooks: Hooks, arm: Arm, logs: Path) -> None:
    """Before a server starts; what the command prints is kept in hooks.log. Raises ChildFailed."""
    run("--before-trial", hooks.before_trial, arm, logs)


def run_after(hooks: Hooks, arm: Arm, logs: Path) -> None:
    """After a server's end. Raises ChildFailed."""
    run("--after-trial", hooks.after_trial, arm, logs)


@contextmanager
def starting(hooks: Hooks, arm: Arm, logs: Path) -> Iterator[None]:
    """A block that starts a server, after the command before it. Where it fails, the command after a server
    runs at once: there will be no end. Raises ChildFailed."""
    run_before(hooks, arm, logs)
    try:
        yield
    except BaseException:
        # What failed first is what is told.
        with suppress(ChildFailed):
            run_after(hooks, arm, logs)
        raise


def run(flag: str, words: Sequence[str], arm: Arm, logs: Path) -> None:
    """The command sees the arm's name in DUEL_ARM, and the environment and directory that its server gets."""
    if not words:
        return
    env = {**os.environ, **arm.env, "DUEL_ARM": arm.name}
    with writing(logs / "hooks.log") as path, open_log(path) as log:
        began = os.fstat(log.fileno()).st_size
        code = exit_code(flag, words, env, arm.cwd, log)
    if code:
        raise ChildFailed(
            f"the command of {flag} ended with exit code {code}: {words[0]}", cause=last_lines(path, began)
        )


def last_lines(path: Path, began: int) -> str:
    """The last lines of a log, after its first `began` bytes."""
    with path.open("rb") as log:
        log.seek(max(began, path.stat().st_size - READ))
        return "\n".join(log.read().decode("utf-8", "replace").strip().splitlines()[-LINES_SHOWN:])


def exit_code(flag: str, words: Sequence[str], env: Mapping[str, str], cwd: str | None, log: BinaryIO) -> int:
    """A command's exit code. What it prints goes straight to the log: a server that it has started in the
    background keeps its output open, and is not waited for. Raises ChildFailed."""
    try:
        return subprocess.run(
            words, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            timeout=PATIENCE, check=False,
        ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"the command of {flag} did not end within {PATIENCE:g} s: {words[0]}") from None
    except OSError as error:
        raise ChildFailed(
            f"the command of {flag} cannot be run: {words[0]}",
            cause=error.strerror or str(error),
            hint="its words are run as they are; for a shell's syntax write: sh -c '…'",
        ) from None
