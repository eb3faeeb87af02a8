"""Which route of an app answers which endpoint's requests, by the paths of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from loadtests.measure.answers.differences import AnswerSeen
from loadtests.records.answers import AnsweringRoute
from loadtests.records.names.routes import matcher, without_query
from loadtests.serving.server import Target


class Handler(NamedTuple):
    """A route's function."""

    methods: Sequence[str]
    """None: all."""
    path: str
    file: str
    line: int


def answering(server: Target, asked: Mapping[str, Sequence[AnswerSeen]]) -> list[AnsweringRoute]:
    """The routes that answered an arm's requests. `asked`: by scenario."""
    find = finder([Handler(*one) for one in server.places()])
    found = {
        AnsweringRoute(
            arm=server.arm.name, scenario=scenario, endpoint=endpoint, path=handler.path, method=method,
            file=handler.file, line=handler.line,
        ): None
        for scenario, answers in asked.items()
        for endpoint, method, path in dict.fromkeys((one.endpoint, one.method, one.path) for one in answers)
        if (handler := find(method, path)) is not None
    }  # fmt: skip
    return list(found)


def finder(handlers: Sequence[Handler]) -> Callable[[str, str], Handler | None]:
    """What answers a method and a path: the first route that has both, as in an app."""
    by_method: dict[str, tuple[Callable[[str], str | None], dict[str, Handler]]] = {}

    def find(method: str, path: str) -> Handler | None:
        if method not in by_method:
            mine = [one for one in handlers if not one.methods or method in one.methods]
            by_method[method] = matcher(one.path for one in mine), {one.path: one for one in reversed(mine)}
        match, known = by_method[method]
        route = match(without_query(path))
        return known[route] if route is not None else None

    return find
