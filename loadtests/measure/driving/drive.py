"""Starts an app as a run does, asks each of its routes a few times, one request at a time, and keeps what
held its event loop meanwhile: as nothing else runs then, a late loop is late because of that request."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import httpx

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.answers.equality import NOTHING, PATIENCE, Reply, answered, ask
from loadtests.measure.answers.openapi import Operation, operations
from loadtests.measure.answers.questions import Question
from loadtests.measure.driving.targets import DOCUMENTS, Shown, Unasked, targets
from loadtests.measure.planning import arms_of
from loadtests.plan.arms import BUILT_IN, Arm
from loadtests.plan.settings import RunSettings, Settled
from loadtests.records import LoopHolds
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.inspection import inspect_alone
from loadtests.serving.server import Target, serve

LOOK_EVERY = 0.002
"""Seconds between two checks of the loop: one that is held for 10 ms is late for 5 ms of them, and is looked
at within 2 ms."""

READY, ALONE = 0.2, 0.3
"""Seconds in which the watchdog of a new server measures the lateness of its idle loop, and in which what the
app does without being asked is looked at."""

VISITS, LEAST = 6, 3
"""Requests to a route, and the minimum for one that is slow. The first one imports, connects and fills
caches: what only that one does is not what requests wait for."""

BUDGET = 2.0
"""Seconds for one route, after which it gets no more than `LEAST` requests."""

AFTER = 0.02
"""Seconds for what an app does after its answer, such as background tasks."""

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
    """Whether requests that write are sent, too."""

    @classmethod
    def by(cls, settled: Settled, drive: bool, paths: Sequence[str], writes: bool) -> Self | None:
        """By the settings and flags of `duel advise`; None without a flag that asks for it. The locustfile of
        a project's settings is for its runs."""
        own = settled.origins.get("locustfile") == "flag"
        if not (drive or paths or writes or own):
            return None
        settings = settled.settings
        return cls(paths, settings.locustfile if own else None, settings.locust_arg, writes)


@dataclass
class Asked:
    """A route with its answers, as `reports.advice.driven` reads it."""

    name: str
    """As `GET /items/{item_id}`."""
    request: str
    """As it was sent."""
    status: int = 0
    """Of the last answer; 0 where none came in time."""
    visits: list[LoopHolds] = field(default_factory=list)
    """What held the loops during each request but the first."""

    def plain(self) -> dict[str, Any]:
        return {**asdict(self), "visits": [one.model_dump(mode="json") for one in self.visits]}


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
    """Ask every route of an app that `options` allow; `routes`: as `inspection` describes them. Returns what
    `reports.advice.driven.Driven` reads. Raises PlanError where the app does not start."""
    with served(arm) as server:
        since = time.perf_counter()
        time.sleep(ALONE)
        alone = LoopHolds.of(server.held(since, time.perf_counter()))
        found = targets(routes, published(server, routes), options.paths, options.writes)
        left: dict[str, Unasked] = dict(found.left)
        asked, until = [], time.monotonic() + LONGEST
        with httpx.Client(
            base_url=server.url, timeout=PATIENCE, limits=httpx.Limits(max_keepalive_connections=0)
        ) as client:
            for one in found.asked:
                if time.monotonic() > until:
                    left[one.name] = "time"
                    continue
                asked.append(visited(one, server, lambda question: reply(client, question, server)))
    return {
        "asked": [one.plain() for one in asked],
        "left": left,
        "alone": None if alone is None else alone.model_dump(mode="json"),
    }


@contextmanager
def served(arm: Arm) -> Iterator[Target]:
    """The app, served as in a run, with a watchdog that looks often. Raises PlanError."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix="duel-logs-") as logs,
            ServingEnvironment(Path(logs), {}, look_every=LOOK_EVERY) as environment,
            serve(arm, environment, "drive") as server,
        ):
            time.sleep(READY)
            yield server
    except ChildFailed as failure:
        # Nothing was measured: what does not start is the argument.
        raise PlanError(str(failure), cause=failure.cause, hint=failure.hint) from None


def published(server: Target, routes: Sequence[Mapping[str, Any]]) -> list[Operation]:
    """The operations of the app's OpenAPI documents; none where it has no such document."""
    own = [str(one["path"]) for one in routes if str(one["path"]).endswith("openapi.json")]
    questions = [Question("GET", path) for path in dict.fromkeys((*own, *server_paths(server), *DOCUMENTS))]
    for document in ask(server, questions):
        if document.status == HTTPStatus.OK and (listed := operations(document.body)):
            return listed
    return []


def server_paths(server: Target) -> Iterable[str]:
    """Where the running app says that its document is."""
    return (path for path in server.routes() if path.endswith("openapi.json"))


def reply(client: httpx.Client, question: Question, server: Target) -> Reply:
    """An answer, also where the app breaks the connection. Raises ChildFailed where its server has ended."""
    try:
        return answered(client, question, server)
    except ChildFailed:
        if server.ended() is not None:
            raise
        return NOTHING


def visited(one: Shown, server: Target, send: Callable[[Question], Reply]) -> Asked:
    """Ask one route, first once without a look at its loop. Raises ChildFailed."""
    found = Asked(one.name, str(one.question))
    began = time.monotonic()
    for number in range(VISITS):
        if number >= LEAST and time.monotonic() - began > BUDGET:
            break
        since = time.perf_counter()
        found.status = send(one.question).status
        time.sleep(AFTER)
        held = LoopHolds.of(server.held(since, time.perf_counter()))
        if number and held is not None:
            found.visits.append(held)
    return found
