"""What a server process is doing, seen from inside: a heartbeat on its event loop, for any ASGI app.

Every 50 ms a beat records how late it is and what may be the cause: thread tokens
borrowed and tasks waiting for one, database connections checked out and asked for, CPU time, garbage
collection. A beat is timed from the moment when it was due, so a loop that is blocked for a second
leaves twenty late beats and not a gap. Four times a second it counts the tasks that are not done, those of
requests already answered among them, and what else is pending (pending.py). Nothing goes through the app's
own routes.

Loaded by serve.py from its own directory, so it imports none of our packages: only the standard library and
anyio, and of SQLAlchemy what the app has imported already.
"""

from __future__ import annotations

import asyncio
import gc
import re
import resource
import sys
from collections import deque
from collections.abc import Callable
from itertools import count
from threading import Lock
from time import perf_counter, process_time, thread_time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from anyio import CapacityLimiter, to_thread

if TYPE_CHECKING:
    from loadtests.serving.inside.pending import Pending

BEAT = 0.05
"""Seconds between two beats."""

COUNTED = 5
"""Beats from one count of tasks to the next: counting takes a microsecond per task."""

KEPT = 12_000
"""Heartbeats that are kept: ten minutes."""

NOT_KNOWN = float("nan")

NOT_COUNTED = (NOT_KNOWN,) * 5

COLUMNS = (
    "due", "lag", "tasks", "items", "thread_jobs", "process_jobs", "threads", "blocks", "tokens",
    "borrowed", "queued", "pool", "checked_out", "pool_queued", "cpu", "loop_cpu", "gc", "switches", "hops",
    "pool_wait", "statements", "statement_time", "locks", "lock_time",
)  # fmt: skip
"""Of a beat. From `cpu` on they are totals since the process began; all times are in seconds."""

LOCKING = re.compile(
    r"\s*(BEGIN\s+(IMMEDIATE|EXCLUSIVE)|INSERT|UPDATE|DELETE|REPLACE|MERGE)\b|.*\bFOR\s+(NO\s+KEY\s+)?UPDATE\b",
    re.IGNORECASE | re.DOTALL,
)
"""Statements that may have to wait for a lock."""

TIMED = 8
"""One in this many statements that take no lock is timed."""

SEEN = "_duel_watches"
"""Marks pools and dialects that are watched: the cheapest way to recognise them."""

MOST_KINDS = 1_000
"""Statements whose kind is remembered."""


class Heartbeat:
    """Heartbeats on the running loop once `start` is called there; `read` may be called from any thread."""

    def __init__(self, pending: Pending) -> None:
        self.pending = pending
        self.beats: deque[tuple[float, ...]] = deque(maxlen=KEPT)
        self.limiter: CapacityLimiter | None = None
        self.due = 0.0
        self.number = 0
        self.collecting = 0.0
        self.hops = 0
        self.database = Database()

    def listen(self) -> None:
        """Count thread hops, collections and pending work from now on; before the app is imported, since it
        may take hold of the function that makes the hops."""
        self.pending.listen()
        hop = to_thread.run_sync

        def counted(*arguments: Any, **options: Any) -> Any:
            self.hops += 1
            return hop(*arguments, **options)

        to_thread.run_sync = counted  # type: ignore[assignment]  # the same function, counted
        began = 0.0

        def collection(phase: str, _: dict[str, int]) -> None:
            nonlocal began
            if phase == "start":
                began = perf_counter()
            else:
                self.collecting += perf_counter() - began

        gc.callbacks.append(collection)

    def start(self) -> None:
        """Begin to beat on the running loop."""
        self.loop = asyncio.get_running_loop()
        self.limiter = to_thread.current_default_thread_limiter()
        self.due = perf_counter() + BEAT
        self.loop.call_later(BEAT, self.beat)

    def beat(self) -> None:
        now = perf_counter()
        self.database.listen()
        state = self.state(thread_time())
        while self.due <= now:
            counts = NOT_COUNTED if self.number % COUNTED else self.counts()
            self.beats.append((self.due, now - self.due, *counts, *state))
            self.due += BEAT
            self.number += 1
        self.loop.call_later(max(0.0, self.due - perf_counter()), self.beat)

    def counts(self) -> tuple[float, ...]:
        """The columns from `tasks` to `threads`, now."""
        return (len(asyncio.all_tasks(self.loop)), *self.pending.counts())

    def state(self, loop_cpu: float) -> tuple[float, ...]:
        """The columns from `blocks` on, now."""
        if self.limiter is None:
            raise RuntimeError("the heartbeat has not been started")
        limiter = self.limiter.statistics()
        totals = self.database.totals()
        use = resource.getrusage(resource.RUSAGE_SELF)
        return (
            blocks(),
            limiter.total_tokens,
            limiter.borrowed_tokens,
            limiter.tasks_waiting,
            *self.database.pools(),
            process_time(),
            loop_cpu,
            self.collecting,
            use.ru_nvcsw + use.ru_nivcsw,
            self.hops,
            *totals,
        )

    def read(self, since: float) -> list[tuple[float, ...]]:
        """The beats that were due from `since` on (perf_counter's clock, which all processes of a machine
        share), the one before them, and one for this moment: as late as the beat that is still out, and with
        the blocks that a collection leaves. To be asked without load: a collection stops everything else.
        Empty before the first beat."""
        if not self.beats:
            return []
        rows = list(self.beats)
        first = next((i for i, row in enumerate(rows) if row[0] >= since), len(rows))
        now = perf_counter()
        due, lag, (_, *state) = min(self.due, now), max(0.0, now - self.due), self.state(NOT_KNOWN)
        # After the state, whose totals are those of the load.
        gc.collect()
        last = (due, lag, *NOT_COUNTED, blocks(), *state)
        return [*rows[max(0, first - 1) :], last]


def blocks() -> float:
    """Blocks of memory that Python has given out: some 10 µs for a heap of 100 MB."""
    count = getattr(sys, "getallocatedblocks", None)
    return NOT_KNOWN if count is None else float(count())


class Stopwatch:
    """Adds up the durations of overlapping calls, unfinished ones included: the call that waits longest for a
    lock has usually not returned when the total is read. The sum is the integral of the number of running
    calls, so that no end needs its start. Used by many threads: each step is a single operation."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.ends: list[float] = []
        self.number = 0
        """Calls that had ended at the last reading."""
        self.open = 0
        """Calls that were running at the last reading."""
        self.seconds = 0.0
        self.looked = perf_counter()

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added up. Called with every request: nothing is looked up twice."""
        begin, end, clock = self.starts.append, self.ends.append, perf_counter

        def watched(*arguments: Any) -> Any:
            begin(clock())
            try:
                return function(*arguments)
            finally:
                end(clock())

        return watched

    def total(self) -> float:
        """Seconds so far, of all that has started; call it from one thread at a time."""
        # Ends first: each has a start before it.
        ended, started = drained(self.ends), drained(self.starts)
        now = perf_counter()
        self.seconds += self.open * (now - self.looked)
        self.seconds += sum([now - moment for moment in started]) - sum([now - moment for moment in ended])
        self.open += len(started) - len(ended)
        self.number += len(ended)
        self.looked = now
        return self.seconds


def drained(growing: list[float]) -> list[float]:
    """What a list holds that other threads add to, taken out of it."""
    taken = growing[:]
    del growing[: len(taken)]
    return taken


class Database:
    """What SQLAlchemy's pools and statements do, where the app uses SQLAlchemy."""

    def __init__(self) -> None:
        self.listening = False
        self.known: WeakSet[Any] = WeakSet()
        """Pools that make requests wait."""
        self.asking = Stopwatch()
        """Requests for a connection."""
        self.statements = Stopwatch()
        self.locks = Stopwatch()
        self.adding = Lock()
        self.locking: dict[str, bool] = {}

    def listen(self) -> None:
        """Count from the moment on at which the app has imported SQLAlchemy."""
        if self.listening or "sqlalchemy.pool" not in sys.modules:
            return
        self.listening = True
        every, queueing = sys.modules["sqlalchemy.pool"].Pool, sys.modules["sqlalchemy.pool"].QueuePool
        connect: Any = every.connect
        # No event shows how long a request for a connection waits; asyncio's pool inherits this method.
        get: Any = getattr(queueing, "_do_get", None)

        def watched(this: Any) -> Any:
            if not hasattr(this, SEEN):
                self.watch(this, queueing)
            return connect(this)

        every.connect = watched
        if get is not None:
            queueing._do_get = self.asking.timed(get)

    def watch(self, pool: Any, queueing: type) -> None:
        """Time the statements of a new pool's engine. SQLAlchemy's events for it would cost every statement
        20 µs, and this less than 1 µs (`benchmarks.overhead`)."""
        with self.adding:
            setattr(pool, SEEN, True)
            if isinstance(pool, queueing):
                self.known.add(pool)
            dialect = getattr(pool, "_dialect", None)
            # An engine that is disposed of gets a new pool, and keeps its dialect.
            if dialect is None or hasattr(dialect, SEEN):
                return
            setattr(dialect, SEEN, True)
            for name in ("do_execute", "do_executemany", "do_execute_no_params"):
                setattr(dialect, name, self.executing(getattr(dialect, name)))

    def executing(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        """A dialect's method that executes a statement, its time added up; a failed one has waited, too. Of
        those that take no lock one in eight is timed: they only show how long a statement usually takes."""
        locking, number = self.locking, count()
        plain, locked = self.statements.timed(execute), self.locks.timed(execute)

        def executed(cursor: Any, statement: str, *rest: Any) -> Any:
            takes_lock = locking.get(statement)
            if takes_lock is None:
                takes_lock = LOCKING.match(statement) is not None
                if len(locking) < MOST_KINDS:
                    locking[statement] = takes_lock
            if takes_lock:
                return locked(cursor, statement, *rest)
            if next(number) % TIMED:
                return execute(cursor, statement, *rest)
            return plain(cursor, statement, *rest)

        return executed

    def pools(self) -> tuple[float, float, float]:
        """Connections that all pools may hold, those checked out, and requests for one that were not yet
        answered at the last reading of the `totals`."""
        pools = list(self.known)
        if not pools:
            return NOT_KNOWN, NOT_KNOWN, NOT_KNOWN
        # Public is only how many go beyond the size now, not how many may; below 0: without limit.
        beyond = [getattr(pool, "_max_overflow", -1) for pool in pools]
        size = float("inf") if min(beyond) < 0 else sum(pool.size() for pool in pools) + sum(beyond)
        return size, sum(pool.checkedout() for pool in pools), self.asking.open

    def totals(self) -> tuple[float, ...]:
        """Seconds spent asking for connections; number and seconds of statements, plain and locking."""
        if not self.listening:
            return (NOT_KNOWN,) * 5
        with self.adding:
            waits, times, locks = self.asking.total(), self.statements.total(), self.locks.total()
            return waits, self.statements.number, times, self.locks.number, locks
