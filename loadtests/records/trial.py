"""Trials, and what was measured of their processes from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from loadtests.plan.cells import Cell
from loadtests.plan.fields import Amount, Frozen, Line
from loadtests.records.faults import Fault
from loadtests.records.heartbeats import LoopHolds
from loadtests.records.samples import Samples

Apart = Literal["hooks", "memory", "conflict", "restless", "earlier"]
"""Why the servers of a round's arms were started one after another, and not together: commands were run
before or after each trial, the memory would not have sufficed for all, one of them did not start beside the
others, or worked without load; or the run is of a version that always did so."""


class Resources(Frozen):
    """What the processes did during the window. None where the platform does not show it."""

    server_cpu: Amount | None = None
    """CPU seconds of the server and its children."""
    server_rss: int | None = None
    """Bytes of resident memory at the window's end."""
    server_threads: int | None = None
    """Threads at the window's end."""
    server_children: Annotated[int, Field(ge=0)] | None = None
    """Processes that the server has started, at the window's end."""
    worker_cpu: Amount | None = None
    """CPU seconds of the workers that did the jobs of its queue; None where it has none."""
    jobs: JobsLeft | None = None
    """In its queue; None where it has none."""
    before: Footprint | None = None
    """Before the load."""
    after: Footprint | None = None
    """Once the server was at rest after the load, or was no longer waited for."""
    settling: Settling | None = None
    """From the last response on."""
    generator_cpu: Amount
    """CPU seconds of the load generator."""
    generator_lag: Amount | None = None
    """90th percentile of the lateness of the generator's own timers, in seconds."""
    host_steal: Amount | None = None
    """Fraction of the host's CPU time that other guests took, 0 to 1."""
    host_foreign: Amount | None = None
    """CPUs' worth of work by processes that are not ours."""


class JobsLeft(Frozen):
    """Jobs in a server's queue that wait or are in progress; of several slices, the sums."""

    opened: Annotated[int, Field(ge=0)]
    """When the window opened."""
    closed: Annotated[int, Field(ge=0)]
    """When it closed."""


class Footprint(Frozen):
    """A server's processes at one moment, all together."""

    rss: Annotated[int, Field(ge=0)]
    """Bytes of resident memory."""
    threads: Annotated[int, Field(ge=0)]
    children: Annotated[int, Field(ge=0)]
    """Processes that it has started, directly or not."""


class Settling(Frozen):
    """What a server still did without load, until it was at rest or was no longer waited for."""

    seconds: Amount
    """For which it was observed."""
    cpu: Amount
    """CPU seconds of the server and its children in that time."""
    rested: bool
    """Whether it came to rest."""


class ServerEnd(Frozen):
    """How an arm's server ended by itself, or failed to start."""

    during: Literal["start", "load"]
    code: int | None = None
    """Its exit code, or minus the number of the signal that ended it; None where that is not known, or where
    it still ran: a server that became not ready in time, or an external one."""
    log: Annotated[tuple[Line, ...], Field(max_length=10)] = ()
    """The last lines of its log."""


class ArrayFile(Frozen):
    """An array file as it was when its trial was recorded: another one is not read in its place."""

    rows: Annotated[int, Field(ge=0, le=2**40)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of its bytes."""


LightKind = Literal["canary", "pulse"]
"""Who sends light requests beside a load: the canary to a route of the app, the pulse to a path that serve.py
answers on the app's event loop."""

LIGHT: tuple[LightKind, ...] = ("canary", "pulse")

SampledKind = Literal["samples", "canary", "pulse"]
"""The array files that hold requests."""


class TrialArrays(Frozen):
    """What a trial's array files hold. Only `samples` is always there; None: there is no such file."""

    samples: ArrayFile
    canary: ArrayFile | None = None
    pulse: ArrayFile | None = None
    heartbeats: ArrayFile | None = None
    delays: ArrayFile | None = None

    @property
    def rows(self) -> int:
        """Of all of them."""
        every = (self.samples, self.canary, self.pulse, self.heartbeats, self.delays)
        return sum(file.rows for file in every if file)


class TrialFiles(NamedTuple):
    """The names of a trial's array files, from the run's directory."""

    samples: str
    canary: str
    pulse: str
    heartbeats: str
    delays: str
    """What the slow service gave."""

    @classmethod
    def of(cls, number: int) -> Self:
        """Those of trial `number`."""
        stem = f"samples/{number:04d}"
        return cls(f"{stem}.npz", *(f"{stem}.{part}.npz" for part in cls._fields[1:]))


class Slice(Frozen):
    """One of the stretches in which a trial's arm is loaded, while the servers of the others stand idle."""

    opened: Amount
    """Seconds from the opening of the trial's first window to that of this one."""
    window: Annotated[Amount, Field(gt=0)]
    """Seconds that it really lasted."""


class Trial(Frozen):
    """One arm in one cell in one round: all its slices together."""

    number: Annotated[int, Field(ge=1)]
    round: Annotated[int, Field(ge=0)]
    """Counted from 0."""
    place: Annotated[int, Field(ge=0)]
    """The arm's place in this round's order, from 0."""
    attempt: Annotated[int, Field(ge=1)] = 1
    apart: Apart | None = "earlier"
    """Why its server was not started together with those of the round's other arms; None: it was."""
    cell: Cell
    arm: Line
    cpus: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Those that its server ran on, as the servers of the other arms in this round did; empty: it was not
    bound to any. None: those of the machine's placement, as in earlier versions, and for external servers."""
    began: Line
    """Wall clock, ISO 8601 in UTC."""
    boot: Amount
    """Seconds until the server answered."""
    warmup: Amount
    window: Annotated[Amount, Field(gt=0)]
    """Seconds that the window really lasted; of several slices, the sum, as all times and counts are."""
    drain: Amount
    slices: Annotated[tuple[Slice, ...], Field(max_length=100)] = ()
    """In the order of time; none: the window is a single one."""
    tail: Amount | None = None
    """Seconds for which a closed loop continued after the window, so that the requests in flight at its end
    were answered under the same load; None where it did not: in open loops, and in earlier versions."""
    endpoints: tuple[Line, ...]
    names: Annotated[int, Field(ge=1)] | None = None
    """How many different names its requests had before they were grouped to `endpoints`; None where they were
    few, and kept."""
    errors: tuple[Line, ...] = ()
    """Kinds of failure, as the samples number them."""
    arrivals: int | None = None
    """Requests that were due in the window; None in a closed loop."""
    dropped: int | None = None
    """Those of them that were never made, since all users were still waiting: the server fell behind."""
    lost: int = 0
    """Load generators that ended while they were needed."""
    restarted: bool = False
    """Whether an external server was replaced by another process during the trial. Written by the first
    release only; later ones record an `ended` server."""
    ended: ServerEnd | None = None
    """How its server ended before the end of the trial; None for one that lived."""
    resent: Annotated[int, Field(ge=0)] | None = None
    """Requests of the window that were sent twice, since the server closed a connection in use before the
    first byte of its answer; None where the client does not count them."""
    client: Line | None = None
    """The kind of Locust user that made the load; None where every generator was lost."""
    thinks: bool = False
    """Whether the scenario's users wait between two tasks, or sleep in them."""
    left: Annotated[int, Field(ge=0)] = 0
    """Users of a closed loop that had ended by themselves when the window closed."""
    parallel: bool = False
    """Whether users had several requests in flight at once."""
    covering: Annotated[tuple[Line, ...], Field(max_length=10_000)] = ()
    """Those of the endpoints whose rows each cover several requests, such as the steps of a transaction: they
    have times of their own, and are no requests."""
    untimed: Mapping[Line, Annotated[int, Field(ge=0)]] = {}
    """By name, how many rows without a response time the window had, such as messages a server pushed."""
    held: LoopHolds | None = None
    """What held its event loops during the window; None where that is not known: external servers, servers
    without heartbeats, and earlier versions."""
    resources: Resources
    arrays: TrialArrays
    faults: tuple[Fault, ...] = ()
    """Why the measurement does not count; empty when it does."""

    @property
    def valid(self) -> bool:
        """Whether the measurement counts."""
        return not self.faults

    @property
    def served(self) -> bool:
        """Whether its server started: otherwise no request was made."""
        return self.ended is None or self.ended.during != "start"

    @property
    def windows(self) -> tuple[Slice, ...]:
        """Its slices, or its only one."""
        return self.slices or (Slice(opened=0.0, window=self.window),)

    def lengths(self, samples: Samples) -> float | NDArray[np.float64]:
        """Seconds of the window that each sample's times are counted from; a number where there is one."""
        if samples.slice is None:
            return self.window
        found: NDArray[np.float64] = np.array([one.window for one in self.windows])[samples.slice]
        return found

    def requests(self, samples: Samples) -> Samples:
        """Those of its samples that are requests."""
        return samples.without(self.covering, self.endpoints)

    @property
    def capped(self) -> bool:
        """Whether the measurement does not count since the generator held the arm back in a closed loop, and
        nothing else but others on the host did: it truly serves more, and sooner, than was seen."""
        return (
            self.cell.load.rate is None
            and any(fault.caps for fault in self.faults)
            # A generator without time to spare is late as well, and what others did made nothing faster.
            and all(
                fault.caps or fault.kind == "generator-late" or fault.blamed == "host"
                for fault in self.faults
            )
        )

    @property
    def requests_expected(self) -> float:
        """About how many of its requests are in the window, by its part of the time."""
        return self.arrays.samples.rows * self.window / self.seconds

    @property
    def files(self) -> TrialFiles:
        return TrialFiles.of(self.number)

    @property
    def seconds(self) -> float:
        """For how long load was made."""
        return self.warmup + self.window + self.drain
