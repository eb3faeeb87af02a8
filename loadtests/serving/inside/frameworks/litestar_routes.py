"""What Litestar calls: handlers, their dependencies, hooks, guards, middleware, handlers of exceptions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from .callables import closures, frameworks_own, library
from .found import Facts, Found, pattern

HOOKS = ("guards", "before_request", "after_request")


def read_litestar(app: Any, prefix: str, found: Found) -> None:
    """Adds what an app calls."""
    layers = {id(app): (app, pattern(prefix))}
    for route in app.routes:
        handlers = getattr(route, "route_handlers", None) or [getattr(route, "route_handler", None)]
        for handler in handlers:
            if handler is None or frameworks_own(below(handler)[0]):
                continue
            described_as = described(route, handler, prefix, found)
            found.routes.append(described_as)
            for layer in getattr(handler, "ownership_layers", ()):
                layers.setdefault(id(layer), (layer, described_as["path"]))
    for layer, path in layers.values():
        hooks(layer, path, found)
    for caught, handler in (getattr(app, "exception_handlers", None) or {}).items():
        if not library(handler):
            word = getattr(caught, "__name__", None) or str(caught)
            facts = {**found.called(handler, runs="loop"), "may_be_def": False}
            found.handlers.append({**facts, "catches": word, "before": pattern(prefix)})


def hooks(layer: Any, paths: str, found: Found) -> None:
    """Adds what is called around the handlers of an app, a router, a controller or a single handler."""
    for hook in HOOKS:
        for one in listed(layer, hook):
            call, runs = below(one)
            if not library(call):
                found.middleware.append({**found.called(call, runs), "before": paths})
    for one in listed(layer, "middleware"):
        in_front(getattr(one, "middleware", one), paths, found)


def listed(app: Any, attribute: str) -> list[Any]:
    """What an app has one or several of."""
    held = getattr(app, attribute, None)
    if held is None:
        return []
    return list(held) if isinstance(held, list | tuple) else [held]


def in_front(middleware: Any, paths: str, found: Found) -> None:
    """A class of middleware is read; what a factory makes is named."""
    method = inspect.getattr_static(middleware, "__call__", None) if inspect.isclass(middleware) else None
    # Litestar wraps the method in a function of its own.
    written = [
        one for one in (method, *closures(method, None)) if isinstance(one, FunctionType) and not library(one)
    ]
    if written:
        found.in_front(written[0], paths, middleware)
    else:
        found.unread.append(found.unknown(middleware, "library" if library(middleware) else "run-time"))


def described(route: Any, handler: Any, prefix: str, found: Found) -> Facts:
    """A handler: a plain function runs on the loop unless it asks for a thread."""
    methods = sorted(map(str, getattr(handler, "http_methods", None) or ()))
    kind = type(handler).__name__.lower()
    return {
        **found.called(*below(handler)),
        "may_be_def": False,
        "path": prefix + str(getattr(route, "path", "")),
        "methods": methods or ["WEBSOCKET" if "websocket" in kind else "ASGI"],
        "dependencies": list(provided(handler, found)),
    }


def provided(handler: Any, found: Found) -> Iterator[Facts]:
    """What is called for the handler's parameters."""
    resolve = getattr(handler, "resolve_dependencies", None)
    try:
        known = resolve() if resolve is not None else {}
    except TypeError:  # since Litestar 3 it is an attribute
        known = getattr(handler, "dependencies", {})
    for one in known.values():
        call, runs = below(one)
        if callable(call) and not library(call):
            yield {**found.called(call, runs), "may_be_def": False}


def below(one: Any) -> tuple[Any, str]:
    """The function below a handler, a dependency or a hook, and where it runs."""
    call = getattr(one, "fn", None) or getattr(one, "dependency", None) or one
    call = getattr(call, "value", call)
    threads = type(call).__name__ == "AsyncCallable"
    return (call.func, "thread") if threads else (call, "loop")
