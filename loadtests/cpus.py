"""CPUs on a command line: a parent passes them, and its child binds itself to them."""

from __future__ import annotations

import os
from collections.abc import Sequence


def cpus_flag(cpus: Sequence[int]) -> list[str]:
    """`--cpus 0,1`; nothing where a child may run anywhere."""
    return ["--cpus", ",".join(map(str, cpus))] if cpus else []


def parsed_cpus(text: str | None) -> tuple[int, ...]:
    """The CPUs of such a flag. Raises ValueError."""
    return tuple(int(cpu) for cpu in text.split(",")) if text else ()


def bind(text: str | None) -> None:
    """Have this process run on the CPUs of its `--cpus` flag alone, where the platform can (macOS cannot)."""
    if text and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, parsed_cpus(text))
