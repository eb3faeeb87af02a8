"""What the records mean. Pure, but for the writers; needs nothing but a run directory.

What is named here is the public face of the package; `loadtests` has the other half: README, *From Python*.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.bundle import write
    from reports.cards import Card
    from reports.comparison import compare, side
    from reports.conclusions import Conclusions, conclude
    from reports.estimates import Readings
    from reports.verdicts import Verdict, decided

__all__ = [
    "Card", "Conclusions", "Readings", "Verdict", "compare", "conclude", "decided", "side", "write",
]  # fmt: skip

HOMES = {
    "bundle": ("write",),
    "cards": ("Card",),
    "comparison": ("compare", "side"),
    "conclusions": ("Conclusions", "conclude"),
    "estimates": ("Readings",),
    "verdicts": ("Verdict", "decided"),
}


def __getattr__(name: str) -> Any:
    """Imported when it is asked for: what draws charts takes a second."""
    for home, names in HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
