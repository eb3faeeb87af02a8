"""A plan from settings; asks a generator what scenarios a locustfile holds, and the arms' interpreters what
they have installed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.errors import ChildFailed, PlanError
from loadtests.measure.generator import known_scenarios
from loadtests.plan.arms import Arm
from loadtests.plan.building import (
    arms,
    build_plan,
    cells,
    described,
    loads,
    locustfile,
    profile_of,
    redis,
    rounds,
)
from loadtests.plan.plan import Plan
from loadtests.plan.settings import RunSettings, Settled, settle
from loadtests.system.interpreters import with_servers


def planned(**settings: Any) -> Plan:
    """A plan from settings named as in `[tool.duel]`, with underscores: `planned(users=[8], max_time=60)`.
    Neither the environment nor a file is read. Raises PlanError."""
    return plan_of(settle(settings, {}, Path(os.devnull)).settings)


def plan_of(settings: RunSettings, allow_remote: bool = False) -> Plan:
    """The plan described by the settings, with the scenarios of their locustfile. Raises PlanError."""
    plan = build_plan(settings, own(settings), allow_remote)
    return plan.model_copy(update={"arms": with_servers(plan.arms)})


def choice_checked(settled: Settled) -> Settled:
    """The same settings. Raises PlanError for a profile, a load, a number of rounds or the name of a scenario
    that `duel run` would refuse. A locustfile is looked into only where scenarios are named."""
    settings = settled.settings
    profile = profile_of(settings)
    told = own(settings) if settings.scenario else None
    cells(
        profile,
        settings.scenario,
        loads(settings),
        told["scenarios"] if told else None,
        redis=redis(settings) is not None,
    )
    rounds(settings, profile)
    return settled


def arms_of(settings: RunSettings, texts: Sequence[str], allow_remote: bool = False) -> tuple[Arm, ...]:
    """The arms that `texts` describe, or the built-in ones, as they can be served. Raises PlanError."""
    return with_servers(arms(settings, texts, allow_remote))


def described_again(settings: RunSettings) -> tuple[Arm, ...]:
    """The arms with which a run is resumed, as `plan_of` made them. Raises PlanError."""
    return with_servers(described(settings))


def own(settings: RunSettings) -> Mapping[str, Any] | None:
    """What the settings' locustfile holds, as the generator reports it; None where there is none. Raises
    PlanError."""
    file = locustfile(settings.locustfile)
    if file is None:
        return None
    try:
        return known_scenarios(file.file, settings.locust_arg)
    except ChildFailed as failure:
        raise PlanError(f"cannot use the scenarios in {settings.locustfile}", cause=failure.cause) from None
