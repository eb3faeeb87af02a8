"""The report as one HTML file: no external requests, readable without scripts, printable."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from loadtests.records import Cell, Run
from reports.advice.cards import Card
from reports.advice.conversion import Conversion
from reports.analysis.bounds import predictions
from reports.analysis.mixtures.figures import ComparedEndpoint
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions
from reports.render.charts import Chart, recoloured
from reports.render.charts.style import DARK, LIGHT, Palette, names
from reports.render.markdown import measured, prediction_row
from reports.render.tables import endpoints, portraits
from reports.wording import units
from reports.wording.advice.cards import card_advice, card_figures, card_lines, card_range
from reports.wording.advice.conversion import (
    CONVERSION_HEAD,
    conversion_row,
    conversion_text,
    conversion_title,
)
from reports.wording.advice.portraits import HEADS as PORTRAIT_HEADS
from reports.wording.advice.proofs import (
    proof_head,
    proof_lines,
    proof_rows,
    proof_title,
    unmixed_text,
)
from reports.wording.cpus import placement_rows
from reports.wording.failures import failure_lines
from reports.wording.headlines import headline
from reports.wording.plans import NO_THINK, arm_text, in_force_text
from reports.wording.reservations import reservation_text
from reports.wording.sentences import (
    UNSETTLED,
    answers_text,
    claim,
    failed_pair,
    judgement_line,
    together,
    unlike_lines,
    warnings,
    with_context,
)
from reports.wording.units import counted
from reports.wording.vocabulary import VERDICT_MARKS

PAGE = Path(__file__).parent / "page"
"""Template, style and script of the report."""

SIZE = re.compile(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"')

QUOTED = re.compile(r"`([^`]+)`")

FARTHEST = 4.0
"""Factor at which a card's strip ends."""


@dataclass(frozen=True)
class Strip:
    """The ratio at one load on a small scale from ×1/4 to ×4, in per cent of its width; None without an
    interval."""

    load: str
    shown: str
    kind: str
    low: float | None
    mark: float | None
    high: float | None


def page(conclusions: Conclusions, pictures: Sequence[tuple[Chart, str]], data: Mapping[str, Any]) -> str:
    """The whole report: `pictures` are the charts with their light SVG, `data` the summary."""
    run = conclusions.run
    primaries = conclusions.primaries
    several = len(run.plan.rivals) > 1
    text: str = template("report.html").render(
        title=headline(conclusions),
        run=run,
        about=about(conclusions),
        **frame(pictures, data),
        proof=proof_view(conclusions),
        portraits=portraits.blocks(conclusions),
        portrait_heads=PORTRAIT_HEADS,
        portrait_rows=portraits.rows(conclusions.portraits),
        cards=[card_view(card, conclusions) for card in conclusions.cards],
        conversion_head=CONVERSION_HEAD,
        conversions=list(map(conversion_view, conclusions.conversions)),
        advices=list(dict.fromkeys(map(card_advice, conclusions.cards))),
        failed=failure_lines(conclusions.failure_kinds),
        unlike=unlike_lines(run, conclusions.verdicts),
        warnings=warnings(run, conclusions.verdicts),
        judgements=[(one.word, judgement_line(one)) for one in conclusions.judgements],
        together=together(run, conclusions.verdicts),
        machine=machine_rows(conclusions.run),
        reference=run.plan.yardstick,
        several=several,
        failing=any(any(row.failed.values()) for row in primaries),
        rows=[row_view(row, conclusions) for row in primaries],
        band=[share(1 / (1 + run.plan.margin)), share(1 + run.plan.margin)],
        metrics=[units.METRIC_ABOUT[metric] for metric in dict.fromkeys(row.metric for row in primaries)],
        endpoints=[endpoint_view(conclusions, *one) for one in endpoints.by_cell(conclusions.endpoints)],
        about_endpoints=endpoints.ABOUT,
        predictions=[prediction_row(one) for one in predictions(run, measured(conclusions.verdicts))],
    )
    return text


def frame(pictures: Sequence[tuple[Chart, str]], data: Mapping[str, Any]) -> dict[str, Any]:
    """What every page has: style, script, charts with their light SVG, and the summary as data."""
    script = (PAGE / "report.js").read_text(encoding="utf-8")
    return {
        "digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "script": Markup(script),  # noqa: S704  # our own file
        "style": Markup((PAGE / "report.css").read_text(encoding="utf-8")),  # noqa: S704  # our own file
        "light": Markup(variables(LIGHT)),  # noqa: S704  # our own colours
        "dark": Markup(variables(DARK)),  # noqa: S704  # our own colours
        "figures": [(one, Markup(inline(svg))) for one, svg in pictures],  # noqa: S704  # matplotlib escapes
        "data": Markup(embedded(data)),  # noqa: S704  # its signs are escaped
    }


@cache
def template(name: str) -> Any:
    made = Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters["code"] = code
    return made.get_template(name)


def code(text: str) -> Markup:
    """Text with its backticks turned into code elements."""
    return Markup(QUOTED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped first


def about(conclusions: Conclusions) -> str:
    """When, how long, how many."""
    run = conclusions.run
    valid = sum(trial.valid for trial in run.trials)
    return (
        f"{counted(len(run.plan.cells), 'cell')}, {valid} of {len(run.trials)} trials count, windows of "
        f"{run.plan.window:g} s, measured in {units.span(run.elapsed)}, started "
        f"{run.began[:16].replace('T', ' ')} UTC."
    )


def proof_view(conclusions: Conclusions) -> dict[str, Any] | None:
    """Whether the advice holds; None where the run does not show it."""
    proof, run = conclusions.proof, conclusions.run
    if conclusions.nothing_to_mix is not None:
        text = unmixed_text(conclusions.nothing_to_mix, run)
        return {"title": text, "lines": (), "head": (), "rows": ()}
    if proof is None:
        return None
    lines = proof_lines(proof, run)
    rows = proof_rows(proof)
    return {"title": proof_title(proof, run), "lines": lines, "head": proof_head(proof), "rows": rows}


def card_view(card: Card, conclusions: Conclusions) -> dict[str, Any]:
    """What a card shows."""
    run, verdict = conclusions.run, card.verdict
    arms = [arm.name for arm in run.plan.arms if arm.name in card.costs]
    served, pulse, canary, cpu, hops, memory = card_figures(card, [arm.name for arm in run.plan.arms])
    mine = [row for row in conclusions.primaries if (row.cell.scenario, row.arm) == (card.scenario, card.arm)]
    strips = [strip(row) for row in sorted(mine, key=lambda row: row.cell.load.level)]
    # Earlier runs and external servers have no pulse.
    beats = any(card.pulses.values())
    return {
        "scenario": card.scenario,
        "arm": card.arm,
        "advice": card_advice(card),
        "where": card_range(card, run),
        "ratio": units.ratio(verdict.ratio),
        "interval": units.interval(*verdict.bounds),
        "n": verdict.n,
        "word": verdict.verdict if verdict.verdict in UNSETTLED else "",
        "claim": ("as a whole " if card.endpoints else "") + with_context(claim(verdict), verdict),
        "load": str(verdict.cell.load),
        "strips": strips if len(strips) > 1 or verdict.low is not None else [],
        "lines": card_lines(card),
        "figures": [
            (f"served, {' / '.join(arms)}", served),
            *([(f"an async def neighbour waits (pulse), {' / '.join(arms)}", pulse)] if beats else []),
            (f"the app's own light route waits (canary), {' / '.join(arms)}", canary),
            ("CPU s per 1,000 requests", cpu),
            ("thread hops", hops),
            ("memory", memory),
        ],
    }


def conversion_view(plan: Conversion) -> dict[str, Any]:
    """What to convert, in order of gain."""
    return {
        "title": conversion_title(plan),
        "text": conversion_text(plan),
        "rows": list(map(conversion_row, plan.steps)),
    }


def strip(row: Verdict) -> Strip:
    """Ratio and interval at one load, as positions on the strip. On a side that is unknown, the bar ends at
    the mark."""
    text = row.verdict if row.ratio is None else units.ratio(row.ratio)
    said = str(row.cell.load), f"{VERDICT_MARKS[row.verdict]} {text}", row.verdict
    if not (row.low and row.ratio and row.high):
        return Strip(*said, None, None, None)
    low, high = (known or row.ratio for known in row.bounds)
    return Strip(*said, share(low), share(row.ratio), share(high))


def share(ratio: float) -> float:
    """A ratio's position on the strip, 0 to 100."""
    return 50.0 + 50.0 * max(-1.0, min(1.0, math.log(ratio) / math.log(FARTHEST)))


def row_view(row: Verdict, conclusions: Conclusions) -> dict[str, Any]:
    """A row of the table."""
    scenario = row.cell.scenario
    mine = (card for card in conclusions.cards if (card.scenario, card.arm) == (scenario, row.arm))
    card = next(mine, None)
    return {
        "scenario": scenario,
        "advice": card_advice(card) if card else "",
        "load": str(row.cell.load),
        "metric": units.METRIC_SHORT[row.metric],
        "arm": row.arm,
        "reference": units.value(row.metric, row.values.get(row.reference)),
        "rival": units.value(row.metric, row.values.get(row.arm)),
        "ratio": units.ratio(row.ratio),
        "interval": units.interval(*row.bounds),
        "n": row.n,
        "failed": failed_pair(row),
        "word": row.verdict,
        "kind": row.verdict,
        "warnings": [reservation_text(one) for one in row.reservations],
    }


def endpoint_view(every: Conclusions, cell: Cell, several: Sequence[ComparedEndpoint]) -> dict[str, Any]:
    """The table of one cell's endpoints."""
    return {
        "cell": str(cell),
        "head": endpoints.HEAD,
        "rows": [[list(row.values()) for row in endpoints.rows(one)] for one in several],
        "more": endpoints.left_out(cell, every.endpoints),
    }


def machine_rows(run: Run) -> list[tuple[str, str]]:
    """The environment, each line with its name."""
    machine = run.machine
    return [
        ("processor", f"{machine.cpu}, {counted(machine.cores, 'core')}"),
        *placement_rows(run),
        ("memory", units.memory(machine.memory)),
        ("system", machine.system),
        ("Python", machine.python),
        ("packages", ", ".join(f"{name} {version}" for name, version in machine.packages.items())),
        ("database", machine.database or "not used"),
        ("answers", answers_text(run)),
        *((f"arm {arm.name}", arm_text(run, arm)) for arm in run.plan.arms),
        *((f"{name} ran as", in_force_text(found)) for name, found in run.in_force.items()),
        *([("users", NO_THINK)] if run.plan.no_think else []),
        ("seed", str(run.plan.seed)),
        ("duel", f"{run.version}, run {run.id}"),
    ]


def inline(svg: str) -> str:
    """A light chart for the page: it takes the page's width and colour scheme."""
    svg = SIZE.sub(r"\1", svg, count=1)
    return recoloured(svg, {colour: f"var(--{name})" for colour, name in names(LIGHT).items()})


def variables(palette: Palette) -> str:
    """A palette as custom properties of the page."""
    return " ".join(f"--{name}: {colour};" for colour, name in names(palette).items())


def embedded(data: Mapping[str, Any]) -> str:
    """JSON that cannot close its enclosing element."""
    return json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
