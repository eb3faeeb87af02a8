"""What keeps a plan from being measured here at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from loadtests.errors import PlanError, did_you_mean
from loadtests.measure.calibration import lost_by_head
from loadtests.plan.addresses import check_target, is_loopback, resolved
from loadtests.plan.options import RunOptions
from loadtests.plan.plan import Plan
from loadtests.records.refusals import Refusal
from loadtests.system import placement


def check_reachable(plan: Plan, options: RunOptions) -> None:
    """Raises PlanError where load would leave this machine without `allow_remote`, or workers on other
    machines would load their own instead of an arm on this one."""
    for arm in plan.arms:
        if arm.url is not None:
            check_target(arm.url, options.allow_remote)
    if options.listen is None or options.listen.is_near:
        return
    for arm in plan.arms:
        host = urlsplit(arm.url).hostname if arm.url is not None else None
        if host is None or any(map(is_loopback, resolved(host))):
            raise PlanError(
                f"workers on other machines cannot reach arm {arm.name!r}",
                cause="it is served on a loopback address of this machine",
                hint="serve it where they can (`duel serve ARM --host ADDRESS`): NAME=http://ADDRESS:8000",
            )


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
