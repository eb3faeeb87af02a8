"""Puts a chart and tables of real runs into README.md: `make readme RUNS="runs/… runs/…"`.

The runs are those of docs/findings.md. README shows a few of their cells, with the verdicts that they have
among all.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.findings import write_pictures
from benchmarks.merged import merged
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude
from reports.render import markdown
from reports.wording import units
from reports.wording.advice.cards import card_advice, waits_text

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- run: written by `make readme` -->", "<!-- /run -->"
PICTURES = ("verdicts", "throughput", "neighbours", "latency", "tails", "heat", "costs")
"""Charts in README and docs/reading.md, each in both colour schemes."""
CELLS = (
    "ping@64", "posts.read@64", "posts.create@64", "upstream@1", "upstream@8", "upstream@64", "fan-out@64",
    "python@64", "hash@64", "blocking@64", "mixed@64",
)  # fmt: skip
"""One of each kind: nothing to do, the database, waiting at three loads, computing, a pitfall, a mixture."""


def picture(stem: str, words: str) -> str:
    """A chart in the reader's colour scheme."""
    return (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="docs/{stem}-dark.svg">\n'
        f'  <img alt="{words}" src="docs/{stem}-light.svg">\n</picture>'
    )


def only(conclusions: Conclusions, keys: Collection[str]) -> Conclusions:
    """The conclusions on some of the cells, as they are among all."""
    run = conclusions.run
    cells = tuple(cell for cell in run.plan.cells if cell.key in keys)
    scenarios = {cell.scenario for cell in cells}
    return replace(
        conclusions,
        run=run.model_copy(
            update={
                "plan": run.plan.model_copy(update={"cells": cells}),
                "trials": tuple(trial for trial in run.trials if trial.cell in cells),
            }
        ),
        verdicts=tuple(one for one in conclusions.verdicts if one.cell in cells),
        cards=tuple(card for card in conclusions.cards if card.scenario in scenarios),
        endpoints=tuple(one for one in conclusions.endpoints if one.cell in cells),
    )


def section(shown: Conclusions) -> str:
    return "\n".join(
        [
            BEGIN,
            picture("verdicts", "Ratio of throughput, async to sync, per cell"),
            "",
            *lead_table(shown),
            "",
            markdown.machine_text(shown.run),
            END,
        ]
    )


def lead_table(shown: Conclusions) -> list[str]:
    """One row per cell; what neighbours wait and what to write, at the load that a card's advice is for."""
    names = [arm.name for arm in shown.run.plan.arms]
    advised = {card.verdict.cell.key: card for card in shown.cards}
    rows = [
        "| endpoint and load | `def` | `async def` | ratio | interval | n | verdict "
        "| an `async def` neighbour waits | what to write |",
        "|---|---:|---:|---:|---:|---:|---|---:|---|",
    ]
    for one in (verdict for verdict in shown.verdicts if verdict.primary):
        card = advised.get(one.cell.key)
        cells = [
            str(one.cell), *(units.value(one.metric, one.values.get(name)) for name in names),
            units.ratio(one.ratio), units.interval(*one.bounds), str(one.n), one.verdict,
            waits_text(card.pulses, names) if card else "", f"**{card_advice(card)}**" if card else "",
        ]  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme")
    parser.add_argument("runs", nargs="+", type=Path)
    paths = parser.parse_args().runs
    with TemporaryDirectory(dir=paths[0].parent) as scratch:
        directory = merged(paths, (), Path(scratch) / "merged")
        shown = only(conclude(directory.load(), Readings(directory)), CELLS)
        write_pictures(shown, PICTURES)
        text = section(shown)
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(before + text + after, encoding="utf-8")


if __name__ == "__main__":
    main()
