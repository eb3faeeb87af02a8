"""What a run reads besides its plan: tracked files, and the packages of the interpreters that serve it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from loadtests.errors import PlanError
from loadtests.plan.base.repository import git, listed
from loadtests.plan.options import Inputs, TrackedFiles
from loadtests.plan.plan import Plan
from loadtests.records.files import digest

NO_PART = ("docs", "doc", "tests", "test", ".github")
"""Directories whose files no app reads."""

PROSE = (".md", ".rst")
"""Ends of the names of files that are read by people."""

WRITTEN = ("*.db", "*.db-*", "*.sqlite*", "*.log", "*.pid", "*.sock", "*.tmp", "*.bak", "*.swp", "*~")
"""Names of files that running writes, which change without being another program."""

PATIENCE = 30.0
"""Seconds in which an interpreter must have named its packages."""

NAME_ALL = """
import json
from importlib.metadata import distributions
found = {}
for one in distributions():
    head = (one.read_text("METADATA") or one.read_text("PKG-INFO") or "").split("\\n\\n", 1)[0]
    fields = {}
    for line in head.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), value.strip())
    if fields.get("name"):
        found[fields["name"]] = fields.get("version")
print(json.dumps(found))
"""
"""Reads the two fields only: parsing whole descriptions takes three times as long."""


def inputs_of(plan: Plan) -> Inputs | None:
    """What a plan reads now; None where it measures the twins alone, which are part of duel."""
    own = [arm for arm in plan.arms if arm.app_dirs and arm.url is None]
    if not own and plan.locustfile is None:
        return None
    here = Path.cwd()
    places = {Path(directory) for arm in own for directory in arm.app_dirs}
    places |= {Path(arm.cwd) if arm.cwd is not None else here for arm in own}
    if plan.locustfile is not None:
        places.add(Path(plan.locustfile.file).parent)
    return Inputs(
        directory=str(here),
        trees=tuple(trees(sorted(place.resolve() for place in places if place.is_dir()))),
        packages={python: packages(python) for python in {arm.python or sys.executable for arm in own}},
    )


def trees(places: Sequence[Path]) -> Iterator[TrackedFiles]:
    """The repositories that hold some directories; without those that git does not know."""
    found: dict[Path, list[Path]] = {}
    for place in places:
        try:
            found.setdefault(Path(git(place, "rev-parse", "--show-toplevel")), []).append(place)
        except PlanError:
            continue
    for root, several in found.items():
        directories = tuple(str(place.relative_to(root)) for place in several)
        try:
            commit = git(root, "rev-parse", "HEAD")
        except PlanError:
            continue  # nothing is committed yet
        yield TrackedFiles(
            root=str(root), commit=commit, directories=directories,
            modified=modified(root, commit, directories),
        )  # fmt: skip


def modified(root: Path, commit: str, directories: Sequence[str]) -> dict[str, str]:
    """By path, the digest of every tracked file of some directories that is not as in a commit. Raises
    PlanError."""
    words = ("diff", "--no-ext-diff", "--no-renames", "--name-only", "-z", commit, "--", *directories)
    return {path: digest(root / path) or "" for path in listed(git(root, *words)) if matters(path)}


def matters(path: str) -> bool:
    """Whether an app may read a tracked file."""
    *directories, name = path.split("/")
    written = any(fnmatchcase(name, pattern) for pattern in WRITTEN)
    apart = written or name.endswith(PROSE) or not name.isprintable()
    return not apart and not set(NO_PART) & set(directories)


@cache
def packages(python: str) -> Mapping[str, str]:
    """By name, the versions of what an interpreter has installed; empty where it cannot tell."""
    try:
        done = subprocess.run(
            [python, "-P", "-c", NAME_ALL], capture_output=True, text=True, timeout=PATIENCE, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return dict(sorted(json.loads(done.stdout).items()))
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def changed(then: Inputs, plan: Plan, data: Collection[str] = ()) -> str | None:
    """The first thing that is not as a run has read it; None where all is. `data`: paths that apps have
    written while they served."""
    served = [arm for arm in plan.arms if arm.app_dirs and arm.cwd is None and arm.url is None]
    if served and Path.cwd() != Path(then.directory):
        return f"it began in {then.directory}, where its apps are served; resume it there"
    for tree in then.trees:
        try:
            now = modified(Path(tree.root), tree.commit, tree.directories)
        except PlanError:
            return f"{tree.root} no longer holds commit {tree.commit[:12]}"
        different = sorted(
            path
            for path in {*now, *tree.modified}
            if now.get(path) != tree.modified.get(path) and str(Path(tree.root, path)) not in data
        )
        if different:
            more = f" and {len(different) - 1} more" if len(different) > 1 else ""
            return f"{Path(tree.root) / different[0]}{more}: not as it was"
    for python, versions in then.packages.items():
        packages.cache_clear()
        other = [name for name in versions if packages(python).get(name) != versions[name]]
        if other:
            here = packages(python).get(other[0], "not installed")
            return f"{other[0]} of {python} was {versions[other[0]]}, and is now {here}"
    return None
