"""The two load models: closed loops of users, open loops of arrivals."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Protocol

import gevent
import numpy as np
from locust import User
from locust.env import Environment
from locust.runners import STATE_RUNNING, LocalRunner
from numpy.typing import NDArray

from loadtests.load.arrivals import Arrivals, schedule
from loadtests.load.pacing.sleepers import SLEEPERS
from loadtests.load.recorder import Recorder
from loadtests.load.users import LeanUser, StartBarrier
from loadtests.plan.request import TrialRequest

POLL = 0.02
"""Polling interval in seconds while waiting for the end of the warm-up."""

MARGIN = 2.0
"""Seconds of schedule beyond the planned window."""


class LoadModel(Protocol):
    """In this order: `start`, `warm` returns when the warm-up is over, hold for `window` seconds, `stop` with
    the moment when the window closed."""

    runner: LocalRunner

    @property
    def unanswered(self) -> Sequence[float]:
        """When the requests were due that were cut off at the end, and that no client has reported."""

    @property
    def left(self) -> int:
        """How many users have ended by themselves."""

    def start(self) -> None: ...

    def warm(self) -> None: ...

    def window(self, rate: float) -> float: ...

    def stop(self, closed: float) -> None: ...

    def facts(self, opened: float, closed: float) -> dict[str, Any]: ...


class Closed:
    """A closed loop: users who send the next request once the last one is answered.

    Users who begin together stay together where all requests take equally long, and load the server in
    waves. So their first requests are spread over the time that a request is expected to take.
    """

    def __init__(
        self, request: TrialRequest, environment: Environment, recorder: Recorder, user: type[User]
    ) -> None:
        self.request = request
        self.recorder = recorder
        self.user = spread(user, starts(request))
        environment.user_classes = [self.user]
        self.runner = environment.create_local_runner()
        self.unanswered: Sequence[float] = ()
        self.tail = 0.0

    def start(self) -> None:
        """Return when the first user starts; lean ones are all connected then."""
        users = self.request.own_users
        # Without users no barrier: it would still be closed for the users of a later trial.
        barrier = None
        if users and issubclass(self.user, LeanUser):
            barrier = self.user.barrier = StartBarrier(self.request.host, self.request.pulse_path)
        if users:
            self.runner.start(users, spawn_rate=users)
        if barrier is not None:
            barrier.open(users)
        self.began = perf_counter()

    def warm(self) -> None:
        """Wait for the warm-up, and until the users have had their turns, but not longer than `longest`."""
        request = self.request
        gevent.sleep(request.warmup)
        longest = max(request.longest, request.warmup)
        while (
            len(self.recorder.end) < request.warmup_turns * request.own_users
            and perf_counter() - self.began < longest
            and self.left < request.own_users
        ):
            gevent.sleep(POLL)

    def window(self, rate: float) -> float:
        return self.window_for(self.request, rate)

    @staticmethod
    def window_for(request: TrialRequest, rate: float) -> float:
        """Seconds: the window, or longer for the users' turns at `rate` requests per second."""
        turns = request.window_turns * request.users / rate if rate else 0.0
        return max(request.window, min(turns, request.longest))

    def stop(self, closed: float) -> None:
        """Stop once the requests in flight at `closed` are answered, but wait no longer than for the longest
        request so far: without the users' next requests, these would find less and less load."""
        earlier = len(self.recorder.end)
        while earlier and self.recorder.end[earlier - 1] >= closed:
            earlier -= 1
        took = np.array(self.recorder.end) - np.array(self.recorder.start)
        until = closed + min(float(took.max(initial=0.0)), self.request.drain)
        users = self.request.own_users - self.left
        while self.answered(earlier, closed) < users and perf_counter() < until:
            gevent.sleep(min(POLL, max(0.0, until - perf_counter())))
        self.tail = perf_counter() - closed
        self.recorder.closed = closed
        self.runner.stop()
        self.runner.quit()

    def answered(self, earlier: int, closed: float) -> int:
        """How many of the requests after the `earlier` ones were started before `closed`."""
        return sum(start < closed for start in self.recorder.start[earlier:])

    @property
    def left(self) -> int:
        """How many users have ended by themselves."""
        begun = self.runner.state == STATE_RUNNING
        return max(0, self.request.own_users - self.runner.user_count) if begun else 0

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        """For how long the load continued after the window."""
        return {"tail": self.tail}


def starts(request: TrialRequest) -> NDArray[np.float64]:
    """When each of this process's users makes its first request, in seconds after all are connected: one at a
    random moment of each of `users` equal parts of a turn (stratified sampling)."""
    random = np.random.default_rng(request.seed)
    moments = (np.arange(request.users) + random.random(request.users)) * request.turn / request.users
    return moments[request.part :: request.parts]


def spread(user: type[User], moments: NDArray[np.float64]) -> type[User]:
    """The same users, the next one of whom waits for the next of `moments` between `on_start` and its first
    request."""
    pauses = iter(moments.tolist())

    def on_start(self: User) -> None:
        user.on_start(self)
        pause = next(pauses, 0.0)
        gevent.sleep(pause)
        # constant_pacing would take it for a task's time, wait for less, and so bring all users together.
        self._cp_last_run += pause
        SLEEPERS.join()

    # All users of a trial are of this one class, whatever part of a whole it has in the file.
    return type(user.__name__, (user,), {"on_start": on_start, "weight": 1, "fixed_count": 0})


class Open:
    """An open loop: arrivals on a schedule, the same for equal seeds."""

    def __init__(self, request: TrialRequest, environment: Environment, user: type[User]) -> None:
        if request.rate is None or request.arrivals is None:
            raise ValueError("an open loop needs a rate and a kind of arrivals")
        self.request = request
        self.environment = environment
        # Longer than needed: the window opens by the clock, not by the schedule.
        seconds = request.warmup + request.window + MARGIN
        moments = schedule(request.arrivals, request.rate, seconds, request.seed)
        choices = np.random.default_rng(request.seed + 1).integers(len(user.tasks), size=len(moments))
        share = slice(request.part, None, request.parts)
        self.arrivals = Arrivals(
            environment, user, moments[share], choices[share].tolist(), request.own_users
        )
        self.unanswered: Sequence[float] = self.arrivals.unanswered
        # For the file's listeners: it starts no users.
        self.runner = environment.create_local_runner()
        self.left = 0

    def start(self) -> None:
        # Locust's own runner does this for a closed loop.
        self.environment.events.test_start.fire(environment=self.environment)
        self.arrivals.start(perf_counter() if self.request.begins is None else self.request.begins)

    def warm(self) -> None:
        # A fleet's schedule begins later than the request comes, at one moment in all its processes.
        gevent.sleep(max(0.0, self.arrivals.began + self.request.warmup - perf_counter()))

    def window(self, rate: float) -> float:
        return self.request.window

    def stop(self, closed: float) -> None:
        self.arrivals.stop(closed, self.request.drain)
        self.environment.events.test_stop.fire(environment=self.environment)

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        """How many requests were due in the window, and how many of them found no free user."""
        due = self.arrivals.began + self.arrivals.moments
        dropped = np.array(self.arrivals.dropped)
        return {
            "arrivals": int(((due >= opened) & (due < closed)).sum()),
            "dropped": int(((dropped >= opened) & (dropped < closed)).sum()),
        }
