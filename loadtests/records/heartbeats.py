"""What a server process reports of itself: heartbeats, and what held its event loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from loadtests.plan.fields import Amount, Frozen, Line


@dataclass(frozen=True)
class Heartbeats:
    """One row per heartbeat of a server's event loop, 20 per second in each worker, from shortly before
    the window until the server was at rest after it. Seconds; NaN where nothing is known. From `cpu` on, the
    columns are totals since the worker began."""

    worker: NDArray[np.float64]
    """Counted from 0."""
    due: NDArray[np.float64]
    """When the beat was due, from the start of the window, or of the first one of several."""
    lag: NDArray[np.float64]
    """How late it came."""
    tasks: NDArray[np.float64]
    """asyncio's tasks that are not done, one or more a request until all its work is; at some beats."""
    items: NDArray[np.float64]
    """Items in queues, not yet taken out: asyncio's, queue's, multiprocessing's; at the same beats."""
    thread_jobs: NDArray[np.float64]
    """Jobs of thread pools that wait for a thread."""
    process_jobs: NDArray[np.float64]
    """Jobs of process pools that are not done."""
    threads: NDArray[np.float64]
    """Python's threads."""
    blocks: NDArray[np.float64]
    """Blocks of memory that Python has given out: one or more per living object, and garbage that is not
    collected yet; in the last row, when the server was at rest, without that. NaN in earlier versions."""
    tokens: NDArray[np.float64]
    """Thread tokens of AnyIO's limiter."""
    borrowed: NDArray[np.float64]
    queued: NDArray[np.float64]
    """Tasks waiting for a token."""
    pool: NDArray[np.float64]
    """Connections that SQLAlchemy's pools may hold."""
    checked_out: NDArray[np.float64]
    pool_queued: NDArray[np.float64]
    """Requests for a connection that are not answered yet."""
    cpu: NDArray[np.float64]
    loop_cpu: NDArray[np.float64]
    """CPU time of the thread that the event loop runs on."""
    gc: NDArray[np.float64]
    """Time in garbage collections."""
    switches: NDArray[np.float64]
    """Context switches of all threads."""
    hops: NDArray[np.float64]
    """Calls handed to AnyIO's worker threads."""
    pool_wait: NDArray[np.float64]
    """Time spent asking for connections."""
    statements: NDArray[np.float64]
    """SQL statements that take no lock, one in eight of them."""
    statement_time: NDArray[np.float64]
    locks: NDArray[np.float64]
    """SQL statements that may wait for a lock: those that write, or say that they will."""
    lock_time: NDArray[np.float64]

    @classmethod
    def of(cls, workers: Sequence[Sequence[Sequence[float]]], opened: float) -> Self:
        """From what a server reports: for every worker rows of all columns but the first, with `due` on
        perf_counter's clock, on which the window opened at `opened`."""
        names = [field.name for field in fields(cls)]
        rows = [
            (number, row[0] - opened, *row[1:]) for number, reported in enumerate(workers) for row in reported
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, len(names))
        return cls(**{name: table[:, column] for column, name in enumerate(names)})

    def __len__(self) -> int:
        return len(self.due)

    def spent(self, total: str, seconds: float, since: float = 0.0) -> float | None:
        """How much a running total of all workers grew in the `seconds` after a moment; None where a worker
        reports none. Interpolated linearly between beats."""
        column: NDArray[np.float64] = getattr(self, total)
        at = self.due + self.lag
        grown = 0.0
        for worker in np.unique(self.worker):
            mine = (self.worker == worker) & np.isfinite(column)
            if int(mine.sum()) < 2:
                return None
            start, end = np.interp([since, since + seconds], at[mine], column[mine])
            grown += float(end - start)
        return grown if len(self) else None


HEARTBEAT_ROW = np.dtype([(field.name, np.float64) for field in fields(Heartbeats)])
"""A heartbeat as it is kept in a file."""

EARLIER_HEARTBEAT_ROW = np.dtype(
    [(name, np.float64) for name in HEARTBEAT_ROW.names or () if name != "blocks"]
)
"""As versions up to 1.0 kept it."""


Count = Annotated[int, Field(ge=0)]


class HoldingLine(Frozen):
    """A line of code that the event loop's thread was at while the loop was late."""

    file: Line
    shown: Line
    """The same, from the directory that it is imported from."""
    line: Count
    function: Line
    call: Line | None = None
    """What the line calls; None where it computes by itself, or that is not known."""
    own: bool
    """Whether it is the app's own code: a library's where no line of the app was running."""
    route: Line | None = None
    """As `GET /items/{item_id}`; None where that is not known."""
    count: Count
    """Looks at which it was seen."""
    seconds: Amount
    """That these stand for."""
    held: Count
    """Those of them at which one callback had held the loop for 5 ms or more."""
    longest: Amount
    """Seconds for which one callback was seen to hold the loop."""
    cpu: Amount | None = None
    """CPU seconds of the loop's thread, in `over` seconds; None where the platform does not show them."""
    over: Amount
    """Seconds that were observed for `cpu`, without those in which the thread waited for a CPU."""


MOST_LINES = 2_000
"""That a trial's record holds."""


class LoopHolds(Frozen):
    """What held the event loops of all workers during a window, in looks at late loops, 50 per second."""

    workers: Annotated[int, Field(ge=1)]
    looks: Count
    late: Amount
    """Seconds that the looks stand for."""
    contended: Amount
    """Those of them in which other threads computed while the loop's own waited: what for is not known."""
    unplaced: Amount = 0.0
    """Those of them in which the loop's thread computed, at lines that were not seen."""
    lines: Annotated[tuple[HoldingLine, ...], Field(max_length=MOST_LINES)] = ()
    """Of each worker and window those that took most, one after the other."""

    @classmethod
    def of(cls, *windows: Sequence[Mapping[str, Any]]) -> Self | None:
        """From what each worker's watchdog saw in every window; None where there was none."""
        workers = [told for window in windows for told in window]
        if not workers:
            return None
        return cls(
            workers=max(map(len, windows)),
            looks=sum(told["looks"] for told in workers),
            late=sum(told["late"] for told in workers),
            contended=sum(told["contended"] for told in workers),
            unplaced=sum(told["unplaced"] for told in workers),
            lines=tuple(longest([HoldingLine(**line) for told in workers for line in told["lines"]])),
        )


def longest(lines: Sequence[HoldingLine]) -> list[HoldingLine]:
    """Those that took most, as many as a record holds, in their order."""
    by_time = sorted(range(len(lines)), key=lambda place: -lines[place].seconds)
    return [lines[place] for place in sorted(by_time[:MOST_LINES])]
