"""The report of a run that searched for the highest rates, written from its records alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtests.errors import Exit
from loadtests.records import Run
from reports.analysis.capacity.searches import ArmSearch, Bounds, CapacityRatio, EndedSlices
from reports.analysis.readings import Readings
from reports.analysis.statistics import Interval
from reports.capacities import Capacities, find, outcomes_of_searches
from reports.exit_codes import exit_code
from reports.render import html
from reports.render.charts import files
from reports.render.charts.capacity import capacity_chart
from reports.render.markdown import box, plain, quoted
from reports.render.output import Output
from reports.render.report_directory import save
from reports.render.streams import say, say_list
from reports.render.summary import of_judgement, of_limit
from reports.wording.capacity import CAPACITY_HEAD, capacity_row, method_text, search_headline, search_lines
from reports.wording.plans import note_lines
from reports.wording.sentences import judgement_line, unlike_lines
from reports.wording.vocabulary import VERDICT_MARKS


def deliver_searches(run: Run, readings: Readings, output: Output, strict: bool) -> Exit:
    """Write the report of a run, and show it; its exit code. Raises RecordError."""
    found = find(run, readings)
    text = json.dumps(summary_of_searches(found), indent=2) + "\n"

    def written() -> Path:
        write_searches(found)
        return readings.directory.report / "report.html"

    code = exit_code(outcomes_of_searches(found), strict)
    return output.deliver(code, text, lambda console: show_searches(console, found), written)


def write_searches(found: Capacities) -> None:
    """Write the report beside the records. Raises CannotWrite, RecordError."""
    data = summary_of_searches(found)
    content = {
        "summary.json": (json.dumps(data, indent=2) + "\n").encode(),
        "report.md": markdown_of_searches(found).encode(),
    }
    pictures = []
    chart = capacity_chart(found)
    if chart is not None:
        drawings = files(chart)
        content |= {f"{chart.stem}-{kind}": drawing for kind, drawing in drawings.items()}
        pictures.append((chart, drawings["light.svg"].decode()))
    page: str = html.template("capacity.html").render(
        title=search_headline(found, found.scenarios[0]) if len(found.scenarios) == 1 else "Highest rates",
        run=found.run,
        about=method_text(found.run, found.goal),
        unlike=unlike_lines(found.run),
        notes=note_lines(found.run.plan),
        scenarios=[(search_headline(found, name), search_lines(found, name)) for name in found.scenarios],
        judgements=list(map(judgement_line, found.judgements)),
        head=CAPACITY_HEAD,
        rows=[capacity_row(one, found) for one in found.searches],
        machine=html.machine_rows(found.run),
        **html.frame(pictures, data),
    )
    content["report.html"] = page.encode()
    save(found.readings.directory.report, content)


def show_searches(console: Console, found: Capacities) -> None:
    """For the terminal: how the answers differ, what must be known of a base, then the rates."""
    say_list(console, VERDICT_MARKS["different"], unlike_lines(found.run))
    for line in note_lines(found.run.plan):
        say(console, f"note: {line}")
    for name in found.scenarios:
        say_list(console, "·", [search_headline(found, name), *search_lines(found, name)])
    for one in found.judgements:
        say(console, judgement_line(one))
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    shown = CAPACITY_HEAD if console.width >= 140 else CAPACITY_HEAD[:8]
    for place, title in enumerate(shown):
        grid.add_column(title, justify="right" if place > 1 else "left", overflow="fold")
    for search in found.searches:
        grid.add_row(*map(escape, capacity_row(search, found)[: len(shown)]))
    console.print(grid)
    say(console, method_text(found.run, found.goal))


def markdown_of_searches(found: Capacities) -> str:
    """For pull requests and pages, in the same order."""
    notes = quoted(note_lines(found.run.plan))
    lines = [*box(unlike_lines(found.run)), "# Highest rates", "", *notes, *([""] if notes else [])]
    for name in found.scenarios:
        lines.append(f"- {plain(search_headline(found, name))}")
        lines += [f"  - {plain(line)}" for line in search_lines(found, name)]
    lines += [f"- {plain(judgement_line(one))}" for one in found.judgements]
    lines += [
        "",
        f"| {' | '.join(CAPACITY_HEAD)} |",
        f"|---|---|{'---:|' * (len(CAPACITY_HEAD) - 2)}",
        *(f"| {' | '.join(map(plain, capacity_row(one, found)))} |" for one in found.searches),
        "",
        plain(method_text(found.run, found.goal)),
        "",
    ]
    return "\n".join(lines)


def summary_of_searches(found: Capacities) -> dict[str, Any]:
    """What was found as plain data, schema `duel-capacity/1`: rates per second, times in seconds. Fields may
    be added, never renamed."""
    run = found.run
    return {
        "schema": "duel-capacity/1",
        "run": run.id,
        "complete": run.complete,
        "target": {"text": str(found.goal.target), **found.goal.target.model_dump()},
        "precision": found.goal.precision,
        "reference": run.plan.reference.name,
        "arms": [arm.name for arm in run.plan.arms],
        "alpha": run.plan.alpha,
        "machine": run.machine.model_dump(mode="json"),
        "answers": unlike_lines(run),
        "notes": note_lines(run.plan),
        "searches": [of_search(one) for one in found.searches],
        "ratios": [of_ratio(one, found) for one in found.ratios],
        "thresholds": [of_judgement(one) for one in found.judgements],
    }


def of_search(one: ArmSearch) -> dict[str, Any]:
    """One arm of one scenario."""
    lights = {"pulse": one.pulse, "canary": one.canary}
    return {
        "scenario": one.scenario,
        "arm": one.arm,
        "result": one.word,
        "rate": one.rate,
        **of_bounds(one.bounds, one.interval),
        "server_ended": of_ended(one.ended) if one.ended else None,
        "limits": [of_limit(limit) for limit in one.limits],
        "limited_at": one.limited_at,
        "neighbours": {
            name: {"part": seen.part, "response_time": seen.response_time} if seen else None
            for name, seen in lights.items()
        },
        "points": [
            {"rate": point.rate, "rounds": point.rounds, "missed": point.share, "percentile": point.value}
            for point in one.points
        ],
    }


def of_ratio(one: CapacityRatio, found: Capacities) -> dict[str, Any]:
    """One arm against the arm that it is compared with."""
    return {
        "scenario": one.scenario, "arm": one.arm, "reference": one.reference, "ratio": one.ratio,
        **of_bounds(one.bounds, one.interval), "failing": list(one.failing), "different": one.different,
        "outcome": found.outcome(one),
    }  # fmt: skip


def of_bounds(bounds: Bounds, interval: Interval | None) -> dict[str, Any]:
    """The ends of an interval, or the only side that is known, which has no number of rounds."""
    low, high = bounds
    return {"low": low, "high": high, "n": interval.n if interval else None}


def of_ended(ended: EndedSlices) -> dict[str, Any]:
    """In how many slices a server did not start, or ended by itself, and how the first one did."""
    return {"slices": ended.times, "of": ended.of, **ended.end.model_dump(mode="json")}
