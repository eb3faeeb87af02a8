"""What Starlette and FastAPI call: routes and dependencies, classes, sockets, middleware, handlers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any

from .callables import (
    FRAMEWORKS,
    closures,
    frameworks_own,
    innermost,
    library,
    own_methods,
    package,
    packages,
    written_in,
)
from .dependencies import Overrides, dependencies, needs
from .found import Facts, Found, pattern

SOCKET = ("on_connect", "on_receive", "on_disconnect")


MOST_ROUTERS = 300
"""Routers of one app: each that is included adds a function around the lifespan."""


def read_starlette(app: Any, prefix: str, found: Found) -> None:
    """Adds what an app, or a router, calls."""
    held = vars(app)
    for one in held.get("user_middleware", ()):
        listed(one, pattern(prefix), found)
    if "user_middleware" not in held:  # a router has made its own
        through(held.get("middleware_stack"), pattern(prefix), found)
    for caught, handler in held.get("exception_handlers", {}).items():
        if not frameworks_own(handler):
            found.handlers.append(
                {**found.called(handler), "catches": shown(caught), "before": pattern(prefix)}
            )
    if not prefix:  # Starlette runs no lifespan of a mounted app
        startup(app, found)
    for route in contexts(app):
        described(route, prefix, found, held.get("dependency_overrides", {}))


def startup(app: Any, found: Found) -> None:
    """What runs while the app starts and stops."""
    router = getattr(app, "router", app)
    calls = (getattr(router, "lifespan_context", None),
             *getattr(router, "on_startup", ()), *getattr(router, "on_shutdown", ()))  # fmt: skip
    for call in calls:
        # FastAPI keeps the lifespans of an app and its routers in the closures of its own, one in another.
        merged = closures(innermost(call), None, MOST_ROUTERS) if callable(call) else ()
        written = dict.fromkeys(
            innermost(one) for one in (call, *merged) if callable(one) and not library(one)
        )
        found.lifespan += [found.called(one, runs="loop") for one in written]


def contexts(app: Any) -> Sequence[Any]:
    """An app's routes with their prefixes: since FastAPI 0.137 they are a tree."""
    try:
        from fastapi.routing import iter_route_contexts  # noqa: PLC0415  # the app may do without FastAPI
    except ImportError:
        return list(app.routes)
    return list(iter_route_contexts(app.routes))


def listed(middleware: Any, paths: str, found: Found) -> None:
    """Middleware as an app lists it: a class or a factory, and what it is made with."""
    kind = middleware.cls
    options = {**getattr(middleware, "kwargs", {}), **getattr(middleware, "options", {})}
    given = [*getattr(middleware, "args", ()), *options.values()]
    if inspect.isroutine(kind) and not library(kind):
        written = list(written_in(kind))
        for function in written:
            found.in_front(function, paths)
        found.unread += [] if written else [found.unknown(kind, "run-time")]
    elif not inspect.isclass(kind):
        found.unread.append(found.unknown(kind, "run-time"))
    elif library(kind):
        found.unread += [found.unknown(kind, "library")] if package(kind) not in FRAMEWORKS else []
        for one in given:
            if inspect.isroutine(one) and not library(one):
                found.in_front(one, paths)
            elif not inspect.isclass(one) and not inspect.isroutine(one) and not library(one):
                for method in own_methods(type(one)):
                    found.in_front(MethodType(method, one), paths)
    else:
        for method in entered(kind):
            found.in_front(method, paths, kind, options)


def entered(kind: type) -> Iterator[Any]:
    """The methods of a middleware's class that are called for a request, if they are the app's own."""
    for name in ("__call__", "dispatch") if base(kind) else ("__call__",):
        method = inspect.getattr_static(kind, name, None)
        if isinstance(method, FunctionType) and not library(method):
            yield method


def base(kind: type) -> bool:
    return any(one.__name__ == "BaseHTTPMiddleware" for one in kind.__mro__)


def described(route: Any, prefix: str, found: Found, overrides: Overrides) -> None:
    """Adds a route, or what is mounted there."""
    endpoint = getattr(route, "endpoint", None)
    original = getattr(route, "original_route", route)
    path = prefix + str(getattr(route, "path", None) or getattr(original, "path", ""))
    app = getattr(original, "app", None)
    if endpoint is None:
        if app is not None:
            found.survey(app, path, found)
        return
    if not callable(endpoint) or frameworks_own(endpoint):
        return  # FastAPI's own pages
    around(app, endpoint, path, found)
    dependant = getattr(route, "dependant", None)
    field = getattr(route, "response_field", None)
    model = getattr(route, "response_model", None) if field is not None else None
    shared = {
        "path": path,
        "dependencies": dependencies(dependant, found, overrides),
        "needs": needs(dependant, overrides),
        "response_model": None if model is None else getattr(model, "__name__", None) or str(model),
    }
    found.routes += [{**one, **shared} for one in answers(route, original, endpoint, found)]


def answers(route: Any, original: Any, endpoint: Any, found: Found) -> Iterator[Facts]:
    """The functions that answer below a path, each with its methods."""
    methods = sorted(getattr(route, "methods", None) or ())
    socket = any("WebSocketRoute" in one.__name__ for one in type(original).__mro__)
    if not inspect.isclass(endpoint):
        # A route without methods has an ASGI app in its place.
        told = ["WEBSOCKET"] if socket else methods or ["ASGI"]
        yield {**found.called(endpoint, runs="loop" if socket or not methods else None), "methods": told}
        return
    if socket:
        written = [inspect.getattr_static(endpoint, one, None) for one in SOCKET]
        own = [one for one in written if isinstance(one, FunctionType) and not library(one)]
        called = (found.called(method, "loop", endpoint) for method in own)
        yield from ({**one, "methods": ["WEBSOCKET"]} for one in called)
    elif "starlette" in packages(endpoint):
        yield from found.methods(endpoint)
    else:
        found.unread.append(found.unknown(endpoint, "run-time"))


def around(app: Any, endpoint: Any, path: str, found: Found) -> None:
    """What is called in front of one route: its own middleware, and functions that its class wraps around
    the handler."""
    handler = through(app, path, found) if app is not endpoint else None
    for function in dict.fromkeys(closures(handler, endpoint)):
        if not library(function):
            found.in_front(function, path)


def through(app: Any, paths: str, found: Found) -> Any:
    """Adds the objects of middleware around something, which it returns."""
    while not inspect.isroutine(app) and not inspect.isclass(app) and "app" in getattr(app, "__dict__", {}):
        if not library(app):
            # Not the object itself: what its `app` does would be read as its own.
            held = {name: one for name, one in vars(app).items() if name != "app"}
            for method in entered(type(app)):
                found.in_front(method, paths, type(app), held)
        app = vars(app)["app"]
    return app


def shown(caught: Any) -> str:
    """An exception, or a status."""
    return getattr(caught, "__name__", None) or str(caught)
