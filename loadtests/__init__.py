"""How the arms are loaded. Produces facts, never opinions.

What is named here is the public face of the package; `reports` has the other half. See README, *From Python*.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtests.plan import Arm, Cell, Load, Plan, PlanError
    from loadtests.planning import planned
    from loadtests.records import RecordError, Run, RunDirectory, Samples, Trial
    from loadtests.rounds import begin, carry_out, resume

__all__ = [
    "Arm", "Cell", "Load", "Plan", "PlanError", "RecordError", "Run", "RunDirectory", "Samples", "Trial",
    "begin", "carry_out", "planned", "resume",
]  # fmt: skip

HOMES = {
    "plan": ("Arm", "Cell", "Load", "Plan", "PlanError"),
    "planning": ("planned",),
    "records": ("RecordError", "Run", "RunDirectory", "Samples", "Trial"),
    "rounds": ("begin", "carry_out", "resume"),
}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: the children of a run need little of it, and start sooner without."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
