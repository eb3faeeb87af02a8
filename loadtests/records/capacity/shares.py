"""Which share of the requests missed a target, trial by trial."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.plan.capacity.target import CapacityGoal, CapacityTarget
from loadtests.records.directory import RunDirectory
from loadtests.records.samples import Samples
from loadtests.records.trial import Trial

SCOUTING = 0
"""The round in which a search looks for the range of rates, and stops where a target is first missed: its
slices decide where the others lie, and count for nothing else."""


@dataclass(frozen=True)
class Missed:
    """Of the requests that were due in a trial's window, how many missed a target."""

    over: int
    of: int

    @property
    def share(self) -> float:
        """A window without requests missed nothing."""
        return self.over / self.of if self.of else 0.0


def missed(target: CapacityTarget, trial: Trial, samples: Samples) -> Missed:
    """The requests due in a trial's window that failed, were never sent, or took the target's limit or
    longer, counted from the moment when they were due. A server that ended missed it with all that were due;
    of one that did not start, none was."""
    due = (samples.due >= 0.0) & (samples.due < trial.lengths(samples))
    dropped = trial.dropped or 0
    slow = ~samples.ok[due]
    if target.limit is not None:
        slow |= samples.response_time[due] >= target.limit
    of = int(due.sum()) + dropped
    return Missed(of if trial.ended is not None else int(slow.sum()) + dropped, of)


class MissedShares:
    """What the trials of a run missed, each read once from its samples."""

    def __init__(self, goal: CapacityGoal, directory: RunDirectory) -> None:
        self.goal = goal
        self.directory = directory
        self._known: dict[int, Missed] = {}

    def of(self, trial: Trial) -> Missed:
        """Raises RecordError."""
        if trial.number not in self._known:
            samples = trial.requests(self.directory.samples(trial))
            self._known[trial.number] = missed(self.goal.target, trial, samples)
        return self._known[trial.number]
