"""The routes of one of the two apps, and which of them the table gives to it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

WEBSOCKET = "WEBSOCKET"
"""In place of a method, for a WebSocket, which has none."""

PARAMETER = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
"""In a path: its name, and its convertor if it has one."""

Match = Callable[[str], object]
"""Whether a path belongs to a route."""


class KnownRoute(NamedTuple):
    """A route of one of the two apps."""

    path: str
    """The whole path, as the app writes it."""
    endpoint: Any
    """What it calls; None for a line of the table of an app whose routes are not known."""
    methods: frozenset[str] | None
    """None: all."""
    named: frozenset[str] | None
    """The methods for which the table names it. None: all; empty: it is not in the table."""
    match: Match

    @property
    def literal(self) -> bool:
        """Whether it has no parameters."""
        return "{" not in self.path

    def suits(self, method: str) -> bool:
        return self.methods is None or method in self.methods

    def takes(self, method: str) -> bool:
        """Whether the table gives it to its app."""
        return self.named is None or method in self.named

    def at(self, path: str) -> KnownRoute:
        """The same at another path."""
        return self._replace(path=path, match=matcher(path))


def known_routes(
    found: Sequence[tuple[str, Any]], table: Sequence[tuple[str | None, str]]
) -> list[KnownRoute]:
    """The routes of an app, or the lines of the table where they are not known. Raises LookupError with the
    first line that names none."""
    named: dict[int, set[str | None]] = {}
    if not found:
        lines: dict[str, set[str | None]] = {}
        for method, path in table:
            lines.setdefault(path, set()).add(method)
        return [
            KnownRoute(path, None, None, None if None in methods else with_head(methods), matcher(path))
            for path, methods in lines.items()
        ]
    for method, path in table:
        suiting = [
            (number, known)
            for number, (known, route) in enumerate(found)
            if method is None or (methods := methods_of(route)) is None or method in methods
        ]
        mine = [number for number, known in suiting if plain(known) == plain(path)]
        mine = mine or [number for number, known in suiting if shape(known) == shape(path)]
        if not mine:
            raise LookupError(f"{method} {path}" if method else path)
        for number in mine:
            named.setdefault(number, set()).add(method)
    return [
        KnownRoute(
            path, getattr(route, "endpoint", None), methods_of(route),
            in_table(named.get(number, set()), methods_of(route)), matcher(path),
        )
        for number, (path, route) in enumerate(found)
    ]  # fmt: skip


def in_table(asked: set[str | None], methods: frozenset[str] | None) -> frozenset[str] | None:
    """The methods that a table's lines give to a route. `asked`: those they name, None for all."""
    if None in asked:
        return methods
    given = with_head(asked)
    return given if methods is None else given & methods


def with_head(methods: Iterable[str | None]) -> frozenset[str]:
    """HEAD belongs to GET."""
    found = frozenset(filter(None, methods))
    return found | {"HEAD"} if "GET" in found else found


def methods_of(route: Any) -> frozenset[str] | None:
    """The methods of a route; None: all."""
    if not hasattr(getattr(route, "original_route", route), "methods"):
        return frozenset({WEBSOCKET})
    return frozenset(route.methods) if route.methods else None


def entry(line: str) -> tuple[str | None, str]:
    """`GET /users/{id}` as its method, None for all, and its path."""
    method, _, path = line.rpartition(" ")
    return method or None, path


def plain(path: str) -> str:
    """A path without convertors."""
    return PARAMETER.sub(r"{\1}", path)


def shape(path: str) -> str:
    """A path whose parameters have no names."""
    return PARAMETER.sub("{}", path)


def matcher(path: str) -> Match:
    """As the app's router matches it, where that is Starlette's."""
    compiled = getattr(sys.modules.get("starlette.routing"), "compile_path", None)
    with suppress(Exception):
        if compiled is not None:
            found: Match = compiled(path)[0].match
            return found
    parts, end = [], 0
    for parameter in PARAMETER.finditer(path):
        parts += [re.escape(path[end : parameter.start()]), ".*" if parameter[2] == "path" else "[^/]+"]
        end = parameter.end()
    return re.compile("".join([*parts, re.escape(path[end:])]), re.DOTALL).fullmatch
