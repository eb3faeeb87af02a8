"""Users ask a server what their scenario asks, and keep the answers: whether two arms do the same is seen
from what their users get, with the logins, cookies and tokens that these users have.

Listens to Locust's request event, so it knows the answers of any client that reports its own.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import gevent
from locust import User
from locust.env import Environment
from locust.event import EventHook

from loadtests.load.endpoints import Visitor
from loadtests.load.lean.websocket import KIND
from loadtests.load.pacing.waits import hasty
from loadtests.load.user_files import is_plain
from loadtests.load.world.locustfile import World, seed_draws
from loadtests.plan.request import Inquiry
from loadtests.records import one_line

SAME_SEED = 2
"""Visits that make the same requests: what they get differently is not compared."""

POLL = 0.01
"""Polling interval in seconds during a visit."""

LARGEST_TEXT, LARGEST_OF_ALL = 2**18, 2**24
"""Bytes of an answer, and of all, that are kept as text; of larger ones size and digest are."""

LARGEST_GROWTH = 2**28
"""Bytes by which this process may grow during a visit: an answer without an end must not fill the memory."""

MOST_ANSWERS = 2_000

HEADERS = ("content-type", "content-encoding", "location")

TEXTS = ("json", "text/", "xml")
"""In the content types whose bodies are kept."""


class Notebook:
    """The answers of one inquiry, as they come."""

    def __init__(self, host: str) -> None:
        self.origin = urlsplit(host).netloc
        self.answers: list[dict[str, Any]] = []
        self.visit = 0
        self.kept = 0

    def note(
        self,
        request_type: str,
        name: str,
        response_length: int,
        response: Any = None,
        url: str | None = None,
        **_: Any,
    ) -> None:
        """One request, from Locust's event."""
        # What is no HTTP response has nothing that could be compared.
        if len(self.answers) >= MOST_ANSWERS or not hasattr(response, "status_code"):
            return
        parts = urlsplit(str(url or name))
        task: str = getattr(gevent.getcurrent(), "task", "")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = headers_of(response)
        content = content_of(response)
        self.answers.append(
            {
                # A request without a name is called by its path, which may differ from visit to visit.
                "endpoint": one_line(task if task and name in (path, parts.path) else name),
                # As apps and hybrids call the routes of WebSockets.
                "method": "WEBSOCKET" if request_type == KIND else request_type,
                "path": one_line(path),
                "visit": self.visit,
                "status": getattr(response, "status_code", 0) or 0,
                "kind": headers.get("content-type", "").partition(";")[0].strip().lower(),
                "encoding": headers.get("content-encoding", "").strip().lower(),
                "redirects": [
                    *map(self.redirect, getattr(response, "history", None) or ()),
                    *self.to(headers),
                ],
                "size": response_length if content is None else len(content),
                "digest": None if content is None else hashlib.sha256(self.local(content)).hexdigest(),
                "text": self.text(content, headers),
            }
        )

    def redirect(self, hop: Any) -> str:
        """A redirect that the client has followed: `307 /light`."""
        location = headers_of(hop).get("location", "")
        return f"{hop.status_code} {self.path_of(location)}"

    def to(self, headers: Mapping[str, str]) -> list[str]:
        """Where the answer itself leads."""
        return [self.path_of(headers["location"])] if "location" in headers else []

    def path_of(self, location: str) -> str:
        """A location without the server's own address, and without its query, which may hold a token."""
        parts = urlsplit(location)
        elsewhere = "" if parts.netloc in ("", self.origin) else f"//{parts.netloc}"
        return one_line(elsewhere + parts.path)

    def local(self, content: bytes) -> bytes:
        """A body without the server's own address, which differs from arm to arm."""
        return content.replace(self.origin.encode(), b"")

    def text(self, content: bytes | None, headers: Mapping[str, str]) -> str | None:
        """A body as text; None for one that is none, or too large to keep."""
        kind = headers.get("content-type", "")
        if content is None or not (not kind or any(part in kind for part in TEXTS)):
            return None
        if len(content) > LARGEST_TEXT or self.kept + len(content) > LARGEST_OF_ALL:
            return None
        self.kept += len(content)
        try:
            return self.local(content).decode()
        except UnicodeDecodeError:
            return None


def headers_of(response: Any) -> dict[str, str]:
    """The headers of a response that are compared, by names in lower case; asked for by name, which every
    client understands."""
    headers = getattr(response, "headers", None) or {}
    return {name: str(headers.get(name)) for name in HEADERS if headers.get(name) is not None}


def content_of(response: Any) -> bytes | None:
    """A response's body; None where its client has not read it, as of a stream that the user reads."""
    requests_unread = getattr(response, "_content", b"") is False
    fast_unread = hasattr(response, "_response") and not hasattr(response, "_cached_content")
    if requests_unread or fast_unread:
        return None
    content = getattr(response, "content", None)
    return bytes(content) if isinstance(content, bytes | bytearray) else None


def inquire(inquiry: Inquiry, world: World) -> bool:
    """Make the visits, and write their answers as JSON; False where a visit was cut off. What the scenario's
    own code raises ends a visit: the calibrations that follow report it. Raises OSError."""
    user = world.scenarios[inquiry.scenario]
    environment = world.environment(user, inquiry.host, inquiry.users)
    # As Locust's runner does it.
    user.host = inquiry.host
    notebook = Notebook(inquiry.host)
    listening = list(environment.events.request._handlers)
    runner = environment.create_local_runner()
    environment.events.request = EventHook()
    for listener in (notebook.note, *listening):
        environment.events.request.add_listener(listener)
    environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
    visit = once if is_plain(user) else partial(awhile, inquiry.budget / SAME_SEED, notebook)
    began, whole = perf_counter(), True
    environment.events.test_start.fire(environment=environment)
    for number in range(inquiry.visits):
        if number >= inquiry.least and perf_counter() - began > inquiry.budget:
            break
        notebook.visit = number
        seed = inquiry.seed + max(0, number - SAME_SEED + 1)
        if issubclass(user, Visitor):
            user.begin(seed, str(seed))
        seed_draws(f"{seed}/inquiry", f"{seed}/inquiry")
        visits = [gevent.spawn(visit, user, environment) for _ in range(inquiry.users)]
        whole = finished(visits, inquiry.longest)
        if not whole:
            break
    environment.events.test_stop.fire(environment=environment)
    environment.events.quitting.fire(environment=environment, reverse=True)
    Path(inquiry.answers).write_text(json.dumps(notebook.answers), encoding="utf-8")
    return whole


def finished(visits: Sequence[Any], longest: float) -> bool:
    """Wait for the visits' end; False where one had to be ended, for its time or for its memory."""
    deadline, most = perf_counter() + longest, resident() + LARGEST_GROWTH
    while not all(visit.dead for visit in visits):
        if perf_counter() > deadline or resident() > most:
            gevent.killall(visits, timeout=1.0)
            return False
        gevent.joinall(visits, timeout=POLL)
    return True


def resident() -> int:
    """The most memory, in bytes, that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def once(user: type[User], environment: Environment) -> None:
    """Every task once, by a new user."""
    visitor: Any = user(environment)
    try:
        visitor.on_start()
    except Exception:
        # Under load it would not continue either: what it lacks, such as an account, the tasks need.
        return
    tasks: Any = dict.fromkeys(user.tasks)
    current: Any = gevent.getcurrent()
    for task in tasks:
        current.task = str(getattr(task, "__name__", task))
        # One that raises, or ends itself, does not keep the others from being asked.
        with suppress(Exception):
            task(visitor)
    with suppress(Exception):
        visitor.on_stop()


def awhile(seconds: float, notebook: Notebook, user: type[User], environment: Environment) -> None:
    """Task sets, whose order is their own: as Locust runs them, without waiting, for `seconds` and for as
    long as they reach new endpoints."""
    visitor: Any = hasty(user)(environment)
    before, until = len(notebook.answers), perf_counter() + seconds

    def run() -> None:
        with suppress(Exception):
            visitor.run()

    running = gevent.spawn(run)
    try:
        while not running.dead and (perf_counter() < until or discovering(notebook.answers[before:])):
            running.join(timeout=POLL)
    finally:
        running.kill(timeout=1.0)


def discovering(answers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether task sets may still reach new endpoints: until all that they have reached came twice since the
    last new one."""
    firsts = {answer["endpoint"]: at for at, answer in reversed(list(enumerate(answers)))}
    return not firsts or len(answers) - 1 - max(firsts.values()) < 2 * len(firsts)
