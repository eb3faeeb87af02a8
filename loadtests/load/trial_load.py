"""One generator's part in one trial: start, warm up, open the window, close it, drain."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from time import perf_counter, process_time
from typing import Any, Self
from weakref import WeakKeyDictionary

import gevent
import numpy as np
from locust.event import EventHook
from locust.user.task import LOCUST_STATE_STOPPING

from loadtests.load.endpoints import Visitor
from loadtests.load.loops import Closed, LoadModel, Open
from loadtests.load.pacing.sleepers import NOTICED, SLEEPERS
from loadtests.load.pacing.waits import hasty, thinks
from loadtests.load.recorder import Recorder
from loadtests.load.user_files import client_of
from loadtests.load.users import LeanUser
from loadtests.load.world.locustfile import World, seed_draws
from loadtests.plan.request import TrialRequest
from loadtests.records.names.grouping import Grouping, grouped
from loadtests.records.samples import Samples
from loadtests.records.trial import LIGHT, ArrayFile, LightKind

BEAT = 0.01
"""Seconds between two timers that show how late the generator is."""


class ScenarioRaised(Exception):
    """The scenario's own code raised: its users did not make the load that was asked for."""


class TrialLoad:
    """This process's part in one trial: `warm`, `open` the window, `close` it, `end`. One a process: it takes
    over Locust's events."""

    def __init__(self, request: TrialRequest, world: World) -> None:
        user = world.scenarios[request.scenario]
        if issubclass(user, Visitor):
            user.begin(request.seed, request.names, request.part, request.parts)
        if not request.pauses and thinks(user):
            user = hasty(user)
        SLEEPERS.begin()
        seed_draws(f"{request.seed}/{request.part}", f"{request.names}/{request.part}")
        self.request = request
        self.environment = environment = world.environment(user, request.host, request.users, request.drain)
        listening = list(environment.events.request._handlers)
        self.recorder = Recorder()
        self.model: LoadModel = (
            Closed(request, environment, self.recorder, user)
            if request.rate is None
            else Open(request, environment, user)
        )
        # Instead of the hook that feeds Locust's own statistics and their rounded percentiles.
        environment.events.request = EventHook()
        for listener in (self.recorder.record, *listening):
            environment.events.request.add_listener(listener)
        self.crashes: list[str] = []
        environment.events.user_error.add_listener(
            lambda exception, **_: self.crashes.append(f"{type(exception).__name__}: {exception}")
        )
        self.lags = array("d")
        self.user = user
        self.lean = issubclass(user, LeanUser)
        if not self.lean and request.rate is None:
            self.recorder.latest = WeakKeyDictionary()
            self.recorder.reading = None if thinks(user) else WeakKeyDictionary()
            self.recorder.users = self.model.runner.user_greenlets
        environment.events.init.fire(environment=environment, runner=environment.runner, web_ui=None)

    def warm(self) -> float:
        """Start, and return when the warm-up is over: requests per second so far."""
        gc.collect()
        gc.freeze()
        self.heartbeat = gevent.spawn(beat, self.lags)
        self.model.start()
        self.began = perf_counter()
        self.model.warm()
        return len(self.recorder.end) / (perf_counter() - self.began)

    def open(self) -> float:
        """Open the window; the moment on perf_counter's clock."""
        del self.lags[:]
        self.cpu = process_time()
        return perf_counter()

    def close(self) -> float:
        """Close the window; the moment on perf_counter's clock."""
        self.cpu = process_time() - self.cpu
        self.heartbeat.kill()
        self.closed = perf_counter()
        self.left = self.model.left
        return self.closed

    def end(self) -> None:
        """Let requests in flight finish. Raises ScenarioRaised."""
        with Stopping(self.users, self.request.drain) as stopping:
            self.model.stop(self.closed)
        self.environment.events.quitting.fire(environment=self.environment, reverse=True)
        if self.crashes:
            raise ScenarioRaised(f"scenario {self.request.scenario!r} raised {self.crashes[0]}")
        names, scenario = list(self.recorder.endpoints), self.request.scenario
        self.recorder.unanswered(stopping.stuck, self.began, next(iter(names), scenario))
        # Which of several endpoints an arrival asked for is not known.
        now, name = perf_counter(), names[0] if len(names) == 1 else scenario
        for due in self.model.unanswered:
            self.recorder.cut_off(name, due, now)

    @cached_property
    def names(self) -> Grouping:
        """The names of the requests, grouped if they are many: once the load has ended, since a request must
        not cost more than one look-up."""
        return grouped(list(self.recorder.endpoints), self.request.routes, self.request.grouped)

    def samples(self, opened: float) -> Samples:
        """What was recorded, with times from the window's start."""
        return self.recorder.samples(opened, self.names)

    @property
    def users(self) -> list[Any]:
        """The users of a closed loop whose client does not report requests in flight at the end."""
        if self.lean or not isinstance(self.model, Closed):
            return []
        return [greenlet.args[0] for greenlet in self.model.runner.user_greenlets if greenlet.args]

    @property
    def slept(self) -> bool:
        """Whether users of a closed loop were asleep between requests, although no `wait_time` says so."""
        return SLEEPERS.seconds > NOTICED * self.request.own_users * (self.closed - self.began)

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        """What is not in the samples."""
        resent = np.array(self.recorder.resent)
        return {
            "generator_cpu": self.cpu,
            "generator_lag": float(np.quantile(self.lags, 0.9)) if self.lags else None,
            "left": self.left,
            "endpoints": list(self.names.names),
            "names": self.names.original,
            "learned": list(self.names.learned),
            "covering": regrouped(self.recorder.covering, self.recorder.endpoints, self.names),
            "thinks": thinks(self.user) or self.slept,
            "client": client_of(self.user),
            # Locust's own clients send again as well, and do not tell.
            "resent": int(((resent >= opened) & (resent < closed)).sum()) if self.lean else None,
            **self.recorder.facts(opened, closed),
            **self.model.facts(opened, closed),
        }


def regrouped(names: Iterable[str], numbers: Mapping[str, int], grouping: Grouping) -> list[str]:
    """The groups of some names. `numbers`: by name, its place among all that were grouped."""
    return sorted({grouping.names[grouping.numbers[numbers[name]]] for name in names})


def arrays(samples: ArrayFile, beside: Mapping[LightKind, ArrayFile]) -> dict[str, Any]:
    """The files that a generator has written, as the parent reads them: part of TrialArrays."""
    found: dict[str, Any] = {"samples": samples.model_dump()}
    for kind in LIGHT:
        found[kind] = beside[kind].model_dump() if kind in beside else None
    return found


class Stopping:
    """Watches users who were asked to stop after their task: those whose task takes all of `patience` are
    stuck in it, and Locust kills them without a trace."""

    def __init__(self, users: Sequence[Any], patience: float) -> None:
        self.users = users
        self.patience = patience
        self.asked: dict[Any, float] = {}
        self.seen: dict[Any, float] = {}
        """By greenlet, when each was first and last seen in its last task."""

    def __enter__(self) -> Self:
        self.watching = gevent.spawn(self.watch)
        return self

    def __exit__(self, *_: object) -> None:
        self.watching.kill()

    def watch(self) -> None:
        while self.users:
            now = perf_counter()
            for user in self.users:
                if user.greenlet in SLEEPERS.asleep:
                    # Its task sleeps between two requests: nothing is left without an answer.
                    self.asked.pop(user.greenlet, None)
                    self.seen.pop(user.greenlet, None)
                elif user._state == LOCUST_STATE_STOPPING and not user.greenlet.dead:
                    self.asked.setdefault(user.greenlet, now)
                    self.seen[user.greenlet] = now
            gevent.sleep(BEAT)

    @property
    def stuck(self) -> list[Any]:
        """Their greenlets."""
        return [one for one, last in self.seen.items() if last - self.asked[one] > self.patience - 5 * BEAT]


def beat(lags: array[float]) -> None:
    """Record how late a timer is, 100 times per second: in a starved generator, timers are late."""
    due = perf_counter()
    while True:
        due = max(due + BEAT, perf_counter())
        gevent.sleep(due - perf_counter())
        lags.append(perf_counter() - due)
