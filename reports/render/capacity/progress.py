"""Progress of a search: how the brackets close, a line for each step."""

from __future__ import annotations

from rich.console import Console

from loadtests.records import SCOUTING, Arm, Cell, MissedShares, Run, RunDirectory, Trial
from reports.analysis.capacity.searches import ArmSearch, counted, crossing_of, word_of
from reports.capacities import goal_of
from reports.render.live import Announcements, WaitingOnly, trial_lines
from reports.render.output import Output
from reports.render.streams import say
from reports.wording.capacity import bracket_text, scouted_text


def watching(output: Output, run: Run, directory: RunDirectory) -> SearchLines | WaitingOnly:
    """The progress display of a search; if disabled, only that it waits."""
    return SearchLines(output.notes, run, directory) if output.progress else WaitingOnly(output.notes)


class SearchLines(Announcements):
    """A line per slice of scouting, and one per round."""

    def __init__(self, console: Console, run: Run, directory: RunDirectory) -> None:
        super().__init__(console)
        self.goal = goal_of(run)
        self.shares = MissedShares(self.goal, directory)

    def trial_begins(self, run: Run, cell: Cell, arm: Arm, round: int) -> None: ...

    def trial_ends(self, run: Run, trial: Trial) -> None:
        for line in trial_lines(trial):
            say(self.console, f"  {trial.cell}, {trial.arm}, round {trial.round}: {line}")
        if trial.round == SCOUTING and trial.served:
            share = self.shares.of(trial).share
            cell = trial.cell
            say(
                self.console,
                scouted_text(cell.scenario, trial.arm, cell.load.level, share, self.goal.target),
            )

    def round_ends(self, run: Run, round: int, open_cells: list[Cell], seconds_left: float) -> None:
        scenario = run.trials[-1].cell.scenario
        found = [self.standing(run, scenario, arm.name) for arm in run.plan.arms]
        say(self.console, bracket_text(scenario, found, round, seconds_left if open_cells else 0.0))

    def standing(self, run: Run, scenario: str, arm: str) -> ArmSearch:
        """What is known of an arm so far."""
        crossing = crossing_of(run, self.goal, self.shares, counted(run, scenario, arm))
        return ArmSearch(scenario, arm, word_of(crossing), None, crossing, ())
