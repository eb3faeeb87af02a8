"""Two apps, loaded and joined."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from .app import HybridApp, JoinedApp
from .known import methods_of

SHOWN = 10
"""Routes of an app that an error lists."""


def join(
    app: Any, app_dir: str | None, told: Mapping[str, Any], loading: ModuleType, routes: ModuleType
) -> HybridApp:
    """An arm's own app, from `app_dir`, and the one that `told` names: see `Hybrid` in plan/arms.py.
    `loading` and `routes` are the files beside this package. Raises UnusableApp, and whatever importing
    raises."""
    name, default = told["arms"]
    if told["app_dir"] not in sys.path:
        sys.path.insert(0, told["app_dir"])
    try:
        other = loading.load(told["app"])
    finally:
        both = mixed(app_dir or "", told["app_dir"])
        if both is not None:
            raise loading.UnusableApp(
                f"arms {name!r} and {default!r} each have a module {both!r}: one process cannot import both",
                "rename one of them, or measure the arms without a hybrid",
            )
    joined = []
    for arm, one, table in ((default, app, told["rest"]), (name, other, told["routes"])):
        found = routes.routes(one)
        try:
            joined.append(JoinedApp(one, loading.interface(one), found, table))
        except LookupError as missing:
            raise loading.UnusableApp(
                f"the app of arm {arm!r} has no route {missing.args[0]}", hint(missing.args[0], found)
            ) from None
    return HybridApp(*joined)


def mixed(one: str, other: str) -> str | None:
    """The first module that was imported from one of two directories and is in the other one, too."""
    here, there = (os.path.join(os.path.realpath(directory), "") for directory in (one, other))
    if here == there:
        return None
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if "." in name or not isinstance(file, str):
            continue
        for mine, theirs in ((here, there), (there, here)):
            same = (Path(theirs, f"{name}.py"), Path(theirs, name, "__init__.py"))
            imported = os.path.realpath(file)
            if imported.startswith(mine) and any(
                path.is_file() and os.path.realpath(path) != imported for path in same
            ):
                return name
    return None


def hint(missing: str, found: Sequence[tuple[str, Any]]) -> str:
    """What to name in place of a route that an app does not have."""
    several = dict.fromkeys(path for path, _ in found)
    lines = [*several, *(f"{method} {path}" for path, route in found for method in methods_of(route) or ())]
    near = get_close_matches(missing, lines, 1)
    shown = [*list(several)[:SHOWN], *(["…"] if len(several) > SHOWN else [])]
    return f"did you mean {near[0]}?" if near else f"its routes: {', '.join(shown)}"
