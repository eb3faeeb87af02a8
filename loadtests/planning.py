"""A plan from settings, asking a generator what scenarios of somebody's own there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.bench import known_scenarios
from loadtests.config import Settings, plan, scenario_file, settle
from loadtests.plan import Plan, PlanError
from loadtests.processes import ChildFailed


def planned(**settings: Any) -> Plan:
    """A plan from settings named as in `[tool.duel]`, with underscores: `planned(users=[8], max_time=60)`.
    Neither the environment nor a file is read. Raises PlanError."""
    given = {name.replace("_", "-"): value for name, value in settings.items()}
    settled = settle(given, {}, Path(os.devnull))
    return plan(settled, own_scenarios(settled))


def own_scenarios(settings: Settings) -> Mapping[str, Any] | None:
    """What somebody's own file of scenarios holds; None where there is none. Raises PlanError."""
    given = settings.get("scenarios-file")
    own = scenario_file(given.value) if given is not None else None
    if given is None or own is None:
        return None
    try:
        return known_scenarios(own["file"])
    except ChildFailed as failure:
        raise PlanError(f"the scenarios in {given.value} cannot be used", "", failure.cause) from None
