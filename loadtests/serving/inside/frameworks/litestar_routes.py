"""What Litestar calls: handlers and their dependencies; hooks, guards and middleware by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .callables import library
from .found import Facts, Found


def read_litestar(app: Any, prefix: str, found: Found) -> None:
    """Adds what an app calls."""
    for route in app.routes:
        handlers = getattr(route, "route_handlers", None) or [getattr(route, "route_handler", None)]
        for handler in handlers:
            if handler is not None and not library(function(handler)):
                found.routes.append(described(route, handler, prefix, found))
    for kind in ("middleware", "guards", "before_request", "after_request", "after_response"):
        listed = getattr(app, kind, None) or []
        for one in listed if isinstance(listed, list | tuple) else [listed]:
            if not library(one):
                found.unread.append(found.unknown(one, "framework"))
    for caught, handler in (getattr(app, "exception_handlers", None) or {}).items():
        if not library(handler):
            word = getattr(caught, "__name__", None) or str(caught)
            found.handlers.append({**found.called(handler, runs="loop"), "catches": word, "before": prefix})


def described(route: Any, handler: Any, prefix: str, found: Found) -> Facts:
    """A handler: a plain function runs on the loop unless it asks for a thread."""
    methods = sorted(map(str, getattr(handler, "http_methods", None) or ()))
    kind = type(handler).__name__.lower()
    return {
        **found.called(function(handler), runs=where(handler)),
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
        call = getattr(one, "dependency", one)
        if callable(call) and not library(call):
            yield {**found.called(call, runs=where(one)), "may_be_def": False}


def function(handler: Any) -> Any:
    """The function below a handler."""
    fn = getattr(handler, "fn", None)
    return getattr(fn, "value", fn)


def where(handler: Any) -> str:
    threads = bool(getattr(handler, "sync_to_thread", False))
    return "thread" if threads else "loop"
