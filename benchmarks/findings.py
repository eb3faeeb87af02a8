"""Writes docs/findings.md from existing runs: `make findings RUNS="runs/… 'duel run …' runs/… 'duel run …'"`.

The first run is a long one; cells measured again are taken from the later runs, and so is the proof. Runs on
other databases (`--database`) have a table of their own. The page names the commands.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.confirmed import Confirmation
from benchmarks.confirmed import table as confirmation_table
from benchmarks.merged import merged
from loadtests.records.directory import RunDirectory
from reports.advice.cards import Card
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions, conclude
from reports.render import markdown
from reports.render.charts import charts, files
from reports.wording import units
from reports.wording.advice.cards import (
    CARD_FIGURES,
    card_advice,
    card_figures,
    card_lines,
    card_title,
    waits_text,
)
from reports.wording.reservations import reservation_text
from reports.wording.vocabulary import VERDICT_MARKS

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
    "Pitfalls": (
        "blocking", "offloaded", "process", "file-inline", "plain-client", "session-dependency",
        "session-blocking", "executor",
    ),
    "Services beside the database": ("cached", "enqueue"),
    "Plumbing: what FastAPI itself costs": (
        "dependencies", "stream", "stream-lines", "upload", "websocket", "posts.list-plain",
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.findings")
    parser.add_argument("--without", default="", metavar="CELL,…", help="cells to omit, such as ping@64")
    parser.add_argument("--note", default="", help="a note on these runs, for the page")
    parser.add_argument(
        "--confirmed", type=Path, metavar="FILE", help="what benchmarks.confirmed has written"
    )
    parser.add_argument(
        "--database", nargs=2, action="append", default=[], metavar=("RUN", "COMMAND"),
        help="a run on another database",
    )  # fmt: skip
    parser.add_argument("runs", nargs="+", metavar="RUN 'COMMAND'", help="a run, and its command")
    chosen = parser.parse_args()
    runs, commands = chosen.runs[::2], chosen.runs[1::2]
    if len(runs) != len(commands):
        parser.error("every run needs the command that made it")
    with TemporaryDirectory(dir=Path(runs[0]).parent) as scratch:
        left_out = chosen.without.split(",")
        directory = merged([Path(run) for run in runs], left_out, Path(scratch) / "merged")
        conclusions = conclude(directory.load(), Readings(directory))
        write_pictures(conclusions, PICTURES, "findings-")
        elsewhere = [concluded(Path(run)) for run, _ in chosen.database]
        commands += [command for _, command in chosen.database]
        text = page(conclusions, commands, chosen.note, confirmations(chosen.confirmed), elsewhere)
    (ROOT / "docs" / "findings.md").write_text(text, encoding="utf-8")


def write_pictures(conclusions: Conclusions, stems: Sequence[str], prefix: str = "") -> None:
    """Some charts as docs/PREFIXSTEM-SCHEME.svg, in both colour schemes."""
    for chart in charts(conclusions):
        if chart.stem in stems:
            made = files(chart)
            for scheme in ("light", "dark"):
                path = ROOT / "docs" / f"{prefix}{chart.stem}-{scheme}.svg"
                path.write_bytes(made[f"{scheme}.svg"])


def concluded(path: Path) -> Conclusions:
    directory = RunDirectory(path)
    return conclude(directory.load(), Readings(directory))


def confirmations(file: Path | None) -> list[str]:
    """The section on cells that wrk has measured as well; nothing without them."""
    if file is None:
        return []
    found = json.loads(file.read_text(encoding="utf-8"))
    cells = [Confirmation(**one) for one in found["cells"]]
    inside = sum(one.inside for one in cells)
    return [
        "## Confirmed by another load generator",
        "",
        "wrk loaded the same servers in turn, on the same CPUs (`python -m benchmarks.confirmed`). Its ratio "
        f"lies inside the interval in {inside} of {len(cells)} cells.",
        "",
        *confirmation_table(cells),
        "",
    ]


def page(
    conclusions: Conclusions,
    commands: Sequence[str],
    note: str,
    confirmed: Sequence[str],
    elsewhere: Sequence[Conclusions],
) -> str:
    """The whole page. `confirmed`: the lines on what another load generator has measured; `elsewhere`: the
    runs on other databases."""
    run = conclusions.run
    known = {card.scenario for card in conclusions.cards}
    lines = [
        "# What we found",
        "",
        "`def` or `async def`, endpoint by endpoint, on one named machine. Ratios are async ÷ sync in "
        "successful requests per second, with 95% repeated confidence intervals over fresh processes: see "
        "[how to read a report](reading.md) and [how it measures](method.md).",
        "",
        f"{markdown.machine_text(run)} Measured for {units.span(run.elapsed)}.",
        "",
        "Made by `make findings` from",
        "",
        "```sh",
        *commands,
        "```",
        "",
        *([note, ""] if note else []),
        *(f"#{line}" if line.startswith("# ") else line for line in markdown.proof_section(conclusions)),
        "## Overview",
        "",
        "By number of users: ▲ async serves more, ▼ sync serves more, = differs by less than "
        f"{run.plan.margin:.0%}, ~ inconclusive, ✗ one of them fails. {decided_text(conclusions)} "
        "The last but one column is how long a light `async def` route waits beside the load, where the "
        "endpoint is `def` and where it is `async def`.",
        "",
        *overview(conclusions),
        "",
    ]
    for other in elsewhere:
        lines += on_database(other)
    for family, scenarios in FAMILIES.items():
        mine = [name for name in scenarios if name in known]
        if mine:
            lines += [f"## {family}", ""]
        for name in mine:
            lines += section(conclusions, name)
    lines += [
        *confirmed,
        "## How it scales, and what it costs",
        "",
        picture("throughput", "Throughput against users, one panel per scenario"),
        "",
        picture("costs", "CPU time, memory and threads of every arm"),
        "",
        *markdown.prediction_lines(run, conclusions.verdicts),
    ]
    return "\n".join(lines)


def on_database(other: Conclusions) -> list[str]:
    """The section on a run on another database."""
    measured = f"Measured for {units.span(other.run.elapsed)}. {decided_text(other)}"
    return [
        f"## On {database(other)}",
        "",
        f"{markdown.machine_text(other.run)} {measured}",
        "",
        *overview(other),
        "",
    ]


def decided_text(conclusions: Conclusions) -> str:
    """`113 of 126 cells are decided.`"""
    rows = conclusions.primaries
    decided = sum(row.verdict not in ("inconclusive", "invalid") for row in rows)
    return f"{decided} of {units.counted(len(rows), 'cell')} are decided."


def database(conclusions: Conclusions) -> str:
    """`PostgreSQL`, as the machine names it."""
    return (conclusions.run.machine.database or "another database").partition(" ")[0]


def picture(stem: str, words: str) -> str:
    return (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="findings-{stem}-dark.svg">\n'
        f'  <img alt="{words}" src="findings-{stem}-light.svg">\n</picture>'
    )


def overview(conclusions: Conclusions) -> list[str]:
    """One row per endpoint: the ratio at every load, what neighbours wait, and the advice."""
    names = [arm.name for arm in conclusions.run.plan.arms]
    found = {(row.cell.scenario, row.arm, row.cell.load.level): row for row in conclusions.primaries}
    levels = sorted({level for _, _, level in found})
    heads = [f"{level:g}" for level in levels]
    lines = [
        f"| endpoint | {' | '.join(heads)} | `async def` neighbour waits | what to write |",
        "|---|" + "---:|" * (len(levels) + 1) + "---|",
    ]
    for card in conclusions.cards:
        rows = [found.get((card.scenario, card.arm, level)) for level in levels]
        seen = [
            "" if row is None else f"{VERDICT_MARKS[row.verdict]} {units.ratio(row.ratio)}" for row in rows
        ]
        name = f"[{card.scenario}](#{anchor(card.scenario)})"
        waits = waits_text(card.pulses, names)
        where = "" if card.highest in (None, levels[-1]) else f" at {card.verdict.cell.load}"
        lines.append(f"| {' | '.join([name, *seen, waits, f'**{card_advice(card)}**{where}'])} |")
    return lines


def anchor(heading: str) -> str:
    """The fragment identifier that GitHub gives a heading."""
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
        failing = card.verdict.reservations if card.verdict.verdict == "failing" else ()
        lines += [
            f"- {markdown.plain(text)}" for text in (*map(reservation_text, failing), *card_lines(card))
        ]
        figures = zip(CARD_FIGURES, card_figures(card, names), strict=True)
        lines += [f"- {' / '.join(names)}: " + "; ".join(f"{name} {value}" for name, value in figures), ""]
    return lines


def title(card: Card, conclusions: Conclusions) -> str:
    text = card_title(card, conclusions.run).partition(": ")[2]
    return markdown.plain(text[0].upper() + text[1:])


def table(rows: Sequence[Verdict], reference: str) -> list[str]:
    """One row per load."""
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
