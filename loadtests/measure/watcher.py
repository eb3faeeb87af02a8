"""Who is told how a run proceeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell
from loadtests.records.run import Run, WorkerHost
from loadtests.records.trial import Trial


class Watcher(Protocol):
    """Is notified of a run's progress. All calls come from the measuring thread, between windows."""

    def waits(self, other: str, place: int) -> None:
        """While `other` is measured on this machine, at this place in the queue, counted from 1."""

    def gathers(self, address: str, workers: Sequence[WorkerHost], size: int) -> None:
        """Load generators on other machines join at an address: those so far, of `size`. At first, and after
        each."""

    def prepares(self, arm: Arm) -> None:
        """An arm is calibrated."""

    def expects(self, least: float, most: float) -> None:
        """The run takes much more or less time than was announced: from `least` to `most` seconds in all."""

    def trial_begins(self, run: Run, cell: Cell, arm: Arm, round: int) -> None: ...

    def trial_ends(self, run: Run, trial: Trial) -> None: ...

    def round_ends(self, run: Run, round: int, open_cells: list[Cell], seconds_left: float) -> None: ...


class Silent:
    """A watcher that shows nothing."""

    @staticmethod
    def nothing(*_: Any, **__: Any) -> None: ...

    waits = gathers = prepares = expects = trial_begins = trial_ends = round_ends = nothing


SILENT = Silent()
