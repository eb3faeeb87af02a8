"""Charts as matplotlib Figures: no pyplot, no paths, no state. A file per chart, each answering one
question in either colour scheme."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import BytesIO
from typing import Literal

from matplotlib.colors import to_hex, to_rgba_array
from matplotlib.figure import Figure

from reports.conclusions import Conclusions
from reports.render.charts import costs, forest, growth, heat, latency, neighbours, tails
from reports.render.charts.style import DARK, LIGHT, PALETTES, Chart, names

__all__ = ["DARK", "LIGHT", "PALETTES", "Chart", "charts", "files", "recoloured"]

DARK_FOR_LIGHT = dict(zip(names(LIGHT), names(DARK), strict=True))
PAINTED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
"""The parts of an artist that may have a colour."""
XML_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
OWN_NAME = re.compile(r'(\bid="|xlink:href="#|url\(#)')


def charts(conclusions: Conclusions) -> Iterator[Chart]:
    """Every chart that this run can fill."""
    for module in (forest, growth, neighbours, latency, tails, heat, costs):
        found = module.chart(conclusions)
        if found is not None:
            yield found


def files(chart: Chart) -> dict[str, bytes]:
    """The chart as `light.svg`, `dark.svg`, `light.png` and `dark.png`; the same run gives the same bytes.

    Put together once, since that takes longer than all the drawing; the dark one is the light one in other
    colours. Another process may do it.
    """
    with uncollected():
        figure = chart.draw(LIGHT)
        svg = named(saved(figure, "svg").decode(), chart)
        light = saved(figure, "png")
        repaint(figure)
        return {
            "light.svg": svg.encode(),
            "dark.svg": recoloured(svg, DARK_FOR_LIGHT).encode(),
            "light.png": light,
            "dark.png": saved(figure, "png"),
        }


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause garbage collection: a figure is one large reference cycle, freed all at once, and collecting in
    between takes a tenth of the drawing time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def saved(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """A figure as a file's content, without a timestamp or version."""
    buffer = BytesIO()
    if kind == "svg":
        figure.savefig(buffer, format=kind, metadata={"Date": None})
    else:
        # Twice the size of maximum compression, in a third of the time.
        figure.savefig(
            buffer, format=kind, dpi=144, metadata={"Software": None}, pil_kwargs={"compress_level": 2}
        )
    return buffer.getvalue()


def repaint(figure: Figure) -> None:
    """Make a light figure a dark one."""
    for artist in figure.findobj():
        for part in PAINTED:
            colours = getattr(artist, f"get_{part}", None)
            if colours is None:
                continue
            now = to_rgba_array(colours())
            then = [(DARK_FOR_LIGHT.get(to_hex(colour)), float(colour[3])) for colour in now]
            if any(colour for colour, _ in then):
                exchanged = [new if new[0] else tuple(old) for new, old in zip(then, now, strict=True)]
                getattr(artist, f"set_{part}")(exchanged if len(exchanged) > 1 else exchanged[0])


def recoloured(svg: str, colours: Mapping[str, str]) -> str:
    """The picture with other colours, all replaced in one pass."""
    return COLOUR.sub(lambda found: colours.get(found[0], found[0]), svg)


def named(svg: str, chart: Chart) -> str:
    """The picture with a name and description for screen readers and with unique ids, so that several fit
    on one page."""
    own = f"chart-{chart.stem}"
    svg = METADATA.sub("", XML_HEAD.sub("", svg, count=1))
    svg = OWN_NAME.sub(rf"\g<1>{own}-", svg)
    words = (
        f'<title id="{own}-title">{escape(chart.finding)}</title>'
        f'<desc id="{own}-desc">{escape(chart.reading)}</desc>'
    )
    attributes = f'<svg role="img" aria-labelledby="{own}-title {own}-desc"'
    return svg.replace("<svg", attributes, 1).replace(">", f">\n {words}", 1)
