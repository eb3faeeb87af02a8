"""The report directory: every output of a run, written from its records alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from loadtests.records import CannotWrite, Run, write_whole
from reports import changes, html, markdown
from reports.charts import Chart, change, charts, files
from reports.comparison import Comparison
from reports.conclusions import Conclusions
from reports.summary import summary

LONGEST_FIRST = ("tails", "throughput", "response", "heat", "latency", "verdicts", "costs")
"""Charts by the time they take: two processes that begin them so end together."""
MANY = 4
"""Cells from which on a second process, which takes a second to start, saves time."""


def write(conclusions: Conclusions, executor: Executor | None = None) -> str:
    """Write the report beside the records; its summary, as JSON text. `executor`: the `painters` of this run,
    who are best called before its meaning is computed. Raises CannotWrite, RecordError."""
    directory = conclusions.readings.directory
    data = summary(conclusions)
    text = json.dumps(data, indent=2) + "\n"
    content: dict[str, bytes] = {
        "summary.json": text.encode(),
        "report.md": markdown.report(conclusions).encode(),
    }
    with nullcontext(executor) if executor else painters(conclusions.run) as drawing:
        drawn = drawings(conclusions, drawing)
    for chart, made in drawn:
        content |= {f"{chart.stem}-{kind}": drawing for kind, drawing in made.items()}
    pictures = [(chart, made["light.svg"].decode()) for chart, made in drawn]
    content["report.html"] = html.page(conclusions, pictures, data).encode()
    save(directory.report, content)
    return text


def drawings(conclusions: Conclusions, executor: Executor) -> list[tuple[Chart, dict[str, bytes]]]:
    """Every chart with its files."""
    asked = list(charts(conclusions))
    ordered = [(chart, begun(executor, chart)) for chart in sorted(asked, key=turn)]
    done: dict[str, dict[str, bytes]] = {}
    # What the other process has not begun is drawn here, from the end.
    for chart, order in reversed(ordered):
        try:
            done[chart.stem] = files(chart) if order.cancel() else order.result()
        except BrokenExecutor:
            done[chart.stem] = files(chart)
    return [(chart, done[chart.stem]) for chart in asked]


def turn(chart: Chart) -> int:
    """When a chart is begun: panels before pictures before rows."""
    return LONGEST_FIRST.index(chart.stem) if chart.stem in LONGEST_FIRST else len(LONGEST_FIRST)


def begun(executor: Executor, chart: Chart) -> Future[dict[str, bytes]]:
    """The chart's files to be; of an executor that has died an order that may still be cancelled."""
    try:
        return executor.submit(files, chart)
    except BrokenExecutor:
        return Future()


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


class InTurn(Executor):
    """Does at once what it is asked for."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*arguments, **options))
        return done


def painters(run: Run) -> Executor:
    """Who draws: matplotlib takes longer than all the mathematics, and cores stand idle."""
    if len(run.plan.cells) < MANY or (os.cpu_count() or 1) < 2:  # a second core
        return InTurn()
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    pool.submit(os.getpid)  # it starts, and takes its second for that, while others still think
    return pool
