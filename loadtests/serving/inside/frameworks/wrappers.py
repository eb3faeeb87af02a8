"""ASGI apps below wrappers, however these hold them: attributes, closures, partials, containers, globals.

Nothing is called and no property is read: an object's own `__dict__` tells what it holds.
"""

from __future__ import annotations

import functools
import inspect
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType
from typing import Any

from .callables import LIBRARIES, cells, library, packages

APPS = {
    "Starlette": ("starlette", {"Starlette", "Router"}),
    "Litestar": ("litestar", {"Litestar"}),
    "Quart": ("quart", {"Quart"}),
    "Django": ("django", {"ASGIHandler"}),
}
"""Frameworks that are looked into, each with its package and the classes of its apps."""

MOST = 2000
"""Objects that a search looks at."""

DEPTH = 6

PLAIN = (str, bytes, int, float, bool, type(None), type, ModuleType)


@dataclass(frozen=True)
class Below:
    """An app of a framework, and the objects around it that are called first, the outermost first."""

    app: Any
    around: tuple[Any, ...]


def framework(app: Any) -> str | None:
    """The framework that an app belongs to; None where it is not known here."""
    for known, (package, classes) in APPS.items():
        if any(
            one.__name__ in classes and one.__module__.partition(".")[0] == package
            for one in type(app).__mro__
        ):
            return known
    return None


def search(root: Any) -> list[Below]:
    """The apps of known frameworks at the shortest way below `root`, which is none itself."""
    waiting: deque[tuple[Any, tuple[Any, ...]]] = deque([(root, ())])
    seen: set[int] = set()
    found = []
    while waiting and len(seen) < MOST:
        thing, around = waiting.popleft()
        if id(thing) in seen or isinstance(thing, PLAIN):
            continue
        seen.add(id(thing))
        if framework(thing) is not None:
            found.append(Below(thing, around))
        elif len(around) < DEPTH:
            outer = around if isinstance(thing, dict | list | tuple) else (*around, thing)
            waiting += [(held, outer) for held in holds(thing)]
    return [Below(one.app, tuple(filter(callable, one.around))) for one in found]


def holds(thing: Any) -> Iterator[Any]:
    """What an object holds by itself."""
    if isinstance(thing, dict):
        yield from list(thing.values())
    elif isinstance(thing, list | tuple):
        yield from thing
    elif isinstance(thing, functools.partial):
        yield from (thing.func, *thing.args, *thing.keywords.values())
    elif isinstance(thing, MethodType):
        yield thing.__self__
    elif isinstance(thing, FunctionType):
        yield from cells(thing)
        yield from vars(thing).values()
        yield from named(thing)
    else:
        yield from attributes(thing)
        method = inspect.getattr_static(type(thing), "__call__", None)
        if isinstance(method, FunctionType) and not library(method):
            yield from named(method)


def attributes(thing: Any) -> Iterator[Any]:
    """The values in an object's `__dict__` and slots."""
    yield from list(getattr(thing, "__dict__", {}).values())
    for kind in type(thing).__mro__:
        slots = vars(kind).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            member = vars(kind).get(slot)
            if inspect.ismemberdescriptor(member):
                try:
                    yield member.__get__(thing)
                except AttributeError:  # not assigned yet
                    continue


def named(function: FunctionType) -> Iterator[Any]:
    """The apps among the globals that a function of the app names."""
    if any(part in function.__code__.co_filename for part in LIBRARIES):
        return
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if value is not None and (framework(value) is not None or "asgi" in type(value).__name__.lower()):
            yield value


def sockets(thing: Any) -> Any:
    """The server of Socket.IO or Engine.IO that an object passes requests to; None for any other."""
    if packages(thing).isdisjoint({"socketio", "engineio"}):
        return None
    return getattr(thing, "__dict__", {}).get("engineio_server")
