"""The interpreter of the project that an app belongs to, which has the app's own packages."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

NAMES = (".venv", "venv")
"""Of a project's virtual environment."""

MARKS = (".git", "pyproject.toml")
"""What the directory of a project holds."""


def project_python(app_dir: Path, variables: Mapping[str, str]) -> str | None:
    """The interpreter of the virtual environment that is activated, or else lies beside the app or above it
    in its project; None where there is none, or it is the one that runs duel."""
    active = variables.get("VIRTUAL_ENV")
    for home in (*([Path(active)] if active else []), *beside(app_dir)):
        python = home / "bin" / "python"
        if (home / "pyvenv.cfg").is_file() and python.exists() and not ours(home):
            return str(python)
    return None


def ours(home: Path) -> bool:
    """Whether duel runs in this environment."""
    return home.resolve() == Path(sys.prefix).resolve()


def beside(app_dir: Path) -> Iterator[Path]:
    """Where an app's environment may be: in its directory, and in those above it up to the project's own; not
    above where no project is found, since a directory of many projects is for none of them."""
    above = [app_dir, *app_dir.parents]
    top = next((place for place in above if any((place / mark).exists() for mark in MARKS)), app_dir)
    for place in above[: above.index(top) + 1]:
        yield from (place / name for name in NAMES)


def absolute(python: str) -> str:
    """An interpreter as it is found from any directory: a path from here, and a name alone on the PATH."""
    # Not resolved: a virtual environment's interpreter is a link to the one that made it.
    return os.path.abspath(python) if os.sep in python else python
