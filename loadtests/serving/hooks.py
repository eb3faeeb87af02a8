"""The user's commands around every server. Their words are run as they are, without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from loadtests.errors import ChildFailed
from loadtests.plan.arms import Arm
from loadtests.plan.options import Hooks
from loadtests.records.files import open_log, writing
from loadtests.system.processes import LINES_SHOWN

PATIENCE = 120.0
"""Seconds that a command may take."""


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
    try:
        done = subprocess.run(
            words, env=env, cwd=arm.cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"the command of {flag} did not end within {PATIENCE:g} s: {words[0]}") from None
    except OSError as error:
        raise ChildFailed(
            f"the command of {flag} cannot be run: {words[0]}",
            cause=error.strerror or str(error),
            hint="its words are run as they are; for a shell's syntax write: sh -c '…'",
        ) from None
    with writing(logs / "hooks.log") as path, open_log(path) as log:
        log.write(done.stdout)
    if done.returncode:
        last = done.stdout.decode("utf-8", "replace").strip().splitlines()[-LINES_SHOWN:]
        raise ChildFailed(
            f"the command of {flag} ended with exit code {done.returncode}: {words[0]}", cause="\n".join(last)
        )
