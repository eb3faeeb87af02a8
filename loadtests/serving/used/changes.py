"""What has changed of the files that a run measures, since its records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from loadtests.plan.arms import Arm
from loadtests.records.run import Run
from loadtests.serving.used.files import digest, of_arm


def heads(run: Run) -> list[Arm]:
    """The arms whose files are not those of a base's commit."""
    return [arm for arm in run.plan.arms if arm.name not in run.plan.against.values()]


def program_changed(run: Run) -> str | None:
    """The first file that makes the run's apps other ones, and whose it is; None where none does."""
    arms = heads(run)
    files = run.files
    if files is None:
        return None
    for path, gone in changed(files.program, salt_of(run)):
        return f"{path} {'is gone' if gone else 'has changed'}{whose(path, arms)}"
    return None


def written_by_apps(run: Run) -> set[str]:
    """The files that apps may write, without code."""
    return {path for path in (run.files.data if run.files is not None else ()) if not path.endswith(".py")}


def data_changed(run: Run) -> list[str]:
    """The files that are other ones than the run found, and that are no part of the program."""
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
