"""When requests were slow: every request of a typical round by when it was due and how long it took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from loadtests.records import Cell, Run
from reports.analysis.distributions import Heat, heat, highest_loads, typical_round
from reports.conclusions import Conclusions
from reports.render.charts.style import (
    OVER,
    ROW_SIZE,
    WIDTH,
    Chart,
    Palette,
    looks,
    plain_duration,
    sheet,
    shortened,
    width,
)
from reports.wording import units

TIMES, LATENCIES = 60, 24
ROW = 0.8
"""Fraction of a row's height that its map takes; the rest separates rows."""
SCALE = ("– 100 µs",)
"""The widest mark of the scale."""
ENDS = (("start", "end of window"), ("0", "end"))
"""The ends of a map's time, the first pair that fits below it."""

Maps = Mapping[Cell, Mapping[str, Heat]]


def chart(conclusions: Conclusions) -> Chart | None:
    """A map per arm at the highest load of every scenario; None where no round counts for all arms."""
    run, readings = conclusions.run, conclusions.readings
    trials = {cell: typical_round(run, readings, cell) for cell in highest_loads(run)}
    trials = {cell: found for cell, found in trials.items() if found}
    seen = [
        (float(took.min()), float(took.max()))
        for found in trials.values()
        for trial in found.values()
        if len(took := readings.latencies(trial).took)
    ]
    if not seen:
        return None
    low, high = min(low for low, _ in seen), max(high for _, high in seen)
    high = max(high, 1.6 * low)
    edges = np.geomspace(low, high, LATENCIES + 1)
    found = {
        cell: {arm: heat(readings, trial, edges, TIMES) for arm, trial in arms.items()}
        for cell, arms in trials.items()
    }
    finding = message(found, edges)
    return Chart(
        stem="heat",
        finding=finding,
        reading=(
            "One row per scenario, at its highest load, one column per arm. In each map, time runs from left "
            "to right through the window, and latency upwards on one scale for all maps. Darker cells hold "
            "more of the requests; failed ones are in none. A gap is a stall; two bands are two kinds of "
            "request. A dotted line is where the other arm had its turn: both sides of it are slices of "
            "their own."
        ),
        head=("cell", "arm", "requests", "p10", "p50", "p90"),
        rows=tuple(
            (
                str(cell), arm, f"{one.n:,}",
                *(units.duration(reached(one, edges, part)) for part in (0.1, 0.5, 0.9)),
            )
            for cell, arms in found.items()
            for arm, one in arms.items()
        ),
        draw=partial(draw, run, found, (low, high), finding),
    )  # fmt: skip


def reached(one: Heat, edges: NDArray[np.float64], part: float) -> float | None:
    """The upper edge of the bin that contains a given fraction of the requests; None where too many of them
    failed."""
    sums = np.cumsum(one.parts.sum(axis=1))
    found = 1 + int(np.searchsorted(sums, part - 1e-9))
    return float(edges[found]) if one.n and found < len(edges) else None


def message(found: Maps, edges: NDArray[np.float64]) -> str:
    """The map with the widest spread of latencies."""
    spreads = {
        (cell, arm): far / near
        for cell, arms in found.items()
        for arm, one in arms.items()
        if (far := reached(one, edges, 0.9)) and (near := reached(one, edges, 0.1))
    }
    if not spreads:
        return "Latency over time"
    (cell, arm), factor = max(spreads.items(), key=lambda item: item[1])
    if factor < 1.5:
        return "Latencies vary little within each cell"
    return f"Widest spread: {cell} with {arm}, p10 to p90 span a factor of {units.figures(factor)}"


def draw(run: Run, found: Maps, span: tuple[float, float], finding: str, palette: Palette) -> Figure:
    """One column per arm, one row per cell, one scale."""
    style = looks(run)
    darkest = max(float(one.parts.max()) for arms in found.values() for one in arms.values())
    about = (
        "The round in which the arms were closest to their medians. The y axis of each map runs from "
        f"{plain_duration(span[0])} to {plain_duration(span[1])}, logarithmic; darkest: "
        f"{100 * darkest:.2g}% of a window's requests."
    )
    names = [str(cell) for cell in found]
    figure, columns = sheet(names, SCALE, finding, about, palette, row=0.62, columns=len(style), over=OVER)
    room = columns[0].get_position().width * WIDTH
    ends = next((texts for texts in ENDS if width(" ".join(texts), ROW_SIZE) <= room), ENDS[-1])
    for axes, (name, look) in zip(columns, style.items(), strict=True):
        for height in range(len(found)):
            place = (0.0, height - ROW / 2)
            axes.add_patch(
                Rectangle(place, 1.0, ROW, facecolor=palette.band, alpha=0.5, linewidth=0, zorder=1)
            )
        maps = [arms.get(name) for arms in found.values()]
        show(axes, maps, look.colour, darkest)
        separate(axes, maps, palette)
        axes.set_xlim(0.0, 1.0)
        axes.set_xticks([0.0, 1.0], ends)
        axes.get_xticklabels()[0].set_horizontalalignment("left")
        axes.get_xticklabels()[1].set_horizontalalignment("right")
        title = shortened(f"{look.sign} {name}", ROW_SIZE, room)
        axes.set_title(title, fontsize=ROW_SIZE, color=look.text(palette))
        axes.spines["bottom"].set_visible(False)
    scale(columns[-1], len(found), span, palette)
    return figure


def show(axes: Axes, maps: Sequence[Heat | None], colour: str, darkest: float) -> None:
    """Maps below one another as one picture whose opacity is the density, so that it fits either scheme."""
    gap = round(LATENCIES * (1.0 - ROW) / ROW / 2)
    picture = np.zeros((len(maps), LATENCIES + 2 * gap, TIMES, 4))
    picture[..., :3] = to_rgb(colour)
    for row, one in zip(picture, reversed(maps), strict=True):
        if one is not None:
            row[gap : gap + LATENCIES, :, 3] = np.sqrt(one.parts / darkest)
    axes.imshow(
        picture.reshape(-1, TIMES, 4), extent=(0.0, 1.0, -0.5, len(maps) - 0.5), origin="lower",
        aspect="auto", interpolation="none", zorder=2,
    )  # fmt: skip


def separate(axes: Axes, maps: Sequence[Heat | None], palette: Palette) -> None:
    """A line in each map between two slices."""
    for height, one in enumerate(reversed(maps)):
        for border in one.borders if one is not None else ():
            ends = (height - ROW / 2, height + ROW / 2)
            axes.plot((border, border), ends, color=palette.faint, linewidth=0.8, linestyle=":", zorder=3)


def scale(axes: Axes, rows: int, span: tuple[float, float], palette: Palette) -> None:
    """The latencies that the uppermost map spans, to its right, at whole powers of ten."""
    low, high = (math.log10(end) for end in span)
    for power in range(math.ceil(low), math.floor(high) + 1):
        place = rows - 1 - ROW / 2 + ROW * (power - low) / (high - low)
        axes.annotate(
            f"– {plain_duration(10.0**power)}", (1.0, place), xytext=(1, 0), textcoords="offset points",
            va="center", fontsize=6.5, color=palette.faint, annotation_clip=False,
        )  # fmt: skip
