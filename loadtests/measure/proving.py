"""The plan that shows whether the advice of a run holds: its arms, and the hybrid that follows the advice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from loadtests.errors import PlanError
from loadtests.measure.planning import described_again
from loadtests.measure.runs import change_since, resume, with_secrets, without_trials
from loadtests.plan.building import check_places, database, redis
from loadtests.plan.cells import Cell
from loadtests.plan.database_url import backend
from loadtests.plan.fields import validated
from loadtests.plan.hybrids.parsing import joined
from loadtests.plan.hybrids.proofs import time_left
from loadtests.plan.plan import Plan
from loadtests.plan.profiles import MIXES, PROFILES
from loadtests.plan.settings import RunSettings
from loadtests.records.directory import RunDirectory
from loadtests.records.run import Run

USUAL = PROFILES["default"].proof_time
"""Seconds after which no rounds beyond the minimum are started, where the run did not plan a proof."""


def begin_proof(
    run: Run,
    directory: RunDirectory,
    arms: tuple[str, str],
    routes: tuple[Sequence[str], Sequence[str]],
    settings: RunSettings,
) -> tuple[Run, RunDirectory]:
    """The run of `proof_plan`, in the directory of the run whose advice it follows: without trials, or as an
    interrupt left it. Raises PlanError, also where it is there and complete; RecordError, CannotWrite."""
    inner = directory.proof
    if inner is None:
        proof = without_trials(proof_plan(run, arms, routes, settings))
        made = directory.with_proof()
        made.save(proof)
        return proof, made
    recorded = inner.load()
    if recorded.complete:
        raise PlanError(
            f"the advice of run {run.id} was followed before: {inner.path}",
            hint=f"duel report {directory.path} shows it; to measure it again, move that directory away",
        )
    proof, inner = resume(inner.path, settings.max_time, lambda: described_again(settings))
    if settings.max_time is None:
        # Its own limit stands: a run that is resumed would be measured to its last round.
        proof = proof.model_copy(
            update={"plan": proof.plan.model_copy(update={"max_time": recorded.plan.max_time})}
        )
    return proof, inner


def proof_wanted(run: Run, directory: RunDirectory) -> bool:
    """Whether a run, whose rounds are done, ends with a proof that is not there yet, or lacks rounds. Raises
    RecordError."""
    return proof_interrupted(directory) or (run.plan.proof_time is not None and directory.proof is None)


def proof_interrupted(directory: RunDirectory) -> bool:
    """Whether a run's proof was started and not finished. Raises RecordError."""
    return directory.proof is not None and not directory.proof.load().complete


def proof_settings(settings: RunSettings, directory: RunDirectory) -> RunSettings:
    """The settings for the proof that ends a run, or a resumed one: their limit of time was that of the
    rounds and the proof together, unless only the proof was left."""
    return settings if proof_interrupted(directory) else replace(settings, max_time=None)


def proof_plan(
    run: Run, arms: tuple[str, str], routes: tuple[Sequence[str], Sequence[str]], settings: RunSettings
) -> Plan:
    """The hybrid of two of a run's arms, which answers `routes` with the app of each, against both, on the
    built-in mixtures or on the run's own scenarios that request several endpoints. Raises PlanError."""
    changed = change_since(run)
    if changed is not None:
        raise PlanError(
            f"the advice of run {run.id} is about other code: {changed}", hint="measure it again: duel run"
        )
    if run.plan.database != backend(database(settings)):
        raise PlanError(
            f"the database of run {run.id} is {run.plan.database}", hint="pass the same --database"
        )
    if run.plan.redis != (redis(settings) is not None):
        raise PlanError(
            f"run {run.id} has {'a' if run.plan.redis else 'no'} Redis server",
            hint="pass --redis or --redis-url as then",
        )
    by_name = {arm.name: with_secrets(arm, run, lambda: described_again(settings)) for arm in run.plan.arms}
    one, default = (by_name[name] for name in arms)
    name = "hybrid" if "hybrid" not in arms else "hybrid-of-both"
    served = (joined(name, (one, default), routes), one, default)
    check_places(served)
    values = {
        **run.plan.model_dump(), "profile": "proof", "arms": served, "cells": mixtures(run), "against": {},
        "thresholds": {}, "proof_time": None, **limits(run.plan, settings),
    }  # fmt: skip
    return validated(Plan, values, "the plan")


def limits(plan: Plan, settings: RunSettings) -> Mapping[str, Any]:
    """The rounds of a proof, which are those of its run unless the settings say otherwise, and how long they
    may take: what the run's own limit leaves for it, unless the settings have one."""
    asked = settings.rounds
    most = plan.max_rounds if asked is None else asked
    return {
        "min_rounds": min(plan.min_rounds, most),
        "max_rounds": most,
        "max_time": settings.max_time or time_left(plan) or USUAL,
        "deadline": settings.max_time or (time_left(plan) if plan.deadline is not None else None),
    }


def mixtures(run: Run) -> tuple[Cell, ...]:
    """The cells in which advice is proved, at the highest load of each scenario. Raises PlanError."""
    plan = run.plan
    highest: dict[str, Cell] = {}
    for cell in sorted(plan.cells, key=lambda one: one.load.level):
        highest[cell.scenario] = cell
    if plan.locustfile is None:
        top = max((cell.load for cell in highest.values()), key=lambda load: load.level)
        return tuple(Cell(scenario=name, load=top) for name in MIXES)
    mixed = {trial.cell.scenario for trial in run.trials if len(trial.endpoints) > 1}
    if not mixed:
        raise PlanError(
            f"no scenario of run {run.id} requests several endpoints: its cards say all there is of each",
            hint="measure a user class with several tasks as well, as your users mix them",
        )
    return tuple(cell for name, cell in highest.items() if name in mixed)
