"""What has changed of the files that a run measures, since its records."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from loadtests.plan.arms import Arm
from loadtests.records.run import Run
from loadtests.serving.used.files import digest, of_arm


def heads(run: Run) -> list[Arm]:
    """The arms whose files are not those of a base's commit."""
    return [arm for arm in run.plan.arms if arm.name not in run.plan.against.values()]


def program_changed(run: Run) -> str | None:
    """The first file that makes the run's apps or users other ones, and whose it is; None where none does."""
    arms = heads(run)
    for path, gone in changed(run.sources or {}):
        return f"{path} {'is gone' if gone else 'has changed'}{whose(path, arms)}"
    files = run.files
    if files is None:
        return None
    if files.directory != os.getcwd() and any(arm.app_dir and not arm.cwd for arm in arms):
        return f"its apps worked in {files.directory}, and duel runs in {os.getcwd()} now"
    for path, gone in changed(files.program, salt_of(run)):
        return f"{path} {'is gone' if gone else 'has changed'}{whose(path, arms)}"
    return None


def data_changed(run: Run) -> list[str]:
    """The files that arms may write, or that are documentation, and that are other ones than the run found."""
    return [path for path, _ in changed(run.files.data, salt_of(run))] if run.files is not None else []


def changed(recorded: Mapping[str, str], salt: str = "") -> Iterator[tuple[str, bool]]:
    """The paths whose files are other ones now, and whether they are gone."""
    for path, then in recorded.items():
        now = digest(Path(path), salt)
        if now != then:
            yield path, now is None


def salt_of(run: Run) -> str:
    return run.sealed.salt if run.sealed is not None else ""


def whose(path: str, arms: Sequence[Arm]) -> str:
    """Whose file a path is, in brackets; empty where that is not known."""
    named = of_arm(path, arms)
    return f" ({named})" if named != "a file" else ""
