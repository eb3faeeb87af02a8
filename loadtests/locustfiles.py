"""Somebody's own scenarios: a file of Locust users, as Locust itself would load it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import locust
from locust import TaskSet, User
from locust.event import EventHook, Events
from locust.util.load_locustfile import load_locustfile

from loadtests.client import LeanUser

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
CANARY = "canary"
"""The scenario that asks for one path now and then; nobody else's may be called so."""


class Unusable(Exception):
    """The file holds no scenario that can be run; the message says why."""


def users_of(file: str) -> dict[str, type[User]]:
    """The users of a file by the names of their scenarios: the attribute `scenario`, or the class's name.
    Raises Unusable, and whatever the file raises while it is loaded."""
    classes, _ = load_locustfile(str(Path(file).resolve()))
    found: dict[str, type[User]] = {}
    for user in classes.values():
        name = name_of(user)
        if not NAME.fullmatch(name) or name == CANARY:
            raise Unusable(f"{user.__name__}: {name!r} cannot be a scenario's name")
        if found.setdefault(name, user) is not user:
            raise Unusable(f"two scenarios are called {name!r}")
        if not user.tasks:
            raise Unusable(f"{user.__name__} has no tasks")
    if not found:
        raise Unusable(f"{file} holds no Locust user that is not abstract")
    return found


def name_of(user: type[User]) -> str:
    return str(getattr(user, "scenario", None) or user.__name__)


def thinks(user: type[User]) -> bool:
    """Whether a user waits between two tasks."""
    try:
        return float(user.wait_time(None)) > 0.0  # type: ignore[arg-type]  # `constant` asks for nobody
    except Exception:  # pacing looks at when its user ran last, and somebody's own function at anything
        return True


def client_of(user: type[User]) -> str:
    """The kind of a user: our lean one, or the nearest of its ancestors that comes from Locust."""
    kinds = (LeanUser, *(one for one in user.__mro__ if one.__module__.partition(".")[0] == "locust"))
    return next(kind.__name__ for kind in kinds if issubclass(user, kind))


def is_plain(user: type[User]) -> bool:
    """Whether all tasks are functions, of which arrivals on a schedule can call one at a time."""
    return not any(isinstance(task, type) and issubclass(task, TaskSet) for task in user.tasks)


def listeners() -> Events:
    """Events of an environment of our own, to which the file's listeners listen."""
    events = Events()  # type: ignore[no-untyped-call]  # Locust has no types there
    for name, hook in vars(locust.events).items():
        if isinstance(hook, EventHook):
            own: EventHook = getattr(events, name)
            for handler in hook._handlers:
                own.add_listener(handler)  # type: ignore[no-untyped-call]  # nor there
    return events


def canary_user(path: str) -> type[LeanUser]:
    """A user who asks for `path`."""

    def ask(user: Any) -> None:
        user.client.get(path, name=CANARY)

    return type("CanaryUser", (LeanUser,), {"scenario": CANARY, "tasks": [ask]})
