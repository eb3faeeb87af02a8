"""How the primary metric, throughput or response time, grows with the load; where every scenario has only one
load, how the arms compare."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from loadtests.records import Cell, Metric, Run
from reports.advice.portraits import Portrait
from reports.analysis.bounds import known, predicted
from reports.analysis.catalogue import DATABASE
from reports.analysis.estimates import own_interval
from reports.analysis.rounds.consistency import own_ends
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions
from reports.render.charts.style import (
    Chart,
    Look,
    Palette,
    around,
    grid,
    key,
    label_ends,
    log_axis,
    looks,
    plain_duration,
    plain_number,
    rounds_text,
    sheet,
)
from reports.wording import units
from reports.wording.bottlenecks import headline_text


@dataclass(frozen=True)
class Point:
    """One arm in one cell: its mean with its own interval, and what every attempt showed."""

    cell: Cell
    arm: str
    value: float | None
    low: float | None
    high: float | None
    counted: tuple[float, ...]
    invalid: tuple[float, ...]
    bound: float | None
    """Throughput predicted before the rounds."""

    @property
    def bar(self) -> tuple[float, float] | None:
        """What is drawn of its interval: up to the mean, on a side that is not known."""
        if not self.value or (self.low is None and self.high is None):
            return None
        return self.low or self.value, self.high or self.value


def chart(conclusions: Conclusions) -> Chart | None:
    """A panel per scenario where one of them has several loads, or else a row per cell."""
    run = conclusions.run
    rows: Sequence[Verdict | Portrait] = conclusions.portraits or comparable(conclusions)
    if not rows:
        return None
    points = [one for row in rows for one in points_of(conclusions, row)]
    points = list({(one.cell, one.arm): one for one in points}.values())
    curves: dict[str, list[Point]] = {}
    for one in points:
        curves.setdefault(one.cell.scenario, []).append(one)
    several = any(len({one.cell.load for one in found}) > 1 for found in curves.values())
    metric = rows[0].metric
    counts = [row.n for row in rows]
    if several:
        marks = {name: limits(conclusions, found) for name, found in curves.items()}
        flips = {card.scenario: card.crossover for card in conclusions.cards if card.crossover}
        finding = message(conclusions, rows)
        drawing = partial(draw_curves, run, metric, curves, marks, flips, finding, rounds_text(counts))
        reading = (
            f"One panel per scenario: load on the x axis, {y_axis(metric)} on the y axis. Bands are each "
            "arm's own interval, small dots its rounds, thin lines the bound predicted before the rounds; "
            "vertical hairlines mark where threads or database connections run out."
        )
    else:
        drawing = partial(draw_rows, run, metric, points, counts)
        finding = f"{units.METRIC_NAMES[metric].capitalize()}: {key(run)}"
        reading = (
            "One row per cell. The mark is an arm's mean with its own interval; small dots are its rounds, "
            "hollow if they do not count; the vertical tick is the bound predicted before the rounds."
        )
    return Chart(
        stem="throughput" if metric == "throughput" else "response",
        finding=finding,
        reading=reading + one_sided(points),
        head=("cell", "arm", units.METRIC_SHORT[metric], "interval", "predicted", "rounds"),
        rows=tuple(
            (
                str(one.cell), one.arm, units.value(metric, one.value),
                between(metric, one), units.rate(one.bound), str(len(one.counted)),
            )
            for one in points
        ),
        draw=drawing,
    )  # fmt: skip


def one_sided(points: Sequence[Point]) -> str:
    """What is drawn of an arm that the load generator held back; "" without any."""
    half = any((one.low is None) != (one.high is None) for one in points)
    return " An interval that is known from one side only ends at the mean." if half else ""


def between(metric: Metric, one: Point) -> str:
    """A point's interval."""
    if one.low is None or one.high is None:
        return units.ends(metric, one.low, one.high)
    return f"{units.value(metric, one.low)} to {units.value(metric, one.high)}"


def comparable(conclusions: Conclusions) -> list[Verdict]:
    """The primary verdicts; where they rest on different percentiles, the median of every cell instead."""
    if len({verdict.metric for verdict in conclusions.primaries}) <= 1:
        return list(conclusions.primaries)
    return [verdict for verdict in conclusions.whole if verdict.metric == "p50"]


def points_of(conclusions: Conclusions, row: Verdict | Portrait) -> list[Point]:
    """The values of the reference and of the arm in a verdict, or of an only arm."""
    run = conclusions.run
    found = []
    for arm, mean in row.values.items():
        counted: list[float] = []
        invalid: list[float] = []
        for trial in run.of(row.cell, arm):
            value = conclusions.readings.whole(trial).value(row.metric)
            if value is not None and value > 0.0:
                (counted if trial.valid else invalid).append(value)
        interval = own_interval(run, conclusions.readings, row.cell, arm, row.metric)
        low, high = own_ends(run, row.cell, arm, row.metric, interval) if interval and mean else (None, None)
        bound = predicted(known(run, row.cell, arm)) if row.metric == "throughput" else None
        predicted_rate = bound.throughput if bound else None
        found.append(Point(row.cell, arm, mean, low, high, tuple(counted), tuple(invalid), predicted_rate))
    return found


def limits(conclusions: Conclusions, points: Sequence[Point]) -> dict[float, str]:
    """Where threads and database connections run out: users → what runs out there."""
    run = conclusions.run
    found: dict[float, list[str]] = {}
    for one in points if not run.plan.open else ():
        serving = next(arm.serving for arm in run.plan.arms if arm.name == one.arm)
        alone = run.calibration(one.arm, one.cell.scenario, 1)
        threads = run.threads(one.arm) * serving.workers
        if alone and (alone.hops or 0.0) >= 0.5 and math.isfinite(threads):
            found.setdefault(threads, []).append("threads")
        signs, _ = conclusions.explanations.of(one.cell, one.arm)
        if signs and signs.pool and DATABASE.match(one.cell.scenario):
            found.setdefault(signs.pool * serving.workers, []).append("connections")
    return {at: f"{at:g} {', '.join(dict.fromkeys(what))}" for at, what in found.items()}


def message(conclusions: Conclusions, rows: Sequence[Verdict | Portrait]) -> str:
    """The title: the largest difference that was found at a highest load, and what limits the
    slower arm; of an only arm what limits it at the highest load of all."""
    run = conclusions.run
    if conclusions.portraits:
        top = max(rows, key=lambda row: row.cell.load.level)
        stop = stops(conclusions, top.cell, run.plan.reference.name)
        return stop or title(rows[0].metric, run)
    highest = {row.cell.scenario: 0.0 for row in rows}
    for row in rows:
        highest[row.cell.scenario] = max(highest[row.cell.scenario], row.cell.load.level)
    # A title states what was found, not what may be.
    found = [
        row
        for row in rows
        if isinstance(row, Verdict) and row.verdict in ("faster", "slower") and row.ratio
        if row.cell.load.level == highest[row.cell.scenario]
    ]
    if not found:
        return title(rows[0].metric, run)
    best = max(found, key=lambda row: abs(math.log(row.ratio or 1.0)))
    ratio = best.ratio or 1.0
    more, less = (best.arm, best.reference) if ratio > 1 else (best.reference, best.arm)
    timed = best.metric != "throughput"
    behind = more if timed else less
    what = "takes {} times as long" if timed else "serves {} times as much"
    factor = units.figures(max(ratio, 1 / ratio))
    text = f"{best.cell.scenario}: {more} {what.format(factor)} at {best.cell.load}"
    stop = stops(conclusions, best.cell, behind)
    return f"{text}; {stop}" if stop else text


def title(metric: Metric, run: Run) -> str:
    """Where nothing was found."""
    what = "Throughput" if metric == "throughput" else "Response time"
    return f"{what} against {'rate' if run.plan.open else 'users'}"


def stops(conclusions: Conclusions, cell: Cell, arm: str) -> str:
    """What limits an arm, in a few words; "" if no bottleneck was identified, or it is the users."""
    signs, found = conclusions.explanations.of(cell, arm)
    serving = next(one.serving for one in conclusions.run.plan.arms if one.name == arm)
    if not found:
        return ""
    pool = (signs.pool or 0.0) * serving.workers if signs else 0.0
    return headline_text(found[0], arm, conclusions.run.threads(arm) * serving.workers, pool)


def draw_curves(
    run: Run,
    metric: Metric,
    curves: Mapping[str, Sequence[Point]],
    marks: Mapping[str, Mapping[float, str]],
    flips: Mapping[str, tuple[float, float]],
    finding: str,
    about: str,
    palette: Palette,
) -> Figure:
    """Small multiples, one panel per scenario."""
    labels = [f"{one.arm} {units.value(metric, one.value)}" for found in curves.values() for one in found]
    timed = metric != "throughput"
    what = units.METRIC_NAMES[metric] if timed else "requests per second"
    about = (
        f"y axis: {what}. {about}; lines join geometric means over rounds, bands are "
        f"{units.exact_percent(1 - run.plan.alpha)} repeated confidence intervals, dots the rounds, hollow "
        f"if they do not count.{bound_text(run, metric)}"
    )
    figure, panels = grid(list(curves), labels, finding, about, palette)
    style = looks(run)
    for axes, (scenario, points) in zip(panels, curves.items(), strict=True):
        steps = sorted({one.cell.load.level for one in points})
        seen = [v for p in points for v in (p.value, p.high, *p.counted, *p.invalid) if v]
        axes.set_xscale("log")
        axes.set_xlim(steps[0] / 1.25, steps[-1] * 1.25)
        axes.set_xticks(*thinned(steps))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0, 1.1 * max(seen, default=1.0))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        label = plain_duration if timed else plain_number
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _, label=label: label(value)))
        axes.grid(axis="y", color=palette.band, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.set_xlabel("arrivals per second" if run.plan.open else "users", labelpad=1)
        ends = []
        for place, (name, look) in enumerate(style.items()):
            mine = sorted(
                (one for one in points if one.arm == name and one.value), key=lambda p: p.cell.load.level
            )
            if len(steps) == 1 and mine:
                # Beside one another: there is no line to tell them apart.
                pillar(axes, mine[0], mine[0].cell.load.level * 1.04**place, look, palette)
            elif mine:
                curve(axes, mine, look, palette)
            if mine:
                if not timed:
                    draw_bound(axes, run, mine, look)
                end = f"{name} {units.value(metric, mine[-1].value)}"
                ends.append((mine[-1].value or 0.0, end, look.text(palette)))
        label_ends(axes, ends)
        hairlines(axes, marks.get(scenario, {}), steps, palette)
        if scenario in flips:
            axes.axvspan(*flips[scenario], color=palette.band, zorder=0)
            axes.annotate(
                "order flips", (math.sqrt(math.prod(flips[scenario])), 0.02),
                xycoords=("data", "axes fraction"), ha="center", fontsize=6.5, color=palette.faint,
            )  # fmt: skip
    return figure


def thinned(steps: Sequence[float]) -> tuple[list[float], list[str]]:
    """Ticks at the loads measured, leaving out names that would touch: a factor of 1.7 is near."""
    names: list[str] = []
    last = 0.0
    for step in steps:
        near = step < 1.7 * last * (1.3 if step >= 100 else 1.0)
        names.append("" if near else f"{step:g}")
        last = last if near else step
    return list(steps), names


def curve(axes: Axes, points: Sequence[Point], look: Look, palette: Palette) -> None:
    """One arm's line with its band and its rounds."""
    users = [one.cell.load.level for one in points]
    values = [one.value or 0.0 for one in points]
    bars = [one.bar for one in points if one.bar is not None]
    if len(bars) == len(points):
        low, high = zip(*bars, strict=True)
        axes.fill_between(users, low, high, color=look.colour, alpha=0.16, linewidth=0, zorder=1)
    axes.plot(
        users, values, look.line, marker=look.marker, color=look.colour, linewidth=1.4, markersize=4.5,
        zorder=4,
    )  # fmt: skip
    rounds(axes, [(one.cell.load.level, v) for one in points for v in one.counted], look, look.colour)
    rounds(axes, [(one.cell.load.level, v) for one in points for v in one.invalid], look, palette.paper)


def pillar(axes: Axes, point: Point, at: float, look: Look, palette: Palette) -> None:
    """One arm at its only load, with its interval and its rounds."""
    if point.bar is not None:
        axes.vlines([at], *point.bar, color=look.colour, linewidth=1.4, zorder=2)
    marks(axes, [(at, point.value or 0.0)], look, look.marker, 4.5)
    rounds(axes, [(at, value) for value in point.counted], look, look.colour)
    rounds(axes, [(at, value) for value in point.invalid], look, palette.paper)


def rounds(axes: Axes, places: Sequence[tuple[float, float]], look: Look, face: str) -> None:
    """A small dot per trial, hollow where it does not count."""
    if places:
        x, y = zip(*places, strict=True)
        axes.plot(
            x, y, "o", color=look.colour, markersize=2.2, alpha=0.55, markerfacecolor=face,
            markeredgewidth=0.5, zorder=3,
        )  # fmt: skip


def marks(axes: Axes, places: Sequence[tuple[float, float]], look: Look, marker: str, size: float) -> None:
    """A mark at every place."""
    if places:
        x, y = zip(*places, strict=True)
        axes.plot(x, y, marker, color=look.colour, markersize=size, zorder=4)


def draw_bound(axes: Axes, run: Run, points: Sequence[Point], look: Look) -> None:
    """The throughput that the calibration predicts, thin beside the measured curve of a closed loop."""
    users = [one.cell.load.level for one in points]
    levels = sorted({round(level) for level in np.geomspace(min(users), max(users), 40)})
    before = known(run, points[0].cell, points[0].arm)
    bounds = [predicted(replace(before, users=level)) for level in levels]
    found = [(level, bound.throughput) for level, bound in zip(levels, bounds, strict=True) if bound]
    if found:
        axes.plot(*zip(*found, strict=True), "-", color=look.colour, linewidth=0.6, alpha=0.8, zorder=2)


def hairlines(axes: Axes, marks: Mapping[float, str], steps: Sequence[float], palette: Palette) -> None:
    """Where something runs out, named above the panel; names that would touch are joined."""
    inside = {at: what for at, what in sorted(marks.items()) if steps[0] < at < steps[-1]}
    for at in inside:
        axes.axvline(at, color=palette.rule, linewidth=0.5, zorder=1)
    if inside:
        axes.annotate(
            " · ".join(inside.values()), (math.sqrt(min(inside) * max(inside)), 1.0),
            xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points", ha="center",
            fontsize=6.5, color=palette.faint,
        )  # fmt: skip


def y_axis(metric: Metric) -> str:
    """What the y axis shows."""
    return "requests served" if metric == "throughput" else units.METRIC_NAMES[metric]


def bound_text(run: Run, metric: Metric) -> str:
    """What the thin lines are, where there are any."""
    return (
        " Thin lines: the bound predicted before the rounds."
        if run.calibrations and metric == "throughput"
        else ""
    )


def draw_rows(
    run: Run, metric: Metric, points: Sequence[Point], counts: Sequence[int], palette: Palette
) -> Figure:
    """One row per cell, one mark per arm."""
    cells = list(dict.fromkeys(one.cell for one in points))
    style = looks(run)
    stroke = " Vertical tick: the bound predicted before the rounds." if bound_text(run, metric) else ""
    about = (
        f"{rounds_text(counts)}; geometric means over rounds with {units.exact_percent(1 - run.plan.alpha)} "
        f"repeated confidence intervals; dots are the rounds, hollow if they do not count.{stroke}"
    )
    names, finding = [str(cell) for cell in cells], f"{units.METRIC_NAMES[metric].capitalize()}: {key(run)}"
    figure, (axes,) = sheet(names, [], finding, about, palette, row=0.16 + 0.1 * len(style))
    step = 0.6 / len(style)
    # One artist per arm and kind: matplotlib's time grows with their number.
    for number, (name, look) in enumerate(style.items()):
        mine = [one for one in points if one.arm == name]
        heights = [len(cells) - 1 - cells.index(one.cell) + 0.3 - step * (number + 0.5) for one in mine]
        both = list(zip(mine, heights, strict=True))
        bars = [(*one.bar, height) for one, height in both if one.bar]
        if bars:
            low, high, height = zip(*bars, strict=True)
            axes.hlines(height, low, high, color=look.colour, linewidth=1.4, zorder=2)
        marks(axes, [(one.value, at) for one, at in both if one.value], look, look.marker, 5)
        marks(axes, [(one.bound, at) for one, at in both if one.bound], look, "|", 8)
        rounds(axes, [(value, at) for one, at in both for value in one.counted], look, look.colour)
        rounds(axes, [(value, at) for one, at in both for value in one.invalid], look, palette.paper)
    shown = [v for p in points for v in (p.value, *p.counted, *p.invalid, p.bound) if v]
    if shown:
        axes.set_xlim(*around(shown))
    timed = metric != "throughput"
    log_axis(axes, "x", plain_duration if timed else plain_number, palette)
    axes.set_xlabel(units.METRIC_NAMES[metric] if timed else "requests per second")
    return figure
