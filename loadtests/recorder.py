"""Listens to Locust's request event and keeps a row per request."""

from __future__ import annotations

from array import array
from time import perf_counter
from typing import Any

import numpy as np

from loadtests.arrivals import due_of_this_request
from loadtests.records import Samples, one_line

MOST_ERRORS = 50
"""Kinds of failure that are told apart."""


class Recorder:
    """Listens to Locust's request event: one row per request, in full precision."""

    def __init__(self) -> None:
        self.endpoints: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.endpoint = array("H")
        self.due = array("d")
        self.start = array("d")
        self.end = array("d")
        self.status = array("H")
        self.size = array("L")
        self.error = array("H")

    def record(
        self,
        name: str,
        response_time: float,
        response_length: int,
        response: Any = None,
        exception: BaseException | None = None,
        **_: Any,
    ) -> None:
        """One request; `response_time` in milliseconds as Locust has it."""
        end = perf_counter()
        endpoints = self.endpoints
        self.endpoint.append(endpoints.setdefault(name, len(endpoints)))
        start = end - response_time / 1000.0
        self.due.append(due_of_this_request(start))
        self.start.append(start)
        self.end.append(end)
        self.size.append(response_length or 0)
        if exception is None:
            self.status.append(response.status_code)
            self.error.append(0)
        else:
            self.status.append(getattr(response, "status_code", 0) or 0)
            self.error.append(self.kind(exception))

    def kind(self, exception: BaseException) -> int:
        text = one_line(f"{type(exception).__name__}: {exception}")[:200]
        if text not in self.errors and len(self.errors) >= MOST_ERRORS:
            text = "other errors"
        return self.errors.setdefault(text, len(self.errors) + 1)

    def samples(self, window_start: float) -> Samples:
        """What was recorded, with times from the window's start, in the order of ends."""
        return Samples(
            endpoint=np.array(self.endpoint, dtype=np.uint16),
            due=np.array(self.due, dtype=np.float64) - window_start,
            start=np.array(self.start, dtype=np.float64) - window_start,
            end=np.array(self.end, dtype=np.float64) - window_start,
            status=np.array(self.status, dtype=np.uint16),
            size=np.array(self.size, dtype=np.uint32),
            error=np.array(self.error, dtype=np.uint16),
        )
