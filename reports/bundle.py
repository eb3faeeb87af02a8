"""The report directory: every output of a run, written from its records alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from loadtests.records import CannotWrite, write_whole
from reports import changes, html, markdown
from reports.charts import PALETTES, Chart, change, charts, pixels, vectors
from reports.charts.style import Palette
from reports.comparison import Comparison
from reports.conclusions import Conclusions
from reports.summary import summary

MANY = 4
"""Cells from which on a second process, which takes a second to start, saves time."""


def write(conclusions: Conclusions) -> str:
    """Write the report beside the records; its summary, as JSON text. Raises CannotWrite, RecordError."""
    directory = conclusions.readings.directory
    data = summary(conclusions)
    text = json.dumps(data, indent=2) + "\n"
    files: dict[str, bytes] = {
        "summary.json": text.encode(),
        "report.md": markdown.report(conclusions).encode(),
    }
    drawn = []
    with painters(conclusions) as executor:
        ordered: list[tuple[Chart, Palette, Future[bytes]]] = []
        for chart in charts(conclusions):
            ordered += [(chart, palette, executor.submit(pixels, chart, palette)) for palette in PALETTES]
            made = vectors(chart)
            drawn.append((chart, made["light.svg"].decode()))
            files |= {f"{chart.stem}-{kind}": content for kind, content in made.items()}
        # What the other process has not begun is drawn here, from the end.
        for chart, palette, order in reversed(ordered):
            name = f"{chart.stem}-{palette.name}.png"
            try:
                files[name] = pixels(chart, palette) if order.cancel() else order.result()
            except BrokenExecutor:
                files[name] = pixels(chart, palette)
    files["report.html"] = html.page(conclusions, drawn, data).encode()
    save(directory.report, files)
    return text


def write_change(comparison: Comparison, report: Path) -> Path:
    """Write what changed, in words and as a chart, into a run's report directory; the Markdown file. Raises
    CannotWrite."""
    drawn = change.chart(comparison)
    files = {f"change-{kind}": content for kind, content in vectors(drawn).items()}
    files |= {f"change-{palette.name}.png": pixels(drawn, palette) for palette in PALETTES}
    files["change.md"] = changes.markdown(comparison).encode()
    files["change.json"] = (json.dumps(changes.data(comparison), indent=2) + "\n").encode()
    save(report, files)
    return report / "change.md"


def save(report: Path, files: Mapping[str, bytes]) -> None:
    """Raises CannotWrite."""
    try:
        if report.is_symlink():
            raise OSError("it is a link, which may lead anywhere")
        report.mkdir(exist_ok=True)
        for name, content in files.items():
            write_whole(report / name, content)
    except OSError as error:
        raise CannotWrite(f"cannot write the report to {report}: {error.strerror or error}") from None


class InTurn(Executor):
    """Does at once what it is asked for."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **options))
        return done


def painters(conclusions: Conclusions) -> Executor:
    """Who draws the pixels: matplotlib takes longer than all the mathematics, and cores stand idle."""
    if len(conclusions.run.plan.cells) < MANY or (os.cpu_count() or 1) < 2:  # a second core
        return InTurn()
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    pool.submit(os.getpid)  # it starts while the first chart is still thought about
    return pool
