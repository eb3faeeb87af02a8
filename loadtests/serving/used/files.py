"""The files beside an arm's code: templates, static files, settings; and the data that it may write.

What an app opens cannot be observed without slowing it, so what its directories hold is digested: the files
that git does not ignore, or every file where there is no repository.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from loadtests.errors import ChildFailed, PlanError
from loadtests.plan import options
from loadtests.plan.arms import Arm
from loadtests.plan.base.repository import git, listed, made_by_tools
from loadtests.plan.fields import one_line
from loadtests.records.files import digest as plain_digest
from loadtests.records.run import AppFiles
from loadtests.system.inputs import WRITTEN

MOST_FILES, MOST_BYTES = 2_000, 64 * 2**20
"""Of one directory: an app's own are far fewer."""

NOT_READ = (
    "*.md", "*.rst", "LICENSE*", "README*", "CHANGELOG*", "AUTHORS*", "Makefile", "Dockerfile*",
    "compose*.y*ml", "docker-compose*", "pyproject.toml", "setup.cfg", "tox.ini", "mkdocs.y*ml", "*.lock",
    "package*.json", "requirements*.txt", "*.ipynb",
)  # fmt: skip
"""Names of documentation and of tool settings: installed packages are compared by themselves."""

ASIDE = ("docs", "test", "tests", "benchmarks")
"""Directories of a repository that an app does not read."""

PROGRAM = (
    ".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".mustache", ".css", ".js", ".mjs", ".sql",
    ".graphql", ".yaml", ".yml", ".toml", ".ini", ".cfg",
)  # fmt: skip
"""Suffixes of files that people write and apps only read, whether git tracks them or not."""

SETTINGS = ".env"
"""Start of the names of files with settings, which may be secret: their digests are slow to guess from."""


class UsedFiles:
    """The files beside the arms' code as they were when the run began, and which of them the apps write."""

    def __init__(self) -> None:
        self.record: AppFiles | None = None
        self.salt = ""
        self.seen: dict[str, tuple[int, int]] = {}
        """By path, when a file was last changed and its size, when it was last known to be the recorded
        one."""

    def survey(self, arms: Sequence[Arm], salt: str, run: Path) -> None:
        """Digest the files of some arms. `run`: the directory that is being written, which is no part of
        them."""
        program: dict[str, str] = {}
        data: dict[str, str] = {}
        cut = []
        for directory in dict.fromkeys(one for arm in arms for one in directories(arm)):
            found, whole = bounded(candidates(directory, run.resolve()))
            cut += [] if whole else [str(directory)]
            for path, tracked in found:
                content = digest(path, salt)
                kind = program if is_program(path.relative_to(directory), tracked) else data
                kind |= {str(path): content} if content is not None else {}
        data = {path: content for path, content in data.items() if path not in program}
        self.recall(AppFiles(program=program, data=data, cut=tuple(cut)), salt)

    def recall(self, record: AppFiles | None, salt: str) -> None:
        """Continue from what the records hold; None: an earlier version's, which kept nothing."""
        self.record, self.salt = record, salt
        paths = record.program if record is not None else ()
        self.seen = {path: stamp for path in paths if (stamp := stamped(path)) is not None}

    def check(self, arms: Sequence[Arm], *, commands: bool = False) -> None:
        """After a server has served. A file that only people write has been edited: raises ChildFailed. Any
        other has been written by the app, and counts as its data from now on; with `commands` before or after
        trials, which may write files, any file does."""
        for path in [one for one, stamp in self.seen.items() if stamped(one) != stamp]:
            record, stamp = self.record, stamped(path)
            if record is None:
                return
            if stamp is not None and digest(Path(path), self.salt) == record.program[path]:
                self.seen[path] = stamp
            elif not commands and (Path(path).suffix in PROGRAM or is_settings(Path(path))):
                raise ChildFailed(
                    f"{of_arm(path, arms)} changed while it was measured",
                    cause=path,
                    hint="restore it and resume the run, or start a new one",
                )
            else:
                del self.seen[path]
                program = {one: content for one, content in record.program.items() if one != path}
                data = {**record.data, path: record.program[path]}
                self.record = record.model_copy(update={"program": program, "data": data})


def of_arm(path: str, arms: Sequence[Arm]) -> str:
    """Whose file a path is, as messages name it."""
    names = [arm.name for arm in arms for place in directories(arm) if Path(path).is_relative_to(place)]
    named = [repr(name) for name in dict.fromkeys(names)]
    return f"a file of {'arm' if len(named) == 1 else 'arms'} {' and '.join(named)}" if named else "a file"


def directories(arm: Arm) -> list[Path]:
    """Where an arm's app is and works; none for the built-in apps, whose version says enough, and for
    external servers. Our working directory is no app's unless it holds the app."""
    if not arm.app_dirs or arm.url is not None:
        return []
    here = Path(arm.cwd or Path.cwd()).resolve()
    found: dict[Path, None] = {}
    for directory in arm.app_dirs:
        place = Path(directory).resolve()
        holds = place.is_relative_to(here) and here not in (Path(here.anchor), Path.home())
        found[here if holds else place] = None
    return [*found, *([here] if arm.cwd and here not in found else [])]


def candidates(directory: Path, run: Path) -> Iterator[tuple[Path, bool]]:
    """The files below a directory that may be part of an app, sorted, and whether git tracks each."""
    tracked, found = in_repository(directory) or (frozenset(), walked(directory))
    for name in found:
        path = directory / name
        settings = is_settings(path)
        hidden = any(part.startswith(".") for part in PurePath(name).parts)
        made = name not in tracked and made_by_tools(name)
        if settings or not (hidden or made or path.is_relative_to(run)):
            yield path, name in tracked


def in_repository(directory: Path) -> tuple[frozenset[str], Iterable[str]] | None:
    """What git tracks below a directory; that and what it does not ignore, with settings beside the code,
    which it mostly does. None outside of a repository, and where all is ignored."""
    try:
        tracked = frozenset(listed(git(directory, "ls-files", "-z")))
        others = listed(git(directory, "ls-files", "-z", "--others", "--exclude-standard"))
        settings = [path.name for path in directory.glob(f"{SETTINGS}*")]
    except (PlanError, OSError):
        return None
    found = sorted({*tracked, *others, *settings})
    return (tracked, found) if tracked or others else None


def walked(directory: Path) -> Iterator[str]:
    """Every file below a directory without a repository."""
    for place, below, names in os.walk(directory):
        below[:] = sorted(one for one in below if not one.startswith(".") and not made_by_tools(f"{one}/"))
        for name in sorted(names):
            yield str(Path(place, name).relative_to(directory))


def bounded(found: Iterable[tuple[Path, bool]]) -> tuple[list[tuple[Path, bool]], bool]:
    """As many files as are digested, and whether that is all; without names that a record cannot hold."""
    kept: list[tuple[Path, bool]] = []
    left = MOST_BYTES
    for path, tracked in found:
        stamp = stamped(str(path))
        if stamp is None or one_line(str(path)) != str(path):
            continue
        left -= stamp[1]
        if left < 0 or len(kept) == MOST_FILES:
            return kept, False
        kept.append((path, tracked))
    return kept, True


def is_program(path: PurePath, tracked: bool) -> bool:
    """Whether a change of a file, relative to its arm's directory, makes another program. Python code does
    where it is imported, which is recorded by itself."""
    if is_settings(path):
        return True
    aside = bool(path.parts[:-1]) and path.parts[0] in ASIDE
    data = any(fnmatchcase(path.name, pattern) for pattern in (*WRITTEN, *NOT_READ, "*.py", "*.pyi"))
    return not aside and not data and (tracked or path.suffix in PROGRAM)


def is_settings(path: PurePath) -> bool:
    return path.name == SETTINGS or path.name.startswith(f"{SETTINGS}.")


def stamped(path: str) -> tuple[int, int] | None:
    """When a regular file was last changed, and its size; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size) if os.path.isfile(path) else None


def digest(path: Path, salt: str = "") -> str | None:
    """Of a file's bytes, salted and slow for settings; None where it is no file, or cannot be read."""
    try:
        if is_settings(path) and path.is_file():
            return options.digest(salt, str(path), path.read_text("utf-8", "surrogateescape"))
    except OSError:
        return None
    return plain_digest(path)
