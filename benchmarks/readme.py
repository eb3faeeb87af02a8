"""Puts the chart and tables of a real run into README.md: `make readme`, or `… readme.py RUN`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from loadtests.records.directory import RunDirectory
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.render import markdown, report_directory

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- run: written by `make readme` -->", "<!-- /run -->"
PICTURES = ("verdicts", "throughput", "neighbours", "latency", "tails", "heat", "costs")
"""Charts in README and docs/reading.md, each in both colour schemes."""


def picture(stem: str, words: str) -> str:
    """A chart in the reader's colour scheme."""
    return (
        f'<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="docs/{stem}-dark.svg">\n'
        f'  <img alt="{words}" src="docs/{stem}-light.svg">\n</picture>'
    )


def measured() -> Path:
    """The directory of a new quick run."""
    subprocess.run([Path(sys.executable).with_name("duel"), "run", "--quick"], cwd=ROOT, check=True)
    return max(path.parent for path in (ROOT / "runs").glob("*/run.json"))


def main() -> None:
    directory = RunDirectory(Path(sys.argv[1]) if len(sys.argv) > 1 else measured())
    run = directory.load()
    conclusions = conclude(run, Readings(directory))
    report_directory.write(conclusions)
    for stem in PICTURES:
        for scheme in ("light", "dark"):
            shutil.copy(directory.report / f"{stem}-{scheme}.svg", ROOT / "docs" / f"{stem}-{scheme}.svg")
    section = "\n".join(
        [
            BEGIN,
            picture("verdicts", "Ratio of throughput, async to sync, per cell"),
            "",
            markdown.table(run, conclusions.verdicts),
            "",
            markdown.card_table(run, conclusions.cards),
            "",
            markdown.machine_text(run),
            END,
        ]
    )
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    readme.write_text(before + section + after, encoding="utf-8")


if __name__ == "__main__":
    main()
