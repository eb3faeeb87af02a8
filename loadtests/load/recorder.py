"""Listens to Locust's request event and keeps a row per request."""

from __future__ import annotations

import math
from array import array
from collections.abc import Container, Iterable
from time import perf_counter, time
from typing import Any
from weakref import WeakKeyDictionary

import gevent
import numpy as np

from loadtests.load.arrivals import due_of_this_request
from loadtests.load.lean.connection import Unfinished
from loadtests.records import one_line
from loadtests.records.names.grouping import Grouping
from loadtests.records.samples import Samples

MOST_ERRORS = 50
"""Kinds of failure that are distinguished."""

OVERLAP = 1e-4
"""Seconds by which a row that covers others must begin before the end of the last of them: less is the
inaccuracy of a time that was computed from milliseconds."""

LARGEST, LARGEST_STATUS = 2**32 - 1, 2**16 - 1
"""What the columns hold: bytes of an answer, its status."""


class Recorder:
    """Listens to Locust's request event: one row per request, in full precision."""

    def __init__(self) -> None:
        self.endpoints: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        # Wider than in a record: any number of names may come, and they are grouped when the load has ended.
        self.endpoint = array("I")
        self.due = array("d")
        self.start = array("d")
        self.end = array("d")
        self.status = array("H")
        self.size = array("L")
        self.error = array("H")
        self.resent = array("d")
        """When the requests ended that the lean client had to send twice."""
        self.latest: WeakKeyDictionary[Any, tuple[int, float]] | None = None
        """By greenlet, endpoint and end of its last request, in closed loops of clients that do not report
        requests still in flight at the end; None for others."""
        self.closed = math.inf
        """When the window of a closed loop closed. Its load continues briefly and ends by stopping users: a
        later request that the stop cut off says nothing of the server."""
        self.covering: set[str] = set()
        """Names of rows that cover several requests, such as those of a transaction."""
        self.untimed: dict[str, array[float]] = {}
        """By name, when the rows without a response time came, such as messages that a server pushed."""
        self.users: Container[Any] | None = None
        """The greenlets of the users, in closed loops of clients that can have several requests in flight;
        None for others."""
        self.parallel = False
        """Whether users had requests made by other greenlets than their own."""
        self.reading: WeakKeyDictionary[Any, int] | None = None
        """By greenlet, the row of the response that it still reads, where users do not think; else None."""

    def record(
        self,
        name: str,
        response_time: float | None,
        response_length: int | None,
        response: Any = None,
        exception: BaseException | None = None,
        start_time: float | None = None,
        **_: Any,
    ) -> None:
        """One row of Locust's event, usually a request; `response_time` in milliseconds and `start_time` on
        the wall clock, as Locust has them. A locustfile fires rows of its own as well, of which only the name
        is sure."""
        end = perf_counter()
        if response_time is None and exception is None:
            self.untimed.setdefault(name, array("d")).append(end)
            return
        start = end - max(0.0, response_time or 0.0) / 1000.0
        if start >= self.closed and isinstance(exception, Unfinished):
            return
        status = whole(getattr(response, "status_code", 0), LARGEST_STATUS)
        endpoints = self.endpoints
        endpoint = endpoints.setdefault(name, len(endpoints))
        error = 0 if exception is None else self.kind(exception)
        if self.latest is not None or not (status or error):
            start = self.place(name, endpoint, start, end, response, start_time)
        # All columns or none: Locust swallows what a listener raises.
        size = whole(response_length, LARGEST)
        self.endpoint.append(endpoint)
        self.due.append(due_of_this_request(start))
        self.start.append(start)
        self.end.append(end)
        self.size.append(size)
        self.status.append(status)
        self.error.append(error)
        if getattr(response, "resent", False):
            self.resent.append(end)

    def place(
        self, name: str, endpoint: int, start: float, end: float, response: Any, start_time: float | None
    ) -> float:
        """Note the place of a row among those of its user; when it really began."""
        if self.latest is None:
            # Rows of the file's own, on a client that needs no such account.
            self.latest = WeakKeyDictionary()
        current = gevent.getcurrent()
        if self.users is not None and current not in self.users:
            current = self.parallel_to(current)
        before = self.latest.get(current)
        if not hasattr(response, "status_code") and before is not None and start < before[1] - OVERLAP:
            self.covering.add(name)
            return start
        if self.reading is not None:
            unread = is_unread(response)
            if unread and start_time is not None:
                # In a `with` block, the row comes once the user has read; otherwise before. Either way it
                # lasts from the request until the user continues.
                start = min(start, end - (time() - start_time))
            read = self.reading.pop(current, None)
            if read is not None:
                self.end[read] = max(self.end[read], start)
            if unread:
                self.reading[current] = len(self.end)
        self.latest[current] = endpoint, end
        return start

    def parallel_to(self, current: Any) -> Any:
        """The greenlet of the user for whom another one makes a request; itself where none is known."""
        found = current
        while (spawner := getattr(found, "spawning_greenlet", None)) is not None:
            found = spawner()
            if found in (self.users or ()):
                self.parallel = True
                return found
        return current

    def unanswered(self, users: Iterable[Any], began: float, name: str) -> None:
        """The requests in flight of the users, by their greenlets, that were killed at the end: each from the
        user's last request on, or from when it `began`, on the endpoint `name` if it has made none."""
        now = perf_counter()
        for user in users:
            last = None if self.latest is None else self.latest.get(user)
            if last is None:
                self.cut_off(name, began, now)
            else:
                self.unfinished(last[0], last[1], now)

    def cut_off(self, name: str, due: float, now: float) -> None:
        """A request that was due at a moment, and was still unanswered `now`, when it was killed."""
        self.unfinished(self.endpoints.setdefault(name, len(self.endpoints)), due, now)

    def unfinished(self, endpoint: int, start: float, end: float) -> None:
        self.endpoint.append(endpoint)
        self.due.append(start)
        self.start.append(start)
        self.end.append(end)
        self.status.append(0)
        self.size.append(0)
        self.error.append(self.kind(Unfinished()))

    def kind(self, exception: BaseException) -> int:
        text = one_line(f"{type(exception).__name__}: {exception}")[:200]
        if text not in self.errors and len(self.errors) >= MOST_ERRORS:
            text = "other errors"
        return self.errors.setdefault(text, len(self.errors) + 1)

    def samples(self, window_start: float, names: Grouping | None = None) -> Samples:
        """What was recorded, with times from the window's start, in the order of ends. `names`: how the
        endpoints are grouped; None: they are few."""
        numbers = np.array(self.endpoint, dtype=np.intp)
        end = np.array(self.end, dtype=np.float64) - window_start
        # Of a response that was still read, the end was found later.
        order = np.argsort(end, kind="stable")
        return Samples(
            endpoint=(numbers if names is None else names.numbers[numbers]).astype(np.uint16)[order],
            due=(np.array(self.due, dtype=np.float64) - window_start)[order],
            start=(np.array(self.start, dtype=np.float64) - window_start)[order],
            end=end[order],
            status=np.array(self.status, dtype=np.uint16)[order],
            size=np.array(self.size, dtype=np.uint32)[order],
            error=np.array(self.error, dtype=np.uint16)[order],
        )

    def facts(self, opened: float, closed: float) -> dict[str, Any]:
        """What is not in the samples, of a window between two moments."""
        counts = {
            name: sum(opened <= moment < closed for moment in moments)
            for name, moments in self.untimed.items()
        }
        return {
            "errors": list(self.errors),
            "untimed": counts,
            "parallel": self.parallel,
        }


def whole(value: Any, most: int) -> int:
    """A count from a row of a file's own, 0 where it is none."""
    return value if isinstance(value, int) and 0 <= value <= most else 0


def is_unread(response: Any) -> bool:
    """Whether a client of Locust's has not read the body itself, which the user then reads as a stream."""
    if getattr(response, "_content", None) is False:
        return True  # requests
    return hasattr(response, "_response") and not hasattr(response, "_cached_content")  # FastHttpUser's
