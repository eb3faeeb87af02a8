"""The primary verdicts as a table for the terminal, one row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from loadtests.records import Cell, Metric, Run
from reports.analysis.verdicts import Verdict, VerdictWord
from reports.wording import units
from reports.wording.advice.cards import short_reference
from reports.wording.sentences import failed_pair
from reports.wording.vocabulary import VERDICT_MARKS

STYLES: dict[VerdictWord, str] = {
    "faster": "bold", "slower": "bold", "equivalent": "", "inconclusive": "dim", "different": "red",
    "failing": "red", "invalid": "red",
}  # fmt: skip

NARROW = 90
"""Characters below which there is no room for the names of several arms beside their scenario's."""

WIDE, WIDE_WITH_FAILURES = 116, 136
"""Characters from which there is room for latencies: with less, names would be broken."""

LONGEST_LABEL = 9
"""Characters of an arm's name in a line of its heading: about as many as its values have."""

LONGEST_PAIR = 22
"""Characters of the names of two arms in one line of a heading."""

Latencies = Mapping[tuple[Cell, str, Metric], Verdict]


@dataclass(frozen=True)
class Columns:
    """Which columns a table has."""

    shown: tuple[str, ...]
    """The headings of the two arms' values."""
    open: bool
    several: bool
    """Whether several arms are compared with the reference."""
    stacked: bool
    """Whether these stand below their scenario instead of beside it."""
    failing: bool
    """Whether requests failed."""
    latencies: tuple[Metric, ...]

    @classmethod
    def by(cls, run: Run, primaries: Sequence[Verdict], width: int) -> Columns:
        """What has room in `width` characters."""
        several = len(run.plan.rivals) > 1
        arms = tuple(arm.name for arm in run.plan.arms)
        failing = any(any(verdict.failed.values()) for verdict in primaries)
        more: tuple[Metric, ...] = ("service_p50", "service_p99") if run.plan.open else ("p50", "p95")
        return cls(
            shown=(short_reference(run.plan.yardstick), "arm") if several else arms,
            open=run.plan.open,
            several=several,
            stacked=several and width < NARROW,
            failing=failing,
            latencies=more if width >= (WIDE_WITH_FAILURES if failing else WIDE) else (),
        )

    def add_to(self, grid: Table) -> None:
        """Text is flush left, numbers are flush right."""
        grid.add_column("scenario", overflow="fold")
        numbers = ["rate" if self.open else "users"]
        if self.several and not self.stacked:
            grid.add_column(numbers.pop(), justify="right", no_wrap=True)
            grid.add_column("arm", no_wrap=True)
        # Of several arms, short ones are shown here.
        numbers += (
            self.shown if self.several else ["\n".join(wrap(name, LONGEST_LABEL)) for name in self.shown]
        )
        numbers += ["ratio", "interval", "n", *(["failed"] if self.failing else [])]
        for title in numbers:
            grid.add_column(title, justify="right", no_wrap=True)
        grid.add_column("verdict", no_wrap=True)
        names = pair(self.shown)
        gap = "\n" if "\n" in names else " "
        for metric in self.latencies:
            grid.add_column(f"{units.METRIC_SHORT[metric]}{gap}{names}", justify="right", no_wrap=True)

    def cells(self, row: Verdict, found: Latencies) -> Iterator[RenderableType]:
        """One verdict."""
        yield f"  {escape(row.arm)}" if self.stacked else escape(row.cell.scenario)
        yield f"{row.cell.load.level:g}" + ("/s" if self.open else "")
        if self.several and not self.stacked:
            yield escape(row.arm)
        yield from (units.value(row.metric, row.values.get(name)) for name in (row.reference, row.arm))
        yield from (units.ratio(row.ratio), units.interval(*row.bounds), str(row.n))
        if self.failing:
            yield failed_pair(row)
        yield Text(f"{VERDICT_MARKS[row.verdict]} {row.verdict}", style=STYLES[row.verdict])
        for metric in self.latencies:
            other = found.get((row.cell, row.arm, metric))
            values = other.values if other else {}
            yield " / ".join(units.duration(values.get(name)) for name in (row.reference, row.arm))


def pair(names: Sequence[str]) -> str:
    """The names of two arms in a heading: side by side, long ones would leave other columns a few letters."""
    shown = " / ".join(names)
    return shown if len(shown) <= LONGEST_PAIR else " /\n".join(names)


def table(run: Run, found: Sequence[Verdict], width: int) -> Table:
    """The primary verdicts with intervals; p50 and p95 as well where there is room. On a narrow terminal,
    several arms stand below their scenario."""
    primaries = [one for one in found if one.primary]
    about = {one.cell: one.endpoint for one in primaries}
    latencies = {(one.cell, one.arm, one.metric): one for one in found if one.endpoint == about.get(one.cell)}
    columns = Columns.by(run, primaries, width)
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1 if width < NARROW else 2, 0, 0))
    columns.add_to(grid)
    for scenario, rows in groupby(primaries, lambda one: one.cell.scenario):
        if columns.stacked:
            grid.add_row(escape(scenario))
        for row in rows:
            grid.add_row(*columns.cells(row, latencies))
    return grid
