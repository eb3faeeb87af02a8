"""Why a cell was not measured, as data: `reports/wording` makes the sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from loadtests.plan.cells import ENOUGH_FOR_P50
from loadtests.plan.fields import Frozen, Line
from loadtests.plan.plan import Plan

RefusalKind = Literal["window-too-long", "trials-too-long", "too-few-requests"]

Duration = Annotated[float, Field(ge=0.0, le=1e12, allow_inf_nan=False)]

MUCH_SLOWER = 2.0
"""In a gate, a head that needs up to this multiple of the available time is measured with the windows that
fit; above it, no interval is needed."""


class Refusal(Frozen):
    """What the cell needs, and the most that is available."""

    kind: RefusalKind
    """window-too-long: one window exceeds the maximum; trials-too-long: all trials together exceed the run's
    time limit; too-few-requests: a window holds too few of them for a median."""
    needed: Duration
    """Measurement window, in seconds, in which each user gets its requests; too-few-requests: that holds
    enough of them."""
    limit: Duration
    """Seconds: trials-too-long: of the run; else of one window."""
    trials: Annotated[int, Field(ge=1, le=100_000)]
    """Trials of the cell in the minimum number of rounds."""
    turns: Annotated[int, Field(ge=1, le=1_000)]
    """Requests that each user must get in a window."""
    needs: Mapping[Line, Duration] = {}
    """`needed` of each arm whose need is known; empty: not recorded."""
    requests: Duration | None = None
    """too-few-requests: how many are expected in the longest window."""
    pause: Duration | None = None
    """too-few-requests: seconds that a user waits between two of them; None in an open loop."""

    @property
    def window(self) -> float:
        """The longest window that fits, in seconds."""
        return self.limit / self.trials if self.kind == "trials-too-long" else self.limit


def foreseen(plan: Plan) -> dict[str, Refusal]:
    """The cells, by key, of which it is known before any load that no window holds enough requests: their
    users think for too long, or too few arrive."""
    found = {}
    pauses = plan.locustfile.pauses if plan.locustfile is not None else {}
    for cell in plan.cells:
        users, rate, pause = cell.load.users, cell.load.rate, pauses.get(cell.scenario)
        if users is not None and pause is not None:
            # A trial's window is stretched for its users.
            rate, limit = users / pause, max(plan.window, plan.longest)
        else:
            limit, pause = plan.window, None
        if rate is not None and rate * limit < ENOUGH_FOR_P50:
            found[cell.key] = Refusal(
                kind="too-few-requests", needed=ENOUGH_FOR_P50 / rate, limit=limit,
                trials=plan.min_rounds * len(plan.arms), turns=1, requests=rate * limit, pause=pause,
            )  # fmt: skip
    return found
