"""How long users sleep, whether or not a `wait_time` says so: many tasks call `time.sleep`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import gevent

NOTICED = 0.05
"""Fraction of the users' time asleep from which on they count as thinking."""


class Sleepers:
    """Seconds for which the users of a trial went to sleep."""

    def __init__(self) -> None:
        self.users: WeakSet[Any] = WeakSet()
        """The greenlets of users that have made their start."""
        self.asleep: WeakSet[Any] = WeakSet()
        """Those of them that sleep now: they have no request in flight."""
        self.seconds = 0.0

    def begin(self) -> None:
        """Forget the users of earlier trials."""
        self.users.clear()
        self.asleep.clear()
        self.seconds = 0.0

    def join(self) -> None:
        """Count the current greenlet's sleep from now on."""
        self.users.add(gevent.getcurrent())

    @contextmanager
    def sleeping(self, seconds: float) -> Iterator[None]:
        """While the current greenlet sleeps."""
        sleeper = gevent.getcurrent()
        if sleeper not in self.users:
            yield
            return
        self.seconds += seconds
        self.asleep.add(sleeper)
        try:
            yield
        finally:
            self.asleep.discard(sleeper)


SLEEPERS = Sleepers()
"""Of this process, which runs one trial at a time."""


def watch_sleep() -> None:
    """Count what users sleep, whichever name they know it by. Called before a locustfile is loaded: it may
    import the function itself."""
    sleep = gevent.sleep

    def counted(seconds: float = 0, ref: bool = True) -> None:
        if not seconds:  # only yields: after every task of a user without a `wait_time`
            sleep(0, ref)
            return
        with SLEEPERS.sleeping(seconds):
            sleep(seconds, ref)

    # Locust has replaced the standard library's function by gevent's.
    for module in (gevent, time):
        setattr(module, "sleep", counted)  # noqa: B010  # mypy forbids the plain assignment
