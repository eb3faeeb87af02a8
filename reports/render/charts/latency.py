"""How long users wait: p95 against throughput where a scenario has several loads, else p50, p95 and p99 of
every arm in every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from loadtests.records import Cell, Metric, Plan, Run
from reports.analysis.thresholds import limits
from reports.conclusions import Conclusions
from reports.render.charts.style import (
    Chart,
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

PERCENTILES: tuple[Metric, ...] = ("p50", "p95", "p99")
Latencies = Mapping[tuple[str, str], float | None]
"""By arm and metric."""


def chart(conclusions: Conclusions) -> Chart | None:
    run = conclusions.run
    firsts: dict[Cell, dict[tuple[str, str], float | None]] = {}
    for one in conclusions.whole:
        known = firsts.setdefault(one.cell, {})
        known.update({(name, one.metric): value for name, value in one.values.items()})
    for portrait in conclusions.portraits:
        figures = portrait.whole.figures.items()
        firsts[portrait.cell] = {(portrait.arm, metric): known.value for metric, known in figures}
    if not firsts:
        return None
    curves: dict[str, list[Cell]] = {}
    for cell in firsts:
        curves.setdefault(cell.scenario, []).append(cell)
    counts = [row.n for row in conclusions.primaries or conclusions.portraits]
    what = "response time, measured from when a request was due" if run.plan.open else "service time"
    finding = message(conclusions)
    if any(len(cells) > 1 for cells in curves.values()):
        drawing = partial(draw_curves, run, firsts, curves, finding, rounds_text(counts))
        reading = (
            "One panel per scenario: requests served on the x axis, p95 latency on the y axis. Follow a line "
            "as the load grows: while it runs to the right there is capacity left; where it turns upwards, "
            "more users only wait longer."
        )
    else:
        drawing = partial(draw_rows, run, firsts, finding, what)
        reading = (
            "One row per cell. From left to right: the median (filled), p95 and p99, the times within which "
            "95% and 99% of the requests complete."
        )
    return Chart(
        stem="latency",
        finding=finding,
        reading=reading,
        head=("cell", "arm", *PERCENTILES),
        rows=tuple(
            (str(cell), arm.name, *(units.duration(found.get((arm.name, metric))) for metric in PERCENTILES))
            for cell, found in firsts.items()
            for arm in run.plan.arms
        ),
        draw=drawing,
    )


def message(conclusions: Conclusions) -> str:
    """In how many cells each arm's p95 is lower, by an interval that excludes 1."""
    run = conclusions.run
    words = []
    for rival in run.plan.rivals:
        reference = run.plan.opponent(rival.name).name
        mine = [one.verdict for one in conclusions.whole if (one.metric, one.arm) == ("p95", rival.name)]
        if not {"faster", "slower"} & set(mine):
            continue
        words.append(
            f"p95 is lower with {rival.name} in {mine.count('faster')}, with {reference} in "
            f"{mine.count('slower')} of {len(mine)}"
        )
    return "\n".join(words) or f"Response times: {key(run)}"


def draw_curves(
    run: Run,
    firsts: Mapping[Cell, Latencies],
    curves: Mapping[str, Sequence[Cell]],
    finding: str,
    about: str,
    palette: Palette,
) -> Figure:
    """Small multiples: points joined in the order of the loads."""
    style = looks(run)
    unit = "arrivals per second" if run.plan.open else "users"
    steps = sorted({cell.load.level for cells in curves.values() for cell in cells})
    about = (
        f"y axis: p95 latency. {about}; geometric means over rounds, joined in the order of "
        f"the loads, {steps[0]:g} to {steps[-1]:g} {unit}; omitted with fewer than ten samples "
        "beyond the percentile."
    )
    figure, panels = grid(list(curves), list(style), finding, about, palette)
    for axes, cells in zip(panels, curves.values(), strict=True):
        ends: list[tuple[float, str, str]] = []
        seen: list[float] = []
        most = 0.0
        for name, look in style.items():
            places = [
                (served, late)
                for cell in sorted(cells, key=lambda cell: cell.load.level)
                if (served := firsts[cell].get((name, "throughput"))) is not None
                and (late := firsts[cell].get((name, "p95"))) is not None
            ]
            if not places:
                continue
            x, y = zip(*places, strict=True)
            axes.plot(
                x, y, look.line, marker=look.marker, color=look.colour, linewidth=1.2, markersize=4.5,
                zorder=3,
            )  # fmt: skip
            seen += y
            most = max(most, *x)
            ends.append((y[-1], name, look.text(palette)))
        axes.set_xlim(0, 1.08 * most if most else 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
        allowed = limit_labels(run.plan, cells)
        if seen:
            axes.set_ylim(*around([*seen, *allowed]))
        for limit, label in allowed.items():
            axes.axhline(limit, color=palette.faint, linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
            axes.annotate(
                label, (0.0, limit), xycoords=("axes fraction", "data"), xytext=(2, 2),
                textcoords="offset points", fontsize=6.5, color=palette.faint,
            )  # fmt: skip
        log_axis(axes, "y", plain_duration, palette)
        axes.set_xlabel("requests per second", labelpad=1)
        label_ends(axes, ends)
    return figure


def limit_labels(plan: Plan, cells: Sequence[Cell]) -> dict[float, str]:
    """The limits of a panel in seconds, each with what it applies to where that is not all of the panel:
    `threshold, async, 8 users`."""
    found: dict[float, dict[Cell, set[str]]] = {}
    for cell in cells:
        for limit, judged in limits(plan, cell).items():
            found.setdefault(limit, {})[cell] = judged
    labels = {}
    for limit, by_cell in found.items():
        arms = [arm.name for arm in plan.arms if any(arm.name in judged for judged in by_cell.values())]
        parts = [" and ".join(arms)] if len(arms) < len(plan.arms) else []
        parts += [" and ".join(str(cell.load) for cell in by_cell)] if len(by_cell) < len(cells) else []
        labels[limit] = ", ".join(["threshold", *parts])
    return labels


def draw_rows(
    run: Run, firsts: Mapping[Cell, Latencies], finding: str, what: str, palette: Palette
) -> Figure:
    """One row per cell, one line per arm."""
    cells = list(firsts)
    style = looks(run)
    heads = finding if key(run) in finding else f"{finding}\n{key(run)}"
    about = (
        "Left to right: p50 (filled), p95, p99; omitted where a window has fewer than ten samples beyond "
        "it. Geometric means over rounds."
    )
    names = [str(cell) for cell in cells]
    figure, (axes,) = sheet(names, [], heads, about, palette, row=0.14 + 0.12 * len(style))
    step = 0.7 / len(style)
    # One artist per arm and kind: matplotlib's time grows with their number.
    for number, (name, look) in enumerate(style.items()):
        spans: list[tuple[float, float, float]] = []
        filled: list[tuple[float, float]] = []
        hollow: list[tuple[float, float]] = []
        for height, cell in enumerate(reversed(cells)):
            line = height + 0.35 - step * (number + 0.5)
            values = [v for metric in PERCENTILES if (v := firsts[cell].get((name, metric))) is not None]
            if values:
                spans.append((line, values[0], values[-1]))
                filled.append((values[0], line))
                hollow += [(value, line) for value in values[1:]]
        if spans:
            heights, low, high = zip(*spans, strict=True)
            axes.hlines(
                heights, low, high, linestyles=look.line, color=look.colour, linewidth=1.2, zorder=1
            )  # fmt: skip
        for places, face in ((filled, look.colour), (hollow, palette.paper)):
            if places:
                x, y = zip(*places, strict=True)
                axes.plot(
                    x, y, look.marker, color=look.colour, markersize=5, zorder=2, markerfacecolor=face
                )  # fmt: skip
    for height, cell in enumerate(reversed(cells)):
        for limit, judged in limits(run.plan, cell).items():
            # Beside the lines of the arms that it applies to.
            tops = [height + 0.35 - step * number for number, name in enumerate(style) if name in judged]
            axes.vlines(
                [limit] * len(tops), [top - step for top in tops], tops, color=palette.faint, linewidth=0.8,
                linestyle="--",
            )  # fmt: skip
    seen = [
        value for found in firsts.values() for (_, m), value in found.items() if m in PERCENTILES and value
    ]
    allowed = [limit for cell in cells for limit in limits(run.plan, cell)]
    if seen:
        axes.set_xlim(*around([*seen, *allowed]))
    log_axis(axes, "x", plain_duration, palette)
    axes.set_xlabel(what)
    return figure
