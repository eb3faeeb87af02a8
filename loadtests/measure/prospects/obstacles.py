"""What keeps a plan from being measured here at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtests.errors import PlanError, did_you_mean
from loadtests.measure.calibration import lost_by_head
from loadtests.plan.addresses import check_target
from loadtests.plan.plan import Plan
from loadtests.records.refusals import Refusal
from loadtests.system import placement


def check_reachable(plan: Plan, allow_remote: bool) -> None:
    """Raises PlanError where load would leave this machine without `allow_remote`."""
    for arm in plan.arms:
        if arm.url is not None:
            check_target(arm.url, allow_remote)


def check_connections(plan: Plan) -> None:
    """Raises PlanError where a process may hold fewer connections than there are users."""
    most = placement.allow_connections()
    users = max((cell.load.users or 0) for cell in plan.cells)
    if most is not None and users > most:
        raise PlanError(
            f"{users} users need as many connections, and a process here may hold about {most}",
            hint="use fewer users (-u), or raise the limit (ulimit -n)",
        )


def check_scenarios(plan: Plan, known: Mapping[str, Any]) -> None:
    """Raises PlanError where a cell's scenario is not among those that the generator knows."""
    for cell in plan.cells:
        if cell.scenario not in known:
            hint = did_you_mean(cell.scenario, list(known))
            raise PlanError(f"there is no scenario {cell.scenario!r}", hint=hint)


def check_fits(plan: Plan, refused: Mapping[str, Refusal]) -> None:
    """Raises PlanError where no cell can be measured, unless that is a gate's result: its bases fit."""
    if len(refused) < len(plan.cells) or any(lost_by_head(plan, one) for one in refused.values()):
        return
    cell = min(plan.cells, key=lambda cell: refused[cell.key].needed)
    raise PlanError(
        "no cell fits the available time",
        cause=f"even {cell} needs windows of about {refused[cell.key].needed:.0f} s",
        hint="use fewer users (-u), longer windows (-t) or a longer --max-time",
    )
