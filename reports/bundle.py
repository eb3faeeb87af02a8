"""The report directory: every output of a run, written from its records alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from loadtests.records import CannotWrite, write_whole
from reports import html, markdown
from reports.charts import PALETTES, Chart, charts, pixels, vectors
from reports.charts.style import Palette
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
        "report.md": markdown.report(conclusions.run, conclusions.verdicts, conclusions.cards).encode(),
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
    try:
        directory.report.mkdir(exist_ok=True)
        for name, content in files.items():
            write_whole(directory.report / name, content)
    except OSError as error:
        raise CannotWrite(
            f"cannot write the report to {directory.report}: {error.strerror or error}"
        ) from None
    return text


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
