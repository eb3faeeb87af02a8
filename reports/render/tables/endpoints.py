"""The figures of every endpoint of a mixture: rows for the terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from os.path import commonprefix
from textwrap import wrap

from rich.markup import escape
from rich.table import Table

from loadtests.records import Cell
from reports.analysis.mixtures.figures import ArmFigures, ComparedEndpoint
from reports.wording import units

HEAD = (
    "endpoint", "arm", "requests", "failed", "per second", "avg", "min", "max", "p50", "p95", "p99", "ratio",
    "interval",
)  # fmt: skip

NARROW = ("endpoint", "arm", "requests", "failed", "p50", "p95", "p99", "ratio", "interval")
"""The columns that fit 80 characters."""

LONGEST_LABEL = 14
"""Characters of an arm's name in a line of the terminal's table."""

MOST_ENDPOINTS = 50
"""Endpoints of a mixture that are shown, those with the most requests; all are in the JSON."""

ABOUT = (
    "p50, p95 and p99 are means over the rounds (of all rounds' requests together where a window holds too "
    "few); the ratio is that of the p50, arm to reference"
)


def by_cell(found: Sequence[ComparedEndpoint]) -> Iterator[tuple[Cell, list[ComparedEndpoint]]]:
    """The endpoints to show of each cell, all together first, then those with the most requests."""
    for cell, mine in groupby(found, key=lambda one: one.cell):
        several = list(mine)
        most = {
            name: max(figures.requests for one in several if one.endpoint == name
                      for figures in one.figures.values())
            for name in dict.fromkeys(one.endpoint for one in several)
        }  # fmt: skip
        shown = sorted(most, key=lambda name: -most[name])[: MOST_ENDPOINTS + 1]
        yield cell, [one for name in shown for one in several if one.endpoint == name]


def left_out(cell: Cell, found: Sequence[ComparedEndpoint]) -> int:
    """How many endpoints of a cell are not shown."""
    return max(0, len({one.endpoint for one in found if one.cell == cell}) - MOST_ENDPOINTS - 1)


def rows(one: ComparedEndpoint) -> list[Mapping[str, str]]:
    """An endpoint's rows by column: one for each arm; the ratio is in the second."""
    found = [arm_row(one.endpoint, arm, figures) for arm, figures in one.figures.items()]
    found[1] = {**found[1], "ratio": units.ratio(one.ratio), "interval": units.interval(one.low, one.high)}
    return found


def arm_row(endpoint: str, arm: str, figures: ArmFigures) -> Mapping[str, str]:
    seconds = {
        "avg": figures.mean, "min": figures.fastest, "max": figures.slowest, "p50": figures.p50,
        "p95": figures.p95, "p99": figures.p99,
    }  # fmt: skip
    return {
        "endpoint": endpoint,
        "arm": arm,
        "requests": f"{figures.requests:,}",
        "failed": f"{figures.failures:,}",
        "per second": units.rate(figures.throughput),
        **{name: units.duration(value) for name, value in seconds.items()},
        "ratio": "",
        "interval": "",
    }


def table(several: Sequence[ComparedEndpoint], width: int) -> Table:
    """The endpoints of one cell for the terminal, each with a line for each arm."""
    columns = HEAD if width >= 140 else NARROW
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2 if width >= 100 else 1, 0, 0))
    for name in columns:
        text = name in ("endpoint", "arm")
        grid.add_column(
            name, justify="left" if text else "right", no_wrap=name != "endpoint", overflow="fold",
            min_width=8 if name == "endpoint" else None,
        )  # fmt: skip
    labels = arm_labels(dict.fromkeys(arm for one in several for arm in one.figures))
    for one in several:
        # A long name takes the lines of both arms.
        grid.add_row(escape(one.endpoint), *map(escape, lines_of_arms(rows(one), labels, columns[1:])))
    return grid


def arm_labels(arms: Iterable[str]) -> Mapping[str, list[str]]:
    """Lines for the names of arms; of two, what they do not have in common: `base` and `head`."""
    names = list(arms)
    common = commonprefix(names).rpartition("-") if len(names) == 2 else ("", "", "")  # noqa: RUF071  # no paths
    start = len(common[0] + common[1])
    cut = {name: name[start:] or name for name in names}
    return {name: wrap(cut[name], LONGEST_LABEL, break_on_hyphens=False) for name in names}


def lines_of_arms(
    found: Sequence[Mapping[str, str]], labels: Mapping[str, list[str]], columns: Sequence[str]
) -> Iterator[str]:
    """The text of each column: an arm takes as many lines as its name, so that figures stay beside it."""
    for column in columns:
        lines: list[str] = []
        for row in found:
            label = labels[row["arm"]]
            lines += label if column == "arm" else [row[column], *[""] * (len(label) - 1)]
        yield "\n".join(lines)
