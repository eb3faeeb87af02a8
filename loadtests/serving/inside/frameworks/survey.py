"""From an ASGI app to everything that its framework calls, through wrappers and mounts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from .callables import FRAMEWORKS, library, package, packages
from .django_urls import read_django
from .found import Facts, Found, Read, pattern
from .litestar_routes import read_litestar
from .quart_rules import read_quart
from .starlette_routes import read_starlette
from .wrappers import framework, search, sockets

READERS: Mapping[str, Callable[[Any, str, Found], None]] = {
    "Starlette": read_starlette, "Litestar": read_litestar, "Quart": read_quart, "Django": read_django,
}  # fmt: skip

HARMLESS = {"starlette.staticfiles", "fastapi.openapi"}
"""Modules of apps that wait in threads only."""

WSGI = {"starlette.middleware.wsgi": "app", "a2wsgi.wsgi": "app", "asgiref.wsgi": "wsgi_application"}
"""Modules whose objects call a WSGI app in a thread, and their attribute with that app."""


def describe(app: Any, home: Path, read: Read) -> Facts:
    """What is called in `app`, whose own code lies in `home`, and what is not read."""
    found = Found(home, read, survey)
    survey(app, "", found)
    return found.as_dict()


def survey(app: Any, prefix: str, found: Found) -> None:
    """Adds what lies in an app below a prefix of paths."""
    if (id(app), prefix) in found.seen or id(app) in found.within:
        return  # what is mounted may refer to the app that it is mounted in
    found.seen.add((id(app), prefix))
    found.within.append(id(app))
    try:
        surveyed(app, prefix, found)
    finally:
        found.within.pop()


def surveyed(app: Any, prefix: str, found: Found) -> None:
    """As above, for an app that is not being surveyed."""
    known = framework(app)
    if known is not None:
        found.frameworks.setdefault("FastAPI" if "fastapi" in packages(app) else known)
        READERS[known](app, prefix, found)
        return
    below = search(app)
    for one in dict.fromkeys((app, *(wrapper for way in below for wrapper in way.around))):
        wrapped(one, prefix, found, bool(below))
    for one in below:
        survey(one.app, prefix, found)


def wrapped(wrapper: Any, prefix: str, found: Found, holds: bool) -> None:
    """A wrapper, or an app without a framework: the app's own is read, any other is named. `holds`: whether
    there are apps below it."""
    server, module = sockets(wrapper), type(wrapper).__module__
    if server is not None:
        events(server, prefix, found)
    elif module in WSGI and WSGI[module] in vars(wrapper):
        below = found.called(vars(wrapper)[WSGI[module]], runs="thread")
        found.routes.append({**below, "path": prefix + "/*", "methods": ["WSGI"]})
    elif not library(wrapper) and holds:
        found.in_front(wrapper, pattern(prefix))
    elif not library(wrapper):
        found.routes.append(
            {**found.called(wrapper, runs="loop"), "path": prefix + "/*", "methods": ["ASGI"]}
        )
    elif module not in HARMLESS and not (holds and package(wrapper) in FRAMEWORKS):
        found.unread.append(found.unknown(wrapper, "library" if holds else "framework"))


def events(server: Any, prefix: str, found: Found) -> None:
    """Socket.IO's handlers of events: called on the loop, coroutines or not."""
    held = vars(server)
    for space, handlers in dict(held.get("handlers", {})).items():
        for event, handler in handlers.items():
            path = f"{prefix}{space} {event}"
            found.routes.append({**found.called(handler, runs="loop"), "path": path, "methods": ["EVENT"]})
    for space, handler in dict(held.get("namespace_handlers", {})).items():
        kind = type(handler)
        for name in (one for one in dir(kind) if one.startswith("on_")):
            method = getattr(kind, name)
            if not library(method):
                path = f"{prefix}{space} {name.removeprefix('on_')}"
                bound = MethodType(method, handler) if isinstance(method, FunctionType) else method
                found.routes.append({**found.called(bound, runs="loop"), "path": path, "methods": ["EVENT"]})
