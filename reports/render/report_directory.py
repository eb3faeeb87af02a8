"""The report directory: every output of a run, written from its records alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from loadtests.errors import Exit
from loadtests.records import CannotWrite, Run, RunDirectory, write_whole
from reports.analysis.readings import Readings
from reports.conclusions import Conclusions, conclude
from reports.exit_codes import exit_code, outcomes_of
from reports.gate.comparison import Comparison
from reports.render import changes, html, markdown, terminal
from reports.render.charts import change, charts, files
from reports.render.output import Output
from reports.render.summary import summary


def as_json(conclusions: Conclusions) -> str:
    """The summary, as JSON text. Raises RecordError."""
    return json.dumps(summary(conclusions), indent=2) + "\n"


def write(conclusions: Conclusions) -> str:
    """Write the report beside the records; its summary, as JSON text. Raises CannotWrite, RecordError."""
    directory = conclusions.readings.directory
    data = summary(conclusions)
    text = json.dumps(data, indent=2) + "\n"
    content: dict[str, bytes] = {
        "summary.json": text.encode(),
        "report.md": markdown.report(conclusions).encode(),
    }
    pictures = []
    for chart in charts(conclusions):
        drawings = files(chart)
        content |= {f"{chart.stem}-{kind}": drawing for kind, drawing in drawings.items()}
        pictures.append((chart, drawings["light.svg"].decode()))
    content["report.html"] = html.page(conclusions, pictures, data).encode()
    save(directory.report, content)
    return text


def rewrite(run: Run, readings: Readings) -> None:
    """Write the report of a run, and show nothing. Raises CannotWrite, RecordError."""
    write(conclude(run, readings))


def deliver(conclusions: Conclusions, output: Output, strict: bool) -> Exit:
    """Write the report of a run, and show it; its exit code. Raises RecordError."""

    def written() -> Path:
        write(conclusions)
        return conclusions.readings.directory.report / "report.html"

    code = exit_code(outcomes_of(conclusions), strict)
    return output.deliver(
        code, as_json(conclusions), lambda console: terminal.show(console, conclusions), written
    )


def deliver_change(found: Comparison, head: Path, output: Output, strict: bool) -> Exit:
    """Show what changed, and write it into the report of `head` where that is a run; the exit code."""

    def written() -> Path | None:
        return write_change(found, RunDirectory(head).report) if head.is_dir() else None

    code = exit_code({one.outcome for one in found.changes}, strict)
    text = json.dumps(changes.data(found), indent=2) + "\n"
    return output.deliver(code, text, lambda console: changes.show(console, found), written)


def write_change(comparison: Comparison, report: Path) -> Path:
    """Write what changed, in words and as a chart, into a run's report directory; the Markdown file. Raises
    CannotWrite."""
    content = {f"change-{kind}": drawing for kind, drawing in files(change.chart(comparison)).items()}
    content["change.md"] = changes.markdown(comparison).encode()
    content["change.json"] = (json.dumps(changes.data(comparison), indent=2) + "\n").encode()
    save(report, content)
    return report / "change.md"


def save(report: Path, content: Mapping[str, bytes]) -> None:
    """Raises CannotWrite."""
    try:
        report.mkdir(exist_ok=True)
        for name, data in content.items():
            write_whole(report / name, data)
    except OSError as error:
        raise CannotWrite(f"cannot write the report to {report}: {error.strerror or error}") from None
