"""Where the code of a case is: what an annotation points at."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from loadtests.records import AnsweringRoute, Arm, Run
from reports.analysis.names.endpoints import ALL, request_name
from reports.analysis.verdicts import Verdict
from reports.export.cases import Case


class Place(NamedTuple):
    """A line of a file, relative to the repository: GitHub ignores others."""

    file: str
    line: int


def place(run: Run, case: Case) -> Place | None:
    """The first line of the route that a case is about, or else the beginning of its app's module; None of
    what is outside of the repository."""
    name = case.group.partition(" against ")[0]
    arm = next((one for one in run.plan.arms if one.name == name), None)
    if arm is None:
        return None
    root = Path(run.plan.base.repository) if run.plan.base is not None else Path.cwd()
    route = route_of(run, case.verdict) if case.verdict is not None else None
    file, line = (Path(route.file), route.line) if route is not None else (module_of(arm), 1)
    inside = file is not None and file.is_relative_to(root.resolve())
    return Place(str(file.relative_to(root.resolve())), line) if file is not None and inside else None


def route_of(run: Run, verdict: Verdict) -> AnsweringRoute | None:
    """The route that a verdict is about; None where that is not known, and for a mixture as a whole."""
    if run.answers is None:
        return None
    names = {request_name(verdict.endpoint)}
    if verdict.endpoint == ALL:
        names = {name for trial in run.of(verdict.cell, verdict.arm) for name in trial.endpoints}
    return run.answers.route(verdict.arm, verdict.cell.scenario, names.pop()) if len(names) == 1 else None


def module_of(arm: Arm) -> Path | None:
    """The file of an app's module; None where it is not there."""
    module = Path(*arm.app.partition(":")[0].split("."))
    files = (Path(arm.app_dir or ".", one) for one in (module.with_suffix(".py"), module / "__init__.py"))
    return next((file.resolve() for file in files if file.is_file()), None)
