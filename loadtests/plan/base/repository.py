"""What git says about a repository."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from loadtests.errors import PlanError

SHOWN = 12
"""Digits of a commit that people see."""

MADE_BY_TOOLS = (
    "__pycache__", "*.pyc", "venv", "env", "node_modules", "*.egg-info", "build", "dist", "htmlcov",
    ".coverage*", ".DS_Store", "*.log", "runs",
)  # fmt: skip
"""Names of untracked files and directories that no app reads; with all hidden directories."""

SUBMODULE = "160000"
"""The mode by which git's index marks one."""


def git(directory: Path, *words: str) -> str:
    """What a git command prints. Raises PlanError."""
    program = shutil.which("git")
    if program is None:
        raise PlanError("git is not installed", hint="install it, or measure without --base-ref")
    if not directory.is_dir():
        raise PlanError(f"there is no directory {directory}")
    done = subprocess.run(
        [program, *words], cwd=directory, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise PlanError(
            f"git {words[0]} failed",
            hint="--base-ref takes a branch, a tag or a commit that is known here; in CI, fetch it first "
            "(fetch-depth: 0)",
            cause=done.stderr.strip()[-400:],
        )
    return done.stdout.strip()


def head_of(root: Path) -> str:
    """The revision of a working tree; untracked files do not count. Raises PlanError."""
    head = git(root, "rev-parse", "HEAD")[:SHOWN]
    changes = git(root, "diff", "--no-ext-diff", "HEAD")
    return f"{head}+changes-{hashlib.sha256(changes.encode()).hexdigest()[:6]}" if changes else head


def merge_base(root: Path, ref: str, tip: str) -> str:
    """The last commit that the working tree's branch and `tip` have in common. Raises PlanError."""
    try:
        return git(root, "merge-base", "HEAD", tip)
    except PlanError as failure:
        raise PlanError(
            f"the working tree and {ref!r} have no commit in common",
            cause=failure.cause,
            hint="fetch the whole history (fetch-depth: 0, or git fetch --unshallow), or compare with "
            f"{ref} as it is: --base-point ref",
        ) from None


def lacking(root: Path, tip: str) -> int:
    """The commits of `tip` that the working tree's branch lacks. Raises PlanError."""
    return int(git(root, "rev-list", "--count", f"HEAD..{tip}"))


def committed(root: Path, commit: str) -> list[str]:
    """The paths of a commit's files, relative to the repository. Raises PlanError."""
    return listed(git(root, "ls-tree", "-r", "-z", "--full-tree", "--name-only", commit))


def tracked(root: Path) -> list[str]:
    """The same of the working tree, without files that git does not track. Raises PlanError."""
    return [path for path in listed(git(root, "ls-files", "-z")) if (root / path).is_file()]


def untracked(root: Path, directories: Sequence[PurePosixPath]) -> list[str]:
    """Files, and whole directories, that git does not track in some directories of a working tree, ignored
    ones included; without those that tools make. Raises PlanError."""
    words = ("ls-files", "--others", "--directory", "--no-empty-directory", "-z", "--")
    found = listed(git(root, *words, *map(str, directories)))
    return sorted(path for path in found if not made_by_tools(path))


def submodules(root: Path, directories: Sequence[PurePosixPath]) -> list[str]:
    """The submodules in some directories of a working tree, of which git tracks a commit and no files, as
    directories. Raises PlanError."""
    entries = listed(git(root, "ls-files", "--stage", "-z", "--", *map(str, directories)))
    found = (entry.split("\t", 1) for entry in entries if entry.startswith(f"{SUBMODULE} "))
    return [f"{path}/" for _, path in found]


def made_by_tools(path: str) -> bool:
    """Whether an untracked path is one that no app reads; that of a directory ends in a slash."""
    *directories, name = path.split("/")
    named = any(fnmatchcase(part, pattern) for part in (*directories, name) for pattern in MADE_BY_TOOLS)
    return named or any(part.startswith(".") for part in directories)


def listed(output: str) -> list[str]:
    """Paths that git separates by NUL."""
    return [path for path in output.split("\0") if path]
