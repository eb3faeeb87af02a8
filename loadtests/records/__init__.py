"""The records of a run: samples, heartbeats, trials, the run and its directory.
All that `reports` may import, with the plan's types and errors."""

from __future__ import annotations

from loadtests.errors import CannotWrite, RecordError
from loadtests.plan.arms import Arm, Serving
from loadtests.plan.capacity.target import CapacityGoal, CapacityTarget
from loadtests.plan.cells import ENOUGH_FOR_P50, Cell, Load, Metric
from loadtests.plan.fields import Frozen, Line, one_line
from loadtests.plan.plan import BLOCK, Ignored, Plan
from loadtests.records.answers import (
    SIZE_FACTOR,
    SIZE_SLACK,
    AnswerCheck,
    AnswerDifference,
    AnsweringRoute,
    Compared,
    DifferenceKind,
)
from loadtests.records.arrays import (
    read_heartbeats,
    read_samples,
    write_delays,
    write_heartbeats,
    write_samples,
)
from loadtests.records.capacity.aims import Aim
from loadtests.records.capacity.shares import SCOUTING, Missed, MissedShares, missed
from loadtests.records.directory import RunDirectory
from loadtests.records.documents import read_document
from loadtests.records.faults import Fault, FaultKind
from loadtests.records.files import read_named, write_whole
from loadtests.records.heartbeats import Heartbeats, HoldingLine, LoopHolds
from loadtests.records.in_force import InForce
from loadtests.records.refusals import MUCH_SLOWER, Refusal, foreseen
from loadtests.records.run import Calibration, Ceiling, Machine, Run, ServerCpus, WorkerHost
from loadtests.records.samples import Samples
from loadtests.records.trial import (
    Apart,
    ArrayFile,
    Footprint,
    LightKind,
    Resources,
    ServerEnd,
    Settling,
    Slice,
    Trial,
    TrialArrays,
)
from loadtests.records.tried import MOST_LOST, RoundsTried, rounds_tried

__all__ = [
    "BLOCK", "ENOUGH_FOR_P50", "MOST_LOST", "MUCH_SLOWER", "SCOUTING", "SIZE_FACTOR", "SIZE_SLACK", "Aim",
    "AnswerCheck", "AnswerDifference", "AnsweringRoute", "Apart", "Arm", "ArrayFile", "Calibration",
    "CannotWrite", "CapacityGoal", "CapacityTarget", "Ceiling", "Cell", "Compared", "DifferenceKind", "Fault",
    "FaultKind", "Footprint", "Frozen", "Heartbeats", "HoldingLine", "Ignored", "InForce", "LightKind",
    "Line", "Load", "LoopHolds", "Machine", "Metric", "Missed", "MissedShares", "Plan", "RecordError",
    "Refusal", "Resources", "RoundsTried", "Run", "RunDirectory", "Samples", "ServerCpus", "ServerEnd",
    "Serving", "Settling", "Slice", "Trial", "TrialArrays", "WorkerHost", "foreseen", "missed", "one_line",
    "read_document", "read_heartbeats", "read_named", "read_samples", "rounds_tried", "write_delays",
    "write_heartbeats", "write_samples", "write_whole",
]  # fmt: skip
