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
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from loadtests.errors import PlanError
from loadtests.plan.arms import Arm
from loadtests.plan.base.commit import BaseCommit
from loadtests.plan.base.pairs import OUR_DIRECTORY
from loadtests.plan.base.repository import committed, git, tracked

REQUIREMENTS = (
    "requirements*.lock", "requirements*.txt", "requirements/*.lock", "requirements/*.txt",
    "constraints*.txt",
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

    def text(self, path: PurePosixPath, known: frozenset[str] = frozenset()) -> str:
        """What a lock says, with the files that it includes."""
        said = self.read(str(path)).replace("\r\n", "\n").strip()
        names = (posixpath.normpath(path.parent / name) for name in INCLUDED.findall(said))
        known |= {str(path)}
        more = [name for name in dict.fromkeys(names) if name in self.paths - known]
        return "\n".join([said, *(self.text(PurePosixPath(name), known | {*more}) for name in more)])


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
    unlike: set[str] = set()
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
            packages[f"{arm.name}-base"] = installable(
                own, before, after, base, by_uv(base_tree, before) if uv else ()
            )
    served = set(packages.values())
    return base.model_copy(update={"packages": packages, "unlike": tuple(sorted(unlike - served))})


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
    before: Mapping[str, PurePosixPath],
    after: Mapping[str, PurePosixPath],
    base: BaseCommit,
    by_uv: Sequence[str],
) -> str:
    """Which of the changed locks pip or uv installs the base's packages from; `by_uv`: names of those that uv
    reads. Raises PlanError where it is none of them, or not one alone."""
    either = f"; with --base-python {sys.executable} both sides get the packages of that interpreter"
    if not before:
        raise PlanError(
            f"the base locks no packages, and the working tree does: {after[changed[0]]}",
            hint="install those of the base into an environment, and pass its interpreter: "
            f"--base-python PATH{either}",
        )
    known = [name for name in changed if name in before and matches(name, (*REQUIREMENTS, *by_uv))]
    usual = [name for name in USUAL if name in known]
    if usual or len(known) == 1:
        return str(before[(usual or known)[0]])
    names = [str(before.get(name) or after[name]) for name in changed]
    # Of a tool that the change brings, the base has no lock: it is installed from one of its own.
    own = [name for name in changed if name in before] or sorted(before)
    name, tool = next(
        ((name, BY_TOOL[kind]) for name in own for kind in BY_TOOL if fnmatchcase(name, kind)),
        (own[0], "pip install -r {there}/{name}"),
    )
    lock = PurePosixPath("../base", before[name])
    command = tool.format(there=lock.parent, name=lock.name)
    what = "in several files" if known else "in a format that pip does not read"
    raise PlanError(
        f"the base locks other packages than the working tree, {what}: {', '.join(names)}",
        hint=f"git worktree add ../base {base.revision}; python3 -m venv ../base-env; "
        f"(. ../base-env/bin/activate && {command}); then pass --base-python ../base-env/bin/python{either}",
    )


def matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
