"""Which arm is faster, where, by how much, and with what certainty: the primary ratio of every cell, and in a
gate those of the endpoints of a mixture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.records import Run
from reports.analysis.verdicts import Verdict
from reports.conclusions import Conclusions
from reports.render.charts.style import (
    LABEL_SIZE,
    OVER,
    Chart,
    Palette,
    label_row,
    looks,
    ratio_axis,
    rounds_text,
    sheet,
)
from reports.wording import units
from reports.wording.sentences import case_name, unsettled

MOST_ROWS = 60
"""Cases of a gate above which the endpoints of mixtures have no rows."""

FARTHEST = 16.0
"""Factor at which an interval's end is clipped."""


def chart(conclusions: Conclusions) -> Chart | None:
    """The forest; None where no cell was judged."""
    run, rows = conclusions.run, conclusions.cases
    if len(rows) > MOST_ROWS:
        rows = conclusions.primaries
    if not rows:
        return None
    reference = run.plan.yardstick
    endpoints = "" if all(row.primary for row in rows) else ", and per endpoint of a mixture"
    return Chart(
        stem="verdicts",
        finding=finding(run, rows),
        reading=(
            f"One row per cell{endpoints}. The mark is the ratio of the arm to {reference}, the bar its "
            "interval: if it excludes ×1, there is a difference; if it lies within the band, the difference "
            "is small. A hollow mark is neither faster, slower nor equivalent."
        ),
        head=("cell", "arm", reference, "arm's", "ratio", "interval", "n", "verdict"),
        rows=tuple(
            (
                case_name(row), row.arm, units.value(row.metric, row.values.get(row.reference)),
                units.value(row.metric, row.values.get(row.arm)), units.ratio(row.ratio),
                units.interval(*row.bounds), str(row.n), row.verdict,
            )
            for row in rows
        ),
        draw=partial(draw, run, rows),
    )  # fmt: skip


def draw(run: Run, rows: Sequence[Verdict], palette: Palette) -> Figure:
    several = len(run.plan.rivals) > 1
    names = [f"{case_name(row)}{f' · {row.arm}' if several else ''}" for row in rows]
    about = (
        f"{rounds_text([row.n for row in rows])}; bars are {units.exact_percent(1 - run.plan.alpha)} "
        f"repeated confidence intervals of the ratio; band: ±{units.exact_percent(run.plan.margin)}, "
        "equivalent; hollow: no verdict on speed."
    )
    figure, (axes,) = sheet(
        names, [label(row) for row in rows], finding(run, rows), about, palette, row=0.28, over=OVER
    )
    style = looks(run)
    bound = 1.0 + run.plan.margin
    axes.axvspan(1.0 / bound, bound, color=palette.band, zorder=0)
    axes.axvline(1.0, color=palette.rule, linewidth=0.8, zorder=1)
    reach = [1.0 / 1.5, 1.5]
    for height, row in enumerate(reversed(rows)):
        look = style[row.arm]
        settled = row.verdict in ("faster", "slower", "equivalent")
        if row.ratio is not None:
            low, high = (known or row.ratio for known in row.bounds)
            reach += [row.ratio * 1.1, row.ratio / 1.1, min(high, FARTHEST), max(low, 1 / FARTHEST)]
            axes.hlines(height, low, high, color=look.colour, linewidth=1.6, zorder=2)
            face = look.colour if settled else palette.paper
            axes.plot(
                [row.ratio], [height], look.marker, color=look.colour, zorder=3, markerfacecolor=face
            )  # fmt: skip
        label_row(axes, height, label(row), look.text(palette) if settled else palette.faint)
    ratio_axis(axes, min(reach) / 1.08, max(reach) * 1.08)
    sides(axes, run, rows, palette)
    return figure


def label(row: Verdict) -> str:
    """A row's ratio and verdict."""
    word = row.verdict
    return f"{units.ratio(row.ratio)}  {word}" if row.ratio is not None else word


def sides(axes: Axes, run: Run, rows: Sequence[Verdict], palette: Palette) -> None:
    """Label the axis and the two sides of ×1."""
    reference, rivals = run.plan.yardstick, " or ".join(arm.name for arm in run.plan.rivals)
    if len(run.plan.rivals) > 2:
        rivals = "the arm"
    what = " or ".join(dict.fromkeys(units.METRIC_NAMES[row.metric] for row in rows))
    timed = {row.metric != "throughput" for row in rows}
    if timed == {True}:
        left, right = f"◂ {rivals} responds sooner", f"{reference} responds sooner ▸"
    elif timed == {False}:
        left, right = f"◂ {reference} serves more", f"{rivals} serves more ▸"
    else:
        # The better side is not the same in all rows: their verdicts say which arm is ahead.
        left, right = "", ""
    axes.set_xlabel(f"{what} of {rivals} ÷ {reference}")
    for x, text, side in ((0.0, left, "left"), (1.0, right, "right")):
        axes.annotate(
            text, (x, 1.0), xycoords="axes fraction", xytext=(0, 5), textcoords="offset points", ha=side,
            color=palette.faint, fontsize=LABEL_SIZE - 0.5,
        )  # fmt: skip


def finding(run: Run, rows: Sequence[Verdict]) -> str:
    """The chart's title, a line per rival."""
    words: list[str] = []
    timed = {row.metric != "throughput" for row in rows}
    better = "is ahead" if len(timed) > 1 else "responds sooner" if True in timed else "serves more"
    for rival in run.plan.rivals:
        mine = [row.verdict for row in rows if row.arm == rival.name]
        parts = [
            f"{rival.name} {better} in {mine.count('faster')}",
            f"{run.plan.opponent(rival.name).name} in {mine.count('slower')}",
            f"equal in {mine.count('equivalent')}",
        ]
        words.append(", ".join([*parts, *unsettled(mine)]) + f" of {len(mine)}")
    return "\n".join(words)
