"""Whether an arm's modules are those of its own version, by the paths that the server reports."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from loadtests.errors import ChildFailed, PlanError
from loadtests.plan.arms import Arm
from loadtests.records.files import digest
from loadtests.serving.checkout import BaseCheckout

Modules = Mapping[str, Sequence[str]]
"""By module, its file, or the directories of a package without one."""


@dataclass(frozen=True)
class Version:
    """The tree of files that an arm's modules must come from, and the other side's."""

    tree: Path
    other: Path
    app_dir: Path

    @classmethod
    def of(cls, arm: Arm, checkout: BaseCheckout) -> Version:
        """`arm`: as it is served."""
        head = Path(checkout.base.repository).resolve()
        tree, other = (checkout.path, head) if arm.name in checkout.arms else (head, checkout.path)
        return cls(tree, other, Path(arm.app_dir or tree).resolve())

    def check(self, arm: Arm, modules: Modules) -> None:
        """Raises ChildFailed with the first module that is another version's: the sides would be equal."""
        own = arm.app.partition(":")[0]
        # The app's own module first: its remedy is the likeliest.
        for name, paths in sorted(modules.items(), key=lambda found: (found[0] != own, found[0])):
            for path in map(Path.resolve, map(Path, paths)):
                if self.holds(path):
                    continue
                place = self.place_of(name, path)
                if place is not None or name == own or self.is_others(path):
                    raise ChildFailed(
                        "it is another version",
                        cause=f"module {name} was imported from {path} instead of {self.tree}",
                        hint=MISSING if place is None else remedy(place),
                    )

    def holds(self, path: Path) -> bool:
        """Whether a path is this version's, not an installed copy's."""
        if not path.is_relative_to(self.tree) or self.nested(path):
            return False
        return not installed(path.relative_to(self.tree))

    def is_others(self, path: Path) -> bool:
        """Whether a path is the other version's, not an installed package's."""
        return path.is_relative_to(self.other) and not installed(path.relative_to(self.other))

    def nested(self, path: Path) -> bool:
        """Whether a path in this tree is in the other one, which is inside of it."""
        return self.other.is_relative_to(self.tree) and path.is_relative_to(self.other)

    def place_of(self, name: str, path: Path) -> Path | None:
        """The directory, relative to the tree, that holds a module which was imported from `path`."""
        top, _, deeper = name.partition(".")
        if top in sys.stdlib_module_names:
            return None
        for place in dict.fromkeys((self.app_dir, self.tree / "src", self.tree)):
            # A single file at the root, such as a tool's configuration, may have a library's name.
            if place == self.tree != self.app_dir and not deeper and not (place / top).is_dir():
                continue
            stem = place.joinpath(*name.split("."))
            for file in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
                if file.is_file() and file.resolve() != path and file.is_relative_to(self.tree):
                    return place.relative_to(self.tree)
        return None


MISSING = (
    "git tracks no such module of this version: commit it, name the app's directory (--app-dir), or make "
    "the module in the working directory with --before-trial"
)


def remedy(place: Path) -> str:
    return (
        f"put the repository's modules first, with --app-dir {place} or PYTHONPATH={place}; or install "
        "the base into an environment of its own, and pass --base-python PATH"
    )


def installed(path: Path) -> bool:
    """Whether a path is that of an installed package, whose version says enough; as in inside/origins.py."""
    return any(part in ("site-packages", "dist-packages") for part in path.parts)


TASK_QUEUES = frozenset(
    {
        "aio_pika", "aiokafka", "arq", "celery", "confluent_kafka", "dramatiq", "huey", "kafka", "kombu",
        "nats", "pika", "procrastinate", "rq", "saq", "taskiq",
    }
)  # fmt: skip
"""Packages by which an app hands work to processes that are not its children."""


@dataclass(frozen=True)
class LoadedCode:
    """What a server of an arm has imported, by real paths: a link to a directory is no other code."""

    app: str
    named: str
    """The directory that the arm names."""
    own: Path
    """The file of the app's module."""
    files: frozenset[Path]
    """All files, without installed packages."""

    @classmethod
    def by(cls, app: str, directory: str, own: str, modules: Modules) -> Self:
        files = {Path(os.path.realpath(path)) for paths in modules.values() for path in paths}
        first = Path(os.path.realpath(modules[own][0]))
        kept = frozenset(file for file in files if not installed(file))
        return cls(app, directory, first, kept)

    def shared_with(self, other: Self) -> Path | None:
        """A file that shows that two arms of different directories serve the same code; None without one."""
        if self.app != other.app or self.named == other.named:
            return None
        if self.own == other.own:
            return self.own
        one, two = (Path(os.path.realpath(named)) for named in (self.named, other.named))
        if one.is_relative_to(two) or two.is_relative_to(one):
            return None  # one may use what lies around it
        mine = (file for file in self.files if file.is_relative_to(two))
        theirs = (file for file in other.files if file.is_relative_to(one))
        return next(iter(sorted([*mine, *theirs])), None)


class Sources:
    """Digests of the files that the arms' modules were imported from, by path, without installed packages."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.task_queues: dict[str, tuple[str, ...]] = {}
        """By arm, those of TASK_QUEUES that it imports; without arms that import none."""
        self.origins: dict[str, str] = {}
        """By arm, the file that its own module was imported from."""
        self.loaded: dict[str, LoadedCode] = {}
        """By arm, what it has loaded from where."""

    def told(self) -> dict[str, Any]:
        """What a run records of them."""
        return {
            "sources": {**self.digests}, "task_queues": {**self.task_queues}, "origins": {**self.origins}
        }  # fmt: skip

    def note_origin(self, arm: Arm, modules: Modules) -> None:
        """Where an arm's own module was imported from. Raises PlanError where arms that name different
        directories have imported the same code, from one file or from the directory of one of them: the
        difference has no effect."""
        own = arm.app.partition(":")[0]
        file = next(iter(modules.get(own, ())), None)
        if file is None or arm.app_dir is None or arm.revision is not None:
            return
        mine = LoadedCode.by(arm.app, arm.app_dir, own, modules)
        self.origins[arm.name], self.loaded[arm.name] = str(mine.own), mine
        for other, theirs in self.loaded.items():
            shared = mine.shared_with(theirs)
            if shared is not None:
                raise PlanError(
                    f"arms {other!r} and {arm.name!r} name different directories and serve the same code",
                    cause=f"one of them imported {shared} from elsewhere",
                    hint=f"an installed copy of {own.partition('.')[0]} comes first: uninstall it, or give "
                    "each arm an environment of its own (python=PATH); to measure one code twice, describe "
                    "both arms alike",
                )

    def note_task_queues(self, arm: Arm, modules: Modules) -> None:
        found = tuple(sorted(TASK_QUEUES & modules.keys()))
        if found:
            self.task_queues[arm.name] = found

    def note(self, arm: Arm, modules: Modules) -> None:
        """Raises ChildFailed where a file is another one than an earlier server imported."""
        files = (Path(path) for paths in modules.values() for path in paths)
        for file in files:
            if installed(file):
                continue
            found, path = digest(file), str(file)
            if found is not None and self.digests.setdefault(path, found) != found:
                raise ChildFailed(
                    f"the app of arm {arm.name!r} changed while it was measured",
                    cause=path,
                    hint="restore it and resume the run, or start a new one",
                )
