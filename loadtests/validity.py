"""When a trial does not count. Faults of the measurement only: an overloaded server is a result."""

from __future__ import annotations

from loadtests.records import Vitals

GENERATOR_BUSY = 0.80
"""Part of its core that the generator may use; above it, it measures itself."""
STEAL = 0.02
"""Part of the host's CPU time that other guests may take."""


def faults(vitals: Vitals, window: float) -> tuple[str, ...]:
    """Why a trial with these vitals does not count: empty when it does. `window` in seconds."""
    found = []
    busy = vitals.generator_cpu / window
    if busy > GENERATOR_BUSY:
        found.append(
            f"the load generator used {busy:.0%} of its core (more than {GENERATOR_BUSY:.0%}) and may have "
            "measured itself: use fewer users"
        )
    if vitals.host_steal is not None and vitals.host_steal > STEAL:
        found.append(
            f"other guests took {vitals.host_steal:.1%} of this host's CPU time (more than {STEAL:.0%}): "
            "measure on a quieter machine"
        )
    return tuple(found)
