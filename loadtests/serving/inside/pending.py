"""Work that an app has accepted and not done: items in its queues, jobs of its thread and process pools.

Loaded by serve.py from its own directory: only the standard library and AnyIO, none of our packages.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.process
import concurrent.futures.thread
import functools
import multiprocessing.pool
import multiprocessing.queues
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from anyio.streams import memory

NOT_KNOWN = float("nan")

ATTEMPTS = 10
"""At copying a set to which other threads add."""


class Noted:
    """The living objects of some classes, noted as they are made."""

    def __init__(self) -> None:
        self.members: WeakSet[Any] = WeakSet()

    def note(self, kind: type) -> None:
        """Note the objects of a class from now on."""
        begin: Callable[..., None] = kind.__init__  # type: ignore[misc]  # replaced by what calls it

        @functools.wraps(begin)
        def noted(this: Any, *arguments: Any, **options: Any) -> None:
            begin(this, *arguments, **options)
            # A subclass may forbid references or hashes.
            with suppress(TypeError):
                self.members.add(this)

        kind.__init__ = noted  # type: ignore[misc]  # the same, noted

    def total(self, count: Callable[[Any], int]) -> float:
        """The sum over all; NaN where other threads never let them be listed."""
        for _ in range(ATTEMPTS):
            with suppress(RuntimeError):
                return sum(map(counting(count), list(self.members)))
        return NOT_KNOWN


def counting(count: Callable[[Any], int]) -> Callable[[Any], int]:
    """The same count, 0 for what was closed meanwhile or does not count here."""

    def counted(one: Any) -> int:
        with suppress(OSError, NotImplementedError, AttributeError, TypeError, ValueError):
            return count(one)
        return 0

    return counted


class Pending:
    """Counts, from `listen` on, what the app's queues and pools hold."""

    def __init__(self) -> None:
        self.queues, self.streams = Noted(), Noted()
        self.thread_pools, self.process_pools, self.pools = Noted(), Noted(), Noted()

    def listen(self) -> None:
        """Before the app is imported, which may make queues and pools at once."""
        for known, kinds in self.kinds():
            for kind in kinds:
                known.note(kind)

    def forget(self, queue: Any) -> None:
        """Count a queue no longer, or a queue that is none: it is not the app's."""
        with suppress(TypeError):
            self.queues.members.discard(queue)

    def kinds(self) -> Iterable[tuple[Noted, Iterable[type]]]:
        yield self.queues, (asyncio.Queue, queue.Queue, multiprocessing.queues.Queue)
        yield self.streams, (memory.MemoryObjectReceiveStream,)
        yield self.thread_pools, (concurrent.futures.thread.ThreadPoolExecutor,)
        yield self.process_pools, (concurrent.futures.process.ProcessPoolExecutor,)
        yield self.pools, (multiprocessing.pool.Pool,)

    def counts(self) -> tuple[float, float, float, float]:
        """Items in queues, jobs that wait for a thread, jobs of processes that are not done, and threads."""
        items = self.queues.total(lambda one: one.qsize()) + self.streams.total(
            lambda one: one.statistics().current_buffer_used
        )
        # A pool of processes has queues of its own for its jobs.
        own = self.process_pools.total(lambda one: one._work_ids.qsize() + one._call_queue.qsize())
        return (
            items - own,
            self.thread_pools.total(lambda one: one._work_queue.qsize()),
            self.process_pools.total(lambda one: len(one._pending_work_items))
            + self.pools.total(lambda one: len(one._cache)),
            threading.active_count(),
        )
