"""What the users of a locustfile request, one user at a time, and what held the event loop meanwhile."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.driving.asked import DrivenRoute, held_during
from loadtests.measure.driving.targets import NO_REQUEST, Unasked, label, matches, plain
from loadtests.measure.generator import GeneratorOptions, expect, generator
from loadtests.plan.building import locustfile
from loadtests.plan.request import Inquiry
from loadtests.records import HoldingLine, LoopHolds
from loadtests.serving.server import Target
from loadtests.system.processes import OWN_BOOT

VISITS = 5
"""Times that a user does all of its tasks; the first one is not looked at, as in `drive`."""

LONGEST, SLACK = 6.0, 30.0
"""Seconds of one visit, and those beyond it after which the generator is given up."""


def ask_as_users(
    server: Target, routes: Sequence[Mapping[str, Any]], file: str, locust_args: Sequence[str], logs: Path
) -> tuple[list[DrivenRoute], dict[str, Unasked]]:
    """The routes that the users of each scenario request, and those that they do not. Raises PlanError where
    the file cannot be used, ChildFailed."""
    found: dict[str, DrivenRoute] = {}
    chosen = locustfile(file)
    options = GeneratorOptions(
        locustfile=chosen.file if chosen else file, canary=None, locust_args=locust_args
    )
    with generator(logs, {}, options) as child:
        try:
            scenarios = child.receive(OWN_BOOT)["scenarios"]
        except ChildFailed as failure:
            raise PlanError(f"cannot use the scenarios in {file}", cause=failure.cause) from None
        for scenario in scenarios:
            for number in range(VISITS):
                answers = logs / "answers.json"
                inquiry = Inquiry(
                    host=server.url, scenario=scenario, seed=number, budget=0.0, answers=str(answers),
                    visits=1, least=1, longest=LONGEST,
                )  # fmt: skip

                def ask(inquiry: Inquiry = inquiry) -> None:
                    child.send(asdict(inquiry))
                    expect(child, "done", LONGEST + SLACK)

                held = held_during(server, ask)
                answered = json.loads(answers.read_text(encoding="utf-8"))
                note(found, routes, f"users {scenario}", answered, held if number else None)
    asked = [one for one in found.values() if one.status or one.visits]
    names = {one.name for one in asked}
    left: dict[str, Unasked] = {
        label(one): "socket" if tuple(one["methods"]) == ("WEBSOCKET",) else "not-requested"
        for one in routes
        if label(one) not in names and tuple(one["methods"]) not in ((word,) for word in NO_REQUEST)
    }
    return asked, left


def note(
    found: dict[str, DrivenRoute],
    routes: Sequence[Mapping[str, Any]],
    users: str,
    answers: Sequence[Mapping[str, Any]],
    held: LoopHolds | None,
) -> None:
    """Add one visit to the routes that it requested; what held the loop for none of these, to its `users`."""
    requested: dict[str, Mapping[str, Any]] = {}
    for answer in answers:
        requested[route_of(answer["method"], answer["path"], routes)] = answer
    for name, answer in requested.items():
        one = found.setdefault(name, DrivenRoute(name, f"{answer['method']} {answer['path']}"))
        one.status = answer["status"]
    if held is None:
        return
    lines: dict[str, list[HoldingLine]] = {name: [] for name in requested}
    for line in held.lines:
        own = next((one for one in requested if line.route and means(one, line.route)), None)
        alone = next(iter(requested)) if len(requested) == 1 else users
        lines.setdefault(own or alone, []).append(line)
    for name, mine in lines.items():
        visits = found.setdefault(name, DrivenRoute(name, users)).visits
        visits.append(held.model_copy(update={"lines": tuple(mine)}))


def route_of(method: str, path: str, routes: Sequence[Mapping[str, Any]]) -> str:
    """The label of the first route that matches a request; the request itself where none does."""
    for one in routes:
        if (method in one["methods"] or not one["methods"]) and matches(str(one["path"]), path):
            return label(one)
    return f"{method} {path.partition('?')[0]}"


def means(name: str, route: str) -> bool:
    """Whether two names, `GET,HEAD /items/{item_id:int}` and `GET /items/{item_id}`, are of one route."""
    (methods, path), (method, other) = (text.partition(" ")[::2] for text in (name, route))
    return (method in methods.split(",") or methods == "ANY") and plain(path) == plain(other)
