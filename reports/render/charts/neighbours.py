"""What a route serves, and what others wait beside it: the two sides of every card's advice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from matplotlib.figure import Figure

from loadtests.records import Run
from reports.advice.cards import Card
from reports.conclusions import Conclusions
from reports.render.charts.dumbbells import dumbbells
from reports.render.charts.style import (
    OVER,
    Chart,
    Palette,
    around,
    key,
    log_axis,
    plain_duration,
    plain_number,
    sheet,
)
from reports.wording import units

Values = Mapping[str, Mapping[str, float | None]]
"""By scenario and arm."""


def chart(conclusions: Conclusions) -> Chart | None:
    """None without a pulse, or where no two arms are compared."""
    run, cards = conclusions.run, conclusions.cards
    served: dict[str, dict[str, float | None]] = {}
    waits: dict[str, dict[str, float | None]] = {}
    parts = set()
    for card in cards:
        served.setdefault(card.scenario, {}).update(card.served)
        for arm, pulse in card.pulses.items():
            waits.setdefault(card.scenario, {})[arm] = pulse.response_time if pulse else None
            parts |= {pulse.part} if pulse else set()
    served = {name: found for name, found in served.items() if any(waits[name].values())}
    waits = {name: waits[name] for name in served}
    if not served:
        return None
    part = f" (p{100 * min(parts):.0f})" if len(parts) == 1 else ""
    finding = message(run, cards)
    return Chart(
        stem="neighbours",
        finding=finding,
        reading=(
            "One row per scenario, at the load of its card. On the left what each arm serves: farther right "
            "is more. On the right what a light `async def` route waits beside that load: farther left is "
            "better. Both axes are logarithmic. A route that serves a little more and keeps the others "
            "waiting ten times as long is not advised."
        ),
        head=("scenario", "arm", "served", f"an async def neighbour waits{part}"),
        rows=tuple(
            (scenario, arm, units.rate(value), units.duration(waits[scenario].get(arm)))
            for scenario, arms in served.items()
            for arm, value in arms.items()
        ),
        draw=partial(draw, run, served, waits, part, finding),
    )


def message(run: Run, cards: tuple[Card, ...]) -> str:
    """The card whose arms differ by most seconds in what others wait: ten times as long may be nothing."""
    found = []
    for card in cards:
        pulses = [card.pulses.get(name) for name in (card.verdict.reference, card.arm)]
        one, other = (pulse.response_time if pulse else None for pulse in pulses)
        if one and other:
            found.append((abs(one - other), card, one, other))
    if not found:
        return f"What others wait: {key(run)}"
    _, card, one, other = max(found, key=lambda item: item[0])
    sides = (
        f"{units.duration(one)} beside {card.verdict.reference}, {units.duration(other)} beside {card.arm}"
    )
    return f"{card.scenario}: an async def neighbour waits {sides}"


def draw(run: Run, served: Values, waits: Values, part: str, finding: str, palette: Palette) -> Figure:
    """Two columns, one row per scenario."""
    heads = finding if key(run) in finding else f"{finding}\n{key(run)}"
    about = "Over all valid rounds; light requests are timed from the moment when they were due."
    figure, panels = sheet(list(served), [], heads, about, palette, row=0.28, columns=2, over=OVER)
    titles = ("requests served per second", f"an async def neighbour waits{part}")
    labels = (plain_number, plain_duration)
    for axes, values, title, label in zip(panels, (served, waits), titles, labels, strict=True):
        known = [value for value in dumbbells(axes, run, values, palette) if value > 0.0]
        axes.set_title(title, fontsize=8.5, color=palette.faint)
        if known:
            axes.set_xlim(*around(known, least=6.0))
        log_axis(axes, "x", label, palette)
    return figure
