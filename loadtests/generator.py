"""The long-lived child that runs Locust as a library and records every request.

The only place where gevent lives. Reads one JSON line per trial from stdin, loads the server it
names, writes the samples to the file it names and answers with what happened.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import sys
from array import array
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Protocol

import gevent
import numpy as np
from locust.env import Environment
from locust.event import EventHook

from loadtests.arrivals import Arrivals, due_of_this_request, schedule
from loadtests.records import Samples, write_samples
from loadtests.scenarios import Visitor, scenarios

POLL = 0.02
"""Seconds between two looks at whether the warm-up is over."""
LONGEST = 10.0
"""Seconds that a warm-up or a window of a very slow server is stretched to at most."""
MARGIN = 2.0
"""Seconds of schedule beyond the planned window."""
BEAT = 0.01
"""Seconds between two timers that tell how late the generator is."""
MOST_ERRORS = 50
"""Kinds of failure that are told apart."""


class ScenarioFailed(Exception):
    """The scenario's own code raised, so its users did not make the load that was asked for."""


@dataclass(frozen=True)
class Order:
    """What the parent asks for. Times in seconds."""

    host: str
    scenario: str
    users: int
    """Of a closed loop; in an open one the most that may wait at once."""
    warmup: float
    window: float
    drain: float
    seed: int
    samples: str
    rate: float | None = None
    """Arrivals a second, which make the loop an open one."""
    arrivals: str | None = None
    warmup_turns: int = 3
    """Requests per user that the warm-up lasts at least."""
    window_turns: int = 5
    """Requests per user that the window lasts at least."""


class Recorder:
    """Listens to Locust's request event: one row per request, in full precision."""

    def __init__(self) -> None:
        self.endpoints: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.endpoint = array("H")
        self.due = array("d")
        self.start = array("d")
        self.end = array("d")
        self.status = array("H")
        self.size = array("L")
        self.error = array("H")

    def record(
        self,
        name: str,
        response_time: float,
        response_length: int,
        response: Any = None,
        exception: BaseException | None = None,
        **_: Any,
    ) -> None:
        """One request; `response_time` in milliseconds as Locust has it."""
        end = perf_counter()
        endpoints = self.endpoints
        self.endpoint.append(endpoints.setdefault(name, len(endpoints)))
        start = end - response_time / 1000.0
        self.due.append(due_of_this_request(start))
        self.start.append(start)
        self.end.append(end)
        self.size.append(response_length or 0)
        if exception is None:
            self.status.append(response.status_code)
            self.error.append(0)
        else:
            self.status.append(getattr(response, "status_code", 0) or 0)
            self.error.append(self.kind(exception))

    def kind(self, exception: BaseException) -> int:
        text = f"{type(exception).__name__}: {exception}"[:200]
        if text not in self.errors and len(self.errors) >= MOST_ERRORS:
            text = "other errors"
        return self.errors.setdefault(text, len(self.errors) + 1)

    def samples(self, window_start: float) -> Samples:
        """What was recorded, with times from the window's start, in the order of ends."""
        return Samples(
            endpoint=np.array(self.endpoint, dtype=np.uint16),
            due=np.array(self.due, dtype=np.float64) - window_start,
            start=np.array(self.start, dtype=np.float64) - window_start,
            end=np.array(self.end, dtype=np.float64) - window_start,
            status=np.array(self.status, dtype=np.uint16),
            size=np.array(self.size, dtype=np.uint32),
            error=np.array(self.error, dtype=np.uint16),
        )


class Pressure(Protocol):
    """How requests come about: `start`, wait for `warm`, hold for `window` seconds, `stop`."""

    def start(self) -> None: ...

    def warm(self) -> None: ...

    def window(self, rate: float) -> float: ...

    def stop(self) -> None: ...

    def facts(self, opened: float, closed: float) -> dict[str, Any]: ...


class Closed:
    """Users who ask again as soon as they are answered."""

    def __init__(self, order: Order, environment: Environment, recorder: Recorder) -> None:
        self.order = order
        self.recorder = recorder
        self.runner = environment.create_local_runner()

    def start(self) -> None:
        self.began = perf_counter()
        self.runner.start(self.order.users, spawn_rate=self.order.users)

    def warm(self) -> None:
        """Wait for the least warm-up and until the users have had their turns, within reason."""
        order = self.order
        gevent.sleep(order.warmup)
        longest = max(LONGEST, order.warmup)
        while (
            len(self.recorder.end) < order.warmup_turns * order.users
            and perf_counter() - self.began < longest
        ):
            gevent.sleep(POLL)

    def window(self, rate: float) -> float:
        """Seconds: the least window, and long enough for the users' turns at `rate` requests a second."""
        turns = self.order.window_turns * self.order.users / rate if rate else 0.0
        return max(self.order.window, min(turns, LONGEST))

    def stop(self) -> None:
        self.runner.stop()
        self.runner.quit()

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        return {}


class Open:
    """Arrivals on a schedule, the same for every arm that gets the same seed."""

    def __init__(self, order: Order, environment: Environment, user: type[Visitor]) -> None:
        if order.rate is None or order.arrivals is None:
            raise ValueError("an open loop has a rate, and arrivals that are spread somehow")
        self.order = order
        # A little more than is needed: the window opens when the clock says so, not the schedule.
        seconds = order.warmup + order.window + MARGIN
        moments = schedule(order.arrivals, order.rate, seconds, order.seed)
        choices = np.random.default_rng(order.seed + 1).integers(len(user.tasks), size=len(moments))
        self.arrivals = Arrivals(environment, user, moments, choices.tolist(), order.users)

    def start(self) -> None:
        self.arrivals.start(perf_counter())

    def warm(self) -> None:
        gevent.sleep(self.order.warmup)

    def window(self, rate: float) -> float:
        return self.order.window

    def stop(self) -> None:
        self.arrivals.stop(self.order.drain)

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        """How many requests were due in the window, and how many of them found no user free."""
        due = self.arrivals.began + self.arrivals.moments
        dropped = np.array(self.arrivals.dropped)
        return {
            "arrivals": int(((due >= opened) & (due < closed)).sum()),
            "dropped": int(((dropped >= opened) & (dropped < closed)).sum()),
        }


def load(order: Order, known: dict[str, type[Visitor]]) -> dict[str, Any]:
    """Run one trial: warm-up, window, drain. Returns the facts that are not in the samples."""
    user = known[order.scenario]
    user.begin(order.seed)
    random.seed(order.seed)
    environment = Environment(
        user_classes=[user], host=order.host, stop_timeout=order.drain, catch_exceptions=False
    )
    recorder = Recorder()
    pressure: Pressure = (
        Closed(order, environment, recorder) if order.rate is None else Open(order, environment, user)
    )
    # In place of the hook that Locust's own statistics, with its rounded percentiles, listen to.
    environment.events.request = EventHook()
    environment.events.request.add_listener(recorder.record)
    crashes: list[str] = []
    environment.events.user_error.add_listener(
        lambda exception, **_: crashes.append(f"{type(exception).__name__}: {exception}")
    )
    gc.collect()
    gc.freeze()

    began = perf_counter()
    heartbeat = gevent.spawn(beat, lags := array("d"))
    pressure.start()
    pressure.warm()
    del lags[:]
    opened, cpu = perf_counter(), process_time()
    tell("opened")
    gevent.sleep(pressure.window(len(recorder.end) / (opened - began)))
    closed, used = perf_counter(), process_time() - cpu
    heartbeat.kill()
    tell("closed")
    pressure.stop()
    drained = perf_counter()

    if crashes:
        raise ScenarioFailed(f"scenario {order.scenario!r} raised {crashes[0]}")
    write_samples(Path(order.samples), recorder.samples(opened))
    return {
        "warmup": opened - began,
        "window": closed - opened,
        "drain": drained - closed,
        "generator_cpu": used,
        "generator_lag": float(np.quantile(lags, 0.9)) if lags else None,
        "endpoints": list(recorder.endpoints),
        "errors": list(recorder.errors),
        **pressure.facts(opened, closed),
    }


def beat(lags: array[float]) -> None:
    """Note how late a timer comes, a hundred times a second: a starved generator's are."""
    due = perf_counter()
    while True:
        due = max(due + BEAT, perf_counter())
        gevent.sleep(due - perf_counter())
        lags.append(perf_counter() - due)


def described(known: dict[str, type[Visitor]]) -> dict[str, Any]:
    """What a parent may want to know of the scenarios: whether they write, and their mix."""
    names = {user.tasks[0]: name for name, user in known.items() if len(set(user.tasks)) == 1}
    return {
        name: {
            "writes": user.writes,
            "about": (user.__doc__ or "").strip(),
            "endpoints": {names.get(task, "?"): n for task, n in Counter(user.tasks).items()},
        }
        for name, user in known.items()
    }


def tell(event: str, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def main() -> None:
    """`python -m loadtests.generator [CPUS]`."""
    if len(sys.argv) > 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu) for cpu in sys.argv[1].split(",")})
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("locust").setLevel(logging.ERROR)
    gc.set_threshold(50_000, 20, 100)
    known = scenarios()
    tell("ready", scenarios=described(known))
    # Between trials nothing else runs here, so a blocking read is right.
    for line in sys.stdin:
        try:
            facts = load(Order(**json.loads(line)), known)
        except ScenarioFailed as failure:
            sys.exit(str(failure))
        tell("done", **facts)


if __name__ == "__main__":
    main()
