"""What an app is asked when it is driven: one request for each of its routes, with values that may exist."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from loadtests.measure.answers.openapi import FORMATS, Operation, example
from loadtests.measure.answers.questions import Question

READS = ("GET", "HEAD")
"""Methods that change nothing."""

WRITES = ("POST", "PUT", "PATCH", "DELETE")

NO_REQUEST = ("EVENT", "ASGI", "WSGI")
"""In place of the methods of routes that no HTTP request reaches: handlers of events, mounted apps, whose own
routes are listed."""

PARAMETER = re.compile(r"\{(?P<braced>[^{}]*)\}|<(?P<angled>[^<>]*)>")

PATTERN = re.compile(r"[\^$()\\*?+|]")
"""What only a regular expression has in place of a path."""

BY_KIND: Mapping[str, str] = {"float": "1.5", "decimal": "1.5", "uuid": FORMATS["uuid"], "path": "a"}
"""Values of path parameters by their type; any other gets "1", which most types accept."""

Unasked = Literal["writes", "socket", "pattern", "time", "not-requested"]
"""Why a route was not asked: it writes; WebSocket; its path is a regular expression; no time was left; the
locustfile does not request it."""


@dataclass(frozen=True)
class Shown:
    """A route as it is called in reports, `GET /items/{item_id}`, and what it is asked."""

    name: str
    question: Question


@dataclass
class Targets:
    """What is asked, and what is not."""

    asked: list[Shown] = field(default_factory=list)
    left: dict[str, Unasked] = field(default_factory=dict)


def targets(
    routes: Sequence[Mapping[str, Any]],
    operations: Sequence[Operation],
    paths: Sequence[str],
    writes: bool,
    token: Callable[[Operation], str | None] = lambda _: None,
) -> Targets:
    """One request for each route. `routes`: as `describe_app.py` found them; `operations`: of the app's
    OpenAPI document, whose example values are used; `paths`: to be requested with GET, in place of the
    example of the route that they match; `writes`: whether requests that write are sent, too; `token`:
    what an operation is asked with."""
    found = Targets()
    known = {(one.method, plain(one.path)): one for one in operations}
    by_route = routed(routes, paths)
    for route in routes:
        path, methods = str(route["path"]), tuple(route["methods"])
        name = label(route)
        if methods in ((one,) for one in NO_REQUEST):
            continue
        wanted = sendable(methods or ("GET",), writes)
        if not wanted:
            found.left[name] = "socket" if methods == ("WEBSOCKET",) else "writes"
        for method in methods or ("GET",):
            operation = known.pop((method, plain(path)), None)
            if method not in wanted:
                continue
            if method == "GET" and path in by_route:
                found.asked += [Shown(name, Question("GET", one)) for one in by_route[path]]
            elif operation is not None:
                found.asked.append(Shown(name, question(operation, token)))
            elif PATTERN.search(PARAMETER.sub("", path)):
                found.left[name] = "pattern"
            else:
                found.asked.append(Shown(name, Question(method, filled(path))))
    for (method, _), operation in known.items():
        name = f"{method} {operation.path}"
        if sendable((method,), writes):
            found.asked.append(Shown(name, question(operation, token)))
        elif method in WRITES:
            found.left[name] = "writes"
    of_routes = [one for several in by_route.values() for one in several]
    found.asked += [Shown(f"GET {one}", Question("GET", one)) for one in paths if one not in of_routes]
    return found


def label(route: Mapping[str, Any]) -> str:
    """How a route is called in reports: `GET,HEAD /items/{item_id}`."""
    return f"{','.join(route['methods']) or 'ANY'} {route['path']}"


def routed(routes: Sequence[Mapping[str, Any]], paths: Sequence[str]) -> dict[str, list[str]]:
    """The paths that each route answers, the first that matches, as in an app; by the route's path."""
    found: dict[str, list[str]] = {}
    readable = [str(one["path"]) for one in routes if not one["methods"] or "GET" in one["methods"]]
    for path in paths:
        first = next((one for one in readable if matches(one, path)), None)
        if first is not None:
            found.setdefault(first, []).append(path)
    return found


def sendable(methods: Sequence[str], writes: bool) -> list[str]:
    """The methods of a route that may be sent: one that reads, and those that write only if asked for."""
    reads = [one for one in READS if one in methods][:1]
    return [*reads, *(one for one in WRITES if one in methods and writes)]


def question(operation: Operation, token: Callable[[Operation], str | None]) -> Question:
    """A request with the document's own example values."""
    body = None if operation.body is None else example(operation.body)
    return Question(operation.method, operation.target(), body, bearer=token(operation))


def parameters(path: str) -> Iterable[tuple[str, str]]:
    """Name and type of each path parameter, as Starlette, Litestar, Quart and Django write them."""
    for one in PARAMETER.finditer(path):
        if one["braced"] is not None:
            name, _, kind = one["braced"].partition(":")
        else:
            kind, _, name = one["angled"].rpartition(":")
        yield name, kind.partition("(")[0]


def filled(path: str) -> str:
    """A path with a value for each of its parameters."""
    kinds = iter(kind for _, kind in parameters(path))
    return PARAMETER.sub(lambda _: BY_KIND.get(next(kinds), "1"), path)


def plain(path: str) -> str:
    """A path whose parameters have no types: `/items/{item_id}`."""
    names = iter(name for name, _ in parameters(path))
    return PARAMETER.sub(lambda _: f"{{{next(names)}}}", path)


def matches(path: str, requested: str) -> bool:
    """Whether a route's path is that of a request."""
    if PATTERN.search(PARAMETER.sub("", path)):
        with suppress(re.error):
            whole = re.compile(path.replace("^", "").removesuffix("$"))
            return whole.fullmatch(urlsplit(requested).path) is not None
        return False
    at, pattern = 0, ""
    for one in PARAMETER.finditer(path):
        kind = next(iter(parameters(one[0])))[1]
        pattern += re.escape(path[at : one.start()]) + (".+" if kind == "path" else "[^/]+")
        at = one.end()
    return re.fullmatch(pattern + re.escape(path[at:]), urlsplit(requested).path) is not None
