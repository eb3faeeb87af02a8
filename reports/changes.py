"""A comparison of two runs in words: sentences, table, warnings, Markdown, plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from reports import units
from reports.comparison import LEVEL, Change, Comparison, Standing
from reports.markdown import plain
from reports.terminal import counted, say
from reports.verdicts import Outcome

MARKS: dict[Outcome, str] = {"pass": "✓", "regression": "✗", "inconclusive": "~", "invalid": "!"}
SAID: dict[Outcome, str] = {
    "regression": "worse", "pass": "not worse", "inconclusive": "not decided", "invalid": "invalid",
}  # fmt: skip
HEAD = ("cell", "arm", "base", "head", "change", "interval", "outcome")


def sentence(change: Change, margin: float) -> str:
    """What became of one cell."""
    where = f"{change.head.cell}, {change.head.arm} against {change.head.reference}"
    if change.ratio is None:
        return f"{where}: {change.outcome}: {'; '.join(change.notes)}"
    moved = f"{units.ratio(change.base.ratio)} before, {units.ratio(change.head.ratio)} now"
    said = {
        "pass": f"no more than {margin:.0%} worse",
        "regression": f"more than {margin:.0%} worse",
        "inconclusive": "not decided",
        "invalid": "invalid",
    }[change.outcome]
    notes = "".join(f"; {note}" for note in change.notes)
    return f"{where}: {said} ({moved}; change {units.ratio(change.ratio)}, {interval(change)}){notes}"


def interval(change: Change) -> str:
    return units.interval(change.low, change.high)


def headline(comparison: Comparison) -> str:
    """The gate in one line."""
    words = [change.outcome for change in comparison.changes]
    counts = [f"{words.count(word)} {what}" for word, what in SAID.items() if word in words]
    word = {"pass": "passed", "regression": "breached"}.get(comparison.outcome, comparison.outcome)
    return f"gate {word}: {', '.join(counts)} of {counted(len(comparison.changes), 'cell')}"


def warnings(comparison: Comparison) -> list[str]:
    """What a reader must know besides."""
    said = []
    if comparison.elsewhere:
        said.append(
            f"the runs come from different machines ({'; '.join(comparison.elsewhere)}): a ratio may "
            "differ by 5 % for that alone, and the gate is so much wider; measure base and head in one run "
            "where you can"
        )
    before, after = comparison.base.machine, comparison.head.machine
    moved = [
        f"{name} {before.packages.get(name, 'none')} → {after.packages.get(name, 'none')}"
        for name in sorted({*before.packages, *after.packages})
        if before.packages.get(name) != after.packages.get(name)
    ]
    if before.python != after.python:
        moved.append(f"{before.python} → {after.python}")
    if moved:
        said.append(f"not only the code changed: {', '.join(moved)}")
    if comparison.added:
        said.append(f"only the later run has {'; '.join(comparison.added)}: not judged")
    open_cells = [
        one for one in comparison.changes if one.outcome == "inconclusive" and one.ratio is not None
    ]
    if open_cells:
        said.append(
            f"{counted(len(open_cells), 'cell')} not decided: more rounds on both sides (--fixed-rounds "
            "20) or a longer window (-t) would narrow the intervals"
        )
    return said


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row a cell, the worst first."""
    order: Sequence[Outcome] = ("regression", "invalid", "inconclusive", "pass")
    ordered = sorted(comparison.changes, key=lambda one: (order.index(one.outcome), one.ratio or 0.0))
    return [
        (
            str(one.head.cell), one.head.arm, ratio_of(one.base), ratio_of(one.head), units.ratio(one.ratio),
            interval(one), f"{MARKS[one.outcome]} {one.outcome}",
        )
        for one in ordered
    ]  # fmt: skip


def ratio_of(row: Standing) -> str:
    return units.ratio(row.ratio)


def show(console: Console, comparison: Comparison) -> None:
    """Headline, sentences, table, warnings."""
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


def markdown(comparison: Comparison) -> str:
    """For a summary, or a comment on a pull request: the gate first."""
    lines = [f"# {plain(headline(comparison))}", ""]
    lines += [f"- {plain(sentence(one, comparison.margin))}" for one in comparison.changes]
    lines += ["", f"| {' | '.join(HEAD)} |", "|---|---|---:|---:|---:|---:|---|"]
    lines += [f"| {' | '.join(map(plain, row))} |" for row in rows(comparison)]
    lines += ["", *(f"> {plain(line)}" for line in warnings(comparison)), "", about(comparison), ""]
    return "\n".join(lines)


def about(comparison: Comparison) -> str:
    """The method in one sentence."""
    return (
        f"Base {plain(comparison.base.run)}, head {plain(comparison.head.run)}. Compared is each arm's "
        "ratio to its reference; a cell is worse when its one-sided "
        f"{1 - LEVEL:.0%} bound says that it lost more than {comparison.margin:.0%}, "
        "all cells together (Holm)."
    )


def data(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain data, schema `duel-compare/1`."""
    return {
        "schema": "duel-compare/1",
        "base": comparison.base.run,
        "head": comparison.head.run,
        "margin": comparison.margin,
        "outcome": comparison.outcome,
        "elsewhere": list(comparison.elsewhere),
        "added": list(comparison.added),
        "changes": [
            {
                "scenario": one.head.cell.scenario,
                "load": one.head.cell.load.model_dump(exclude_none=True),
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
                "notes": list(one.notes),
            }
            for one in comparison.changes
        ],
    }
