"""The base of a change: a commit checked out beside the working tree, as arms of the same run.

Base and head interleaved show whatever a change does, on any machine: a stored baseline sees only what
differs between the arms.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from loadtests.plan import MOST_ARMS, Arm, PlanError, validated
from loadtests.processes import ROOT

LOCKS = ("requirements*.lock", "requirements*.txt", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock")
"""Files that say which packages an app runs with."""
NEEDED = ("uvicorn", "anyio", "uvloop", "httptools")
"""What serves an app, and must be in its environment, too."""
PATIENCE = 900.0
"""Seconds that an environment may take to be made."""


class Worktree:
    """A commit checked out for as long as the block lasts, of the repository that holds `directory`.

    Entering raises PlanError where there is no such repository or commit.
    """

    def __init__(self, ref: str, directory: Path = Path(), python: str | None = None) -> None:
        """`python`: an interpreter for the base; None: ours, or where its locked packages differ from the
        working tree's one of an environment made for it."""
        self.ref = ref
        self.directory = directory.resolve()
        self.python = python
        self._scratch = tempfile.TemporaryDirectory(prefix="duel-base-", ignore_cleanup_errors=True)

    def __enter__(self) -> Self:
        try:
            self.root = Path(git(self.directory, "rev-parse", "--show-toplevel"))
            # A ref that looks like an option is none.
            commit = git(self.root, "rev-parse", "--verify", "--end-of-options", f"{self.ref}^{{commit}}")
            self.path = Path(self._scratch.name, "base").resolve()
            git(self.root, "worktree", "add", "--detach", "--quiet", str(self.path), commit)
        except BaseException:
            self._scratch.cleanup()
            raise
        self.base = commit[:12]
        changed = git(self.root, "status", "--porcelain", "--untracked-files=no")
        self.head = git(self.root, "rev-parse", "HEAD")[:12] + ("+changes" if changed else "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            git(self.root, "worktree", "remove", "--force", str(self.path))
        finally:
            self._scratch.cleanup()

    def doubled(self, arms: Sequence[Arm]) -> tuple[tuple[Arm, ...], Mapping[str, str]]:
        """Each arm as it was and as it is, and which is compared with which. Raises PlanError."""
        if 2 * len(arms) > MOST_ARMS:
            raise PlanError(
                f"base and head of {len(arms)} arms are {2 * len(arms)}, and {MOST_ARMS} are the most",
                "name fewer arms: --arm NAME=module:attribute",
            )
        python = self.python or self.environment()
        before = [self.variant(arm, "base", self.base, python) for arm in arms]
        after = [self.variant(arm, "head", self.head, None) for arm in arms]
        pairs = zip(before, after, strict=True)
        return (*before, *after), {head.name: base.name for base, head in pairs}

    def variant(self, arm: Arm, side: str, revision: str, python: str | None) -> Arm:
        """An arm of the base or of the head."""
        if arm.url is not None:
            raise PlanError(f"arm {arm.name!r} is a server that runs: it has no base to be served from")
        values = {**arm.model_dump(), "name": f"{arm.name}-{side}", "revision": revision}
        values["app_dir"] = arm.app_dir or str(ROOT)
        if side == "base":
            values["app_dir"] = str(self.there(arm, values["app_dir"]))
            values["cwd"] = str(self.there(arm, arm.cwd)) if arm.cwd else None
            values["python"] = arm.python or python
        return validated(Arm, values, f"arm {values['name']!r}")

    def there(self, arm: Arm, directory: str) -> Path:
        """A directory of the working tree in the base. Raises PlanError."""
        try:
            path = self.path / Path(directory).resolve().relative_to(self.root)
        except ValueError:
            raise PlanError(
                f"arm {arm.name!r} comes from {directory}, which is not in the repository {self.root}",
                "name an app of this repository: --arm NAME=module:attribute, with --app-dir",
            ) from None
        if not path.is_dir():
            raise PlanError(f"{self.ref} has no directory {directory} for arm {arm.name!r}")
        return path

    def environment(self) -> str | None:
        """The interpreter of an environment with the base's locked packages; None where they are those of
        the working tree. Raises PlanError."""
        if not self.locks_differ():
            return None
        lock = next((self.path / name for name in ("requirements.lock", "requirements.txt")
                     if (self.path / name).is_file()), None)  # fmt: skip
        if lock is None:
            raise PlanError(
                f"{self.ref} locks other packages than the working tree, in a form that pip does not read",
                "make an environment of them, and pass its interpreter: --base-python PATH",
            )
        home = Path(self._scratch.name, "environment")
        python = home / "bin" / "python"
        do([sys.executable, "-m", "venv", str(home)], "an environment for the base cannot be made")
        do(
            [str(python), "-m", "pip", "install", "-q", "-r", str(lock)],
            f"{self.ref}'s packages cannot be installed",
        )
        known = subprocess.run(
            [python, "-c", f"import {', '.join(NEEDED)}"], capture_output=True, check=False
        )
        if known.returncode:
            wanted = [f"{name}=={version(name)}" for name in NEEDED]
            do(
                [str(python), "-m", "pip", "install", "-q", *wanted],
                "what serves the base cannot be installed",
            )
        return str(python)

    def locks_differ(self) -> bool:
        """Whether any lock of the base is another one, or not there, in the working tree, or only there."""
        names = {path.name for side in (self.root, self.path) for lock in LOCKS for path in side.glob(lock)}
        return any(
            not (self.root / name).is_file()
            or not (self.path / name).is_file()
            or not filecmp.cmp(self.root / name, self.path / name, shallow=False)
            for name in names
        )


def git(directory: Path, *words: str) -> str:
    """What git says. Raises PlanError."""
    program = shutil.which("git")
    if program is None:
        raise PlanError("git is not installed", "install it, or measure without --base-ref")
    done = subprocess.run([program, *words], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PlanError(
            f"git {words[0]} failed",
            "--base-ref takes a branch, a tag or a commit that is known here; in CI fetch it first "
            "(fetch-depth: 0)",
            done.stderr.strip()[-400:],
        )
    return done.stdout.strip()


def do(command: Sequence[str], failed: str) -> None:
    """Raises PlanError with the last words of a command that fails."""
    hint = "make an environment yourself, and pass its interpreter: --base-python PATH"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise PlanError(failed, hint, f"no end within {PATIENCE:g} s") from None
    if done.returncode:
        raise PlanError(failed, hint, (done.stderr or done.stdout).strip()[-400:])
