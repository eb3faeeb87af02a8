"""The report directory: every output of a run, written from its records alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

from loadtests.records import CannotWrite, Run, write_whole
from reports import markdown
from reports.cards import Card
from reports.charts import charts, render
from reports.estimates import Readings
from reports.summary import summary
from reports.verdicts import Verdict


def write(run: Run, readings: Readings, verdicts: Sequence[Verdict], cards: Sequence[Card]) -> str:
    """Write the report beside the records; its summary, as JSON text. Raises CannotWrite."""
    directory = readings.directory
    text = to_json(run, readings, verdicts, cards)
    files: dict[str, bytes] = {
        "summary.json": text.encode(),
        "report.md": markdown.report(run, verdicts, cards).encode(),
    }
    for stem, figure in charts(run, verdicts):
        for kind in ("svg", "png"):
            files[f"{stem}.{kind}"] = render(figure, kind)
    try:
        directory.report.mkdir(exist_ok=True)
        for name, content in files.items():
            write_whole(directory.report / name, content)
    except OSError as error:
        raise CannotWrite(
            f"cannot write the report to {directory.report}: {error.strerror or error}"
        ) from None
    return text


def to_json(run: Run, readings: Readings, verdicts: Sequence[Verdict], cards: Sequence[Card]) -> str:
    """The summary as JSON text."""
    return json.dumps(summary(run, readings, verdicts, cards), indent=2) + "\n"
