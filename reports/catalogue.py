"""What a reader must know of the twins' endpoints to take a verdict for what it is."""

from __future__ import annotations

import re

from loadtests.records import Arm

RELEASES_GIL = frozenset({"hash", "image", "process", "report"})
"""Endpoints whose work runs on as many cores as there are."""
DATABASE = re.compile(r"(users|posts|pages)\.|report|checkout|background|session-dependency|io_bound|mixed")
"""Scenarios in which the database takes part."""
CALLS = frozenset({"upstream", "fan-out", "checkout", "io_bound", "mixed"})
"""Scenarios that call the slow service through the client that scales."""
CALLS_PLAINLY = frozenset({"plain-client"})
"""Scenarios that call it through httpx as it comes."""


def is_twin(arm: Arm) -> bool:
    """Whether an arm serves one of our own apps."""
    return arm.app.startswith(("sync_app.", "async_app."))


def style(arm: Arm) -> str:
    """How a twin's routes are written; of somebody else's app nothing but its name is known."""
    if arm.app.startswith("sync_app."):
        return "def"
    return "async def" if is_twin(arm) else arm.name


def http_client(arm: Arm, scenario: str) -> str | None:
    """The HTTP client that a twin calls the slow service with; None where it calls nothing."""
    if not is_twin(arm) or scenario not in CALLS | CALLS_PLAINLY:
        return None
    if arm.app.startswith("sync_app."):
        return "httpx.Client"
    return "httpx.AsyncClient" + (" on aiohttp" if scenario in CALLS else "")
