"""What is found in an app: plain data, and the marks that a function leaves in it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

from .callables import (
    awaits,
    callee,
    frameworks_own,
    innermost,
    library,
    name,
    package,
    place,
    style,
    unpartial,
)
from .sessions import session

Facts = dict[str, Any]

Read = Callable[[Any, Path, type | None, Mapping[str, Any]], Mapping[str, Any]]
"""Reads a function, a method with its class and what that is made with: `blocks`, `unread`, `pieces` and
`looked_into`."""

UNGIVEN: Mapping[str, Any] = {}

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY")

NOTHING: Mapping[str, Any] = {"blocks": [], "unread": [], "pieces": [], "looked_into": 0}


@dataclass
class Found:
    """Everything that a framework calls in an app."""

    home: Path
    read: Read
    survey: Callable[[Any, str, Found], None]
    """Adds what lies in an app below a prefix."""
    routes: list[Facts] = field(default_factory=list)
    middleware: list[Facts] = field(default_factory=list)
    handlers: list[Facts] = field(default_factory=list)
    lifespan: list[Facts] = field(default_factory=list)
    unread: list[Facts] = field(default_factory=list)
    frameworks: dict[str, None] = field(default_factory=dict)
    seen: set[tuple[int, str]] = field(default_factory=set)
    known: dict[tuple[Any, ...], tuple[Any, Mapping[str, Any]]] = field(default_factory=dict)
    within: list[int] = field(default_factory=list)
    """Identities of the apps that are being surveyed, the outermost first."""

    def as_dict(self) -> Facts:
        parts = ("routes", "middleware", "handlers", "lifespan", "unread")
        return {"frameworks": list(self.frameworks), **{part: getattr(self, part) for part in parts}}

    def called(
        self, function: Any, runs: str | None = None, owner: type | None = None,
        given: Mapping[str, Any] = UNGIVEN,
    ) -> Facts:  # fmt: skip
        """A function that a framework calls. `runs`: where it runs, unless its style says so; `owner`: of a
        method the class, whose objects are made with `given`."""
        kind = style(function)
        where = runs or ("loop" if kind.startswith("async") else "thread")
        plain = innermost(function)
        file, line = place(plain, self.home)
        foreign = library(function)
        holds, connects = session(plain)
        return {
            "name": name(function),
            "style": kind,
            "runs": where,
            "file": file,
            "line": line,
            "awaits": awaits(function),
            "library": foreign,
            "session": holds,
            "connects": connects,
            **(self.foreign(function, where) if foreign else self.read_once(function, owner, given)),
        }

    def read_once(self, function: Any, owner: type | None, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is read of a function: most dependencies are those of many routes."""
        key = (id(function), owner, *map(id, given.values()))
        if key not in self.known:
            # With the function: an identity is known as long as its object lives.
            held = (function, *given.values())
            self.known[key] = held, self.read(readable(function), self.home, owner, given)
        return self.known[key][1]

    def foreign(self, function: Any, where: str) -> Mapping[str, Any]:
        """A library's function is not read, which is told where it runs on the loop."""
        if where == "thread" or frameworks_own(function):
            return NOTHING
        return {**NOTHING, "unread": [self.unknown(function, "library")]}

    def unknown(self, thing: Any, why: str) -> Facts:
        """Something that is not read. `why`: library, framework, run-time or no-source."""
        known = inspect.isroutine(unpartial(thing)) or inspect.isclass(thing)
        own = name(thing) if known else type(thing).__qualname__
        if library(thing):
            return {"name": f"{package(thing)}.{own}", "file": None, "line": None, "why": why}
        file, line = place(innermost(thing), self.home)
        return {"name": own, "file": file, "line": line, "why": why}

    def methods(self, kind: type) -> Iterator[Facts]:
        """The methods of a class of the app that answer requests, each as a route without its path."""
        for method in METHODS:
            function = inspect.getattr_static(kind, method.lower(), None)
            if isinstance(function, FunctionType) and not library(function):
                yield {**self.called(function, owner=kind), "methods": [method]}

    def in_front(
        self, function: Any, paths: str, owner: type | None = None, given: Mapping[str, Any] = UNGIVEN
    ) -> None:
        """Adds middleware: it runs on the loop, even as a plain function that returns a coroutine."""
        if frameworks_own(function):
            return
        self.middleware.append({**self.called(function, "loop", owner, given), "before": paths})


def pattern(prefix: str) -> str:
    """The paths below a prefix; "" for all of an app's."""
    return f"{prefix}/*" if prefix else ""


def readable(function: Any) -> Any:
    """What is read of a callable: of a class what makes its objects."""
    found = callee(function)
    return inspect.getattr_static(found, "__init__") if inspect.isclass(found) else found
