"""What holds the event loop: stacks of its thread, taken while the loop is late.

A thread checks every 100 ms whether the loop runs a callback. If it does, the loop is asked to give a sign,
and 5 ms later, beyond what the idle loop takes, it should have come. Where it has not, the loop is late: the
stack of its thread is looked at, and again 50 times a second until it is punctual for some time. The stack of
a punctual loop is not read, and it is asked seldom: each time that a thread wakes up costs up to 70 µs in a
virtual machine.

A loop is late because of one callback that runs for long, or because of many that queue. What runs when the
loop is asked and 5 ms later tells them apart: until the sign comes no task runs more than twice, so that a
task that is there both times has held the loop in between.

Loaded by serve.py from its own directory: only the standard library, none of our packages. References to
frames never outlive a look: they would keep alive what the app has in its variables.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from statistics import median
from threading import Thread, get_ident, get_native_id
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

if TYPE_CHECKING:
    from loadtests.serving.inside.stacks import Stack, Stacks

EVERY = 0.1
"""Seconds from one check of a punctual loop to the next."""

AGAIN = 0.02
"""The same for one that was late at one of the last checks."""

CALM = 5
"""Checks in a row after which a punctual loop is checked less often."""

LATE = 0.005
"""Seconds beyond the idle loop's lateness from which on a loop is late."""

SWITCH = 0.005
"""Seconds for which a thread that computes in Python may keep the GIL."""

ASKED = 10
"""Times that the loop is asked before the load: the median is its idle lateness."""

KEPT = 12_000
"""Looks at a late loop that are kept: four minutes of one that always is."""

HALF = 0.5
"""Fraction of the time from which on a thread has computed rather than waited."""

MOST_LINES = 40
"""Lines that are told."""

AT_ONCE = 0.001
"""Seconds within which a thread that wakes up gets the GIL unless another one has it."""

QUEUE, CONTENDED, UNKNOWN, UNPLACED = -1.0, -2.0, -3.0, -4.0
"""In place of a place: the loop was between two callbacks; other threads computed while its own waited, for
the GIL or for something else; it is not kept; the loop's thread computed and gave the GIL away by itself, as
when it sends an answer: where it computed before that is not known."""

ALMOST = 0.9

FIELDS = ("at", "seconds", "place", "held", "cpu", "over", "length")
"""Of a look, in seconds: when; for how long it stands; the number of the place; 1 where one callback has held
the loop since the last look, else 0; CPU time of the loop's thread, in how much time; how long that callback
has been seen to run."""


class Step(NamedTuple):
    """A callback that runs: its task, or else the identity of its outermost frame."""

    task: ref[Any] | None
    frame: int


class Clock(NamedTuple):
    """Moments on three clocks, in seconds."""

    at: float
    loop: float
    """CPU time of the loop's thread."""
    process: float
    """CPU time of all threads."""
    ready: float
    """Time for which the loop's thread has waited for a CPU; 0.0 where the platform does not show it."""


class LoopWatchdog:
    """Watches the running loop once `start` is called there; `read` may be called from any thread. `every`:
    seconds from one check to the next."""

    def __init__(self, stacks: Stacks, every: float = EVERY) -> None:
        self.stacks = stacks
        self.every = every
        self.idle = 0.0
        """Lateness of the idle loop."""
        self.sign = 0.0
        """When the loop gave the sign that it was asked for; 0.0 while that is out."""
        self.number = 0
        self.stood = 0.0
        """When it was last seen whether the loop is late."""
        self.seen: int | None = None
        """Where the look of that moment is; None where it was punctual."""
        self.calm = CALM
        """How often in a row it has been punctual."""
        # Pages that are never written to take no memory.
        self.looks = memoryview(mmap.mmap(-1, 8 * len(FIELDS) * KEPT)).cast("d")

    def start(self) -> None:
        """Begin to watch the running loop."""
        self.loop = asyncio.get_running_loop()
        self.thread = get_ident()
        clock = getattr(time, "pthread_getcpuclockid", None)
        self.cpu_clock: int | None = None if clock is None else clock(self.thread)
        self.schedule: int | None = None
        with suppress(OSError):
            self.schedule = os.open(f"/proc/self/task/{get_native_id()}/schedstat", os.O_RDONLY)
        self.stacks.leave_out(sys._getframe())
        Thread(target=self.watch, daemon=True, name="duel-watchdog").start()

    def moment(self) -> float:
        return perf_counter()

    def rest(self, seconds: float) -> float:
        """Sleep; returns for how many seconds longer than that it took to continue."""
        until = self.moment() + seconds
        sleep(seconds)
        return self.moment() - until

    def watch(self) -> None:
        try:
            self.idle = min(LATE, median([self.lateness() for _ in range(ASKED)]))
            self.last = self.now()
            self.stood = self.last.at
            while True:
                self.check()
        except RuntimeError:
            # The loop is closed.
            return

    def lateness(self) -> float:
        """Of the loop, which has nothing to do yet. Raises RuntimeError once it is closed."""
        self.rest(LATE)
        asked = perf_counter()
        self.ask()
        self.rest(LATE)
        return (self.sign or perf_counter()) - asked

    def ask(self) -> None:
        """Ask the loop for a sign. Raises RuntimeError once it is closed."""
        self.sign = 0.0
        self.loop.call_soon_threadsafe(self.give_sign)

    def give_sign(self) -> None:
        self.sign = perf_counter()

    def now(self) -> Clock:
        loop = 0.0 if self.cpu_clock is None else time.clock_gettime(self.cpu_clock)
        ready = 0.0 if self.schedule is None else int(os.pread(self.schedule, 100, 0).split()[1]) / 1e9
        return Clock(self.moment(), loop, process_time(), ready)

    def check(self) -> None:
        """Whether the loop is punctual; where it is not, look at it until it is. Raises RuntimeError once it
        is closed."""
        before = self.last
        due = before.at + (self.every if self.calm >= CALM else min(self.every, AGAIN))
        self.rest(max(0.0, due - self.moment()))
        self.last = self.now()
        waited, step = self.last.at - due, self.step()
        kept = waited > LATE + self.idle and self.kept_from_us(before, waited)
        if kept:
            # Late already: its thread computed, and did not give the GIL away. Nothing in Python keeps that
            # for longer than a switch takes: one call did, and has just ended.
            self.look(before._replace(at=due), due, waited > LATE + SWITCH + self.idle, step, waited)
        elif step is None:
            self.stand(self.last.at, None)
        if step is None:
            return
        self.ask()
        waited = self.rest(LATE + self.idle)
        if self.sign and not kept:
            self.stand(self.moment(), None)
        since, soon = due if kept else self.last.at, True
        while not self.sign:
            before, self.last = self.last, self.now()
            held = self.runs(step)
            since = since if held else self.last.at
            step = step if held else self.step()
            self.look(before, since, held, step, waited)
            # In pairs: the second one of a pair shows whether a callback lasts.
            soon = not soon
            waited = self.rest(min(self.every, LATE if soon else 2 * AGAIN - LATE))
            if self.loop.is_closed():
                return

    def stand(self, at: float, seen: int | None) -> float:
        """Now the loop is punctual (`seen` is None), or late, with a look at that place among the looks kept.
        What was found stands for half of the time before it and after it; returns the former, in seconds."""
        half = (at - self.stood) / 2
        if self.seen is not None:
            self.looks[self.seen + 1] += half
        self.stood, self.seen = at, seen
        self.calm = self.calm + 1 if seen is None else 0
        return half

    def kept_from_us(self, before: Clock, waited: float) -> bool:
        """Whether the loop's thread, and no other one, computed while this thread waited for the GIL."""
        loop = self.last.loop - before.loop
        return loop >= HALF * waited > self.last.process - before.process - loop

    def step(self) -> Step | None:
        """The callback that runs now; None where the loop is idle."""
        stack = self.stacks.of(self.thread)
        return None if self.stacks.idle(stack) else self.step_of(stack)

    def step_of(self, stack: Stack) -> Step:
        task = asyncio.current_task(self.loop)
        if task is not None:
            return Step(ref(task), 0)
        root = self.stacks.callback(stack)[-1]
        # A mark, as another frame may have the same address later. It is of use to debuggers only.
        root.f_trace_lines = False
        return Step(None, id(root))

    def runs(self, step: Step | None) -> bool:
        """Whether that callback still runs."""
        if step is None:
            return False
        if step.task is not None:
            task = step.task()
            return task is not None and asyncio.current_task(self.loop) is task
        stack = self.stacks.of(self.thread)
        if self.stacks.idle(stack):
            return False
        root = self.stacks.callback(stack)[-1]
        return id(root) == step.frame and not root.f_trace_lines

    def look(self, before: Clock, since: float, held: bool, step: Step | None, waited: float) -> None:
        """Look at a loop that is late and has run `step` since `since` or longer. `held`: whether that one
        callback has made it late; `before`: from when its CPU time counts; `waited`: how long the GIL was not
        to be had."""
        now, place, gave = self.last, QUEUE, AT_ONCE < waited < ALMOST * SWITCH
        stack = self.stacks.of(self.thread)
        if self.stacks.idle(stack):
            gave = True
        else:
            gave = gave or self.stacks.transfers(stack)
            found = self.stacks.place(stack)
            place = UNKNOWN if found is None else float(found)
        del stack
        # Without the time for which other processes had the CPU.
        over = max(1e-9, now.at - before.at - (now.ready - before.ready))
        cpu = now.loop - before.loop
        if self.cpu_clock is not None and now.process - before.process - cpu > HALF * over > cpu:
            place, held = CONTENDED, False
        elif cpu >= HALF * over and gave:
            place, held = UNPLACED, False
        start = self.number % KEPT * len(FIELDS)
        seconds = self.stand(now.at, start)
        row = (now.at, seconds, place, float(held), min(cpu, over), over, now.at - since)
        for field, value in enumerate(row):
            self.looks[start + field] = value
        self.number += 1

    def read(self, since: float, until: float = inf) -> dict[str, Any]:
        """The looks at a late loop between two moments (perf_counter's clock): how many (`looks`), the
        seconds that these represent (`late`), those of them that are CONTENDED and UNPLACED, and `lines`: see
        `lines_of`. To be asked without load: it reads sources."""
        rows = [self.row(number) for number in range(max(0, self.number - KEPT), self.number)]
        rows = [row for row in rows if since <= row[0] < until]
        places = self.stacks.places
        return {
            "looks": len(rows),
            "late": sum(row[1] for row in rows),
            "contended": sum(row[1] for row in rows if row[2] == CONTENDED),
            "unplaced": sum(row[1] for row in rows if row[2] == UNPLACED),
            "lines": lines_of(
                [(self.stacks.told(places[int(row[2])]), row) for row in rows if row[2] >= 0],
                timed=self.cpu_clock is not None,
            ),
        }

    def row(self, number: int) -> tuple[float, ...]:
        """A look: see FIELDS."""
        start = number % KEPT * len(FIELDS)
        return tuple(self.looks[start : start + len(FIELDS)])


def lines_of(looks: Sequence[tuple[dict[str, Any], tuple[float, ...]]], timed: bool) -> list[dict[str, Any]]:
    """By line, call and route: `file`, `shown` (the same, as it is imported), `line`, `function`, `call`
    (None: it computes by itself), `own` (whether it is the app's own code), `route`; `count` of the looks
    that saw it, `seconds` that these represent, `held`: at how many of them one callback had run for as long
    as a loop may be late; `longest`, in seconds, that one was seen to run; `cpu`: seconds of CPU time of the
    loop's thread in `over` seconds, without those in which other processes had the CPU; None unless it is
    `timed`. Those that take most come first."""
    lines: dict[tuple[Any, ...], dict[str, Any]] = {}
    for place, (_, seconds, _, held, cpu, over, length) in looks:
        line = lines.setdefault(
            tuple(place.values()),
            {**place, "count": 0, "seconds": 0.0, "held": 0, "longest": 0.0, "cpu": 0.0, "over": 0.0},
        )
        line["count"] += 1
        line["seconds"] += seconds
        line["held"] += int(held)
        line["longest"] = max(line["longest"], length)
        line["cpu"] += cpu
        line["over"] += over
    most = sorted(lines.values(), key=lambda line: -line["seconds"])[:MOST_LINES]
    return most if timed else [{**line, "cpu": None} for line in most]
