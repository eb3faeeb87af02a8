"""The open model: requests on a seeded schedule, whether or not earlier ones have been answered.

A closed loop hides stalls, since its users send nothing while the server is blocked (Schroeder et al.,
Open versus closed, NSDI 2006; Tene on coordinated omission). Here every request has a moment at which it
is due, and its response time counts from there.
"""

from __future__ import annotations

import ctypes
import os
import sys
from array import array
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import gevent
import numpy as np
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopUser
from numpy.typing import NDArray

Visit = Callable[[Any], Any]

ON_THE_WAY = (RescheduleTask, RescheduleTaskImmediately, InterruptTaskSet, StopUser)
"""What a task raises to end itself, which is no failure."""


def schedule(kind: str, rate: float, seconds: float, seed: int) -> NDArray[np.float64]:
    """The moments, in seconds from the start, at which `rate` requests per second are due: at even gaps
    (`constant`), or at exponential ones (`poisson`)."""
    if kind == "constant":
        return np.arange(0.0, seconds, 1.0 / rate)
    random = np.random.default_rng(seed)
    # Ten standard deviations more than expected: enough gaps.
    expected = rate * seconds
    gaps = random.exponential(1.0 / rate, size=int(expected + 10.0 * expected**0.5 + 20))
    moments = np.cumsum(gaps)
    return moments[moments < seconds]


PATIENCE = 1.0
"""Seconds that an idle server may take for one light request."""

CATCHING_UP = 0.001
"""Polling interval in seconds while the dispatcher is late."""


class Arrivals:
    """One dispatcher, and a greenlet for each arrival from a pool of at most `most` users."""

    def __init__(
        self,
        environment: Environment,
        user: type[Any],
        moments: NDArray[np.float64],
        choices: Sequence[int],
        most: int,
    ) -> None:
        self.environment = environment
        self.user = user
        if environment.host is not None:
            user.host = environment.host  # as Locust's own runners do
        self.moments = moments
        self.choices = choices
        """For each moment, which of the user's tasks is due."""
        self.most = most
        self.idle: list[Any] = []
        self.started: set[Any] = set()
        """Users whose `on_start` has run, which may log in."""
        self.made = 0
        self.busy: set[Any] = set()
        self.dropped = array("d")
        """Due times of the arrivals for which no user was free."""
        self.unanswered = array("d")
        """Due times of the arrivals that were cut off at the end without any report of theirs: Locust's own
        clients report nothing of a request in flight that is killed."""
        self.dispatched = 0
        """How many of the moments were met or dropped."""
        self.dispatcher: Any = None
        self.alarm = Alarm()

    def connect(self, number: int) -> None:
        """Prepare `number` connected users of the lean client; one alone where the server closes its
        connections: a worker that serves one at a time would block on an idle one."""
        first = self.free()
        asking = gevent.spawn(self.visit, first, self.user.tasks[0], perf_counter())
        self.busy.add(asking)
        asking.join(timeout=PATIENCE)
        if first.client.connection is None or not asking.dead:
            return
        others = [self.user(self.environment) for _ in range(min(number, self.most) - self.made)]
        for visitor in others:
            visitor.client.connect()
            if visitor.client.connection is None:
                # No further one is accepted now: the others connect once they have a request, this one too.
                visitor.client.began = None
                break
        self.made += len(others)
        self.idle += others

    def start(self, began: float) -> None:
        """Start sending; the schedule counts from `began`, on perf_counter's clock."""
        self.began = began
        self.dispatcher = gevent.spawn(self.dispatch)

    def dispatch(self) -> None:
        tasks = self.user.tasks
        for moment, choice in zip(self.moments, self.choices, strict=True):
            due = self.began + moment
            self.alarm.wait_until(due)
            self.dispatched += 1
            visitor = self.free()
            if visitor is None:
                self.dropped.append(due)
                continue
            visit = gevent.spawn(self.visit, visitor, tasks[choice], due)
            self.busy.add(visit)

    def free(self) -> Any:
        """An idle user, or a new one whose `on_start` has not run; None when `most` users are waiting."""
        if self.idle:
            return self.idle.pop()
        if self.made >= self.most:
            return None
        self.made += 1
        return self.user(self.environment)

    def visit(self, visitor: Any, task: Visit, due: float) -> None:
        """One arrival: a request, or several of which the first was due."""
        current = gevent.getcurrent()
        try:
            if visitor not in self.started:
                self.started.add(visitor)
                visitor.on_start()
            current.due = due
            task(visitor)
        except ON_THE_WAY:
            pass
        except gevent.GreenletExit:
            if getattr(current, "due", due) is not None:
                self.unanswered.append(due)
            raise
        except Exception as error:
            self.environment.events.user_error.fire(
                user_instance=visitor, exception=error, tb=error.__traceback__
            )
        finally:
            self.idle.append(visitor)
            self.busy.discard(current)

    def stop(self, closed: float, drain: float) -> None:
        """Stop once all that was due before `closed` is on its way; requests in flight get `drain` seconds.
        Raises what broke the dispatcher."""
        due = int(np.searchsorted(self.moments, closed - self.began))
        while self.dispatched < due and not self.dispatcher.dead:
            gevent.sleep(CATCHING_UP)
        broken = self.dispatcher.exception
        self.dispatcher.kill()
        waiting = list(self.busy)
        gevent.joinall(waiting, timeout=drain)
        gevent.killall([visit for visit in waiting if not visit.dead])
        for visitor in self.idle:
            visitor.on_stop()
        self.alarm.close()
        if broken is not None:
            raise broken


def due_of_this_request(start: float) -> float:
    """When the request that the current greenlet has just made was due: its start, unless it is the
    first of an arrival."""
    current = gevent.getcurrent()
    due: float | None = getattr(current, "due", None)
    if due is None:
        return start
    current.due = None
    return due


class Time(ctypes.Structure):
    """struct itimerspec: interval and value, each in seconds and nanoseconds."""

    _fields_ = (("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long),
                ("value_s", ctypes.c_long), ("value_ns", ctypes.c_long))  # fmt: skip


MONOTONIC, ABSOLUTE, NONBLOCK = 1, 1, 0o4000


class Alarm:
    """Waits for a moment without spinning and without gevent's millisecond steps: a timerfd on Linux
    (whose perf_counter is the same clock), gevent's own sleep elsewhere."""

    def __init__(self) -> None:
        self.hub = gevent.get_hub()
        self.file: int | None = None
        if sys.platform == "linux":
            self.libc = ctypes.CDLL(None, use_errno=True)
            file = int(self.libc.timerfd_create(MONOTONIC, NONBLOCK))
            if file >= 0:
                self.file = file
                self.watcher = self.hub.loop.io(file, 1)

    def wait_until(self, moment: float) -> None:
        """Return at `moment`, at once when it is past; yields in any case."""
        left = moment - perf_counter()
        if self.file is None or left <= 0.0:
            gevent.sleep(max(0.0, left))
            return
        seconds = int(moment)
        time = Time(0, 0, seconds, int((moment - seconds) * 1e9))
        if self.libc.timerfd_settime(self.file, ABSOLUTE, ctypes.byref(time), None) < 0:
            gevent.sleep(left)
            return
        self.hub.wait(self.watcher)

    def close(self) -> None:
        if self.file is not None:
            self.watcher.stop()
            self.watcher.close()
            os.close(self.file)
