"""When a trial, a calibration or a ceiling does not count. Faults of the measurement only: an overloaded
server is a result."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from loadtests.records.faults import Fault
from loadtests.records.run import Calibration, Ceiling
from loadtests.records.samples import Samples
from loadtests.records.trial import Resources, Trial
from loadtests.system.accounting import STEAL

MOST_ATTEMPTS = 3
"""Attempts at a measurement while each is disturbed."""

GENERATOR_BUSY = 0.80
"""Fraction of a core that the generator may use; above it, it measures itself."""

SATURATING = 32
"""Users who keep a generator busy whose server does nothing: with fewer, each side may wait for the other."""

GENERATOR_LATE = 0.005
"""Maximum 90th percentile of the lateness of the generator's timers, in seconds, or a tenth of the
median service time where that is more. gevent alone accounts for one millisecond."""

IDLE = 0.10
"""Time that users may spend between an answer and the next request, as a fraction of the time they wait.
A generator's own 10 to 20 µs are in N = X (R + Z) for every arm alike: they pull a ratio of throughputs
towards 1, a difference of 10% to 9.1% at this bound, and never create a difference. Half of it would rule
out the fastest endpoints under one user, where a core that wakes for every answer needs 15 µs of 220."""

LITTLE = 0.02
"""Fraction by which the requests in flight may exceed the users, who have one each."""

SCHEDULE_LATE = 0.002
"""Maximum 99th percentile of arrivals' lateness in seconds, or a tenth of the median service time."""

UNSENT = 0.001
"""Fraction of the arrivals that may be missing."""

RATE_OFF = 0.01
"""Fraction by which the actual rate may differ from the scheduled one."""

CEILING = 0.7
"""Fraction of the generator's own best rate above which the generator may be the limit, not its target."""

REFUSING = 0.10
"""Fraction of requests that a server may refuse at once before it keeps the generator busy with that."""

STANDSTILL = 0.5
"""Fraction of the users' time in requests that failed, above which the server kept them from asking."""

AT_ONCE = 0.1
"""Seconds within which a request without an answer failed at once; one that waits costs nothing."""

NO_SOCKET = frozenset({errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Why a client cannot open a connection, whatever the server does."""

ERRNO = re.compile(r"\[Errno (\d+)\]")
"""How an OSError shows its number."""

FOREIGN = 0.15
"""CPUs' worth of work that foreign processes may do."""


class Loaded(Protocol):
    """What the rules look at beside the samples: of a trial, or of a shorter load."""

    @property
    def window(self) -> float: ...
    @property
    def resources(self) -> Resources: ...
    @property
    def errors(self) -> Sequence[str]: ...
    @property
    def lost(self) -> int: ...
    @property
    def thinks(self) -> bool: ...
    @property
    def left(self) -> int: ...
    @property
    def parallel(self) -> bool: ...

    def lengths(self, samples: Samples) -> Length:
        """Seconds of the window that each sample's times are counted from."""


Length = float | NDArray[np.float64]
"""Seconds of a window: of all requests, or of the slice of each."""


def faults(trial: Trial, samples: Samples, ceiling: float | None = None) -> tuple[Fault, ...]:
    """Why a trial does not count: empty when it does.

    What the server does is a result: one that ended, whatever else was disturbed, and one that refuses
    requests, for which the generator may be blamed by no rule: it is kept busy by them.
    `ceiling`: requests per second that the generator reached on this scenario against a server that does
    nothing; None where that was not measured.
    """
    if trial.ended is not None:
        return ()
    users = trial.cell.load.users
    if users is not None:
        loop = loop_faults(trial, samples, users)
    else:
        lengths = trial.lengths(samples)
        loop = open_faults(samples, trial.window, trial.arrivals or 0, trial.dropped or 0, lengths)
    return load_faults(trial, samples, loop, ceiling)


def calibration_faults(load: Loaded, samples: Samples, users: int) -> tuple[Fault, ...]:
    """Why an arm under a few users does not count: the rules are those of trials."""
    return load_faults(load, samples, loop_faults(load, samples, users), None)


def load_faults(
    load: Loaded, samples: Samples, loop: Sequence[Fault], ceiling: float | None
) -> tuple[Fault, ...]:
    """Why a load of a server does not count. `loop`: the faults of its users or its schedule."""
    ours, host = own_faults(load, samples), host_faults(load.resources)
    lengths = load.lengths(samples)
    if refused(samples, lengths) > REFUSING:
        return (*ours, *host)
    loop = () if failing_time(samples, lengths) > STANDSTILL else loop
    return (*ours, *generator_faults(load, samples, ceiling), *loop, *host)


def ceiling_faults(load: Loaded, samples: Samples, users: int) -> tuple[Fault, ...]:
    """Why a load of a server that does nothing does not show what the generator can make. It is meant to use
    its core up: where it does not, something else held it up."""
    busy = load.resources.generator_cpu / load.window
    idle = users >= SATURATING and not load.thinks and busy < GENERATOR_BUSY
    found = [Fault(kind="generator-idle", value=busy, limit=GENERATOR_BUSY)] if idle else []
    return (*own_faults(load, samples), *found, *host_faults(load.resources))


Checked = TypeVar("Checked", Calibration, Ceiling)


def until_undisturbed(
    measure: Callable[[], Checked], repeatable: Callable[[], bool] = lambda: True
) -> list[Checked]:
    """Measure until nothing disturbs it, at most MOST_ATTEMPTS times, and not again unless it is
    `repeatable`: every attempt, the best one last."""
    found = [measure()]
    while found[-1].faults and len(found) < MOST_ATTEMPTS and repeatable():
        found.append(measure())
    return found


def by_ceiling(trial: Trial, ceiling: float) -> Trial:
    """A trial judged by another ceiling: the only limit that depends on a measurement of its own."""
    judged = (
        near_ceiling(fault.value, ceiling) if fault.kind == "near-ceiling" else [fault]
        for fault in trial.faults
    )
    return trial.model_copy(update={"faults": tuple(fault for found in judged for fault in found)})


def own_faults(load: Loaded, samples: Samples) -> list[Fault]:
    """Processes of ours that ended while they were needed, and requests without a socket."""
    lost = [Fault(kind="generators-lost", value=load.lost)] if load.lost else []
    return [*lost, *socket_faults(load.errors, samples)]


def socket_faults(errors: Sequence[str], samples: Samples) -> list[Fault]:
    """Requests for which this machine gave the generator no socket: no failure of the server."""
    kinds = [
        number
        for number, text in enumerate(errors, start=1)
        if any(int(code) in NO_SOCKET for code in ERRNO.findall(text))
    ]
    # With an answer, the text is the server's, which may lack sockets of its own.
    lacking = int((np.isin(samples.error, kinds) & (samples.status == 0)).sum())
    return [Fault(kind="no-sockets", value=lacking)] if lacking else []


def refused(samples: Samples, window: Length) -> float:
    """Fraction of the requests that ended in a window with an error as their answer, or at once with none."""
    ended = (samples.end >= 0.0) & (samples.end < window)
    prompt = (samples.status >= 400) | ((samples.status == 0) & (samples.service_time < AT_ONCE))
    return float((ended & ~samples.ok & prompt).sum()) / max(1, int(ended.sum()))


def failing_time(samples: Samples, window: Length) -> float:
    """Of the time that requests were in flight in a window, the fraction of those that failed, those
    included that were cut off at the end."""
    inside = np.clip(samples.end, 0.0, window) - np.clip(samples.start, 0.0, window)
    return float(inside[~samples.ok].sum()) / max(float(inside.sum()), 1e-9)


def generator_faults(load: Loaded, samples: Samples, ceiling: float | None) -> list[Fault]:
    """Whether the load generator may have measured itself."""
    found = []
    busy = load.resources.generator_cpu / load.window
    if busy > GENERATOR_BUSY:
        found.append(Fault(kind="generator-busy", value=busy, limit=GENERATOR_BUSY))
    lag = load.resources.generator_lag
    median = float(np.median(samples.service_time)) if len(samples) else 0.0
    allowed = max(GENERATOR_LATE, 0.1 * median)
    if lag is not None and lag > allowed:
        found.append(Fault(kind="generator-late", value=lag, limit=allowed))
    ended = float(samples.ended_in(0.0, load.lengths(samples)).sum()) / load.window
    return found if ceiling is None else [*found, *near_ceiling(ended, ceiling)]


def near_ceiling(rate: float, ceiling: float) -> list[Fault]:
    """Whether requests per second may be as many as the generator can make."""
    limit = CEILING * ceiling
    if rate <= limit:
        return []
    # What the generator made, it can make.
    whole = max(ceiling, rate)
    return [Fault(kind="near-ceiling", value=rate, limit=CEILING * whole, whole=whole)]


def host_faults(resources: Resources) -> list[Fault]:
    """What other processes and guests did on this machine."""
    found = []
    if resources.host_steal is not None and resources.host_steal > STEAL:
        found.append(Fault(kind="steal", value=resources.host_steal, limit=STEAL))
    if resources.host_foreign is not None and resources.host_foreign > FOREIGN:
        found.append(Fault(kind="foreign-work", value=resources.host_foreign, limit=FOREIGN))
    return found


def loop_faults(load: Loaded, samples: Samples, users: int) -> list[Fault]:
    """Whether the users did what the users of a closed loop do. Those that end by themselves are no load any
    more; those with several requests in flight have no time without one that could be computed."""
    if load.left:
        return [Fault(kind="users-ended", value=load.left, whole=users)]
    if load.parallel:
        return []
    return closed_faults(samples, load.window, users, load.thinks, load.lengths(samples))


def closed_faults(
    samples: Samples, window: float, users: int, thinks: bool = False, lengths: Length | None = None
) -> list[Fault]:
    """Little's law: the users' time is the time of their requests and nothing else, N = X (R + Z), and
    Z = 0 unless they are meant to think. `lengths`: of the windows, if several make up `window`."""
    idle = idle_part(samples, window, users, lengths)
    if idle is not None and idle > IDLE and not thinks:
        return [Fault(kind="users-idle", value=idle, limit=IDLE)]
    if idle is not None and idle < -LITTLE:
        return [Fault(kind="excess-in-flight", value=-idle, limit=LITTLE, whole=users)]
    return []


def open_faults(
    samples: Samples, window: float, arrivals: int, dropped: int, lengths: Length | None = None
) -> list[Fault]:
    """Whether the schedule was kept. That a server fell behind it, so that arrivals were dropped, is a
    result; that the generator did is a fault."""
    found = []
    until = window if lengths is None else lengths
    first = first_requests(samples)
    due = first & (samples.due >= 0.0) & (samples.due < until)
    late = samples.start[due] - samples.due[due]
    lag = float(np.quantile(late, 0.99)) if len(late) else 0.0
    median = float(np.median(samples.service_time[due])) if len(late) else 0.0
    allowed = max(SCHEDULE_LATE, 0.1 * median)
    if lag > allowed:
        found.append(Fault(kind="arrivals-late", value=lag, limit=allowed))
    missing = arrivals - dropped - int(due.sum())
    if missing > UNSENT * arrivals:
        found.append(Fault(kind="arrivals-missing", value=missing, limit=UNSENT * arrivals, whole=arrivals))
    made = int((first & (samples.start >= 0.0) & (samples.start < until)).sum()) + dropped
    # Two arrivals may lie on the other side of the window's edges.
    off = max(2.0, RATE_OFF * arrivals)
    if abs(made - arrivals) > off:
        found.append(Fault(kind="rate-off", value=made / window, limit=off / window, whole=arrivals / window))
    return found


def first_requests(samples: Samples) -> NDArray[np.bool_]:
    """Of each arrival, the request that the schedule has. What follows it, such as the message after a
    handshake, is due when it is made. All, where every request is made when it is due: nothing tells them
    apart."""
    later: NDArray[np.bool_] = samples.due == samples.start
    return later if later.all() else ~later


def idle_part(samples: Samples, window: float, users: int, lengths: Length | None = None) -> float | None:
    """The users' time in the window without a request in flight ÷ their time with one.

    In a closed loop without think time only the generator itself can delay the next request after an
    answer. Requests count with the part of them that is in the window, those never answered included,
    so that slow or starved requests at its edges do not look like idleness. None where nothing was in
    flight.
    """
    until = window if lengths is None else lengths
    inside = np.clip(samples.end, 0.0, until) - np.clip(samples.start, 0.0, until)
    in_flight = float(inside.sum())
    return (users * window - in_flight) / in_flight if in_flight > 0 else None
