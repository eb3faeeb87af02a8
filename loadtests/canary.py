"""A canary: a light request now and then beside the load, which tells what the load does to others.

Throughput alone gives wrong advice: two arms may serve as much, and one of them lets a health check wait
for a second. The canary asks for `/ping` at even gaps, whoever still waits, and its response time counts
from the moment when it was due. It is recorded apart from the load.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

from locust.env import Environment
from locust.event import EventHook

from loadtests.arrivals import Arrivals, schedule
from loadtests.recorder import Recorder
from loadtests.records import write_samples

RATE = 50.0
"""Requests a second: few beside any load worth the name, and enough for a 95th percentile in two trials."""
LONGEST = 60.0
"""Seconds that a canary lives at most."""
MOST_WAITING = 256
CONNECTED = 128
"""Connections that are open before the load begins: as many requests as come in two and a half seconds."""


class Canary:
    """Sings from `start` to `stop`; then `write` what it met."""

    def __init__(self, host: str, user: type[Any]) -> None:
        environment = Environment(user_classes=[user], host=host)
        self.recorder = Recorder()
        environment.events.request = EventHook()
        environment.events.request.add_listener(self.recorder.record)
        moments = schedule("constant", RATE, LONGEST, 0)
        self.arrivals = Arrivals(environment, user, moments, [0] * len(moments), MOST_WAITING)

    def start(self) -> None:
        """Sing on connections that an idle server has taken up: one that is busy lets new ones wait for turns
        of its loop, and it is not those that the canary tells of."""
        self.arrivals.connect(CONNECTED)
        self.arrivals.start(perf_counter())

    def stop(self, drain: float) -> None:
        """No further requests; those on their way get `drain` seconds, and are censored then."""
        self.arrivals.stop(drain)

    def write(self, path: Path, opened: float) -> None:
        """Save its samples, with times from the window's start at `opened`."""
        write_samples(path, self.recorder.samples(opened))
