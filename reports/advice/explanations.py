"""Signs and bottlenecks of a run, each computed once."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.records import Cell, Run, Trial
from reports.analysis.bottlenecks import Bottleneck, bottlenecks
from reports.analysis.bounds import known
from reports.analysis.failures.gross import gross_failures
from reports.analysis.readings import Readings
from reports.analysis.signs import Signs, signs


class Explanations:
    """Signs and bottlenecks of a run, each computed once."""

    def __init__(self, run: Run, readings: Readings) -> None:
        self.run = run
        self.readings = readings
        self._known: dict[tuple[Cell, str], tuple[Signs | None, tuple[Bottleneck, ...]]] = {}

    def of(self, cell: Cell, arm: str) -> tuple[Signs | None, tuple[Bottleneck, ...]]:
        """What an arm's server did in a cell, and what limited it. Raises RecordError."""
        if (cell, arm) not in self._known:
            found = signs(self.run, self.readings, cell, arm)
            limits = bottlenecks(found, known(self.run, cell, arm), self.blamed(cell, arm))
            self._known[cell, arm] = found, tuple(limits)
        return self._known[cell, arm]

    def blamed(self, cell: Cell, arm: str) -> Sequence[Trial]:
        """The trials that may show the generator or the host as what limits an arm; none for one that fails
        most of its requests, whatever disturbed them. Raises RecordError."""
        trials = self.run.of(cell, arm)
        last = {trial.round: trial for trial in trials}
        return () if gross_failures({arm: list(last.values())}, self.readings) else trials
