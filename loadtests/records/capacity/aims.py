"""Where the next slices of a search are taken."""

from __future__ import annotations

from typing import NamedTuple


class Aim(NamedTuple):
    """What an arm's rounds so far show."""

    rate: float
    """Arrivals per second at which the target is about to be missed."""
    settled: bool
    """Whether that is known as precisely as was asked for, or no further round can show it."""
