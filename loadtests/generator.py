"""The long-lived child that runs Locust as a library and records every request.

The only place where gevent lives. Reads one JSON line per trial from stdin, loads the server it
names, writes the samples to the file it names and answers with what happened.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import random
import sys
from array import array
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Protocol

import gevent
import numpy as np
from locust import User
from locust.env import Environment
from locust.event import EventHook

from loadtests.addresses import guard
from loadtests.arrivals import Arrivals, schedule
from loadtests.canary import Canary
from loadtests.client import Gate, LeanUser
from loadtests.locustfiles import (
    CANARY,
    Unusable,
    canary_user,
    client_of,
    is_plain,
    listeners,
    thinks,
    users_of,
)
from loadtests.recorder import Recorder
from loadtests.records import write_samples
from loadtests.scenarios import Visitor, scenarios

POLL = 0.02
"""Seconds between two looks at whether the warm-up is over."""
LONGEST = 10.0
"""Seconds that a warm-up or a window of a very slow server is stretched to at most."""
MARGIN = 2.0
"""Seconds of schedule beyond the planned window."""
BEAT = 0.01
"""Seconds between two timers that tell how late the generator is."""

Known = dict[str, type[User]]
"""Scenarios by their names."""


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
    part: int = 0
    """Which of the `parts` of this load this process makes."""
    parts: int = 1
    canary: str | None = None
    """Where the samples of a canary go, if there is to be one."""
    begins: float | None = None
    """When the first arrival's schedule starts, on perf_counter's clock; None: at once."""

    @property
    def own_users(self) -> int:
        """This process's share of the users."""
        return self.users // self.parts + (self.part < self.users % self.parts)


class Pressure(Protocol):
    """How requests come about: `start`, wait for `warm`, hold for `window` seconds, `stop`."""

    def start(self) -> None: ...

    def warm(self) -> None: ...

    def window(self, rate: float) -> float: ...

    def stop(self) -> None: ...

    def facts(self, opened: float, closed: float) -> dict[str, Any]: ...


class Closed:
    """Users who ask again as soon as they are answered."""

    def __init__(self, order: Order, environment: Environment, recorder: Recorder, user: type[User]) -> None:
        self.order = order
        self.recorder = recorder
        self.runner = environment.create_local_runner()
        self.user = user

    def start(self) -> None:
        """Return when the users begin; lean ones are connected then."""
        users = self.order.own_users
        # Where this process has no users, nobody would open the gate to those of a later trial.
        gate = None
        if users and issubclass(self.user, LeanUser):
            gate = self.user.gate = Gate()
        if users:
            self.runner.start(users, spawn_rate=users)
        if gate is not None:
            gate.open(users)
        self.began = perf_counter()

    def warm(self) -> None:
        """Wait for the least warm-up and until the users have had their turns, within reason."""
        order = self.order
        gevent.sleep(order.warmup)
        longest = max(LONGEST, order.warmup)
        while (
            len(self.recorder.end) < order.warmup_turns * order.own_users
            and perf_counter() - self.began < longest
        ):
            gevent.sleep(POLL)

    def window(self, rate: float) -> float:
        return self.window_for(self.order, rate)

    @staticmethod
    def window_for(order: Order, rate: float) -> float:
        """Seconds: the least window, and long enough for the users' turns at `rate` requests a second."""
        turns = order.window_turns * order.users / rate if rate else 0.0
        return max(order.window, min(turns, LONGEST))

    def stop(self) -> None:
        self.runner.stop()
        self.runner.quit()

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        return {}


class Open:
    """Arrivals on a schedule, the same for every arm that gets the same seed."""

    def __init__(self, order: Order, environment: Environment, user: type[User]) -> None:
        if order.rate is None or order.arrivals is None:
            raise ValueError("an open loop has a rate, and arrivals that are spread somehow")
        self.order = order
        self.environment = environment
        # A little more than is needed: the window opens when the clock says so, not the schedule.
        seconds = order.warmup + order.window + MARGIN
        moments = schedule(order.arrivals, order.rate, seconds, order.seed)
        choices = np.random.default_rng(order.seed + 1).integers(len(user.tasks), size=len(moments))
        share = slice(order.part, None, order.parts)
        self.arrivals = Arrivals(environment, user, moments[share], choices[share].tolist(), order.own_users)

    def start(self) -> None:
        # Locust's own runner does this for a closed loop.
        self.environment.events.test_start.fire(environment=self.environment)
        self.arrivals.start(perf_counter() if self.order.begins is None else self.order.begins)

    def warm(self) -> None:
        gevent.sleep(self.order.warmup)

    def window(self, rate: float) -> float:
        return self.order.window

    def stop(self) -> None:
        self.arrivals.stop(self.order.drain)
        self.environment.events.test_stop.fire(environment=self.environment)

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        """How many requests were due in the window, and how many of them found no user free."""
        due = self.arrivals.began + self.arrivals.moments
        dropped = np.array(self.arrivals.dropped)
        return {
            "arrivals": int(((due >= opened) & (due < closed)).sum()),
            "dropped": int(((dropped >= opened) & (dropped < closed)).sum()),
        }


class Attempt:
    """This process's part in one trial: begin, warm, open the window, close it, end."""

    def __init__(self, order: Order, known: Known) -> None:
        user = known[order.scenario]
        if issubclass(user, Visitor):
            user.begin(order.seed, order.part, order.parts)
        random.seed(f"{order.seed}/{order.part}")
        self.order = order
        environment = Environment(
            user_classes=[user], host=order.host, stop_timeout=order.drain, catch_exceptions=False,
            events=listeners(),
        )  # fmt: skip
        listening = list(environment.events.request._handlers)
        self.recorder = Recorder()
        self.pressure: Pressure = (
            Closed(order, environment, self.recorder, user)
            if order.rate is None
            else Open(order, environment, user)
        )
        # In place of the hook that Locust's own statistics, with its rounded percentiles, listen to.
        environment.events.request = EventHook()
        for listener in (self.recorder.record, *listening):
            environment.events.request.add_listener(listener)
        self.crashes: list[str] = []
        environment.events.user_error.add_listener(
            lambda exception, **_: self.crashes.append(f"{type(exception).__name__}: {exception}")
        )
        self.lags = array("d")
        self.user = user

    def warm(self) -> float:
        """Begin, and return when the warm-up is over: requests per second so far."""
        gc.collect()
        gc.freeze()
        self.heartbeat = gevent.spawn(beat, self.lags)
        self.pressure.start()
        self.began = perf_counter()
        self.pressure.warm()
        return len(self.recorder.end) / (perf_counter() - self.began)

    def open(self) -> float:
        """Open the window; when."""
        del self.lags[:]
        self.cpu = process_time()
        return perf_counter()

    def close(self) -> float:
        """Close the window; when."""
        self.cpu = process_time() - self.cpu
        self.heartbeat.kill()
        return perf_counter()

    def end(self) -> None:
        """Let what is in flight finish. Raises ScenarioFailed."""
        self.pressure.stop()
        if self.crashes:
            raise ScenarioFailed(f"scenario {self.order.scenario!r} raised {self.crashes[0]}")

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        """What is not in the samples."""
        return {
            "generator_cpu": self.cpu,
            "generator_lag": float(np.quantile(self.lags, 0.9)) if self.lags else None,
            "endpoints": list(self.recorder.endpoints),
            "errors": list(self.recorder.errors),
            "thinks": thinks(self.user),
            "client": client_of(self.user),
            **self.pressure.facts(opened, closed),
        }


def load(order: Order, known: Known) -> dict[str, Any]:
    """Run one trial alone: warm-up, window, drain. Returns the facts that are not in the samples. Raises
    ScenarioFailed."""
    attempt = Attempt(order, known)
    canary = begin_canary(order, known)
    rate = attempt.warm()
    opened = attempt.open()
    tell("opened", at=opened)
    gevent.sleep(attempt.pressure.window(rate))
    closed = attempt.close()
    tell("closed", at=closed)
    try:
        attempt.end()
    finally:
        drained = perf_counter()
        end_canary(canary, order, opened)
    write_samples(Path(order.samples), attempt.recorder.samples(opened))
    return {
        "warmup": opened - attempt.began,
        "window": closed - opened,
        "drain": drained - closed,
        **attempt.facts(opened, closed),
    }


def begin_canary(order: Order, known: Known) -> Canary | None:
    """A canary that sings already, if one is asked for."""
    if order.canary is None:
        return None
    canary = Canary(order.host, known[CANARY])
    canary.start()
    return canary


def end_canary(canary: Canary | None, order: Order, opened: float) -> None:
    """Save what the canary met, if there is one."""
    if canary is not None and order.canary is not None:
        canary.stop(order.drain)
        canary.write(Path(order.canary), opened)


def beat(lags: array[float]) -> None:
    """Note how late a timer comes, a hundred times a second: a starved generator's are."""
    due = perf_counter()
    while True:
        due = max(due + BEAT, perf_counter())
        gevent.sleep(due - perf_counter())
        lags.append(perf_counter() - due)


def described(known: Known) -> dict[str, Any]:
    """What a parent may want to know of the scenarios: whether they write, think, and can arrive on a
    schedule, and their mix."""
    names = {user.tasks[0]: name for name, user in known.items() if len(set(user.tasks)) == 1}
    return {
        name: {
            "writes": bool(getattr(user, "writes", False)),
            "thinks": thinks(user),
            "plain": is_plain(user),
            "about": (user.__doc__ or "").strip() if "__doc__" in vars(user) else "",
            "endpoints": {
                names.get(task) or str(getattr(task, "__name__", task)): count
                for task, count in Counter(user.tasks).items()
            },
        }
        for name, user in known.items()
        if name != CANARY
    }


def tell(event: str, **facts: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def options() -> argparse.ArgumentParser:
    """What a generator is told when it starts; fleet.py hands it on."""
    parser = argparse.ArgumentParser(description="Make load, one order a line on stdin.")
    parser.add_argument("--cpus", help="comma-separated CPUs to run on")
    parser.add_argument("--scenarios", help="a file of Locust users, in place of our own")
    parser.add_argument("--canary", help="the path that a canary asks for")
    parser.add_argument("--allow-remote", action="store_true", help="connect to other machines, too")
    return parser


def prepare(chosen: argparse.Namespace) -> Known:
    """Settle this process on its CPUs; the scenarios that it can run."""
    if chosen.cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(cpu) for cpu in chosen.cpus.split(",")})
    if not chosen.allow_remote:
        guard()
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("locust").setLevel(logging.ERROR)
    gc.set_threshold(50_000, 20, 100)
    try:
        known: Known = users_of(chosen.scenarios) if chosen.scenarios else dict(scenarios())
    except Unusable as unusable:
        sys.exit(str(unusable))
    if chosen.canary:
        known[CANARY] = canary_user(chosen.canary)
    return known


def main() -> None:
    """`python -m loadtests.generator`, with the flags of `options`."""
    # Nobody reads what a scenario prints; it would be taken for a message.
    with redirect_stdout(sys.stderr):
        known = prepare(options().parse_args())
    tell("ready", scenarios=described(known))
    # Between trials nothing else runs here, so a blocking read is right.
    for line in sys.stdin:
        try:
            facts = load(Order(**json.loads(line)), known)
        except ScenarioFailed as failure:
            tell("failed", why=str(failure))
        except OSError as failure:
            tell("failed", why=f"the samples cannot be kept: {failure.strerror or failure}")
        else:
            tell("done", **facts)


if __name__ == "__main__":
    main()
