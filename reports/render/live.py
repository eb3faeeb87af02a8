"""Progress during a run: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from loadtests.records import Arm, Cell, Run, Trial, WorkerHost
from reports.advice.explanations import Explanations
from reports.advice.portraits import portraits
from reports.analysis.failures.kinds import of_arm
from reports.analysis.readings import Readings
from reports.analysis.verdicts import verdicts
from reports.render.streams import say
from reports.render.tables.verdicts import table
from reports.wording import units
from reports.wording.advice.portraits import headline
from reports.wording.failures import MOST_LINES, kind_text
from reports.wording.faults import faults_text
from reports.wording.plans import duration_text, gathering_text
from reports.wording.reservations import server_end_text
from reports.wording.sentences import sentence, unlike_lines
from reports.wording.units import counted

PATIENCE = 30.0
"""Seconds without output after which a line shows that the run continues."""

TAKEN = 7
"""Lines of a terminal that the live view needs beside the rows of its table."""


def trial_lines(trial: Trial) -> list[str]:
    """What to know of a trial at once: how its server ended, and why it does not count."""
    ended = [] if trial.ended is None else [server_end_text(trial.ended)]
    why = [f"does not count: {faults_text(trial.faults, trial.client)}"] if trial.faults else []
    return [*ended, *why]


def expected(least: float, most: float) -> str:
    """What a run takes that was announced otherwise."""
    return f"this run is now expected to take {duration_text(least, most)} in all"


def waiting(other: str, place: int) -> str:
    return f"waiting for {other}, which is being measured on this machine: place {place} in the queue"


def standing_lines(run: Run, readings: Readings, cells: Collection[Cell]) -> list[str]:
    """What is known of some cells so far, a line for each verdict or portrait."""
    if run.plan.alone:
        drawn = portraits(Explanations(run, readings))
        return [headline(one, run.plan) for one in drawn if one.cell in cells]
    found = verdicts(run, readings)
    return [sentence(one, run.plan) for one in found if one.primary and one.cell in cells]


class FailuresSeen:
    """Says each kind of failed requests once, when a trial first shows it."""

    def __init__(self, readings: Readings) -> None:
        self.readings = readings
        self.known: set[tuple[object, ...]] = set()

    def lines(self, trial: Trial) -> list[str]:
        """Of a trial's kinds those that are new, its most frequent ones first, as long as a run has few."""
        found = []
        for kind in of_arm(trial.cell, trial.arm, [trial], self.readings):
            key = (kind.cell, kind.arm, kind.endpoint, kind.status, kind.exception)
            if key in self.known or len(self.known) > MOST_LINES:
                continue
            self.known.add(key)
            full = len(self.known) > MOST_LINES
            found.append("requests failed in further ways" if full else f"requests failed: {kind_text(kind)}")
        return found


class WaitingOnly:
    """No progress, but one line where the run has to wait: a silent command would look hung."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.said = False

    def waits(self, other: str, place: int) -> None:
        if not self.said:
            say(self.console, waiting(other, place))
        self.said = True

    def gathers(self, address: str, workers: Sequence[WorkerHost], size: int) -> None:
        say(self.console, gathering_text(address, workers, size))

    def nothing(self, *_: object) -> None: ...

    prepares = expects = trial_begins = trial_ends = round_ends = nothing


class Announcements:
    """Lines for what comes before the rounds."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def waits(self, other: str, place: int) -> None:
        say(self.console, waiting(other, place))

    def gathers(self, address: str, workers: Sequence[WorkerHost], size: int) -> None:
        say(self.console, gathering_text(address, workers, size))

    def prepares(self, arm: Arm) -> None:
        say(self.console, f"calibrating {arm.name} with 1 and 40 users")

    def expects(self, least: float, most: float) -> None:
        say(self.console, expected(least, most))


class Lines(Announcements):
    """Progress without a terminal: a line per decided cell and per round, and one after a long silence."""

    def __init__(self, console: Console, readings: Readings) -> None:
        super().__init__(console)
        self.readings = readings
        self.failures = FailuresSeen(readings)
        self.spoken = 0.0
        self.open: list[Cell] | None = None

    def trial_begins(self, run: Run, cell: Cell, arm: Arm, round: int) -> None:
        if not run.trials:
            for line in unlike_lines(run):
                say(self.console, line)

    def trial_ends(self, run: Run, trial: Trial) -> None:
        where = f"{trial.cell}, {trial.arm}, round {trial.round + 1}"
        for line in trial_lines(trial):
            say(self.console, f"  {where}: {line}")
        for line in self.failures.lines(trial):
            say(self.console, f"  {line}")
        if run.elapsed - self.spoken > PATIENCE:
            self.spoken = run.elapsed
            done = counted(len(run.trials), "trial")
            say(self.console, f"  round {trial.round + 1}, {done} done after {units.span(run.elapsed)}")

    def round_ends(self, run: Run, round: int, open_cells: list[Cell], seconds_left: float) -> None:
        self.spoken = run.elapsed
        closed = set(self.open if self.open is not None else run.plan.cells) - set(open_cells)
        self.open = open_cells
        if closed:
            for line in standing_lines(run, self.readings, closed):
                say(self.console, f"  {line}")
        cells = counted(len(open_cells), "cell")
        more = round < run.plan.most_rounds
        left = f"{cells} open, at most {units.span(seconds_left)} left" if more else f"{cells} not decided"
        say(
            self.console,
            f"round {round} of {run.plan.most_rounds} done after {units.span(run.elapsed)}: "
            + (left if open_cells else "no cell is open"),
        )


class LiveView:
    """Progress on a terminal: what runs now, and each cell's ratio so far."""

    def __init__(self, console: Console, readings: Readings) -> None:
        self.console = console
        self.readings = readings
        self.failures = FailuresSeen(readings)
        self.now = Text("starting")
        self.latest: RenderableType | None = None
        self.progress = Progress(
            TextColumn("round {task.fields[round]}"),
            BarColumn(),
            TextColumn("{task.fields[left]}"),
            TimeElapsedColumn(),
            console=console,
        )
        self.task = self.progress.add_task("", round=1, left="", total=None)
        # Twice a second: drawing must not disturb the measurement.
        self.live = Live(self.view(), console=console, refresh_per_second=2, transient=True)

    def __enter__(self) -> LiveView:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def view(self) -> Group:
        parts: list[RenderableType] = [self.latest, Text()] if self.latest else []
        return Group(*parts, self.progress, self.now)

    def waits(self, other: str, place: int) -> None:
        self.now = Text(waiting(other, place))
        self.live.update(self.view())

    def gathers(self, address: str, workers: Sequence[WorkerHost], size: int) -> None:
        self.console.print(gathering_text(address, workers, size), markup=False)

    def prepares(self, arm: Arm) -> None:
        self.now = Text(f"now: calibrating {arm.name} with 1 and 40 users")
        self.live.update(self.view())

    def expects(self, least: float, most: float) -> None:
        self.console.print(expected(least, most), markup=False)

    def trial_begins(self, run: Run, cell: Cell, arm: Arm, round: int) -> None:
        plan = run.plan
        if not run.trials:
            for line in unlike_lines(run):
                self.console.print(line, markup=False)
        if self.progress.tasks[0].total is None:
            self.progress.update(self.task, total=len(plan.cells) * len(plan.arms) * plan.min_rounds)
        self.now = Text(f"now: {cell}, {arm.name}")
        self.progress.update(self.task, round=f"{round + 1} of {plan.min_rounds} to {plan.most_rounds}")
        self.live.update(self.view())

    def trial_ends(self, run: Run, trial: Trial) -> None:
        busy = trial.resources.generator_cpu / trial.window
        seen = self.readings.whole(trial)
        failed = f", {seen.failures:,} failed" if seen.failures else ""
        self.now = Text(
            f"last: {trial.cell}, {trial.arm}: {units.rate(seen.throughput)}{failed}; generator at "
            f"{busy:.0%} of its core"
        )
        for line in trial_lines(trial):
            self.console.print(f"{trial.cell}, {trial.arm}: {line}", markup=False)
        for line in self.failures.lines(trial):
            self.console.print(line, markup=False)
        self.progress.advance(self.task)
        self.live.update(self.view())

    def round_ends(self, run: Run, round: int, open_cells: list[Cell], seconds_left: float) -> None:
        self.latest = self.standing(run, open_cells)
        task = self.progress.tasks[0]
        more = len(open_cells) * len(run.plan.arms)
        self.progress.update(
            self.task,
            left=f"at most {units.span(seconds_left)} left",
            total=max(task.total or 0.0, task.completed + more),
        )
        self.live.update(self.view())

    def standing(self, run: Run, open_cells: Sequence[Cell]) -> RenderableType:
        """The ratios so far, open cells first, as many as fit above the progress bar."""
        cells = [cell for cell in run.plan.cells if cell in open_cells]
        cells += [cell for cell in run.plan.cells if cell not in open_cells]
        room = max(1, (self.console.height - TAKEN) // max(1, len(run.plan.rivals)))
        shown: RenderableType
        if run.plan.alone:
            shown = Text("\n".join(standing_lines(run, self.readings, cells[:room])))
        else:
            found = verdicts(run, self.readings)
            shown = table(run, [one for one in found if one.cell in cells[:room]], self.console.width)
        left = len(cells) - room
        return Group(shown, Text(f"and {counted(left, 'cell')} more", style="dim")) if left > 0 else shown
