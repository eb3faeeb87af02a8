"""Errors shown to the user: one base class with the exit code, the cause and a hint."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from difflib import get_close_matches
from typing import ClassVar


class Exit(enum.IntEnum):
    """Exit codes of the `duel` command."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    GATE = 3
    INCONCLUSIVE = 4
    INVALID = 5
    UNREADABLE = 6
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        return MEANINGS[self]


MEANINGS = {
    Exit.DONE: "done",
    Exit.UNEXPECTED: "unexpected error",
    Exit.USAGE: "usage or configuration",
    Exit.GATE: "gate breached",
    Exit.INCONCLUSIVE: "inconclusive (with --strict)",
    Exit.INVALID: "invalid measurement",
    Exit.UNREADABLE: "unreadable run",
    Exit.INTERRUPTED: "interrupted",
}


class DuelError(Exception):
    """An error that a user can act on: what is wrong, `cause` why, `hint` what to do; both may be empty."""

    exit_code: ClassVar[Exit] = Exit.UNEXPECTED

    def __init__(self, message: str, *, cause: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.cause = cause
        self.hint = hint


class PlanError(DuelError, ValueError):
    """The plan, a setting or an argument is impossible or cannot be read."""

    exit_code = Exit.USAGE


class ChildFailed(DuelError):
    """A child process did not do what it was asked to: the measurement failed."""

    exit_code = Exit.INVALID


class ArmsDiffer(DuelError):
    """Two arms answered the same request differently."""

    exit_code = Exit.INVALID


class Disturbed(DuelError):
    """Other work on this machine leaves a measurement no chance."""

    exit_code = Exit.INVALID


class RecordError(DuelError):
    """A run that cannot be read, or cannot be compared: the message says which file and why."""

    exit_code = Exit.UNREADABLE


class CannotWrite(DuelError):
    """The run or its report cannot be written where it should go."""

    exit_code = Exit.USAGE


def explained(error: BaseException, what: str = "") -> str:
    """An error as text: `what`, or its own message; then its cause, hint and notes, whichever it has."""
    lines = [what or f"error: {error}"]
    if isinstance(error, DuelError) and error.cause:
        lines.append("  cause: " + error.cause.replace("\n", "\n         "))
    if isinstance(error, DuelError) and error.hint:
        lines.append(f"hint: {error.hint}")
    return "\n".join([*lines, *getattr(error, "__notes__", ())])


def did_you_mean(word: str, known: Sequence[str], whole: bool = False) -> str:
    """A hint that names the nearest known words, or all of them where none is near. `whole`: the nearest one,
    and all of them in any case."""
    near = get_close_matches(word, known, n=1 if whole else 3, cutoff=0.5)
    nearest, all_known = f"did you mean {' or '.join(near)}?", f"known: {', '.join(known)}"
    if not near:
        return all_known
    return f"{nearest} {all_known}" if whole else nearest
