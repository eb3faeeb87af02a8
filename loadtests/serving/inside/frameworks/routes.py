"""An app's routes: their paths, by which requests without a name are grouped, and where their code is."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Any

from .wrappers import search

MOST = 2_000
"""Routes that are told."""

DEEPEST = 10
"""Apps that are mounted in one another, or wrapped around it."""


def paths(app: Any) -> list[str]:
    """As `/items/{item_id}`, in the order in which the app tries them; none where they are not known."""
    return list(dict.fromkeys(path for path, _ in routes(app)))


def places(app: Any) -> list[list[Any]]:
    """Of each route whose function is known, in the same order: its methods (none: all), its path, and the
    file and first line of the function with its decorators."""
    return [
        [taken, path, os.path.realpath(code.co_filename), code.co_firstlineno]
        for taken, path, _, code in endpoints(app)
    ]


def endpoints(app: Any) -> list[tuple[list[str], str, Any, Any]]:
    """Of each route whose function is known: its methods (none: all), its path, what the route calls, and
    the function's code."""
    return [
        (methods(route), path, route.endpoint, code)
        for path, route in routes(app)
        if (code := code_of(route.endpoint)) is not None
    ]


def methods(route: Any) -> list[str]:
    """The methods of a route; none: all. A WebSocket's has none to name."""
    kinds = type(getattr(route, "original_route", route)).__mro__
    if any(kind.__name__ == "WebSocketRoute" for kind in kinds):
        return ["WEBSOCKET"]
    return sorted(getattr(route, "methods", None) or ())


def routes(app: Any) -> list[tuple[str, Any]]:
    """The routes that have an endpoint, with their whole paths; none where they are not known."""
    found: list[tuple[str, Any]] = []
    # Whatever an app keeps as its routes: without them, requests are grouped by what is seen of them.
    with suppress(Exception):
        # A hybrid knows which of its two apps serves what.
        several = app.duel_routes() if hasattr(app, "duel_routes") else below(app, "", DEEPEST)
        found.extend(islice(several, MOST))
    return found


def code_of(endpoint: Any) -> Any:
    """The code of the function below partials and decorators; None of what is no function."""
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    with suppress(Exception):
        endpoint = inspect.unwrap(endpoint)
    return getattr(getattr(endpoint, "__func__", endpoint), "__code__", None)


def below(app: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    """The routes of an app that is mounted under `prefix`."""
    if not depth:
        return
    several = getattr(app, "routes", None)
    if not isinstance(several, list):
        for inner in search(app):
            yield from below(inner.app, prefix, depth - 1)
        return
    for route in contexts(several):
        path = getattr(route, "path", None)
        if not isinstance(path, str):
            continue
        if getattr(route, "endpoint", None) is not None:
            yield prefix + path, route
            continue
        mounted = getattr(getattr(route, "original_route", route), "app", None)
        yield from below(mounted, prefix + path, depth - 1)


def contexts(routes: Sequence[Any]) -> Sequence[Any]:
    """Routes with their prefixes: since FastAPI 0.137 they are a tree."""
    # An app of FastAPI's has imported it, and others may do without.
    flat = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    return routes if flat is None else list(flat(routes))
