"""Puts a real run's chart and table into README.md: `make readme`, or `… readme.py RUN` for a run at hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from loadtests.records import RunDirectory
from reports import bundle, markdown
from reports.cards import cards
from reports.estimates import Readings
from reports.verdicts import verdicts

ROOT = Path(__file__).parent.parent
BEGIN, END = "<!-- run: written by `make readme` -->", "<!-- /run -->"
PICTURES = ("verdicts.svg", "throughput.svg", "latency.svg")


def measured() -> Path:
    """A new quick run's directory."""
    subprocess.run([Path(sys.executable).with_name("duel"), "run", "--quick"], cwd=ROOT, check=True)
    return max(path.parent for path in (ROOT / "runs").glob("*/run.json"))


def main() -> None:
    directory = RunDirectory(Path(sys.argv[1]) if len(sys.argv) > 1 else measured())
    run = directory.load()
    readings = Readings(directory)
    found = verdicts(run, readings)
    advice = cards(run, readings, found)
    bundle.write(run, readings, found, advice)
    (ROOT / "docs").mkdir(exist_ok=True)
    for name in PICTURES:
        shutil.copy(directory.report / name, ROOT / "docs" / name)
    section = "\n".join(
        [
            BEGIN,
            "![Ratio of throughput, async to sync, per cell](docs/verdicts.svg)",
            "",
            markdown.table(run, found),
            "",
            markdown.card_table(run, advice),
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
