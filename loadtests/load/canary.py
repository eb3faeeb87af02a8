"""Canary and pulse: light requests beside the load, which show what the load does to other requests.

Throughput alone gives wrong advice: two arms may serve as much, and one of them keep a health check waiting
for a second. The canary asks for a path of the app, the pulse for one that serve.py answers on the app's
event loop. Each is an open loop at even gaps whose response times count from the moment when a request was
due, and is recorded apart from the load.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import gevent
from locust import User
from locust.env import Environment
from locust.event import EventHook

from loadtests.load.arrivals import Arrivals, schedule
from loadtests.load.recorder import Recorder
from loadtests.load.user_files import light_user
from loadtests.plan.request import TrialRequest
from loadtests.records.arrays import write_samples
from loadtests.records.trial import LIGHT, ArrayFile, LightKind

RATE = 50.0
"""Requests per second of each: few beside the load, and enough for a 95th percentile in two trials."""

SPARE = 60.0
"""Seconds of schedule beyond warm-up and window: longer than users take to connect, and a load to end."""

MOST_WAITING = 256

CONNECTED = 128
"""Connections that are open before the load starts: for the requests of two and a half seconds."""


class LightRequests:
    """One path, requested from `start` to `stop`; then `write` saves the samples."""

    def __init__(self, host: str, user: type[Any], seconds: float, drain: float) -> None:
        """`seconds` of schedule, then `drain` of them for what is still unanswered."""
        # With a stop timeout, the client reports the requests that are cut off.
        environment = Environment(user_classes=[user], host=host, stop_timeout=drain)
        self.recorder = Recorder()
        environment.events.request = EventHook()
        environment.events.request.add_listener(self.recorder.record)
        moments = schedule("constant", RATE, seconds, 0)
        self.arrivals = Arrivals(environment, user, moments, [0] * len(moments), MOST_WAITING)

    def connect(self) -> None:
        """Open connections while the server is idle: a busy one accepts them late, which must not be
        measured."""
        self.arrivals.connect(CONNECTED)

    def start(self, began: float) -> None:
        """The first request is due at `began`, on perf_counter's clock."""
        self.arrivals.start(began)

    def stop(self, closed: float, drain: float) -> None:
        """Stop, with all sent that was due before `closed`; requests in flight get `drain` seconds, and are
        censored then."""
        self.arrivals.stop(closed, drain)

    def write(self, path: Path, opened: float) -> ArrayFile:
        """Save the samples, with times from the window's start at `opened`. Raises OSError."""
        return write_samples(path, self.recorder.samples(opened))


class Beside:
    """What is requested beside one load: canary and pulse, one of them, or nothing."""

    def __init__(self, request: TrialRequest, canary: type[User] | None) -> None:
        """`canary`: the user that requests its path, if it has one."""
        self.drain = request.drain
        self.seconds = max(request.warmup, request.longest) + max(request.window, request.longest) + SPARE
        self.files: dict[LightKind, Path] = {}
        self.asking: dict[LightKind, LightRequests] = {}
        if request.canary is not None and canary is not None:
            self.add("canary", request.canary, request.host, canary)
        if request.pulse is not None and request.pulse_path is not None:
            self.add("pulse", request.pulse, request.host, light_user(request.pulse_path, "pulse"))

    def add(self, kind: LightKind, file: str, host: str, user: type[User]) -> None:
        self.files[kind] = Path(file)
        self.asking[kind] = LightRequests(host, user, self.seconds, self.drain)

    def start(self) -> None:
        """Start once all are connected, half a gap apart: neither should wait for the other."""
        for one in self.asking.values():
            one.connect()
        began = perf_counter()
        for place, one in enumerate(self.asking.values()):
            one.start(began + place / (RATE * len(LIGHT)))

    def end(self, opened: float, closed: float) -> dict[LightKind, ArrayFile]:
        """Stop them together, and save their samples. Raises OSError."""
        stopping = [gevent.spawn(one.stop, closed, self.drain) for one in self.asking.values()]
        gevent.joinall(stopping, raise_error=True)
        return {kind: one.write(self.files[kind], opened) for kind, one in self.asking.items()}
