"""Why an app did not start: the text that its process left → a cause of a few lines and a hint.

Read from the text alone: an app may run in any Python, and fail while it is imported or in its lifespan.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from loadtests.system.processes import ROOT

BEGIN = "Traceback (most recent call last):"

FRAME = re.compile(r'\s*File "(?P<file>.+)", line (?P<line>\d+)(?:, in (?P<name>.+))?')

INSTALLED = re.compile(r"(^|/)(site-packages|dist-packages|lib/python\d[\d.]*)/|^<")
"""Files of packages, of Python itself, and of no file at all."""

OURS = str(ROOT / "loadtests" / "serving" / "inside")

READERS = re.compile(r"/(pydantic_settings|decouple|environs|environ|dynaconf)[/.]|/starlette/config\.py$")
"""Packages that read settings from the environment."""

MOST_TEXT = 300
"""Characters of an exception's message that are shown."""

LINES = 3
"""Lines of a log without a traceback that are shown."""

SET_IT = "export {}, or pass it with the arm: NAME=module:attribute,env.{}=VALUE"

HAVE_IT = (
    "install {} for the Python that serves the app, or name one that has it: --python PATH, or python=PATH "
    "in an arm"
)


class Frame(NamedTuple):
    """A line of a traceback."""

    file: str
    line: int
    name: str | None
    code: str

    @property
    def own(self) -> bool:
        """Whether it is the app's own."""
        return not INSTALLED.search(self.file) and not self.file.startswith(OURS)


class Why(NamedTuple):
    """A cause, and what to do; "" where nothing is known."""

    cause: str
    hint: str


def why(text: str, home: str | None = None) -> Why:
    """Why a process ended that left `text`: the exception and the last line of its traceback that is the
    app's own, by its path from `home`; without a traceback the last lines."""
    lines = text.strip().splitlines()
    if lines and lines[-1].startswith("hint: "):
        return Why(last(lines[:-1]), lines[-1].removeprefix("hint: "))
    begun = max((at for at, line in enumerate(lines) if line.endswith(BEGIN)), default=None)
    if begun is None:
        return Why(last(lines), "")
    frames, exception = read(lines[begun + 1 :])
    if not exception:
        return Why(last(lines), "")
    mine = [frame for frame in frames if frame.own]
    return Why("\n".join([exception, *(shown(frame, home) for frame in mine[-1:])]), hint(frames, exception))


def last(lines: Sequence[str]) -> str:
    """The end of a log."""
    return "\n".join(line.strip() for line in lines[-LINES:])


def read(lines: Sequence[str]) -> tuple[list[Frame], str]:
    """The frames of a traceback and its exception, which may take several lines."""
    frames: list[Frame] = []
    for at, line in enumerate(lines):
        found = FRAME.fullmatch(line)
        if found:
            code = lines[at + 1].strip() if at + 1 < len(lines) else ""
            frames.append(Frame(found["file"], int(found["line"]), found["name"], code))
        elif line[:1].strip():
            return frames, message(lines[at:])
    return frames, ""


def message(lines: Sequence[str]) -> str:
    """An exception in one line, without what follows it in a log."""
    said = [lines[0].strip()]
    for line in lines[1:]:
        if not line.strip() or re.match(r"[A-Z]+: |a worker (did|ended)", line):
            break
        if "For further information visit" not in line:
            said.append(line.strip())
    return " ".join(said)[:MOST_TEXT]


def shown(frame: Frame, home: str | None) -> str:
    """`orchestrator/config.py:16, in load: assert "SETTINGS_FILENAME" in os.environ`."""
    path = Path(frame.file)
    inside = home is not None and path.is_relative_to(home)
    place = f"{path.relative_to(home) if inside and home is not None else path}:{frame.line}"
    where = f", in {frame.name}" if frame.name and frame.name != "<module>" else ""
    return f"{place}{where}: {frame.code}"[:MOST_TEXT]


def hint(frames: Sequence[Frame], exception: str) -> str:
    """How to give an app the package or the environment that it lacks; "" where it seems to lack something
    else."""
    key = re.fullmatch(r"KeyError: '(\w+)'", exception)
    if key and frames and re.search(r"<frozen os>|/os\.py$", frames[-1].file):
        return SET_IT.format(key[1], key[1])
    lacking = re.fullmatch(r"ModuleNotFoundError: No module named '(\w+)[\w.]*'", exception)
    if lacking and any(frame.own for frame in frames):
        return HAVE_IT.format(lacking[1])
    reads = any(READERS.search(frame.file) for frame in frames)
    code = next((frame.code for frame in reversed(frames) if frame.own), "")
    if not reads and "environ" not in code and "getenv" not in code:
        return ""
    names = set(re.findall(r"""["']([A-Z][A-Z0-9_]+)["']""", code))
    name = names.pop() if len(names) == 1 else None
    return SET_IT.format(name or "what it reads from its environment", name or "KEY")
