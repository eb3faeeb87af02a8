"""The canary: light requests beside the load, which show what the load does to other requests.

Throughput alone gives wrong advice: two arms may serve as much, and one of them keep a health check waiting
for a second. The canary requests one path at even gaps, an open loop whose response times count from the
moment when a request was due. It is recorded apart from the load.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

from locust.env import Environment
from locust.event import EventHook

from loadtests.load.arrivals import Arrivals, schedule
from loadtests.load.recorder import Recorder
from loadtests.records.arrays import write_samples
from loadtests.records.trial import ArrayFile

RATE = 50.0
"""Requests per second: few beside the load, and enough for a 95th percentile in two trials."""

LONGEST = 60.0
"""Seconds of schedule: longer than any trial."""

MOST_WAITING = 256

CONNECTED = 128
"""Connections that are open before the load starts: for the requests of two and a half seconds."""


class Canary:
    """Runs from `start` to `stop`; then `write` saves its samples."""

    def __init__(self, host: str, user: type[Any]) -> None:
        environment = Environment(user_classes=[user], host=host)
        self.recorder = Recorder()
        environment.events.request = EventHook()
        environment.events.request.add_listener(self.recorder.record)
        moments = schedule("constant", RATE, LONGEST, 0)
        self.arrivals = Arrivals(environment, user, moments, [0] * len(moments), MOST_WAITING)

    def start(self) -> None:
        """Start once idle connections are accepted: a busy server accepts new ones late, which the canary
        must not measure."""
        self.arrivals.connect(CONNECTED)
        self.arrivals.start(perf_counter())

    def stop(self, closed: float, drain: float) -> None:
        """Stop, with all sent that was due before `closed`; requests in flight get `drain` seconds, and are
        censored then."""
        self.arrivals.stop(closed, drain)

    def write(self, path: Path, opened: float) -> ArrayFile:
        """Save its samples, with times from the window's start at `opened`. Raises OSError."""
        return write_samples(path, self.recorder.samples(opened))
