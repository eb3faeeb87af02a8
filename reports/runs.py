"""From run directories to conclusions; also checks thresholds before a run."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from loadtests.errors import PlanError
from loadtests.records import Plan, Run, RunDirectory
from reports.advice.proving.table import RouteTable, route_table
from reports.analysis import thresholds
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude, side
from reports.gate import baseline
from reports.gate.sides import Side


def conclusions_of(path: Path) -> Conclusions:
    """The conclusions of the run at `path`. Raises RecordError."""
    return conclude(*records_of(path))


def records_of(path: Path, answers: Literal["alike", "differ"] | None = None) -> tuple[Run, Readings]:
    """The run at `path`, judged with another setting of `--answers` where one is given, and the readings of
    its trials. Raises RecordError."""
    directory = RunDirectory(path)
    return directory.load().accepting(answers), Readings(directory)


def advice_of(run: Run, readings: Readings) -> RouteTable:
    """Which of a run's arms should answer each route. Raises RecordError, PlanError."""
    return route_table(run, conclude(run, readings).cards)


def side_of(path: Path) -> Side:
    """A run directory, or a baseline file, as one side of a comparison. Raises RecordError."""
    return baseline.read(path) if path.is_file() else side(conclusions_of(path))


def check_thresholds(plan: Plan) -> None:
    """Raises PlanError for a threshold of a plan that cannot be judged, before anything is measured."""
    try:
        thresholds.check(thresholds.parse(plan.thresholds), plan)
    except thresholds.ThresholdError as error:
        raise PlanError(str(error), cause=error.cause, hint=error.hint) from None
