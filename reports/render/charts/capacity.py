"""How the tail grows with the rate of arrivals, and where the target cuts it."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure

from reports.analysis.capacity.searches import ArmSearch
from reports.capacities import Capacities
from reports.render.charts.style import (
    LABEL_SIZE,
    Chart,
    Palette,
    around,
    grid,
    label_ends,
    log_axis,
    looks,
    plain_duration,
    plain_number,
    rounds_text,
)
from reports.wording.capacity import POINTS_HEAD, point_rows, search_headline
from reports.wording.units import percent

LEAST_SHARE = 1e-4
"""Height at which no missed request is drawn."""


def capacity_chart(found: Capacities) -> Chart | None:
    """A panel per scenario; None where nothing was measured."""
    if not any(heights(one, found.goal.target.limit is not None) for one in found.searches):
        return None
    one = len(found.scenarios) == 1
    finding = search_headline(found, found.scenarios[0]) if one else "The arrival rate that each arm carries"
    what = "the target's percentile" if found.goal.target.limit else "the share of failed requests"
    return Chart(
        stem="capacity",
        finding=finding,
        reading=(
            f"One panel per scenario: arrivals per second on the x axis, {what} on the y axis, all rounds "
            "together. The horizontal line is the target: an arm carries the rate at which its points cross "
            "it, and the bar there is the interval of that rate."
        ),
        head=POINTS_HEAD,
        rows=tuple(point_rows(found)),
        draw=partial(draw, found, finding),
    )


def heights(one: ArmSearch, limited: bool) -> list[tuple[float, float]]:
    """An arm's points: rate and height; without those whose percentile is not known."""
    if limited:
        return [(point.rate, point.value) for point in one.points if point.value is not None]
    return [(point.rate, max(point.share, LEAST_SHARE)) for point in one.points]


def draw(found: Capacities, finding: str, palette: Palette) -> Figure:
    target, style = found.goal.target, looks(found.run)
    line = target.share if target.limit is None else target.limit
    rounds = [point.rounds for one in found.searches for point in one.points]
    about = (
        f"Open loop, response times from the moment when each request was due; {rounds_text(rounds)} per "
        "point; bars are repeated confidence intervals of the crossing, by the jackknife over rounds."
    )
    figure, panels = grid(list(found.scenarios), [*style, str(target)], finding, about, palette)
    for axes, scenario in zip(panels, found.scenarios, strict=True):
        ends, rates, seen = [], [], [line]
        for one in found.of(scenario):
            look, places = style[one.arm], heights(one, target.limit is not None)
            if not places:
                continue
            x, y = ([place[side] for place in places] for side in (0, 1))
            rates += x
            seen += y
            axes.plot(x, y, look.line, marker=look.marker, color=look.colour, linewidth=1.2, markersize=4.0)
            if one.interval is not None:
                rates += [one.interval.low, one.interval.high]
                axes.hlines(line, one.interval.low, one.interval.high, color=look.colour, linewidth=3.0)
            ends.append((y[-1], one.arm, look.text(palette)))
        axes.axhline(line, color=palette.rule, linewidth=1.0, linestyle="--")
        axes.set_xlim(*around(rates or [1.0]))
        axes.set_ylim(*around(seen))
        log_axis(axes, "x", plain_number, palette)
        log_axis(axes, "y", plain_duration if target.limit else percent, palette)
        axes.set_xlabel("arrivals per second", labelpad=1, fontsize=LABEL_SIZE)
        label_ends(axes, [*ends, (line, str(target), palette.faint)])
    return figure
