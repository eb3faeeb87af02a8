"""Routes as an app has them, `/items/{item_id}`, and the paths that belong to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

PARAMETER = re.compile(r"\{[^{}:]*(?::([^{}]*))?\}")
"""In a route, with its convertor if it has one."""

CONVERTORS = {"int": "[0-9]+", "float": r"[0-9]+(?:\.[0-9]+)?", "path": ".*", "uuid": "[0-9a-fA-F-]+"}
"""What a parameter matches, by its convertor; others, and those without one, match a segment."""

ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def is_path(name: str) -> bool:
    """Whether a name is what was requested, and not chosen by people."""
    return name.startswith("/") or ORIGIN.match(name) is not None


def without_query(name: str) -> str:
    """The path of a URL; a chosen name as it is."""
    return re.split(r"[?#]", ORIGIN.sub("", name, count=1), maxsplit=1)[0] or "/" if is_path(name) else name


def matcher(routes: Iterable[str]) -> Callable[[str], str | None]:
    """Which of the routes a path belongs to: the first that matches, as in an app; None: to none."""
    known = list(dict.fromkeys(routes))
    exact = set(known)
    # One expression with a group for each: a loop over routes would take a hundred times as long.
    every = re.compile("|".join(f"({pattern(route)})" for route in known) or r"(?!)", re.DOTALL)

    def match(path: str) -> str | None:
        if path in exact:
            return path
        found = every.fullmatch(path)
        return known[found.lastindex - 1] if found is not None and found.lastindex else None

    return match


def pattern(route: str) -> str:
    """The regular expression of a route, without groups."""
    parts, end = [], 0
    for parameter in PARAMETER.finditer(route):
        parts += [re.escape(route[end : parameter.start()]), CONVERTORS.get(parameter[1] or "", "[^/]+")]
        end = parameter.end()
    return "".join([*parts, re.escape(route[end:])])
