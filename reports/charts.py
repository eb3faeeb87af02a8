"""Charts as matplotlib Figures: no pyplot, no paths, no state. Each answers one question.

Style never rests on colour alone: every arm has a marker and a line of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from loadtests.records import Cell, Run
from reports import units
from reports.bottlenecks import known, predicted
from reports.verdicts import Verdict

mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "fastapi-duel",
        "font.family": "sans-serif",
        "font.size": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.edgecolor": "#888888",
        "axes.linewidth": 0.8,
        "xtick.color": "#444444",
        "ytick.color": "#222222",
        "figure.facecolor": "white",
    }
)

INK, FAINT, BAND = "#222222", "#6b6b6b", "#eeeeee"


@dataclass(frozen=True)
class Look:
    """How an arm is drawn."""

    colour: str
    text: str
    """Its colour for words on white, dark enough to read."""
    marker: str
    line: str


LOOKS = (
    Look("#D55E00", "#B84E00", "o", "-"),
    Look("#0072B2", "#0072B2", "^", "--"),
    Look("#CC79A7", "#A04F7C", "s", ":"),
    Look("#009E73", "#00785A", "D", "-."),
    Look("#56B4E9", "#2C7FB0", "v", "--"),
    Look("#888888", "#555555", "P", ":"),
)

WORDS: Mapping[str, str] = {
    "faster": "faster", "slower": "slower", "equivalent": "equivalent", "inconclusive": "not decided",
    "failing": "failing", "invalid": "invalid",
}  # fmt: skip


def looks(run: Run) -> dict[str, Look]:
    return {arm.name: LOOKS[number % len(LOOKS)] for number, arm in enumerate(run.plan.arms)}


def charts(run: Run, verdicts: Sequence[Verdict]) -> Iterator[tuple[str, Figure]]:
    """Every chart that this run can fill, with its file name's stem."""
    if verdicts:
        yield "verdicts", forest(run, verdicts)
        yield "response" if run.plan.open else "throughput", levels(run, verdicts)
        yield "latency", latency(run, verdicts)


def render(figure: Figure, kind: str) -> bytes:
    """The figure as `svg` or `png`; the same figure gives the same bytes."""
    buffer = BytesIO()
    metadata: dict[str, str | None] = {"Date": None} if kind == "svg" else {"Software": None}
    figure.savefig(buffer, format=kind, dpi=144, metadata=metadata)
    return buffer.getvalue()


def forest(run: Run, verdicts: Sequence[Verdict]) -> Figure:
    """Who serves more, where, by how much, and how sure: the primary ratio of every cell."""
    rows = [verdict for verdict in verdicts if verdict.primary]
    figure, axes = canvas(1.5 + 0.28 * len(rows))
    style = looks(run)
    reference = run.plan.reference.name
    bound = 1.0 + run.plan.margin
    axes.axvspan(1.0 / bound, bound, color=BAND, zorder=0)
    axes.axvline(1.0, color=FAINT, linewidth=0.8, zorder=1)
    reach = [2.0, 0.5]
    for height, row in enumerate(reversed(rows)):
        look = style[row.arm]
        settled = row.verdict in ("faster", "slower", "equivalent")
        if row.ratio is not None:
            low, high = row.low or row.ratio, row.high or row.ratio
            reach += [row.ratio * 1.1, row.ratio / 1.1, min(high, 16.0), max(low, 1 / 16)]
            axes.plot([low, high], [height, height], color=look.colour, linewidth=1.6, zorder=2)
            axes.plot(
                [row.ratio],
                [height],
                look.marker,
                color=look.colour,
                zorder=3,
                markerfacecolor=look.colour if settled else "white",
            )
        word = WORDS[row.verdict]
        text = f"{units.ratio(row.ratio)}  {word}" if row.ratio is not None else word
        axes.annotate(
            text,
            (1.0, height),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            va="center",
            textcoords="offset points",
            color=look.text if settled else FAINT,
        )
    several = len(run.plan.rivals) > 1
    names = [f"{row.cell}{f' · {row.arm}' if several else ''}" for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    ratio_axis(axes, min(reach) / 1.08, max(reach) * 1.08)
    rivals = " or ".join(arm.name for arm in run.plan.rivals)
    if run.plan.open:
        names_of = " or ".join(dict.fromkeys(units.METRIC_NAMES[row.metric] for row in rows))
        axes.set_xlabel(f"{names_of} of {rivals} ÷ {reference}")
        ends(axes, f"◂ {rivals} answers sooner", f"{reference} answers sooner ▸")
    else:
        axes.set_xlabel(f"throughput of {rivals} ÷ {reference}")
        ends(axes, f"◂ {reference} serves more", f"{rivals} serves more ▸")
    axes.set_title(finding(run, rows), fontsize=11, color=INK, pad=20)
    caption(
        figure,
        f"{rounds_text(rows)}; bars are {1 - run.plan.level:.0%} repeated confidence intervals of the ratio; "
        f"band: ±{run.plan.margin:.0%}, equivalent; hollow: not decided.",
    )
    return figure


def finding(run: Run, rows: Sequence[Verdict]) -> str:
    """The forest's message in words."""
    reference = run.plan.reference.name
    words: list[str] = []
    for rival in run.plan.rivals:
        mine = [row.verdict for row in rows if row.arm == rival.name]
        parts = [
            f"{rival.name} {'answers sooner' if run.plan.open else 'serves more'} in {mine.count('faster')}",
            f"{reference} in {mine.count('slower')}",
            f"equal in {mine.count('equivalent')}",
        ]
        others = len(mine) - sum(mine.count(word) for word in ("faster", "slower", "equivalent"))
        if others:
            parts.append(f"not decided in {others}")
        words.append(", ".join(parts) + f" of {len(mine)}")
    return "\n".join(words)


def levels(run: Run, verdicts: Sequence[Verdict]) -> Figure:
    """How the primary metric, throughput or response time, grows with the load; where only one load was
    measured, how the arms stand beside each other."""
    rows = comparable(verdicts)
    curves: dict[str, list[Verdict]] = {}
    for row in rows:
        curves.setdefault(row.cell.scenario, []).append(row)
    several = {name: found for name, found in curves.items() if len({r.cell.load for r in found}) > 1}
    return level_curves(run, several) if several else level_rows(run, rows)


def comparable(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The primary verdicts; where they rest on different percentiles, the median of every cell instead."""
    primaries = [verdict for verdict in verdicts if verdict.primary]
    if len({verdict.metric for verdict in primaries}) == 1:
        return primaries
    whole = {(verdict.cell, verdict.arm, verdict.endpoint) for verdict in primaries}
    return [v for v in verdicts if v.metric == "p50" and (v.cell, v.arm, v.endpoint) in whole]


def level_curves(run: Run, curves: Mapping[str, Sequence[Verdict]]) -> Figure:
    """Small multiples: the primary metric against the load, one panel per scenario."""
    columns = min(3, len(curves))
    lines = math.ceil(len(curves) / columns)
    figure = Figure(figsize=(2.4 + 3.0 * columns, 1.3 + 2.4 * lines), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False)
    style = looks(run)
    for axes in panels.flat[len(curves) :]:
        axes.set_axis_off()
    for axes, (scenario, rows) in zip(panels.flat, curves.items(), strict=False):
        axes.set_title(scenario, fontsize=9, color=INK)
        placed: list[float] = []
        for name, look in style.items():
            points = sorted(
                (row.cell.load.level, value) for row in rows if (value := row.values.get(name)) is not None
            )
            points = sorted(set(points))
            if not points:
                continue
            users, values = zip(*points, strict=True)
            axes.plot(
                users, values, look.line, marker=look.marker, color=look.colour, linewidth=1.4, markersize=5
            )
            draw_bound(axes, run, rows[0].cell, name, look, users)
            top = max(placed + list(values))
            height = values[-1]
            while any(abs(height - other) < 0.09 * top for other in placed):
                height -= 0.09 * top
            placed.append(height)
            axes.annotate(
                f"{name} {units.value(rows[-1].metric, values[-1])}",
                (users[-1], height),
                xytext=(7, 0),
                va="center",
                textcoords="offset points",
                color=look.text,
                annotation_clip=False,
            )
        steps = sorted({row.cell.load.level for row in rows})
        axes.set_xscale("log")
        axes.set_xticks(steps, [f"{step:g}" for step in steps])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0, 1.1 * max((v for row in rows for v in row.values.values() if v), default=1.0))
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda value, _: plain_duration(value) if run.plan.open else f"{value:,.0f}")
        )
        axes.grid(axis="y", color=BAND, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel("arrivals per second" if run.plan.open else "users")
        axes.set_ylabel(
            " or ".join(dict.fromkeys(units.METRIC_NAMES[row.metric] for row in rows))
            if run.plan.open
            else "requests per second"
        )
    figure.suptitle(growth(run, curves), x=0.01, ha="left", fontsize=11, color=INK)
    every = [row for rows in curves.values() for row in rows]
    caption(figure, f"{rounds_text(every)}; geometric means over rounds.{bound_text(run)}")
    return figure


def draw_bound(axes: Axes, run: Run, cell: Cell, arm: str, look: Look, users: Sequence[float]) -> None:
    """The throughput that the calibration predicts, thin beside the measured curve of a closed loop."""
    if run.plan.open or not run.calibrations:
        return
    levels = sorted({round(level) for level in np.geomspace(min(users), max(users), 40)})
    bounds = [predicted(replace(known(run, cell, arm), users=level)) for level in levels]
    points = [(level, bound.throughput) for level, bound in zip(levels, bounds, strict=True) if bound]
    if points:
        axes.plot(*zip(*points, strict=True), "-", color=look.colour, linewidth=0.6, alpha=0.8, zorder=1)


def bound_text(run: Run) -> str:
    """What the thin lines are, where there are any."""
    return " Thin: the bound predicted before the rounds." if run.calibrations and not run.plan.open else ""


def growth(run: Run, curves: Mapping[str, Sequence[Verdict]]) -> str:
    """The curves' message in words: the largest difference that was found at the highest load."""
    best: Verdict | None = None
    for rows in curves.values():
        highest = max(row.cell.load.level for row in rows)
        for row in (row for row in rows if row.cell.load.level == highest):
            if row.verdict not in ("faster", "slower"):
                continue  # a title states what was found, not what may be
            if row.ratio and (best is None or abs(math.log(row.ratio)) > abs(math.log(best.ratio or 1.0))):
                best = row
    if best is None or best.ratio is None:
        return "Response time against rate" if run.plan.open else "Throughput against users"
    more, factor = (best.arm, best.ratio) if best.ratio > 1 else (run.plan.reference.name, 1 / best.ratio)
    what = "takes {} times as long" if run.plan.open else "serves {} times as much"
    return f"{best.cell.scenario}: {more} {what.format(units.figures(factor))} at {best.cell.load}"


def level_rows(run: Run, rows: Sequence[Verdict]) -> Figure:
    """One line per cell, one mark per arm."""
    cells = list(dict.fromkeys(row.cell for row in rows))
    figure, axes = canvas(1.5 + 0.28 * len(cells))
    style = looks(run)
    for height, cell in enumerate(reversed(cells)):
        values = {name: v for row in rows if row.cell == cell for name, v in row.values.items() if v}
        if values:
            axes.plot(
                [min(values.values()), max(values.values())], [height, height], color="#bbbbbb", zorder=1
            )
        for name, value in values.items():
            axes.plot([value], [height], style[name].marker, color=style[name].colour, zorder=2)
            bound = None if run.plan.open else predicted(known(run, cell, name))
            if bound is not None:
                axes.plot(
                    [bound.throughput], [height], "|", color=style[name].colour, markersize=11, zorder=1
                )
    axes.set_yticks(range(len(cells)), [str(cell) for cell in reversed(cells)])
    axes.tick_params(axis="y", length=0)
    log_axis(axes, plain_duration if run.plan.open else lambda value: f"{value:,.0f}")
    shown = [value for row in rows for value in row.values.values() if value]
    if shown:
        axes.set_xlim(10 ** math.floor(math.log10(min(shown))), 10 ** math.ceil(math.log10(max(shown))))
    what = " or ".join(dict.fromkeys(units.METRIC_NAMES[row.metric] for row in rows))
    axes.set_xlabel(what if run.plan.open else "requests per second")
    axes.set_title(f"{what.capitalize()}: {key(run)}", fontsize=11, color=INK)
    caption(figure, f"{rounds_text(rows)}; geometric means over rounds.{bound_text(run)}")
    return figure


def latency(run: Run, verdicts: Sequence[Verdict]) -> Figure:
    """What users wait for: p50, p95 and p99 of every arm in every cell."""
    firsts = first_endpoints(verdicts)
    cells = list(firsts)
    arms = [arm.name for arm in run.plan.arms]
    figure, axes = canvas(1.6 + 0.2 * len(cells) * max(2, len(arms)))
    style = looks(run)
    step = 0.7 / len(arms)
    for height, cell in enumerate(reversed(cells)):
        for number, name in enumerate(arms):
            level = height + 0.35 - step * (number + 0.5)
            values = [
                value
                for metric in ("p50", "p95", "p99")
                for value in [firsts[cell].get((name, metric))]
                if value is not None
            ]
            if not values:
                continue
            look = style[name]
            axes.plot(values, [level] * len(values), look.line, color=look.colour, linewidth=1.2, zorder=1)
            for place, value in enumerate(values):
                axes.plot(
                    [value],
                    [level],
                    look.marker,
                    color=look.colour,
                    markersize=5,
                    zorder=2,
                    markerfacecolor=look.colour if place == 0 else "white",
                )
    axes.set_yticks(range(len(cells)), [str(cell) for cell in reversed(cells)])
    axes.set_ylim(-0.6, len(cells) - 0.4)
    axes.tick_params(axis="y", length=0)
    log_axis(axes, plain_duration)
    axes.set_xlabel("response time, from when a request was due" if run.plan.open else "service time")
    axes.set_title(f"What a request takes: {key(run)}", fontsize=11, color=INK)
    caption(
        figure,
        "From left to right p50 (filled), p95 and p99; left out where fewer than ten samples lie "
        "beyond it. Geometric means over rounds.",
    )
    return figure


Latencies = dict[tuple[str, str], float | None]


def first_endpoints(verdicts: Sequence[Verdict]) -> dict[object, Latencies]:
    """Per cell the latencies of its endpoint, or of all endpoints of a mix together."""
    chosen = {v.cell: v.endpoint for v in reversed(verdicts) if v.primary}
    found: dict[object, Latencies] = {}
    for verdict in verdicts:
        if verdict.endpoint == chosen.get(verdict.cell):
            cell = found.setdefault(verdict.cell, {})
            cell.update({(name, verdict.metric): value for name, value in verdict.values.items()})
    return found


def canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8.4, height), layout="constrained")
    return figure, figure.add_subplot()


def key(run: Run) -> str:
    """The arms and their marks, for titles of charts without room for labels."""
    signs = dict(zip("o^sDvP", "●▲■◆▼✚", strict=True))
    return "  ".join(f"{signs[look.marker]} {name}" for name, look in looks(run).items())


def caption(figure: Figure, text: str) -> None:
    figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color=FAINT, wrap=True)


def ends(axes: Axes, left: str, right: str) -> None:
    """What lies to either side, above the plot."""
    for x, text, side in ((0.0, left, "left"), (1.0, right, "right")):
        axes.annotate(
            text,
            (x, 1.0),
            xycoords="axes fraction",
            xytext=(0, 5),
            textcoords="offset points",
            ha=side,
            color=FAINT,
            fontsize=8,
        )


def ratio_axis(axes: Axes, low: float, high: float) -> None:
    """A log2 axis of ratios with readable ticks."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    ticks = [t for t in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 2 / 3, 1, 1.5, 2, 4, 8, 16) if low <= t <= high]
    axes.set_xticks(ticks, [f"×{t:.3g}" if t >= 1 else f"×{t:.2g}" for t in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def log_axis(axes: Axes, label: Callable[[float], str]) -> None:
    """A log10 axis with ticks at 1, 2 and 5."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color=BAND)
    axes.set_axisbelow(True)


def plain_duration(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"


def rounds_text(rows: Sequence[Verdict]) -> str:
    counts = [row.n for row in rows]
    if not counts:
        return "no rounds"
    low, high = min(counts), max(counts)
    return f"n = {low} rounds" if low == high else f"n = {low} to {high} rounds"
