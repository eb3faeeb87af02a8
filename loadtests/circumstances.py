"""What a run needs and its records must not hold: secrets, and what somebody must allow anew each time."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.hooks import NO_HOOKS, Hooks


@dataclass(frozen=True)
class Circumstances:
    """Of one command; a run that is resumed gets its own again."""

    database: str | None = None
    """Where the twins' data goes, as Surroundings takes it; its URL may hold a password."""
    hooks: Hooks = NO_HOOKS
    """The user's commands, whose words may hold one."""
    allow_remote: bool = False
    """Whether load may leave this machine."""
    wait: bool = False
    """Whether to wait for the end of another measurement."""
