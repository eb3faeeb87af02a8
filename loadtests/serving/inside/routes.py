"""The paths of an app's routes, by which requests without a name are grouped.

Loaded by serve.py from its own directory, so it imports none of our packages.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

MOST = 2_000
"""Paths that are told."""

DEEPEST = 10
"""Apps that are mounted in one another, or wrapped around it."""


def paths(app: Any) -> list[str]:
    """As `/items/{item_id}`, in the order in which the app tries them; none where they are not known."""
    found: list[str] = []
    # Whatever an app keeps as its routes: without paths, requests are grouped by what is seen of them.
    with suppress(Exception):
        found.extend(islice(below(app, "", DEEPEST), MOST))
    return list(dict.fromkeys(found))


def below(app: Any, prefix: str, depth: int) -> Iterator[str]:
    """The paths of an app that is mounted under `prefix`."""
    if not depth:
        return
    several = getattr(app, "routes", None)
    if not isinstance(several, list):
        inner = next((one for name in ("app", "other_asgi_app") if (one := getattr(app, name, None))), None)
        if inner is not None:
            yield from below(inner, prefix, depth - 1)
        return
    for route in contexts(several):
        path = getattr(route, "path", None)
        if not isinstance(path, str):
            continue
        if getattr(route, "endpoint", None) is not None:
            yield prefix + path
            continue
        mounted = getattr(getattr(route, "original_route", route), "app", None)
        yield from below(mounted, prefix + path, depth - 1)


def contexts(routes: Sequence[Any]) -> Sequence[Any]:
    """Routes with their prefixes: since FastAPI 0.137 they are a tree."""
    # An app of FastAPI's has imported it, and others may do without.
    flat = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    return routes if flat is None else list(flat(routes))
