"""The plan that shows whether the advice of a run holds: its arms, and the hybrid that follows the advice."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loadtests.errors import PlanError
from loadtests.measure.planning import described_again
from loadtests.measure.runs import begin, change_since, with_secrets
from loadtests.plan.building import check_places, database, rounds
from loadtests.plan.cells import Cell
from loadtests.plan.fields import validated
from loadtests.plan.hybrids.parsing import joined
from loadtests.plan.plan import Plan
from loadtests.plan.profiles import MIXES, PROFILES
from loadtests.plan.settings import RunSettings
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run

PROOF = replace(PROFILES["default"], max_time=360.0)
"""How long it takes unless it is decided earlier."""


def begin_proof(
    run: Run, arms: tuple[str, str], routes: tuple[Sequence[str], Sequence[str]], settings: RunSettings
) -> tuple[Run, RunDirectory]:
    """The run of `proof_plan`, without trials. Raises PlanError, CannotWrite."""
    return begin(proof_plan(run, arms, routes, settings), Path(settings.out))


def proof_plan(
    run: Run, arms: tuple[str, str], routes: tuple[Sequence[str], Sequence[str]], settings: RunSettings
) -> Plan:
    """The hybrid of two of a run's arms, which answers `routes` with the app of each, against both, on the
    built-in mixtures or on the run's own scenarios. Raises PlanError."""
    changed = change_since(run)
    if changed is not None:
        raise PlanError(
            f"the advice of run {run.id} is about other code: {changed}", hint="measure it again: duel run"
        )
    if (run.plan.database == "sqlite") != (database(settings) is None):
        raise PlanError(
            f"the database of run {run.id} is {run.plan.database}", hint="pass the same --database"
        )
    by_name = {arm.name: with_secrets(arm, run, lambda: described_again(settings)) for arm in run.plan.arms}
    one, default = (by_name[name] for name in arms)
    name = "hybrid" if "hybrid" not in arms else "hybrid-of-both"
    served = (joined(name, (one, default), routes), one, default)
    check_places(served)
    seed = secrets.randbelow(2**31) if settings.seed is None else settings.seed
    values = {
        **run.plan.model_dump(), "profile": "proof", "arms": served, "cells": mixtures(run.plan),
        "against": {}, "thresholds": {}, "seed": seed, **rounds(settings, PROOF),
    }  # fmt: skip
    return validated(Plan, values, "the plan")


def mixtures(plan: Plan) -> tuple[Cell, ...]:
    """The cells in which advice is proved, at the highest load of each scenario."""
    highest: dict[str, Cell] = {}
    for cell in sorted(plan.cells, key=lambda one: one.load.level):
        highest[cell.scenario] = cell
    if plan.locustfile is not None:
        return tuple(highest.values())
    top = max((cell.load for cell in highest.values()), key=lambda load: load.level)
    return tuple(Cell(scenario=name, load=top) for name in MIXES)
