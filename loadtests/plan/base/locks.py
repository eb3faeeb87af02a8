"""The packages that a base locks: which files say so, whether they differ from the head's, and which of them
pip or uv can install from.

An app's locks are the nearest ones: of the first directory that has any, from that of its module upwards.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from loadtests.errors import PlanError
from loadtests.plan.arms import Arm
from loadtests.plan.base.commit import BaseCommit
from loadtests.plan.base.pairs import OUR_DIRECTORY
from loadtests.plan.base.repository import committed, git, tracked

CONSTRAINTS = ("constraints*.txt", "requirements/constraints*.txt")
"""Names of the files that say which versions are allowed, and not what is needed."""

REQUIREMENTS = (
    "requirements*.lock", "requirements*.txt", "requirements/*.lock", "requirements/*.txt", *CONSTRAINTS,
)  # fmt: skip
"""Names of the files that pip reads."""

UV_LOCK, PYLOCK = "uv.lock", "pylock*.toml"

BY_TOOL: Mapping[str, str] = {
    UV_LOCK: "uv sync --active --frozen --no-install-workspace --project {there}",
    "poetry.lock": "poetry install --no-root --directory {there}",
    "pdm.lock": "pdm sync --no-self --project {there}",
    "Pipfile.lock": "cd {there} && pipenv sync",
    PYLOCK: "uv pip sync {there}/{name}",
}
"""Names of the other locks, and what installs one into the active environment, without the app itself: it
comes from the checkout."""

USUAL = ("requirements.lock", "requirements.txt", "pylock.toml")
"""What an app is installed from, where a directory has several files that pip or uv reads."""

DEVELOPMENT = re.compile(
    r"(^|[-_./])(dev|develop\w*|tests?|docs?|lint\w*|typing|ci|tools?|bench\w*)([-_./]|$)"
)
"""In the name of a lock: of packages that the app itself does not import."""

INCLUDED = re.compile(r"^[ \t]*(?:-r|-c|--requirement|--constraint)[ \t=]*(\S+)", re.MULTILINE)


@dataclass(frozen=True)
class Tree:
    """One side's files."""

    paths: frozenset[str]
    """Relative to the repository."""
    read: Callable[[str], str]
    locks: Sequence[PurePosixPath] = field(init=False)

    def __post_init__(self) -> None:
        # Sorted out by their ends first: repositories have a hundred thousand files.
        likely = (path for path in self.paths if path.endswith((".txt", ".lock", ".toml")))
        found = sorted(path for path in map(PurePosixPath, likely) if is_lock(path))
        object.__setattr__(self, "locks", found)

    def nearest(self, start: PurePosixPath) -> dict[str, PurePosixPath]:
        """The locks of the first directory that has any of the app's own, from `start` upwards, by their
        names in it."""
        for directory in (start, *start.parents):
            found = {
                str(path.relative_to(directory)): path
                for path in self.locks
                if path.is_relative_to(directory) and is_lock(path.relative_to(directory), exactly=True)
            }
            if not all(map(DEVELOPMENT.search, found)):
                return found
        return {}

    def declared(self, start: PurePosixPath) -> tuple[str, object] | None:
        """The nearest pyproject.toml that declares dependencies, and these; None where there is none."""
        for directory in (start, *start.parents):
            path = str(directory / "pyproject.toml")
            if path in self.paths:
                with suppress(tomllib.TOMLDecodeError):
                    found = tomllib.loads(self.read(path))
                    tools = found.get("tool", {}).get("poetry", {}).get("dependencies")
                    said = (found.get("project", {}).get("dependencies"), tools)
                    if any(said):
                        return path, said
        return None

    def synced_alike(self, lock: PurePosixPath) -> bool:
        """Whether there is one way only to install a lock of uv's: without members of a workspace, and
        without groups and extras except for development: the head's environment may have them or not."""
        path = str(lock.with_name("pyproject.toml"))
        try:
            found = tomllib.loads(self.read(path)) if path in self.paths else {}
        except tomllib.TOMLDecodeError:
            return False
        project = found.get("project")
        if not isinstance(project, dict) or "workspace" in found.get("tool", {}).get("uv", {}):
            return False
        optional = [*project.get("optional-dependencies", {}), *found.get("dependency-groups", {})]
        return all(map(DEVELOPMENT.search, optional))

    def parts(self, path: PurePosixPath) -> dict[str, str]:
        """A lock and the files that it includes: by path, what each says."""
        found: dict[str, str] = {}
        left = [str(path)]
        while left:
            one = left.pop(0)
            found[one] = self.read(one).replace("\r\n", "\n").strip()
            beside = PurePosixPath(one).parent
            names = (posixpath.normpath(beside / name) for name in INCLUDED.findall(found[one]))
            left += [name for name in dict.fromkeys(names) if name in self.paths - {*found, *left}]
        return found

    def text(self, path: PurePosixPath) -> str:
        """What a lock says, with the files that it includes."""
        return "\n".join(self.parts(path).values())


def is_lock(path: PurePosixPath, exactly: bool = False) -> bool:
    """Whether a file is a lock, by its name; `exactly`: by its whole path."""
    patterns = (*REQUIREMENTS, *BY_TOOL)
    return matches(str(path), patterns if exactly else (*patterns, *(f"*/{one}" for one in patterns)))


def with_packages(base: BaseCommit, arms: Sequence[Arm], python: str | None) -> BaseCommit:
    """The base with what its arms' packages are installed from. `arms`: as they are in the working tree;
    `python`: an interpreter for the base, for which nothing is installed. Raises PlanError."""
    root = Path(base.repository)
    before = Tree(
        frozenset(committed(root, base.commit)), lambda path: git(root, "show", f"{base.commit}:{path}")
    )
    after = Tree(frozenset(tracked(root)), lambda path: (root / path).read_text(errors="replace"))
    return compared(before, after, base, arms, python, uv=shutil.which("uv") is not None)


def compared(
    base_tree: Tree,
    head_tree: Tree,
    base: BaseCommit,
    arms: Sequence[Arm],
    python: str | None,
    *,
    uv: bool,
) -> BaseCommit:
    """The same, with both sides' files; `uv`: whether it is installed. Raises PlanError."""
    packages: dict[str, str] = {}
    constraints: dict[str, tuple[str, ...]] = {}
    unlike: set[str] = set()
    served: set[str] = set()
    for arm in arms:
        start = home(arm, base)
        before, after = base_tree.nearest(start), head_tree.nearest(start)
        changed = [
            name for name in sorted(before.keys() | after.keys())
            if name not in before
            or name not in after
            or base_tree.text(before[name]) != head_tree.text(after[name])
        ]  # fmt: skip
        unlike |= {str(before.get(name) or after[name]) for name in changed}
        if not before and not after:
            # Nothing is locked: the versions that either side would get are unknown.
            declared = [tree.declared(start) for tree in (base_tree, head_tree)]
            if declared[0] != declared[1]:
                unlike |= {one[0] for one in declared if one is not None}
        own = [name for name in changed if not DEVELOPMENT.search(name)]
        if own and python is None:
            readable = (*REQUIREMENTS, *(by_uv(base_tree, before) if uv else ()))
            lock, beside = installable(own, base_tree, before, after, base, readable)
            packages[f"{arm.name}-base"] = lock
            constraints |= {f"{arm.name}-base": beside} if beside else {}
            served |= {*base_tree.parts(PurePosixPath(lock)), *beside}
    found = {"packages": packages, "constraints": constraints, "unlike": tuple(sorted(unlike - served))}
    return base.model_copy(update=found)


def by_uv(tree: Tree, locks: Mapping[str, PurePosixPath]) -> list[str]:
    """Names of those locks that uv installs without being told how."""
    one_way = UV_LOCK in locks and tree.synced_alike(locks[UV_LOCK])
    return [PYLOCK, *([UV_LOCK] if one_way else [])]


def home(arm: Arm, base: BaseCommit) -> PurePosixPath:
    """The directory of an app's module, relative to the repository; that of its arm where it is not found
    there."""
    top = Path(arm.app_dir or OUR_DIRECTORY)
    module = Path(*arm.app.partition(":")[0].split("."))
    for place in (top, top / "src"):
        for file in (place / module.with_suffix(".py"), place / module / "__init__.py"):
            if file.is_file():
                path = base.path_of(str(file.parent))
                if path is not None:
                    return PurePosixPath(path.as_posix())
    return PurePosixPath((base.path_of(str(top)) or Path()).as_posix())


def installable(
    changed: Sequence[str],
    tree: Tree,
    before: Mapping[str, PurePosixPath],
    after: Mapping[str, PurePosixPath],
    base: BaseCommit,
    readable: Sequence[str],
) -> tuple[str, tuple[str, ...]]:
    """The lock that pip or uv installs the base's packages from, and the files that constrain it besides.
    `tree`: the base's files; `changed`: names of locks that the app itself is installed from; `readable`:
    patterns of those that pip or uv reads. Raises PlanError where it is none of them, or not one alone."""
    either = f"; with --base-python {sys.executable} both sides get the packages of that interpreter"
    if not before:
        raise PlanError(
            f"the base locks no packages, and the working tree does: {after[changed[0]]}",
            hint="install those of the base into an environment, and pass its interpreter: "
            f"--base-python PATH{either}",
        )
    own = {name: path for name, path in before.items() if not DEVELOPMENT.search(name)}
    known = [name for name in changed if name in before and matches(name, readable)]
    found = chosen(known, own, tree)
    if found is not None:
        parts = tree.parts(own[found])
        beside = [str(own[name]) for name in own if matches(name, CONSTRAINTS) and name != found]
        return str(own[found]), tuple(one for one in beside if one not in parts) if of_pip(found) else ()
    names = [str(before.get(name) or after[name]) for name in changed]
    # Beside a changed one, the others may be needed as well.
    names += [str(path) for name, path in own.items() if known and of_pip(name) and name not in changed]
    # Of a tool that the change brings, the base has no lock: it is installed from one of its own.
    theirs = [name for name in changed if name in before] or sorted(before)
    name, tool = next(
        ((name, BY_TOOL[kind]) for name in theirs for kind in BY_TOOL if fnmatchcase(name, kind)),
        (theirs[0], f"pip install {' '.join(pip_words(own))}"),
    )
    lock = PurePosixPath("../base", before[name])
    command = tool.format(there=lock.parent, name=lock.name)
    what = "in several files" if known else "in a format that pip does not read"
    raise PlanError(
        f"the base locks other packages than the working tree, {what}: {', '.join(names)}",
        hint=f"git worktree add ../base {base.revision}; python3 -m venv ../base-env; "
        f"(. ../base-env/bin/activate && {command}); then pass --base-python ../base-env/bin/python{either}",
    )


def chosen(known: Sequence[str], own: Mapping[str, PurePosixPath], tree: Tree) -> str | None:
    """Which lock a base is installed from where the `known` ones have changed; None where several may be
    meant. `own`: all that the app itself may be installed from."""
    bounded = any(matches(name, CONSTRAINTS) for name in known)
    # What constraints say decides on the packages of every other file.
    several = [name for name in own if of_pip(name)] if bounded else known
    several = [name for name in several if not matches(name, CONSTRAINTS)] or known
    parts = {name: tree.parts(own[name]).keys() for name in several}
    tops = [name for name in several
            if not any(str(own[name]) in parts[other] for other in several if other != name)]  # fmt: skip
    usual = [name for name in USUAL if name in tops]
    if usual or len(tops) != 1:
        return usual[0] if usual else None
    left = [name for name, path in own.items() if of_pip(name) and str(path) not in parts[tops[0]]]
    left = [name for name in left if not matches(name, CONSTRAINTS)]
    return None if left and of_pip(tops[0]) else tops[0]


def pip_words(files: Mapping[str, PurePosixPath]) -> Iterator[str]:
    """The words with which pip installs all of the base's files that it reads. `files`: by their names."""
    for name, path in files.items():
        if of_pip(name):
            yield f"{'-c' if matches(name, CONSTRAINTS) else '-r'} {PurePosixPath('../base', path)}"


def of_pip(name: str) -> bool:
    return matches(name, REQUIREMENTS)


def matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
