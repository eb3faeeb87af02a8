"""The report directory: every output of a run, written from its records alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from loadtests.records import CannotWrite, write_whole
from reports import changes, html, markdown
from reports.charts import change, charts, files
from reports.comparison import Comparison
from reports.conclusions import Conclusions
from reports.painters import drawn
from reports.summary import summary


def write(conclusions: Conclusions) -> str:
    """Write the report beside the records; its summary, as JSON text. Raises CannotWrite, RecordError."""
    directory = conclusions.readings.directory
    data = summary(conclusions)
    text = json.dumps(data, indent=2) + "\n"
    content: dict[str, bytes] = {
        "summary.json": text.encode(),
        "report.md": markdown.report(conclusions).encode(),
    }
    asked = list(charts(conclusions))
    made = drawn(asked)
    for chart in asked:
        content |= {f"{chart.stem}-{kind}": drawing for kind, drawing in made[chart.stem].items()}
    pictures = [(chart, made[chart.stem]["light.svg"].decode()) for chart in asked]
    content["report.html"] = html.page(conclusions, pictures, data).encode()
    save(directory.report, content)
    return text


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
        if report.is_symlink():
            raise OSError("it is a link, which may lead anywhere")
        report.mkdir(exist_ok=True)
        for name, data in content.items():
            write_whole(report / name, data)
    except OSError as error:
        raise CannotWrite(f"cannot write the report to {report}: {error.strerror or error}") from None
