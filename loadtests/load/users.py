"""Locust users on the lean client, which connect before any of them sends a request."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, ClassVar

import gevent
from gevent.event import Event
from locust import User

from loadtests.load.lean.client import Client
from loadtests.load.lean.knock import wait_until_accepted

if TYPE_CHECKING:
    from locust.env import Environment


ARRIVAL_GAP = 1.0
"""Seconds without a new user after which the barrier opens."""

LONGEST = 10.0
"""Seconds after which the barrier opens at the latest: users may log in before they reach it."""


class StartBarrier:
    """Where users wait until all are connected.

    A busy server accepts connections slowly: uvloop takes one per iteration of its loop, and with 256 users
    whose requests compute for 4 ms each, an iteration lasts a second. Three in four users would not be
    served before the window ends.
    """

    def __init__(self, server: str, path: str | None = None) -> None:
        """`server`: the URL to which they connect; `path`: one that it answers at once, if there is one."""
        self.server = server
        self.path = path
        self.waiting = 0
        self.opened = Event()

    def wait(self) -> None:
        """Return when it opens."""
        self.waiting += 1
        self.opened.wait()

    def open(self, users: int) -> None:
        """Release all once `users` wait, or none has arrived for a second: a user's own `on_start` may never
        get here. The server, which is idle, accepts their connections first."""
        began = since = perf_counter()
        seen = self.waiting
        while self.waiting < users and perf_counter() < min(since + ARRIVAL_GAP, began + LONGEST):
            gevent.sleep(0.01)
            if self.waiting > seen:
                seen, since = self.waiting, perf_counter()
        wait_until_accepted(self.server, self.waiting, self.path)
        self.opened.set()


class LeanUser(User):
    """A Locust user whose `self.client` is the lean client."""

    abstract = True
    timeout: float = 60.0
    """Seconds that a request may take."""
    barrier: ClassVar[StartBarrier | None] = None
    """Where the users of a trial wait for one another; None: they do not."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if not self.host:
            raise ValueError("no host: pass --host http://127.0.0.1:PORT")
        self.client = Client(environment, self.host, self.timeout)

    def on_start(self) -> None:
        """A subclass with its own `on_start` calls this one too, last: otherwise its users start without open
        connections, and pay 2 µs more per request."""
        self.client.connect()
        if self.barrier is not None:
            self.barrier.wait()
        # Closed loops only: an open loop has no task sets, and does not sleep between tasks.
        if self._taskset_instance is not None:
            self._taskset_instance._sleep = self.pause  # type: ignore[method-assign]  # on purpose

    def pause(self, seconds: float) -> None:
        """Wait between two tasks. Locust also yields for 0 s, so that others run; a user that has just waited
        for a response has already yielded."""
        if seconds > 0 or not self.client.waited:
            gevent.sleep(seconds)

    def on_stop(self) -> None:
        self.client.close()
