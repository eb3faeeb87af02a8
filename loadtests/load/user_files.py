"""A locustfile of the user's own, loaded as Locust itself would."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from locust import LoadTestShape, TaskSet, User
from locust.util.load_locustfile import load_locustfile

from loadtests.load.users import LeanUser
from loadtests.plan.cells import CANARY
from loadtests.records.trial import LightKind

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Unusable(Exception):
    """The file holds no usable scenario; the message says why."""


def loaded(file: str) -> tuple[dict[str, type[User]], list[LoadTestShape]]:
    """The users of a file by the names of their scenarios: the attribute `scenario`, or the class's name; and
    its shapes. Raises Unusable, and anything that the file raises while it is loaded."""
    classes, shapes = load_locustfile(str(Path(file).resolve()))
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
    return found, shapes


def name_of(user: type[User]) -> str:
    return str(getattr(user, "scenario", None) or user.__name__)


def client_of(user: type[User]) -> str:
    """The kind of a user: our lean one, or the nearest of its ancestors that comes from Locust."""
    kinds = (LeanUser, *(one for one in user.__mro__ if one.__module__.partition(".")[0] == "locust"))
    return next(kind.__name__ for kind in kinds if issubclass(user, kind))


def is_plain(user: type[User]) -> bool:
    """Whether all tasks are functions, of which arrivals on a schedule can call one at a time."""
    return not any(isinstance(task, type) and issubclass(task, TaskSet) for task in user.tasks)


def light_user(path: str, kind: LightKind) -> type[LeanUser]:
    """A user that requests `path`."""

    def ask(user: Any) -> None:
        user.client.get(path, name=kind)

    return type("LightUser", (LeanUser,), {"scenario": kind, "tasks": [ask]})
