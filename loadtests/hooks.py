"""Commands of the user's that are run before every start of a server and after its end, as to reset a
database. Their words are run as they are: no shell reads them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.plan import Arm
from loadtests.processes import LINES_SHOWN, ChildFailed

PATIENCE = 120.0
"""Seconds that a command may take."""


@dataclass(frozen=True)
class Hooks:
    """The words of two commands; empty where there is none. What they say is kept in hooks.log."""

    before_trial: Sequence[str] = ()
    after_trial: Sequence[str] = ()

    def before(self, arm: Arm, logs: Path) -> None:
        """Raises ChildFailed."""
        run("--before-trial", self.before_trial, arm, logs)

    def after(self, arm: Arm, logs: Path) -> None:
        """Raises ChildFailed."""
        run("--after-trial", self.after_trial, arm, logs)


NO_HOOKS = Hooks()


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
            error.strerror or str(error),
            "its words are run as they are; for a shell's syntax write: sh -c '…'",
        ) from None
    with (logs / "hooks.log").open("ab") as log:
        log.write(done.stdout)
    if done.returncode:
        last = done.stdout.decode("utf-8", "replace").strip().splitlines()[-LINES_SHOWN:]
        raise ChildFailed(
            f"the command of {flag} ended with exit code {done.returncode}: {words[0]}", "\n".join(last)
        )
