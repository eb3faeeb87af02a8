"""A comparison of two runs: for the terminal, as Markdown, as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from reports.gate.comparison import Comparison
from reports.render.markdown import box, plain, quoted
from reports.render.streams import say, say_list
from reports.render.summary import of_failure_kind
from reports.wording.failures import failure_lines
from reports.wording.gates.changes import (
    HEAD,
    about,
    headline,
    note_text,
    rows,
    sentence,
    unlike_lines,
    warnings,
)
from reports.wording.vocabulary import VERDICT_MARKS


def show(console: Console, comparison: Comparison) -> None:
    """What failed, differing answers, headline, sentences, table, warnings."""
    for lines in failed(comparison):
        say_list(console, VERDICT_MARKS["failing"], lines)
    say_list(console, VERDICT_MARKS["different"], unlike_lines(comparison))
    say(console, headline(comparison))
    for change in comparison.changes:
        say(console, f"  {sentence(change, comparison.margin)}")
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, name in enumerate(HEAD):
        table.add_column(name, justify="left" if number in (0, 1, 6) else "right", no_wrap=number > 1)
    for row in rows(comparison):
        cells: list[RenderableType] = [escape(cell) for cell in row]
        table.add_row(*cells)
    console.print(table, highlight=False)
    console.print()
    for line in warnings(comparison):
        say(console, f"warning: {line}")


def failed(comparison: Comparison) -> list[list[str]]:
    """The lines on what failed, of the head and of the base."""
    return [
        failure_lines(side.failure_kinds, f" of the {name}")
        for name, side in (("head", comparison.head), ("base", comparison.base))
    ]


def markdown(comparison: Comparison) -> str:
    """For a summary, or a comment on a pull request: the gate first."""
    lines = [f"# {plain(headline(comparison))}", ""]
    lines += [line for lines in failed(comparison) for line in box(lines)]
    lines += box(unlike_lines(comparison))
    lines += [f"- {plain(sentence(one, comparison.margin))}" for one in comparison.changes]
    lines += ["", f"| {' | '.join(HEAD)} |", "|---|---|---:|---:|---:|---:|---|"]
    lines += [f"| {' | '.join(map(plain, row))} |" for row in rows(comparison)]
    lines += ["", *quoted(warnings(comparison)), "", plain(about(comparison)), ""]
    return "\n".join(lines)


def data(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data, schema `duel-compare/1`."""
    return {
        "schema": "duel-compare/1",
        "base": comparison.base.run,
        "head": comparison.head.run,
        "margin": comparison.margin,
        "outcome": comparison.outcome,
        "elsewhere": [asdict(one) for one in comparison.elsewhere],
        "setups": [asdict(one) for one in comparison.setups],
        "added": [str(one) for one in comparison.added],
        "missing": [str(one) for one in comparison.missing],
        "failed_requests": {
            name: [of_failure_kind(kind) for kind in side.failure_kinds]
            for name, side in (("base", comparison.base), ("head", comparison.head))
        },
        "changes": [
            {
                "scenario": one.head.cell.scenario,
                "load": one.head.cell.load.model_dump(exclude_none=True),
                "endpoint": one.head.endpoint,
                "metric": one.head.metric,
                "reference": one.head.reference,
                "arm": one.head.arm,
                "outcome": one.outcome,
                "base": one.base.ratio,
                "head": one.head.ratio,
                "change": one.ratio,
                "low": one.low,
                "high": one.high,
                "p": one.p,
                "notes": [note_text(note) for note in one.notes],
            }
            for one in comparison.changes
        ],
    }
