"""What serving costs: CPU time, memory and threads of every arm, joined in dumbbells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from loadtests.records import Run
from reports.advice.weighing.costs import Cost
from reports.conclusions import Conclusions
from reports.render.charts.dumbbells import dumbbells
from reports.render.charts.style import OVER, Chart, Palette, around, key, log_axis, plain_number, sheet
from reports.wording import units

Costs = Mapping[str, Mapping[str, Cost]]
"""By scenario and arm."""


@dataclass(frozen=True)
class Column:
    """One kind of cost."""

    name: str
    of: Callable[[Cost], float | None]


def cpu(cost: Cost) -> float | None:
    return cost.cpu


def memory(cost: Cost) -> float | None:
    return cost.rss / 2**20 if cost.rss is not None else None


def threads(cost: Cost) -> float | None:
    return cost.threads


COLUMNS = (
    Column("CPU seconds per 1,000 requests", cpu), Column("memory, MiB", memory), Column("threads", threads),
)  # fmt: skip


def chart(conclusions: Conclusions) -> Chart | None:
    """None if the platform does not report it."""
    run = conclusions.run
    found: dict[str, dict[str, Cost]] = {}
    for card in conclusions.cards:
        found.setdefault(card.scenario, {}).update(card.costs)
    for portrait in sorted(conclusions.portraits, key=lambda one: one.cell.load.level):
        found.setdefault(portrait.cell.scenario, {})[portrait.arm] = portrait.cost
    every = [cost for arms in found.values() for cost in arms.values()]
    columns = [column for column in COLUMNS if any(column.of(cost) is not None for cost in every)]
    if not columns:
        return None
    finding = message(run, found)
    return Chart(
        stem="costs",
        finding=finding,
        reading=(
            "One row per scenario, at the load of its card. Farther left is cheaper; the length of the line "
            "is the difference between the arms. CPU time is on a logarithmic axis."
        ),
        head=("scenario", "arm", *(column.name for column in columns)),
        rows=tuple(
            (scenario, arm, *(number(column.of(cost)) for column in columns))
            for scenario, arms in found.items()
            for arm, cost in arms.items()
        ),
        draw=partial(draw, run, found, columns, finding),
    )


def number(value: float | None) -> str:
    return units.NONE if value is None else units.figures(value)


def message(run: Run, found: Costs) -> str:
    """In how many scenarios a rival spends less CPU time on a request than the reference."""
    words = []
    for rival in run.plan.rivals:
        reference = run.plan.opponent(rival.name).name
        both = [
            (ours, theirs)
            for arms in found.values()
            if reference in arms and rival.name in arms
            if (ours := arms[reference].cpu) is not None and (theirs := arms[rival.name].cpu) is not None
        ]
        if both:
            less = sum(theirs < ours for ours, theirs in both)
            words.append(
                f"{rival.name} uses less CPU time per request than {reference} in {less} of {len(both)}"
            )
    return "\n".join(words) or f"Resource use: {key(run)}"


def draw(run: Run, found: Costs, columns: list[Column], finding: str, palette: Palette) -> Figure:
    """One column per kind of cost, one row per scenario."""
    heads = finding if key(run) in finding else f"{finding}\n{key(run)}"
    about = "Means over the valid rounds, of the server and its child processes."
    figure, panels = sheet(list(found), [], heads, about, palette, row=0.28, columns=len(columns), over=OVER)
    for place, (axes, column) in enumerate(zip(panels, columns, strict=True)):
        told = {
            scenario: {arm: column.of(cost) for arm, cost in arms.items()} for scenario, arms in found.items()
        }
        values = dumbbells(axes, run, told, palette)
        axes.set_title(column.name, fontsize=8.5, color=palette.faint)
        if place == 0 and column is COLUMNS[0] and values and min(values) > 0.0:
            axes.set_xlim(*around(values))
            log_axis(axes, "x", plain_number, palette)
        else:
            axes.set_xlim(0, 1.12 * max(values, default=1.0))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
            axes.grid(axis="x", color=palette.band, linewidth=0.8)
            axes.set_axisbelow(True)
    return figure
