"""What an only arm shows: for the terminal, and as rows for Markdown and the page."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from reports.advice.portraits import Portrait
from reports.conclusions import Conclusions
from reports.wording.advice.portraits import HEADS, portrait_lines, row_texts


def rows(portraits: Sequence[Portrait]) -> list[tuple[str, ...]]:
    """Of the table of all cells, see HEADS."""
    return [row_texts(portrait, row) for portrait in portraits for row in portrait.rows]


def blocks(conclusions: Conclusions) -> list[list[str]]:
    """Per cell a line with its figures, and lines that explain them."""
    return [portrait_lines(one, conclusions.explanations) for one in conclusions.portraits]


def table(portraits: Sequence[Portrait], width: int) -> Table:
    """The figures of every cell and its endpoints."""
    rich_table = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, 2 if width >= 90 else 1, 0, 0)
    )
    for place, head in enumerate(HEADS):
        if place == 0:
            rich_table.add_column(head, overflow="fold", min_width=12)
        else:
            rich_table.add_column(head, justify="right", no_wrap=True)
    for row in rows(portraits):
        rich_table.add_row(*map(escape, row))
    return rich_table
