"""Charts as matplotlib Figures: no pyplot, no paths, no state. A file per chart, each answering one
question in either colour scheme."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from io import BytesIO
from typing import Literal

from matplotlib.figure import Figure

from reports.charts import costs, forest, growth, heat, latency, tails
from reports.charts.style import DARK, LIGHT, PALETTES, Chart, Palette, names
from reports.conclusions import Conclusions

__all__ = ["DARK", "LIGHT", "PALETTES", "Chart", "charts", "pixels", "recoloured", "vectors"]

XML_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
OWN_NAME = re.compile(r'(\bid="|xlink:href="#|url\(#)')


def charts(conclusions: Conclusions) -> Iterator[Chart]:
    """Every chart that this run can fill."""
    for module in (forest, growth, latency, tails, heat, costs):
        found = module.chart(conclusions)
        if found is not None:
            yield found


def vectors(chart: Chart) -> dict[str, bytes]:
    """The chart as `light.svg` and `dark.svg`; the same run gives the same bytes."""
    svg = named(saved(chart.draw(LIGHT), "svg").decode(), chart)
    dark = recoloured(svg, dict(zip(names(LIGHT), names(DARK), strict=True)))
    return {"light.svg": svg.encode(), "dark.svg": dark.encode()}


def pixels(chart: Chart, palette: Palette) -> bytes:
    """The chart as PNG; the same run gives the same bytes. Another process may draw it."""
    return saved(chart.draw(palette), "png")


def saved(figure: Figure, kind: Literal["svg", "png"]) -> bytes:
    """A figure as a file's content, that names neither a moment nor a version."""
    engine = figure.get_layout_engine()
    if engine is not None:
        # Once, by itself: matplotlib would draw everything twice to find the same places.
        engine.execute(figure)
        figure.set_layout_engine("none")
    buffer = BytesIO()
    if kind == "svg":
        figure.savefig(buffer, format=kind, metadata={"Date": None})
    else:
        # Twice as large as tight compression makes it, in a third of the time.
        figure.savefig(
            buffer, format=kind, dpi=144, metadata={"Software": None}, pil_kwargs={"compress_level": 2}
        )
    return buffer.getvalue()


def recoloured(svg: str, colours: Mapping[str, str]) -> str:
    """The picture with other colours, all exchanged at once."""
    return COLOUR.sub(lambda found: colours.get(found[0], found[0]), svg)


def named(svg: str, chart: Chart) -> str:
    """The picture with a name and a description for those who do not see it, and with ids of its own, so
    that several fit into one page."""
    own = f"chart-{chart.stem}"
    svg = METADATA.sub("", XML_HEAD.sub("", svg, count=1))
    svg = OWN_NAME.sub(rf"\g<1>{own}-", svg)
    words = (
        f'<title id="{own}-title">{escape(chart.finding)}</title>'
        f'<desc id="{own}-desc">{escape(chart.reading)}</desc>'
    )
    attributes = f'<svg role="img" aria-labelledby="{own}-title {own}-desc"'
    return svg.replace("<svg", attributes, 1).replace(">", f">\n {words}", 1)
