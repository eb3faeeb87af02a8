"""Starts an app as a run does, asks each of its routes a few times, one request at a time, and keeps what
held its event loop meanwhile: as nothing else runs then, a late loop is late because of that request."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.answers.direct import client_of
from loadtests.measure.answers.document import Login, document_of
from loadtests.measure.answers.equality import NOTHING, PATIENCE, Reply, answered
from loadtests.measure.answers.login import bearer, has_account
from loadtests.measure.answers.openapi import Operation
from loadtests.measure.answers.questions import Question
from loadtests.measure.driving.asked import DrivenRoute, held_during
from loadtests.measure.driving.beside import COMPUTES, beside, cpu_of
from loadtests.measure.driving.targets import READS, Shown, Targets, label, targets
from loadtests.measure.driving.users import ask_as_users
from loadtests.measure.planning import arms_of
from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.plan.settings import RunSettings, Settled
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inspection import inspect_alone
from loadtests.serving.server import Target, serve

LOOK_EVERY = 0.002
"""Seconds between two checks of the loop: one that is held for 10 ms is late for 5 ms of them, and is looked
at within 2 ms."""

READY, ALONE = 0.2, 0.3
"""Seconds in which the watchdog of a new server measures the lateness of its idle loop, and in which what the
app does without being asked is looked at."""

VISITS, LEAST = 9, 2
"""Requests to a route after its first one, and the minimum for one that is slow. The first one imports,
connects and fills caches: what only that one does is not what requests wait for. In Django 8 of 10 requests
show a wait of 10 ms: of five requests, fewer than half do now and then."""

BUDGET = 2.0
"""Seconds for one route, after which it gets no more than `LEAST` requests."""

ENDLESS = 0.5
"""Seconds for which a body is read: a stream may have no end."""

LONGEST = 120.0
"""Seconds after which no further route is asked."""


@dataclass(frozen=True)
class Options:
    """How an app is driven."""

    paths: Sequence[str] = ()
    """Requested with GET, in place of an example of the route that they match."""
    locustfile: str | None = None
    """Whose users' requests are sent in place of the routes' examples."""
    locust_args: Sequence[str] = ()
    writes: bool = False
    """Whether requests that write are sent, too; the server refuses them otherwise."""

    @classmethod
    def by(cls, settled: Settled, drive: bool, paths: Sequence[str], writes: bool) -> Self | None:
        """By the settings and flags of `duel advise`; None without a flag that asks for it. The locustfile of
        a project's settings is for its runs."""
        own = settled.origins.get("locustfile") == "flag"
        if not (drive or paths or writes or own):
            return None
        settings = settled.settings
        return cls(paths, settings.locustfile if own else None, settings.locust_arg, writes)

    @property
    def logs_in(self) -> bool:
        """Whether a log-in is asked for, in which case it must be known before the app is served: it is the
        only write that is let through."""
        return not self.writes and (self.locustfile is not None or has_account(os.environ))

    def serve_flags(self, login: Login | None) -> list[str]:
        """Of serve.py."""
        reads_only = [] if self.writes else ["--reads-only"]
        return ["--look-every", str(LOOK_EVERY), *reads_only, *(["--login", login.path] if login else [])]


def survey(
    target: str, settings: RunSettings, start: bool, options: Options | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """An app as `inspect_alone` describes it, and as `drive` found it; without `options` it is not driven.
    Raises PlanError."""
    told = inspect_alone(target, settings.app_dir, settings.python, start)
    if options is None:
        return told, None
    (arm,) = arms_of(settings, [target if target in BUILT_IN else f"app={target}"])
    return told, drive(arm, told["routes"], options)


def drive(arm: Arm, routes: Sequence[Mapping[str, Any]], options: Options) -> dict[str, Any]:
    """Ask every route of an app that `options` allow; `routes`: as `inspect_alone` describes them. Returns
    what `reports.advice.driven.Driven` reads. Raises PlanError where the app does not start."""
    paths = [str(one["path"]) for one in routes]
    with ExitStack() as opened:
        logs = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="duel-logs-")))
        login = login_of(arm, logs, options, paths) if options.logs_in else None
        server = opened.enter_context(served(arm, logs, options.serve_flags(login)))
        time.sleep(READY)
        alone = held_during(server, lambda: time.sleep(ALONE))
        if options.locustfile is None:
            document = document_of(server, paths)
            listed = document.operations if document is not None else ()
            token = bearer(server.url, login, os.environ) if login is not None else None

            def admitted(operation: Operation) -> str | None:
                return token if login is not None and login.admits(operation) else None

            found = targets(routes, listed, options.paths, options.writes, admitted)
            asked = ask_targets(server, found, threaded(routes))
        else:
            found = targets((), (), options.paths, writes=False)
            requested, left = ask_as_users(server, routes, options.locustfile, options.locust_args, logs)
            asked = [*requested, *ask_targets(server, found)]
            found.left.update(left)
    return {
        "asked": [one.plain() for one in asked],
        "left": found.left,
        "alone": None if alone is None else alone.model_dump(mode="json"),
    }


def login_of(arm: Arm, logs: Path, options: Options, paths: Sequence[str]) -> Login | None:
    """The log-in that an app's document describes. Raises PlanError."""
    with served(arm, logs, options.serve_flags(None)) as server:
        document = document_of(server, paths)
        return document.login if document is not None else None


@contextmanager
def served(arm: Arm, logs: Path, serve_flags: Sequence[str]) -> Iterator[Target]:
    """The app, served as in a run, with a watchdog that looks often. Raises PlanError."""
    try:
        with (
            ServingEnvironment(logs, {}, serve_flags=serve_flags) as environment,
            serve(arm, environment, "drive") as server,
        ):
            yield server
    except ChildFailed as failure:
        # Nothing was measured: what does not start, or ends when it is asked, is the argument.
        raise PlanError(str(failure), cause=failure.cause, hint=failure.hint) from None


def threaded(routes: Sequence[Mapping[str, Any]]) -> set[str]:
    """The names of the routes whose functions run in threads."""
    return {label(one) for one in routes if one["runs"] == "thread"}


def ask_targets(server: Target, found: Targets, threads: Container[str] = ()) -> list[DrivenRoute]:
    """Ask what there is to ask, while there is time; of the routes in `threads`, what they cost their
    neighbours as well. Raises ChildFailed."""
    asked, until = [], time.monotonic() + LONGEST
    with client_of(server.url, PATIENCE, keep_alive=False) as client:

        def send(question: Question) -> Reply:
            return reply(client, question, server)

        looks = visited(Shown("", Question("GET", server.pulse or "/")), server, send).cpu
        for one in found.asked:
            if time.monotonic() > until:
                found.left[one.name] = "time"
                continue
            route = visited(one, server, send)
            # Without what it costs to be looked at, and to be asked anything.
            route.cpu = max(0.0, route.cpu - looks) if route.cpu is not None and looks is not None else None
            if one.name in threads and computes(route, one.question):
                route.beside = beside(server, one.question, lambda user, asked: reply(user, asked, server))
            asked.append(route)
    return asked


def computes(route: DrivenRoute, question: Question) -> bool:
    """Whether its neighbours are looked at. Requests that write are not repeated for that."""
    answered_well = 0 < route.status < HTTPStatus.BAD_REQUEST and question.method in READS
    return answered_well and route.cpu is not None and route.cpu >= COMPUTES


def visited(one: Shown, server: Target, send: Callable[[Question], Reply]) -> DrivenRoute:
    """Ask one route, first once without a look at its loop and its CPU time. Raises ChildFailed."""
    found = DrivenRoute(one.name, str(one.question))

    def ask_it() -> None:
        found.status = send(one.question).status

    ask_it()
    began, before, asked = time.monotonic(), cpu_of(server), 0
    while asked < VISITS and (asked < LEAST or time.monotonic() - began < BUDGET):
        held = held_during(server, ask_it)
        found.visits += [held] if held is not None else []
        asked += 1
    after = cpu_of(server)
    if before is not None and after is not None:
        found.cpu = (after - before) / asked
    return found


def reply(client: httpx.Client, question: Question, server: Target) -> Reply:
    """An answer; nothing where the app breaks the connection. Raises ChildFailed where its server has
    ended."""
    try:
        return answered(client, question, server, ENDLESS)
    except ChildFailed:
        if server.ended() is not None:
            raise
        return NOTHING
