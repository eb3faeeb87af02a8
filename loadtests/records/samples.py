"""Samples: one row per request."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Samples:
    """One row per request of a trial, warm-up and drain included. Times are seconds from the window's
    start, or from that of the request's own slice where the trial has several."""

    due: NDArray[np.float64]
    """When the request was to be made: its start, or in an open loop its place in the schedule."""
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    size: NDArray[np.uint32]
    """Bytes of the body."""
    endpoint: NDArray[np.uint16]
    """Index into the trial's endpoints."""
    status: NDArray[np.uint16]
    """HTTP status; 0 where there was no answer."""
    error: NDArray[np.uint16]
    """0 for success, else 1 + index into the trial's errors."""
    slice: NDArray[np.uint8] | None = None
    """Which of the trial's slices the request was made in; None: there is only one."""

    @classmethod
    def none(cls) -> Self:
        """No requests at all."""
        return cls(**{name: np.zeros(0, dtype=SAMPLE_ROW[name]) for name in SAMPLE_ROW.names or ()})

    def without(self, names: Container[str], endpoints: Sequence[str]) -> Self:
        """All but those of some of the `endpoints`, which they number."""
        leaving = [number for number, name in enumerate(endpoints) if name in names]
        if not leaving:
            return self
        rows = ~np.isin(self.endpoint, leaving)
        kept = {name: getattr(self, name)[rows] for name in SAMPLE_ROW.names or ()}
        return type(self)(**kept, slice=None if self.slice is None else self.slice[rows])

    def since(self, begins: Sequence[float] | NDArray[np.float64]) -> Self:
        """The same on one clock: `begins` is the moment at which each slice's times are 0."""
        if self.slice is None:
            return self
        at = np.array(begins)[self.slice]
        return replace(self, due=self.due + at, start=self.start + at, end=self.end + at, slice=None)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def ok(self) -> NDArray[np.bool_]:
        result: NDArray[np.bool_] = self.error == 0
        return result

    @property
    def response_time(self) -> NDArray[np.float64]:
        """Seconds from the moment when the request was due to the end."""
        return self.end - self.due

    @property
    def service_time(self) -> NDArray[np.float64]:
        """Seconds from the actual start to the end."""
        return self.end - self.start

    def ended_in(self, begin: float, end: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """1 for each request that ended from `begin` until before `end`, 0 for the others. `end`: for all of
        them, or for each."""
        return ((self.end >= begin) & (self.end < end)).astype(np.float64)

    def share_in(self, begin: float, end: float | NDArray[np.float64]) -> NDArray[np.float64]:
        """The fraction of each request's service time that lies between `begin` and `end`: one moment for all
        of them, or one for each.

        Their sum counts the requests of a closed loop without the error of its edges: where all requests
        take equally long, those that ended in a window are whole waves of users, and the sum is X in
        N = X·R (Little's law; Denning and Buzen, The Operational Analysis of Queueing Network Models, 1978).
        """
        took = self.service_time
        inside = np.clip(self.end, begin, end) - np.clip(self.start, begin, end)
        # Below the clock's resolution, a request lies where it ended.
        share = np.divide(inside, took, out=self.ended_in(begin, end), where=took > 0.0)
        result: NDArray[np.float64] = share
        return result


SAMPLE_ROW = np.dtype(
    [
        ("due", np.float64),
        ("start", np.float64),
        ("end", np.float64),
        ("size", np.uint32),
        ("endpoint", np.uint16),
        ("status", np.uint16),
        ("error", np.uint16),
    ]
)
"""A sample as it is kept in a file. Times first: they compress and unpack best that way."""

SLICED_ROW = np.dtype([*SAMPLE_ROW.descr, ("slice", np.uint8)])
"""The same of a trial with several slices."""


def joined(
    parts: Sequence[tuple[Samples, Sequence[str], Sequence[str]]],
) -> tuple[Samples, list[str], list[str]]:
    """The samples of several parts of a load, part by part, and the endpoints and errors that they number
    together; each part comes with its own."""
    endpoints: dict[str, int] = {}
    errors: dict[str, int] = {}
    gathered: dict[str, list[NDArray[Any]]] = {name: [] for name in SAMPLE_ROW.names or ()}
    for samples, own_endpoints, own_errors in parts:
        names = np.array([endpoints.setdefault(name, len(endpoints)) for name in own_endpoints] or [0])
        kinds = np.array([0, *(errors.setdefault(kind, len(errors) + 1) for kind in own_errors)])
        renumbered = {
            "endpoint": names[samples.endpoint].astype(np.uint16),
            "error": kinds[samples.error].astype(np.uint16),
        }
        for name, pieces in gathered.items():
            pieces.append(renumbered.get(name, getattr(samples, name)))
    if not parts:
        return Samples.none(), [], []
    whole = {name: np.concatenate(pieces) for name, pieces in gathered.items()}
    return Samples(**whole), list(endpoints), list(errors)
