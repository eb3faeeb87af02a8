"""Which files an app's modules come from, and imports led from one tree of files into another.

Runs in the app's own process, beside serve.py, and needs only the standard library.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

INSTALLED = ("site-packages", "dist-packages")
"""Directories of installed packages: not the code of a repository that holds them."""

MAIN = ("__main__", "__mp_main__")
"""The server itself."""

BESIDE = "duel_"
"""Start of the names under which the server loads modules of its own, which lie beside this one."""


class Redirect:
    """A finder before all others: modules that they find in the tree `root` are imported from the same place
    in the tree `there`, if they exist in it.

    It covers path entries that are added later, and the finders of editable installs.
    """

    def __init__(self, root: str, there: str) -> None:
        self.root, self.there = Path(os.path.realpath(root)), Path(os.path.realpath(there))

    def install(self) -> None:
        sys.path[:] = map(self.moved, sys.path)
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return self.moved_spec(spec)
        return None

    def moved_spec(self, spec: importlib.machinery.ModuleSpec) -> importlib.machinery.ModuleSpec:
        """The spec of the same module in the other tree."""
        places = spec.submodule_search_locations
        moved = None if places is None else [self.moved(place) for place in places]
        if spec.has_location and spec.origin is not None:
            origin = self.moved(spec.origin)
            if origin == spec.origin:
                return spec
            found = importlib.util.spec_from_file_location(
                spec.name, origin, submodule_search_locations=moved
            )
            return found or spec
        if places is None or moved == list(places):
            return spec
        namespace = importlib.machinery.ModuleSpec(spec.name, None, is_package=True)
        namespace.submodule_search_locations = moved
        return namespace

    def moved(self, path: str) -> str:
        """A path of `root` in the other tree; itself if it is outside of `root`, or not in that tree."""
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.root) or real.is_relative_to(self.there):
            return path
        inside = real.relative_to(self.root)
        there = self.there / inside
        return path if installed(inside) or not there.exists() else str(there)


def installed(path: Path) -> bool:
    """Whether a path is that of an installed package."""
    return any(part in INSTALLED for part in path.parts)


def modules() -> dict[str, list[str]]:
    """The paths of every imported module by its name, without the standard library: its file, or the
    directories of a package without one."""
    library = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
    found = {}
    for name, module in sys.modules.copy().items():
        paths = [path for path in paths_of(module) if os.path.isabs(path)]
        ours = [path for path in paths if installed(Path(path)) or not path.startswith(library)]
        if ours and not of_the_server(name, ours):
            found[name] = ours
    return found


def of_the_server(name: str, paths: Sequence[str]) -> bool:
    """Whether a module is one of the server's own, in the working tree for every arm. An app's own module may
    have a name that begins likewise."""
    here = os.path.dirname(__file__) + os.sep
    return name in MAIN or (name.startswith(BESIDE) and all(path.startswith(here) for path in paths))


def paths_of(module: Any) -> Iterator[str]:
    """Without `getattr`, which may import something."""
    known = getattr(module, "__dict__", {})
    file = known.get("__file__") or getattr(known.get("__spec__"), "origin", None)
    places = [file] if file is not None else list(known.get("__path__") or ())
    yield from (place for place in places if isinstance(place, str))
