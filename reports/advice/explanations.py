"""Signs and bottlenecks of a run, each computed once."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.records import Cell, Run, Trial
from reports.analysis.bottlenecks import Bottleneck, bottlenecks
from reports.analysis.bounds import known
from reports.analysis.failures.gross import gross_failures
from reports.analysis.readings import Readings
from reports.analysis.signs import Signs, signs
from reports.analysis.verdicts import Verdict
from reports.analysis.waits import Ahead


class Explanations:
    """Signs and bottlenecks of a run, each computed once. Its primary verdicts tell which arms are behind;
    without them none is."""

    def __init__(self, run: Run, readings: Readings, verdicts: Sequence[Verdict] = ()) -> None:
        self.run = run
        self.readings = readings
        self._signs: dict[tuple[Cell, str], Signs | None] = {}
        self._limits: dict[tuple[Cell, str], tuple[Bottleneck, ...]] = {}
        self._ahead: dict[tuple[Cell, str], list[str]] = {}
        for one in verdicts:
            if one.primary and one.verdict in ("faster", "slower"):
                pair = (one.reference, one.arm) if one.verdict == "faster" else (one.arm, one.reference)
                self._ahead.setdefault((one.cell, pair[0]), []).append(pair[1])

    def of(self, cell: Cell, arm: str) -> tuple[Signs | None, tuple[Bottleneck, ...]]:
        """What an arm's server did in a cell, and what limited it. Raises RecordError."""
        if (cell, arm) not in self._limits:
            found = bottlenecks(
                self.signs(cell, arm),
                known(self.run, cell, arm),
                self.blamed(cell, arm),
                self.ahead(cell, arm),
            )
            self._limits[cell, arm] = tuple(found)
        return self.signs(cell, arm), self._limits[cell, arm]

    def signs(self, cell: Cell, arm: str) -> Signs | None:
        """What an arm's server did in a cell. Raises RecordError."""
        if (cell, arm) not in self._signs:
            self._signs[cell, arm] = signs(self.run, self.readings, cell, arm)
        return self._signs[cell, arm]

    def ahead(self, cell: Cell, arm: str) -> Ahead | None:
        """Of the arms that are ahead of this one, the one that serves most; None where none is. Raises
        RecordError."""
        found = [
            Ahead(name, seen, known(self.run, cell, name))
            for name in self._ahead.get((cell, arm), ())
            if (seen := self.signs(cell, name)) is not None
        ]
        return max(found, key=lambda one: one.signs.throughput, default=None)

    def blamed(self, cell: Cell, arm: str) -> Sequence[Trial]:
        """The trials that may show the generator or the host as what limits an arm; none for one that fails
        most of its requests, whatever disturbed them. Raises RecordError."""
        trials = self.run.of(cell, arm)
        last = {trial.round: trial for trial in trials}
        return () if gross_failures({arm: list(last.values())}, self.readings) else trials
