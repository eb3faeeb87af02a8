"""Heartbeats: what a server process reports of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray


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
