"""When a trial does not count. Faults of the measurement only: an overloaded server is a result."""

from __future__ import annotations

import numpy as np

from loadtests.records import Samples, Trial

GENERATOR_BUSY = 0.80
"""Part of its core that the generator may use; above it, it measures itself."""
GENERATOR_LATE = 0.005
"""Seconds by which nine in ten of the generator's timers may be late at most, or a tenth of the
median service time where that is more. gevent alone accounts for one millisecond."""
IDLE = 0.10
"""Time that users may spend between an answer and the next request, as a part of the time they wait.
A generator's own 10 to 20 µs are in N = X (R + Z) for every arm alike: they draw a ratio of throughputs
towards one, a difference of 10 % to 9.1 % at this bound, and never make one. Half of it would rule out the
fastest endpoints under one user, where a core that wakes for every answer needs 15 µs of 220."""
LITTLE = 0.02
"""Part by which the requests in flight may exceed the users, who have one each."""
SCHEDULE_LATE = 0.002
"""Seconds by which 99 in 100 arrivals may be late at most, or a tenth of the median service time."""
UNSENT = 0.001
"""Part of the arrivals that may be missing."""
RATE_OFF = 0.01
"""Part by which the rate that was made may differ from the one that was due."""
CEILING = 0.7
"""Part of the generator's own best rate beyond which it cannot be told from its target."""
STEAL = 0.02
"""Part of the host's CPU time that other guests may take."""
FOREIGN = 0.15
"""CPUs' worth of work that processes which are not ours may do."""


def faults(trial: Trial, samples: Samples, ceiling: float | None = None) -> tuple[str, ...]:
    """Why a trial does not count, each with its remedy: empty when it does.

    `ceiling`: requests per second that the generator reached on this scenario against a server that does
    nothing; None where that was not measured.
    """
    found = []
    vitals, window = trial.vitals, trial.window
    if trial.lost:
        found.append(f"{trial.lost} of the load generators ended during the trial: see generator.log")
    if trial.restarted:
        found.append(f"the server of arm {trial.arm!r} was another one at the end: see why it was restarted")
    busy = vitals.generator_cpu / window
    if busy > GENERATOR_BUSY:
        found.append(
            f"the load generator used {busy:.0%} of its core (more than {GENERATOR_BUSY:.0%}) and may have "
            "measured itself: use a lower load"
        )
    lag = vitals.generator_lag
    median = float(np.median(samples.service_time)) if len(samples) else 0.0
    if lag is not None and lag > max(GENERATOR_LATE, 0.1 * median):
        found.append(
            f"the load generator's timers were {lag * 1000:.1f} ms late, so it was starved of its CPU: stop "
            "what else is running"
        )
    ended = float(((samples.end >= 0.0) & (samples.end < window)).sum()) / window
    if ceiling is not None and ended > CEILING * ceiling:
        found.append(
            f"{ended:,.0f} requests a second are more than {CEILING:.0%} of the {ceiling:,.0f} that the "
            "generator can make of this scenario: use a lower load"
        )
    if trial.cell.load.users is not None:
        found += closed_faults(samples, window, trial.cell.load.users, trial.thinks)
    else:
        found += open_faults(samples, window, trial.arrivals or 0, trial.dropped or 0)
    if vitals.host_steal is not None and vitals.host_steal > STEAL:
        found.append(
            f"other guests took {vitals.host_steal:.1%} of this host's CPU time (more than {STEAL:.0%}): "
            "measure on a quieter machine"
        )
    if vitals.host_foreign is not None and vitals.host_foreign > FOREIGN:
        found.append(
            f"other processes used {vitals.host_foreign:.2f} CPUs (more than {FOREIGN:.2f}): stop what else "
            "is running"
        )
    return tuple(found)


def closed_faults(samples: Samples, window: float, users: int, thinks: bool = False) -> list[str]:
    """Little's law: the users' time is the time of their requests and nothing else, N = X (R + Z), and
    Z = 0 unless they are meant to think."""
    idle = idle_part(samples, window, users)
    if idle is not None and idle > IDLE and not thinks:
        return [
            f"users spent {idle:.0%} as long between requests as waiting for answers (more than {IDLE:.0%}): "
            "use more users, or slower requests; or a leaner client, if it is Locust's own"
        ]
    if idle is not None and idle < -LITTLE:
        return [
            f"the records hold {-idle:.0%} more waiting than {users} users can do (more than {LITTLE:.0%}): "
            "this is a fault of ours, please report it"
        ]
    return []


def open_faults(samples: Samples, window: float, arrivals: int, dropped: int) -> list[str]:
    """Whether the schedule was kept. That a server fell behind it, so that arrivals were dropped, is a
    result; that the generator did is a fault."""
    found = []
    due = (samples.due >= 0.0) & (samples.due < window)
    late = samples.start[due] - samples.due[due]
    lag = float(np.quantile(late, 0.99)) if len(late) else 0.0
    median = float(np.median(samples.service_time[due])) if len(late) else 0.0
    allowed = max(SCHEDULE_LATE, 0.1 * median)
    if lag > allowed:
        found.append(
            f"one arrival in a hundred was made {lag * 1000:.1f} ms late or more (more than "
            f"{allowed * 1000:.1f} ms): stop what else is running, or use a lower rate"
        )
    missing = arrivals - dropped - int(due.sum())
    if missing > UNSENT * arrivals:
        found.append(f"{missing} of {arrivals} arrivals were not made: use a lower rate")
    made = int(((samples.start >= 0.0) & (samples.start < window)).sum()) + dropped
    # Two arrivals may lie on the other side of the window's edges.
    if abs(made - arrivals) > max(2.0, RATE_OFF * arrivals):
        found.append(
            f"{made / window:,.1f} requests a second were made where {arrivals / window:,.1f} were due: "
            "use a lower rate"
        )
    return found


def idle_part(samples: Samples, window: float, users: int) -> float | None:
    """The users' time in the window without a request in flight ÷ their time with one.

    In a closed loop without think time the generator itself is all that stands between an answer and
    the next request. Requests are counted for the part of them that lies in the window, those never
    answered included, so that slow or starved requests at its edges do not look like idleness. None
    where nothing was in flight.
    """
    inside = np.clip(samples.end, 0.0, window) - np.clip(samples.start, 0.0, window)
    in_flight = float(inside.sum())
    return (users * window - in_flight) / in_flight if in_flight > 0 else None
