"""Properties of the twins' endpoints that matter for reading a verdict."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from loadtests.records import Arm

RELEASES_GIL = frozenset({"hash", "image", "process", "report"})
"""Endpoints whose work can use all cores."""

DATABASE = re.compile(
    r"(users|posts|pages)\.|report|checkout|background|session-|list-plain|cached|io_bound|mixed"
)
"""Scenarios that use the database."""

ALWAYS_COROUTINES = frozenset({"websocket"})
"""Endpoints that FastAPI does not take as `def`: in the sync twin, their work is handed to threads."""

CALLS = frozenset({"upstream", "fan-out", "checkout", "io_bound", "mixed"})
"""Scenarios that call the slow service through the client that the arm chooses."""

CALLING: Mapping[str, tuple[str, ...]] = {"io_bound": ("upstream",), "mixed": ("upstream", "checkout")}
"""By mixture, its endpoints that do."""

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
    "websocket": "WEBSOCKET /plumbing/websocket",
    "posts.list-plain": "GET /plumbing/list-plain",
    "cached": "GET /services/cached/{post_id}",
    "enqueue": "POST /services/enqueue",
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
    """The HTTP client that a twin calls the slow service with, or the two of a hybrid whose apps both call
    it; None where it calls nothing."""
    if not is_twin(arm) or scenario not in CALLS | CALLS_PLAINLY:
        return None
    if arm.hybrid is None:
        return client_of(arm, arm.app, scenario)
    second = [moved(arm, ROUTES[name]) for name in CALLING.get(scenario, (scenario,))]
    apps = (arm.hybrid.app if one else arm.app for one in second)
    return " and ".join(sorted({client_of(arm, app, scenario) for app in apps}))


def moved(arm: Arm, route: str) -> bool:
    """Whether the second app of a hybrid has a route."""
    return arm.hybrid is not None and bool({route, route.rpartition(" ")[2]} & {*arm.hybrid.routes})


def client_of(arm: Arm, app: str, scenario: str) -> str:
    """The HTTP client of one of our own apps, as an arm serves it."""
    asynchronous = not app.startswith("sync_app.")
    usual = "httpx-aiohttp" if asynchronous else "httpx"
    match arm.env.get("DUEL_APP_CLIENT") or usual if scenario in CALLS else "httpx":
        case "aiohttp":
            return "aiohttp.ClientSession"
        case "httpx-aiohttp":
            return "httpx.AsyncClient on aiohttp"
        case library:
            return f"{library}.{'AsyncClient' if asynchronous else 'Client'}"
