"""Writes docs/findings.md from runs at hand: `make findings RUNS="runs/… 'duel run …' runs/… 'duel run …'"`.

The first is a long one; what a later one measured again is taken from there. The page names the commands.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from loadtests.config import ENDPOINTS
from loadtests.records import Run, RunDirectory
from reports import markdown, units
from reports.cards import Card
from reports.charts import charts, files
from reports.conclusions import Conclusions, conclude
from reports.estimates import Readings
from reports.terminal import CARD_FIGURES, MARKS, card_figures, card_lines, card_title
from reports.verdicts import Verdict

ROOT = Path(__file__).parent.parent
PICTURES = ("throughput", "costs")

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "The blog: a database in every request": (
        "users.read", "users.list", "users.create", "users.update", "posts.read", "posts.list",
        "posts.create", "posts.replace", "posts.update", "pages.home", "pages.post",
    ),
    "Waiting": ("ping", "sleep", "upstream", "fan-out", "file", "report", "background"),
    "Computing": ("python", "hash", "crunch", "image"),
    "Mixed": ("checkout", "io_bound", "cpu_bound", "mixed"),
    "Pitfalls": ("blocking", "offloaded", "process", "file-inline", "plain-client", "session-dependency"),
}  # fmt: skip


def main() -> None:
    runs, commands = sys.argv[1::2], sys.argv[2::2]
    if not runs or len(runs) != len(commands):
        sys.exit("usage: python -m benchmarks.findings RUN 'the command that made it' [RUN COMMAND]…")
    parts: list[Conclusions] = []
    again: set[str] = set()
    for path in reversed(runs):
        directory = RunDirectory(Path(path))
        part = conclude(without(directory.load(), again), Readings(directory))
        again |= {card.scenario for card in part.cards}
        parts.insert(0, part)
    pictures = {f"{chart.stem}": files(chart) for chart in charts(parts[0]) if chart.stem in PICTURES}
    for stem, made in pictures.items():
        for scheme in ("light", "dark"):
            (ROOT / "docs" / f"findings-{stem}-{scheme}.svg").write_bytes(made[f"{scheme}.svg"])
    (ROOT / "docs" / "findings.md").write_text(page(parts, commands), encoding="utf-8")


def without(run: Run, scenarios: Container[str]) -> Run:
    """The run as if some scenarios had not been in it."""
    cells = tuple(cell for cell in run.plan.cells if cell.scenario not in scenarios)
    trials = tuple(trial for trial in run.trials if trial.cell.scenario not in scenarios)
    return run.model_copy(update={"plan": run.plan.model_copy(update={"cells": cells}), "trials": trials})


def page(parts: Sequence[Conclusions], commands: Sequence[str]) -> str:
    """The whole page."""
    run = parts[0].run
    lines = [
        "# What we found",
        "",
        "`def` or `async def`, endpoint by endpoint, on one named machine. Ratios are async ÷ sync of the "
        "requests served per second, with 95 % repeated confidence intervals over fresh processes; how to "
        "read them stands in [reading.md](reading.md), how they are measured in [method.md](method.md).",
        "",
        *(
            f"{markdown.machine_text(part.run)} {units.span(part.run.elapsed)} of measuring.  "
            for part in parts
        ),
        "",
        "Made by `make findings` from",
        "",
        "```sh",
        *commands,
        "```",
        "",
        "## At a glance",
        "",
        "By users: ▲ async serves more, ▼ sync does, = they are proven to lie within "
        f"{run.plan.margin:.0%}, ~ not decided, ✗ one of them fails.",
        "",
        *glance(parts),
        "",
    ]
    for family, scenarios in FAMILIES.items():
        mine = [
            line
            for name in scenarios
            for part in parts
            if name in {card.scenario for card in part.cards}
            for line in section(part, name)
        ]
        if mine:
            lines += [f"## {family}", "", *mine]
    lines += [
        "## How it grows, and what it costs",
        "",
        picture("throughput", "Throughput against users, a panel per scenario"),
        "",
        picture("costs", "CPU time, memory and threads of every arm"),
        "",
        *markdown.prediction_lines(run, parts[0].verdicts),
    ]
    return "\n".join(lines)


def picture(stem: str, words: str) -> str:
    return (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="findings-{stem}-dark.svg">\n'
        f'  <img alt="{words}" src="findings-{stem}-light.svg">\n</picture>'
    )


def glance(parts: Sequence[Conclusions]) -> list[str]:
    """One row an endpoint: the ratio at every load, and what to write."""
    primaries = itertools.chain.from_iterable(part.primaries for part in parts)
    found = {(row.cell.scenario, row.arm, row.cell.load.level): row for row in primaries}
    levels = sorted({level for _, _, level in found})
    heads = [f"{level:g}" for level in levels]
    lines = [f"| endpoint | {' | '.join(heads)} | what to write |", "|---|" + "---:|" * len(levels) + "---|"]
    for card in sorted(
        itertools.chain.from_iterable(part.cards for part in parts),
        key=lambda card: ENDPOINTS.index(card.scenario) if card.scenario in ENDPOINTS else len(ENDPOINTS),
    ):
        rows = [found.get((card.scenario, card.arm, level)) for level in levels]
        seen = ["" if row is None else f"{MARKS[row.verdict]} {units.ratio(row.ratio)}" for row in rows]
        name = f"[{card.scenario}](#{anchor(card.scenario)})"
        lines.append(f"| {' | '.join([name, *seen, f'**{card.advice}**'])} |")
    return lines


def anchor(heading: str) -> str:
    """What GitHub calls a heading."""
    return "".join(letter for letter in heading.lower() if letter.isalnum() or letter in "-_")


def section(conclusions: Conclusions, scenario: str) -> list[str]:
    """One endpoint: advice, ratios by load, reason, costs."""
    run = conclusions.run
    names = [arm.name for arm in run.plan.arms]
    lines = [f"### {scenario}", ""]
    for card in (card for card in conclusions.cards if card.scenario == scenario):
        lines += [f"**{title(card, conclusions)}**", ""]
        rows = [v for v in conclusions.primaries if v.cell.scenario == scenario and v.arm == card.arm]
        lines += [*table(rows, names[0]), ""]
        lines += [f"- {markdown.plain(text)}" for text in card_lines(card)]
        figures = zip(CARD_FIGURES, card_figures(card, names), strict=True)
        lines += [f"- {' / '.join(names)}: " + "; ".join(f"{name} {value}" for name, value in figures), ""]
    return lines


def title(card: Card, conclusions: Conclusions) -> str:
    text = card_title(card, conclusions.run).partition(": ")[2]
    return markdown.plain(text[0].upper() + text[1:])


def table(rows: Sequence[Verdict], reference: str) -> list[str]:
    """One row a load."""
    lines = [
        f"| load | {reference} | arm | ratio | interval | n | verdict |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        values = [units.value(row.metric, row.values.get(name)) for name in (reference, row.arm)]
        cells = [str(row.cell.load), *values, units.ratio(row.ratio), units.interval(row.low, row.high)]
        lines.append(f"| {' | '.join([*cells, str(row.n), row.verdict])} |")
    return lines


if __name__ == "__main__":
    main()
