"""How long users say that they pause between tasks: by `wait_time`, of the user or of a task set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import fmean
from time import perf_counter
from types import SimpleNamespace
from typing import Any

from locust import TaskSet, User

DRAWS = 32
"""Waits that are drawn to estimate their mean."""

VERY_LONG = 1e6
"""Seconds: longer than any pace."""


def pause(user: type[User]) -> float | None:
    """Mean seconds that a user waits between two tasks, the longest of all its task sets; None where that
    depends on the state of a running user."""
    means = [expected_wait(wait) for wait in waits(user)]
    known = [mean for mean in means if mean is not None]
    return max(known) if len(known) == len(means) else None


def paced(user: type[User]) -> bool:
    """Whether the time that a task takes is part of its user's wait, as with `constant_pacing`: after a very
    long one there is none."""
    return any(expected_wait(wait) and expected_wait(wait, ran=VERY_LONG) == 0.0 for wait in waits(user))


def thinks(user: type[User]) -> bool:
    """Whether a user's `wait_time`, or that of one of its task sets, makes it wait."""
    mean = pause(user)
    return mean is None or mean > 0.0


def waits(owner: Any) -> Iterator[Any]:
    """The functions by which a user and its task sets wait."""
    if isinstance(owner, type) and issubclass(owner, TaskSet):
        if owner.wait_time is not TaskSet.wait_time:
            yield owner.wait_time
    else:
        yield owner.wait_time
    for task in dict.fromkeys(owner.tasks):
        if isinstance(task, type) and issubclass(task, TaskSet):
            yield from waits(task)


def expected_wait(wait: Callable[[Any], float], ran: float = 0.0) -> float | None:
    """The mean of some draws, each by a user that has just run a task of `ran` seconds; None where it asks
    more of a user."""
    try:
        return fmean(max(0.0, float(wait(newcomer(ran)))) for _ in range(DRAWS))
    except Exception:  # a user's own function may need anything
        return None


def newcomer(ran: float) -> SimpleNamespace:
    """What Locust's own functions for pacing ask of a user that has just run its first task."""
    return SimpleNamespace(_cp_last_run=perf_counter() - ran, _cp_last_wait_time=0.0)


def hasty(user: type[User]) -> type[User]:
    """The same users without a `wait_time`."""
    return type(user.__name__, (user,), {"wait_time": lambda _: 0.0})
