"""How long the slowest requests take: percentiles on an axis of nines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from matplotlib.figure import Figure

from loadtests.records import Cell, Run
from reports.analysis.distributions import Tail, highest_loads, tail
from reports.conclusions import Conclusions
from reports.render.charts.style import (
    Chart,
    Palette,
    around,
    grid,
    label_ends,
    log_axis,
    looks,
    plain_duration,
)
from reports.wording import units

TICKS = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)

Tails = Mapping[Cell, Mapping[str, Tail]]


def chart(conclusions: Conclusions) -> Chart | None:
    """The tails at the highest load of every scenario; None without enough requests."""
    run = conclusions.run
    found: dict[Cell, dict[str, Tail]] = {}
    for cell in highest_loads(run):
        for arm in run.plan.arms:
            one = tail(run, conclusions.readings, cell, arm.name)
            if one is not None:
                found.setdefault(cell, {})[arm.name] = one
    if not found:
        return None
    finding = message(conclusions, found)
    return Chart(
        stem="tails",
        finding=finding,
        reading=(
            "One panel per scenario, at its highest load: percentiles on the x axis, spaced by nines; "
            "latency on the y axis. Two lines may start together and part at the far end: that is how long "
            "the slowest request in a hundred, or in a thousand, takes. Failed requests are infinitely slow: "
            "a line ends before them."
        ),
        head=("cell", "arm", "requests", *(part_name(part) for part in TICKS[:4])),
        rows=tuple(
            (
                str(cell), arm, f"{one.n:,}",
                *(units.duration(at(one, part)) for part in TICKS[:4]),
            )
            for cell, arms in found.items()
            for arm, one in arms.items()
        ),
        draw=partial(draw, run, found, finding),
    )  # fmt: skip


def at(one: Tail, part: float) -> float | None:
    """The curve's height at a percentile; None if it ends before."""
    beyond = [seconds for p, seconds in zip(one.parts, one.seconds, strict=True) if p >= part - 1e-9]
    return beyond[0] if beyond else None


def part_name(part: float) -> str:
    return f"{part * 100:g}%"


def message(conclusions: Conclusions, found: Tails) -> str:
    """The largest difference in the tail whose interval excludes 1."""
    apart = [
        row
        for row in conclusions.whole
        if row.cell in found and row.metric in ("p99", "p95") and row.verdict in ("faster", "slower")
        if row.ratio
    ]
    if not apart:
        return "Latency of the slowest requests"
    best = max(apart, key=lambda row: (row.metric == "p99", abs(math.log(row.ratio or 1.0))))
    ratio = best.ratio or 1.0
    longer, shorter = (best.arm, best.reference) if ratio > 1 else (best.reference, best.arm)
    part = "1%" if best.metric == "p99" else "5%"
    return (
        f"{best.cell.scenario}: the slowest {part} of requests take {units.figures(max(ratio, 1 / ratio))} "
        f"times as long with {longer} as with {shorter}"
    )


def draw(run: Run, found: Tails, finding: str, palette: Palette) -> Figure:
    """Small multiples, one panel per scenario."""
    style = looks(run)
    counts = [one.n for arms in found.values() for one in arms.values()]
    about = (
        f"y axis: latency, all rounds together, {min(counts):,} to {max(counts):,} requests per line; a line "
        "ends where fewer than ten requests are beyond it, or those beyond it failed."
    )
    figure, panels = grid([str(cell) for cell in found], list(style), finding, about, palette)
    for axes, arms in zip(panels, found.values(), strict=True):
        ends = []
        for name, one in arms.items():
            look = style[name]
            nines = [-math.log10(1.0 - part) for part in one.parts]
            axes.plot(nines, one.seconds, look.line, color=look.colour, linewidth=1.4)
            axes.plot([nines[-1]], [one.seconds[-1]], look.marker, color=look.colour, markersize=4.5)
            ends.append((one.seconds[-1], name, look.text(palette)))
        farthest = max(-math.log10(1.0 - one.parts[-1]) for one in arms.values())
        axes.set_xlim(0.25, max(1.1, farthest * 1.04))
        ticks = [part for part in TICKS if -math.log10(1.0 - part) <= farthest]
        axes.set_xticks([-math.log10(1.0 - part) for part in ticks], [f"{100 * part:g}" for part in ticks])
        axes.set_xlabel("% of the requests", labelpad=1)
        axes.set_ylim(*around([second for one in arms.values() for second in one.seconds]))
        log_axis(axes, "y", plain_duration, palette)
        label_ends(axes, ends)
    return figure
