"""How the arms are loaded. Produces facts, never opinions.

The names here are the public API of the package; `reports` has the other half. See README, *From Python*.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadtests.errors import DuelError, PlanError, RecordError
    from loadtests.measure.planning import planned
    from loadtests.measure.rounds import carry_out
    from loadtests.measure.runs import begin, resume
    from loadtests.plan.arms import Arm
    from loadtests.plan.cells import Cell, Load
    from loadtests.plan.plan import Plan
    from loadtests.records import Run, RunDirectory, Samples, Trial

__all__ = [
    "Arm", "Cell", "DuelError", "Load", "Plan", "PlanError", "RecordError", "Run", "RunDirectory", "Samples",
    "Trial", "begin", "carry_out", "planned", "resume",
]  # fmt: skip

HOMES = {
    "errors": ("DuelError", "PlanError", "RecordError"),
    "plan.arms": ("Arm",),
    "plan.cells": ("Cell", "Load"),
    "plan.plan": ("Plan",),
    "records": ("Run", "RunDirectory", "Samples", "Trial"),
    "measure.planning": ("planned",),
    "measure.runs": ("begin", "resume"),
    "measure.rounds": ("carry_out",),
}


def __getattr__(name: str) -> Any:
    """Import on first use: the children of a run need little of it, and start faster without it."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
