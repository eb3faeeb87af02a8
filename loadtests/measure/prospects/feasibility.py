"""Whether a plan can conclude anything: one that cannot is not started."""

from __future__ import annotations

import math

from loadtests.errors import PlanError
from loadtests.plan.plan import BLOCK, Plan
from loadtests.plan.profiles import FIRST_LOOK
from loadtests.records.refusals import foreseen

OFF = 1.5
"""Factor by which the expected duration of a run may be wrong."""


def check_conclusive(plan: Plan) -> None:
    """Raises PlanError with what would fit, where no cell can be decided: by too few rounds, by too few
    requests in a window, or since not even the minimum of rounds fits the time."""
    check_rounds(plan)
    check_requests(plan)
    check_time(plan)


def check_rounds(plan: Plan) -> None:
    """Raises PlanError where the rounds are too few for an interval, or the last one would not count."""
    if plan.max_rounds < FIRST_LOOK:
        raise PlanError(
            f"too few rounds: {plan.max_rounds}, and an interval needs {FIRST_LOOK}",
            hint=f"use --rounds {FIRST_LOOK} or more; `duel check` tries the arms without load",
        )
    if plan.fixed and plan.max_rounds % BLOCK:
        raise PlanError(
            f"{plan.max_rounds} rounds: the last one would not count, since rounds count in pairs with "
            "opposite orders of the arms",
            hint=f"use --fixed-rounds {plan.max_rounds - 1} or {plan.max_rounds + 1}",
        )


def check_requests(plan: Plan) -> None:
    """Raises PlanError where every cell's windows hold too few requests."""
    refused = foreseen(plan)
    if len(refused) < len(plan.cells):
        return
    cell = min(plan.cells, key=lambda cell: refused[cell.key].needed)
    least = refused[cell.key]
    users = f": its users wait about {least.pause:.0f} s between two" if least.pause is not None else ""
    raise PlanError(
        "no cell makes enough requests for a median",
        cause=f"{cell} makes about {least.requests:.0f} in a window of {least.limit:.0f} s{users}",
        hint=f"use -t {math.ceil(least.needed)}, or {'more users (-u)' if users else 'a higher --rate'}",
    )


def check_time(plan: Plan) -> None:
    """Raises PlanError where the minimum of rounds would not fit the time, even if they were as much faster
    than expected as that may be wrong."""
    if plan.deadline is None:
        return
    available = plan.deadline * OFF - plan.preparation_seconds
    one_cell = plan.min_rounds * plan.round_seconds()
    if one_cell * len(plan.cells) <= available:
        return
    needed = plan.preparation_seconds + one_cell * len(plan.cells)
    # Fewer cells have fewer scenarios to prepare.
    fitting = int(plan.deadline / needed * len(plan.cells))
    fewer = f", or at most {fitting} of the {len(plan.cells)} cells (-s, -u)" if fitting > 0 else ""
    raise PlanError(
        f"{plan.min_rounds} rounds of all cells do not fit --max-time, {plan.deadline:.0f} s: nothing would "
        "be decided",
        cause=f"they take about {needed:.0f} s",
        hint=f"use --max-time {math.ceil(needed)}s or more{fewer}, or shorter windows (-t)",
    )
