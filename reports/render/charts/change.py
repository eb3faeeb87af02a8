"""What changed against a baseline: the change of every cell's ratio, with the gate's line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from reports.gate.changes import Change
from reports.gate.comparison import Comparison
from reports.render.charts.style import LABEL_SIZE, LOOKS, OVER, Chart, Palette, label_row, ratio_axis, sheet
from reports.wording import units
from reports.wording.gates import changes
from reports.wording.vocabulary import OUTCOMES


def chart(comparison: Comparison) -> Chart:
    """A row per cell, in the order of the table."""
    return Chart(
        stem="change",
        finding=changes.headline(comparison),
        reading=(
            "One row per cell. The mark is head's ratio of the arms ÷ base's, oriented so that farther right "
            "is better; the bar ends at its one-sided bounds. A bar entirely left of the gate's line is a "
            "regression, one entirely right of it passes, and a hollow mark is not decided."
        ),
        head=changes.HEAD,
        rows=tuple(changes.rows(comparison)),
        draw=partial(draw, comparison.changes, comparison.margin, changes.headline(comparison)),
    )


def draw(found: Sequence[Change], margin: float, finding: str, palette: Palette) -> Figure:
    counts = [len(one.head.differences) for one in found]
    about = (
        f"n = {units.counted(max(counts, default=0), 'round')} per side; bars end at one-sided 95% bounds, "
        "which assume that sessions differ by 2% without any change (5% between machines); hollow: not "
        "decided."
    )
    names = [f"{one.head.cell} · {one.head.arm}" for one in found]
    labels = [f"{units.ratio(one.ratio)}  {OUTCOMES[one.outcome]}" for one in found]
    figure, (axes,) = sheet(names, labels, finding, about, palette, row=0.28, over=OVER)
    gate = 1.0 / (1.0 + margin)
    axes.axvline(1.0, color=palette.rule, linewidth=0.8, zorder=1)
    axes.axvline(gate, color=palette.texts[0], linewidth=1.2, linestyle="--", zorder=1)
    reach = [gate / 1.2, 1.2]
    for height, (one, label) in enumerate(reversed(list(zip(found, labels, strict=True)))):
        look = LOOKS[0] if one.outcome == "regression" else LOOKS[1]
        settled = one.outcome in ("pass", "regression")
        if one.ratio is not None and one.low is not None and one.high is not None:
            reach += [one.low, one.high]
            axes.hlines(height, one.low, one.high, color=look.colour, linewidth=1.6, zorder=2)
            face = look.colour if settled else palette.paper
            axes.plot([one.ratio], [height], look.marker, color=look.colour, zorder=3, markerfacecolor=face)
        label_row(axes, height, label, look.text(palette) if settled else palette.faint)
    ratio_axis(axes, min(reach) / 1.05, max(reach) * 1.05)
    axes.annotate(
        f"gate: −{units.exact_percent(margin)}", (gate, 1.0), xycoords=("data", "axes fraction"),
        xytext=(0, 4), textcoords="offset points", ha="center", fontsize=LABEL_SIZE, color=palette.texts[0],
    )  # fmt: skip
    axes.set_xlabel("head's ratio ÷ base's ratio; farther right is better")
    return figure
