"""Properties of the twins' endpoints that matter for reading a verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from loadtests.records import Arm

RELEASES_GIL = frozenset({"hash", "image", "process", "report"})
"""Endpoints whose work can use all cores."""

DATABASE = re.compile(r"(users|posts|pages)\.|report|checkout|background|session-|list-plain|io_bound|mixed")
"""Scenarios that use the database."""

CALLS = frozenset({"upstream", "fan-out", "checkout", "io_bound", "mixed"})
"""Scenarios that call the slow service through the client that scales."""

CALLS_PLAINLY = frozenset({"plain-client"})
"""Scenarios that call it through plain httpx."""

ROUTES: Mapping[str, str] = {
    "users.read": "GET /users/{user_id}",
    "users.list": "GET /users",
    "users.create": "POST /users",
    "users.update": "PATCH /users/{user_id}",
    "posts.read": "GET /posts/{post_id}",
    "posts.list": "GET /posts",
    "posts.create": "POST /posts",
    "posts.replace": "PUT /posts/{post_id}",
    "posts.update": "PATCH /posts/{post_id}",
    "pages.home": "GET /pages",
    "pages.post": "GET /pages/posts/{post_id}",
    "ping": "GET /ping",
    "sleep": "GET /sleep",
    "upstream": "GET /upstream",
    "fan-out": "GET /fan-out",
    "file": "GET /file",
    "report": "GET /report",
    "background": "POST /background",
    "python": "GET /python",
    "hash": "GET /hash",
    "crunch": "GET /crunch",
    "image": "GET /image",
    "checkout": "POST /checkout",
    "blocking": "GET /pitfalls/blocking",
    "offloaded": "GET /pitfalls/offloaded",
    "process": "GET /pitfalls/process",
    "file-inline": "GET /pitfalls/file-inline",
    "plain-client": "GET /pitfalls/plain-client",
    "session-dependency": "GET /pitfalls/session-dependency/{post_id}",
    "session-blocking": "GET /pitfalls/session-blocking/{post_id}",
    "executor": "GET /pitfalls/executor",
    "dependencies": "GET /plumbing/dependencies",
    "stream": "GET /plumbing/stream",
    "stream-lines": "GET /plumbing/stream-lines",
    "upload": "POST /plumbing/upload",
    "posts.list-plain": "GET /plumbing/list-plain",
}
"""By endpoint, the route that answers it; a test keeps the two equal."""


def is_twin(arm: Arm) -> bool:
    """Whether an arm serves our own apps."""
    return all(app.startswith(("sync_app.", "async_app.")) for app in arm.apps)


def style(arm: Arm) -> str:
    """How a twin's routes are written; for any other app, and for a hybrid, the arm's name."""
    if arm.hybrid is not None:
        return arm.name
    if arm.app.startswith("sync_app."):
        return "def"
    return "async def" if is_twin(arm) else arm.name


def http_clients(arms: Sequence[Arm], scenario: str) -> dict[str, str | None]:
    """By arm, the HTTP client with which it calls another service; empty if none does."""
    named = {arm.name: http_client(arm, scenario) for arm in arms}
    return named if any(named.values()) else {}


def http_client(arm: Arm, scenario: str) -> str | None:
    """The HTTP client that a twin calls the slow service with; None where it calls nothing, and for a hybrid,
    which has both."""
    if not is_twin(arm) or arm.hybrid is not None or scenario not in CALLS | CALLS_PLAINLY:
        return None
    if arm.app.startswith("sync_app."):
        return "httpx.Client"
    return "httpx.AsyncClient" + (" on aiohttp" if scenario in CALLS else "")
