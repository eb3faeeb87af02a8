"""How two runs were measured, and in what they differ: figures of unlike setups cannot be compared.

Machines are compared elsewhere, since another machine is allowed and only widens the gate; so are the arms'
code and the installed packages, which are what a gate is about.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from loadtests.errors import PlanError, did_you_mean
from loadtests.records import Arm, Cell, Frozen, Line, Plan, Run, Serving

UNSET = "not set"

CELLS = "cells"
"""The name by which a head is allowed that lacks cells of the base."""

SAID = frozenset({"duel", "rounds", "python"})
"""Differences that are said and not refused: duel's own release; rounds, which the statistics allow for; and
the path of an arm's interpreter, which differs between two checkouts of the same project."""

IRRELEVANT = frozenset({
    # Parts of the rows' keys, which are compared one by one.
    "arms", "cells", "against", "gate", "base",
    # A name for cells and times; random on purpose.
    "profile", "seed",
    # Of the report, not of the measurement. The comparison has a margin of its own.
    "margin", "alpha", "thresholds", "answers",
    # Bounds that no valid trial reaches, and times of the preparation.
    "boot_timeout", "drain", "calibration", "max_time", "deadline", "proof_time",
    # A search for the highest rate has no cells to compare.
    "capacity",
    # Of an arm: where it is, and what a gate is meant to judge.
    "name", "app_dir", "cwd", "revision",
})  # fmt: skip
"""Fields of a plan and an arm in which two runs may differ."""


class Setup(Frozen):
    """How a run was measured: values as text, by the names of the settings."""

    settings: Mapping[Line, Line] = {}
    arms: Mapping[Line, Mapping[Line, Line]] = {}
    """By arm."""
    cells: Mapping[Line, Line] = {}
    """By the key of a cell, the CPUs of its servers; none in earlier versions, where all had the same."""
    packages: Mapping[Line, Line] = {}
    """By package, its version in the interpreters that serve the apps, several where these differ. Empty in
    earlier versions, and for the twins, which duel's own interpreter serves: `Machine` records that one's."""


@dataclass(frozen=True)
class SetupDifference:
    """One setting in which two runs differ."""

    name: str
    """By which it can be allowed."""
    what: str
    """The setting, with its arm."""
    base: str
    head: str

    def __str__(self) -> str:
        return f"{self.what}: {self.base}, now {self.head}"


def setup_of(run: Run) -> Setup:
    """How a run was measured."""
    arms = {arm.name: arm_setup(arm) for arm in run.plan.arms}
    settings = plan_setup(run.plan) | {"cpus": cpus(run), "duel": run.version}
    cells = {cell.key: cell_cpus(run, cell) for cell in run.plan.cells}
    return Setup(settings=settings, arms=arms, cells=cells, packages=packages_of(run))


def plan_setup(plan: Plan) -> dict[str, str]:
    """The settings of a plan that its figures depend on."""
    return {
        "window": f"{plan.window:g} s",
        "warmup": f"{plan.warmup:g} s",
        "generators": str(plan.generators),
        "database": plan.database,
        "redis": "yes" if plan.redis else UNSET,
        "locustfile": plan.locustfile.whole_digest if plan.locustfile is not None else UNSET,
        "canary": plan.canary or UNSET,
        "no-think": "yes" if plan.no_think else UNSET,
        "rounds": str(plan.max_rounds),
    }


def packages_of(run: Run) -> dict[str, str]:
    """What the interpreters of the arms' own apps have installed, by normalized names (PEP 503)."""
    found: dict[str, set[str]] = {}
    for installed in run.inputs.packages.values() if run.inputs is not None else ():
        for name, version in installed.items():
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), set()).add(version)
    return {name: " and ".join(sorted(versions)) for name, versions in sorted(found.items())}


def arm_setup(arm: Arm) -> dict[str, str]:
    """How an arm was served. Secret values of its environment are not recorded, but their names are."""
    # By its name: the same data may lie elsewhere on another machine.
    copy = UNSET if arm.copied is None else PurePath(arm.copied).name
    app, second = arm.app, arm.hybrid
    if second is not None:
        app = f"{second.app} for {'; '.join(second.routes)}, {app} for {'; '.join((*second.rest, 'others'))}"
    found = {"app": app, "python": arm.python or UNSET, "copy": copy}
    found |= {name.replace("_", "-"): str(value) for name, value in arm.serving if value is not None}
    recorded = arm.model_dump(mode="json")["env"]
    return found | {f"env.{name}": value for name, value in recorded.items()}


def cpus(run: Run) -> str:
    """How many CPUs the server and the generator had each."""
    place = run.machine.placement
    counts = [f"{name} {len(place[name])}" for name in ("server", "generator") if name in place]
    return ", ".join(counts) or UNSET


def cell_cpus(run: Run, cell: Cell) -> str:
    """How many CPUs the servers of a cell had."""
    found = run.server_cpus(cell)
    shared = ", shared with the generator" if found.shared else ""
    return f"{len(found.numbers)}{shared}" if found.numbers else UNSET


def differences(base: Setup, head: Setup) -> Iterator[SetupDifference]:
    """Every difference between the settings of two runs, and of the arms that both have."""
    for name, before, after in unequal(base.settings, head.settings):
        yield SetupDifference(name, name, before, after)
    # Where the machines' CPUs differ, that has been said.
    both = base.cells.keys() & head.cells.keys() if alike(base, head, "cpus") else ()
    for key in sorted(both):
        if base.cells[key] != head.cells[key]:
            yield SetupDifference("cpus", f"cpus of {key}", base.cells[key], head.cells[key])
    for arm in base.arms.keys() & head.arms.keys():
        for name, before, after in unequal(base.arms[arm], head.arms[arm]):
            yield SetupDifference(name.partition(".")[0], f"{name} of {arm}", before, after)


def alike(base: Setup, head: Setup, name: str) -> bool:
    """Whether a setting is the same in two runs."""
    return base.settings.get(name, UNSET) == head.settings.get(name, UNSET)


def unequal(base: Mapping[str, str], head: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Names with their two values, where these differ."""
    for name in sorted({*base, *head}):
        before, after = base.get(name, UNSET), head.get(name, UNSET)
        if before != after:
            yield name, before, after


def names() -> list[str]:
    """The names of differences that are refused unless they are allowed."""
    settings = ("window", "warmup", "generators", "database", "locustfile", "canary", "no-think", "cpus")
    serving = [name.replace("_", "-") for name in Serving.model_fields]
    return [CELLS, *settings, "app", "copy", "env", *serving]


def allowed(texts: Sequence[str]) -> frozenset[str]:
    """The differences to allow, from names or lists with commas. Raises PlanError for an unknown name."""
    found: Collection[str] = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    known = names()
    for name in found:
        if name in SAID:
            raise PlanError(f"a difference of {name} needs no --allow", hint="it is only reported")
        if name not in known:
            raise PlanError(f"--allow {name}: there is no such difference", hint=did_you_mean(name, known))
    return frozenset(found)
