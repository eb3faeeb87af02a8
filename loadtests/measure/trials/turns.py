"""How many turns of its users a trial takes, and how long one is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from loadtests.plan.request import WARMUP_TURNS, WINDOW_TURNS

WHOLE_TURNS = 2
"""Minimum window in turns of users who think: each of them counts."""

ENOUGH = 25
"""Requests of a window that its median needs, with some to spare: users who think may make fewer."""


@dataclass(frozen=True)
class Turns:
    """How long a trial lasts, in turns: a user's time from one request to the next."""

    seconds: float
    """Of one turn, over which the users' first requests are spread; 0 where not known."""
    warmup: int
    """Minimum of the warm-up, in requests per user."""
    window: int
    """Minimum of the window, in requests per user."""


def turns(served: float, users: int, pause: float | None) -> Turns:
    """The turns of users who wait `served` seconds for a response and then think for `pause`; None: for a
    time that is not known.

    What builds up in a server does so within a few of the turns that its users would have without thinking.
    Counted in longer turns, these are fewer: users who think for two seconds would be waited for ten.
    """
    if pause is None:
        return Turns(served, WARMUP_TURNS, WINDOW_TURNS)
    part = served / (served + pause) if pause else 1.0
    window = max(WHOLE_TURNS, math.ceil(part * WINDOW_TURNS), math.ceil(ENOUGH / users) if pause else 0)
    return Turns(served + pause, max(1, math.ceil(part * WARMUP_TURNS)), window)
