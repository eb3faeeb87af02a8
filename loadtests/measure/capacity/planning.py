"""The plan of a search, from settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loadtests.errors import PlanError
from loadtests.measure.planning import own
from loadtests.plan.building import build_plan
from loadtests.plan.capacity.target import GRAMMAR, CapacityGoal, target
from loadtests.plan.fields import validated
from loadtests.plan.plan import Plan
from loadtests.plan.profiles import FIRST_LOOK, LAST_LOOK
from loadtests.plan.settings import RunSettings
from loadtests.system.interpreters import with_servers

USUAL = ("ping", "posts.read", "upstream", "python", "mixed")
"""Scenarios that are searched unless asked otherwise, in about fifteen minutes."""

HIGHEST = 20_000.0
"""Arrivals per second that no search goes beyond unless asked to: more than one load generator makes."""


def capacity_plan(settings: RunSettings, given: Mapping[str, Any], allow_remote: bool = False) -> Plan:
    """The plan that `duel capacity` carries out. `given`: `target`, `precision` and `highest` of the flags,
    None for those that were not given; `[tool.duel.capacity]` has the others. A limit of time is that of each
    scenario. Without scenarios, `USUAL`, or all of the locustfile. Raises PlanError."""
    chosen = {**(settings.capacity or {}), **{key: one for key, one in given.items() if one is not None}}
    if "target" not in chosen:
        raise PlanError("no target is given", hint=f"add --target 'p(99)<50': {GRAMMAR}")
    goal: dict[str, Any] = {"target": target(str(chosen["target"]))}
    goal |= {"precision": chosen["precision"]} if "precision" in chosen else {}
    goal |= {} if settings.max_time is None else {"seconds": settings.max_time}
    usual = () if settings.locustfile else USUAL
    load = replace(
        settings, profile="quick", scenario=settings.scenario or usual, users=(),
        rate=(number(chosen, "highest", HIGHEST),), window=None, warmup=None, rounds=None, fixed_rounds=None,
        max_time=None, no_prove=True,
    )  # fmt: skip
    plan = build_plan(load, own(settings), allow_remote)
    return plan.model_copy(
        update={
            "profile": "capacity",
            "arms": with_servers(plan.arms),
            "capacity": validated(CapacityGoal, goal, "the search"),
            "min_rounds": FIRST_LOOK,
            "max_rounds": LAST_LOOK,
            "max_time": None,
        }
    )


def number(chosen: Mapping[str, Any], key: str, otherwise: float) -> float:
    """A number of the table. Raises PlanError."""
    try:
        return float(chosen.get(key, otherwise))
    except (TypeError, ValueError):
        raise PlanError(f"capacity: {key} = {chosen[key]!r} is not a number") from None
