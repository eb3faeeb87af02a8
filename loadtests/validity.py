"""When a trial does not count. Faults of the measurement only: an overloaded server is a result."""

from __future__ import annotations

import numpy as np

from loadtests.records import Samples, Vitals

GENERATOR_BUSY = 0.80
"""Part of its core that the generator may use; above it, it measures itself."""
GENERATOR_LATE = 0.005
"""Seconds by which nine in ten of the generator's timers may be late at most, or a tenth of the
median service time where that is more. gevent alone accounts for one millisecond."""
IDLE = 0.05
"""Time that users may spend between an answer and the next request, as a part of the time they wait."""
STEAL = 0.02
"""Part of the host's CPU time that other guests may take."""
FOREIGN = 0.15
"""CPUs' worth of work that processes which are not ours may do."""


def faults(vitals: Vitals, samples: Samples, window: float, users: int) -> tuple[str, ...]:
    """Why a trial does not count, each with its remedy: empty when it does. `window` in seconds."""
    found = []
    busy = vitals.generator_cpu / window
    if busy > GENERATOR_BUSY:
        found.append(
            f"the load generator used {busy:.0%} of its core (more than {GENERATOR_BUSY:.0%}) and may have "
            "measured itself: use fewer users"
        )
    lag = vitals.generator_lag
    median = float(np.median(samples.service_time)) if len(samples) else 0.0
    if lag is not None and lag > max(GENERATOR_LATE, 0.1 * median):
        found.append(
            f"the load generator's timers were {lag * 1000:.1f} ms late, so it was starved of its CPU: stop "
            "what else is running"
        )
    idle = idle_part(samples, window, users)
    if idle is not None and idle > IDLE:
        found.append(
            f"users spent {idle:.0%} as long between requests as waiting for answers (more than {IDLE:.0%}): "
            "use more users, or slower requests"
        )
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


def idle_part(samples: Samples, window: float, users: int) -> float | None:
    """The users' time in the window without a request in flight ÷ their time with one.

    In a closed loop without think time the generator itself is all that stands between an answer and
    the next request. Requests are counted for the part of them that lies in the window, those never
    answered included, so that slow or starved requests at its edges do not look like idleness. None
    where nothing was in flight.
    """
    inside = np.clip(samples.end, 0.0, window) - np.clip(samples.start, 0.0, window)
    in_flight = float(inside.sum())
    return max(0.0, users * window - in_flight) / in_flight if in_flight > 0 else None
