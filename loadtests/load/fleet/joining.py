"""What a worker says of itself as it joins, and why it may be refused."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import locust

ALIKE = ("duel", "locust", "locustfile", "locust-arg")
"""What must be the same at master and workers: other code makes another load."""


def introduction(users: str | None, arguments: Sequence[str]) -> dict[str, Any]:
    """Of this process. `users`: the digest of the user's locustfile and of what it imports; None: our own
    scenarios. `arguments`: the words of the file's own options."""
    return {
        "duel": version("fastapi-duel"),
        "locust": locust.__version__,
        "locustfile": users,
        "locust-arg": list(arguments),
        "host": socket.gethostname(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    }


def difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any] | None:
    """What keeps a worker from joining: `what` of ALIKE, and both values, without those of options, which may
    hold a password. None: nothing."""
    for what in ALIKE:
        if ours.get(what) != theirs.get(what):
            shown = {} if what == "locust-arg" else {"master": ours.get(what), "worker": theirs.get(what)}
            return {"what": what, **shown}
    return None
