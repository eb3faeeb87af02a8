"""What the records mean. Pure, except for the writers; needs only a run directory.

The names below are the public API of the package; `loadtests` has the other half: README, *From Python*.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.advice.cards import Card
    from reports.analysis.readings import Readings
    from reports.analysis.verdicts import Verdict
    from reports.conclusions import Conclusions, conclude, decided, side
    from reports.gate.comparison import compare
    from reports.render.charts import charts
    from reports.render.report_directory import write

__all__ = [
    "Card", "Conclusions", "Readings", "Verdict", "charts", "compare", "conclude", "decided", "side", "write",
]  # fmt: skip

HOMES = {
    "advice.cards": ("Card",),
    "analysis.readings": ("Readings",),
    "analysis.verdicts": ("Verdict",),
    "conclusions": ("Conclusions", "conclude", "decided", "side"),
    "gate.comparison": ("compare",),
    "render.charts": ("charts",),
    "render.report_directory": ("write",),
}


def __getattr__(name: str) -> Any:
    """Import on first use: importing the charts takes a second."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
