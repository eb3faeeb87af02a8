"""A row per scenario, a mark per arm, and a line that joins them."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes

from loadtests.records import Run
from reports.render.charts.style import Palette, looks


def dumbbells(
    axes: Axes, run: Run, found: Mapping[str, Mapping[str, float | None]], palette: Palette
) -> list[float]:
    """Draw one kind of value, by scenario and arm; all that are known."""
    style = looks(run)
    every: list[float] = []
    places: dict[str, list[tuple[float, float]]] = {}
    for height, arms in enumerate(reversed(list(found.values()))):
        values = {arm: value for arm, value in arms.items() if value is not None}
        if values:
            axes.hlines(height, min(values.values()), max(values.values()), color=palette.rule, linewidth=1.2)
        for arm, value in values.items():
            places.setdefault(arm, []).append((value, height))
        every += values.values()
    # One artist per arm: matplotlib's time grows with their number.
    for arm, mine in places.items():
        x, y = zip(*mine, strict=True)
        axes.plot(x, y, style[arm].marker, color=style[arm].colour, markersize=5, zorder=3)
    return every
