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

Read = Callable[[Any, Path], Mapping[str, Any]]
"""Reads a function: `blocks`, `unread`, `pieces` and `looked_into`."""

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
    known: dict[int, tuple[Any, Mapping[str, Any]]] = field(default_factory=dict)
    within: list[int] = field(default_factory=list)
    """Identities of the apps that are being surveyed, the outermost first."""

    def as_dict(self) -> Facts:
        parts = ("routes", "middleware", "handlers", "lifespan", "unread")
        return {"frameworks": list(self.frameworks), **{part: getattr(self, part) for part in parts}}

    def called(self, function: Any, runs: str | None = None) -> Facts:
        """A function that a framework calls. `runs`: where it runs, unless its style says so."""
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
            **(self.foreign(function, where) if foreign else self.read_once(function)),
        }

    def read_once(self, function: Any) -> Mapping[str, Any]:
        """What is read of a function: most dependencies are those of many routes."""
        if id(function) not in self.known:
            # With the function: an identity is known as long as its object lives.
            self.known[id(function)] = function, self.read(readable(function), self.home)
        return self.known[id(function)][1]

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
                yield {**self.called(function), "methods": [method]}

    def in_front(self, function: Any, paths: str) -> None:
        """Adds middleware: it runs on the loop, even as a plain function that returns a coroutine."""
        if frameworks_own(function):
            return
        self.middleware.append({**self.called(function, runs="loop"), "before": paths})


def pattern(prefix: str) -> str:
    """The paths below a prefix; "" for all of an app's."""
    return f"{prefix}/*" if prefix else ""


def readable(function: Any) -> Any:
    """What is read of a callable: of a class what makes its objects."""
    found = callee(function)
    return inspect.getattr_static(found, "__init__") if inspect.isclass(found) else found
