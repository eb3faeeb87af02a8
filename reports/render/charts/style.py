"""How every chart looks: two palettes, a look per arm, axes, labels that keep apart.

Style never rests on colour alone: every arm has a marker and a line of its own. Sizes are in inches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from loadtests.records import Run
from reports.wording.units import counted

mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        # Names may contain `$`.
        "text.parse_math": False,
        # As `advance` counts it, and a tenth of the drawing time less.
        "text.hinting": "none",
        "svg.hashsalt": "fastapi-duel",
        "font.family": "sans-serif",
        "font.size": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        "axes.linewidth": 0.8,
    }
)

WIDTH = 8.4
TITLE_SIZE, ROW_SIZE, LABEL_SIZE, CAPTION_SIZE = 11.0, 9.0, 8.5, 7.5
TITLE_LINE, CAPTION_LINE = 0.19, 0.13
"""How much a line adds to a text's height."""
OVER = 0.2
"""What a line over axes needs."""


@dataclass(frozen=True)
class Palette:
    """The colours of one scheme; no two of its own fields are equal, so that text can be recoloured."""

    name: Literal["light", "dark"]
    paper: str
    ink: str
    faint: str
    rule: str
    band: str
    texts: tuple[str, ...]
    """The arms' colours for words, readable on the paper."""


LIGHT = Palette(
    name="light", paper="#ffffff", ink="#1f2328", faint="#5f6770", rule="#8c959f", band="#e9edf1",
    texts=("#b84e00", "#00639b", "#a04f7c", "#00785a", "#5a4494", "#565656"),
)  # fmt: skip
DARK = Palette(
    name="dark", paper="#0d1117", ink="#e6edf3", faint="#9aa2ab", rule="#6e7681", band="#23292f",
    texts=("#f0954f", "#5aaef0", "#e4a3c8", "#3fc79a", "#b3a1e6", "#b4b4b4"),
)  # fmt: skip
PALETTES = (LIGHT, DARK)


def names(palette: Palette) -> dict[str, str]:
    """The palette's colours, each with what it is called."""
    found = {getattr(palette, name): name for name in ("paper", "ink", "faint", "rule", "band")}
    return found | {colour: f"text-{number}" for number, colour in enumerate(palette.texts)}


@dataclass(frozen=True)
class Look:
    """How an arm is drawn, in either scheme."""

    colour: str
    marker: str
    sign: str
    """The marker as a letter."""
    line: Literal["-", "--", ":", "-."]
    number: int

    def text(self, palette: Palette) -> str:
        return palette.texts[self.number]


LOOKS = (
    Look("#d55e00", "o", "●", "-", 0),
    Look("#0072b2", "^", "▲", "--", 1),
    Look("#cc79a7", "s", "■", ":", 2),
    Look("#009e73", "D", "◆", "-.", 3),
    Look("#7058ab", "v", "▼", "--", 4),
    Look("#888888", "P", "✚", ":", 5),
)


def looks(run: Run) -> dict[str, Look]:
    """A look per arm; the reference has the first."""
    return {arm.name: LOOKS[number % len(LOOKS)] for number, arm in enumerate(run.plan.arms)}


def key(run: Run) -> str:
    """The arms and their marks, for titles of charts without room for labels."""
    return "  ".join(f"{look.sign} {name}" for name, look in looks(run).items())


@dataclass(frozen=True)
class Chart:
    """One question's answer: a picture in either scheme, and the same numbers as a table."""

    stem: str
    """Of its files' names."""
    finding: str
    reading: str
    """How to read it, in a sentence or two."""
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    draw: Callable[[Palette], Figure]


def dressed(axes: Axes, palette: Palette) -> Axes:
    """Axes in the colours of a palette."""
    axes.set_facecolor(palette.paper)
    axes.tick_params(color=palette.rule, labelcolor=palette.ink)
    axes.xaxis.label.set_color(palette.faint)
    axes.yaxis.label.set_color(palette.faint)
    for spine in axes.spines.values():
        spine.set_color(palette.rule)
    return axes


# Charts are laid out by counting: matplotlib's own layout draws everything to find out how large it is, which
# takes seconds for thirty panels.


def sheet(
    names: Sequence[str],
    labels: Sequence[str],
    finding: str,
    about: str,
    palette: Palette,
    *,
    row: float,
    columns: int = 1,
    over: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """Axes beside one another that share their rows, named on the left from top to bottom; below a finding
    and above a caption.

    There is room for ticks and a label below the axes, for `labels` to the right of the last, and for `over`
    inches above them. `row` is a row's height.
    """
    finding, about = wrapped(finding, TITLE_SIZE), wrapped(about, CAPTION_SIZE)
    names = [shortened(name, ROW_SIZE, 0.36 * WIDTH) for name in names]
    left = 0.15 + max(width(name, ROW_SIZE) for name in names)
    # Half of a tick's label sticks out where there is no other label.
    right = 0.15 + max((width(label, LABEL_SIZE) for label in labels), default=0.15)
    gap = 0.35
    plot = (WIDTH - left - right - (columns - 1) * gap) / columns
    height = row * (len(names) + 0.4)
    top, bottom = 0.18 + over + TITLE_LINE * lines(finding), 0.55 + CAPTION_LINE * lines(about)
    figure = headed(top + height + bottom, finding, about, palette)
    tall = figure.get_figheight()
    made: list[Axes] = []
    for column in range(columns):
        box = ((left + column * (plot + gap)) / WIDTH, bottom / tall, plot / WIDTH, height / tall)
        axes = dressed(figure.add_axes(box, sharey=made[0] if made else None), palette)
        axes.tick_params(axis="y", length=0, labelleft=not made, labelsize=ROW_SIZE)
        axes.spines["left"].set_visible(False)
        made.append(axes)
    made[0].set_yticks(range(len(names)), list(reversed(names)))
    made[0].set_ylim(-0.7, len(names) - 0.3)
    return figure, made


def grid(
    names: Sequence[str], labels: Sequence[str], finding: str, about: str, palette: Palette
) -> tuple[Figure, list[Axes]]:
    """Small multiples, each below its name; all below a finding and above a caption, with
    room for `labels` to the right of each."""
    finding, about = wrapped(finding, TITLE_SIZE), wrapped(about, CAPTION_SIZE)
    room = 0.15 + max((width(label, LABEL_SIZE) for label in labels), default=0.0)
    left, plot = 0.75, 1.35
    columns = max(1, min(3, len(names), int(WIDTH / (left + plot + room))))
    rows = math.ceil(len(names) / columns)
    plot = WIDTH / columns - left - room
    height, gap = (1.45 if columns > 1 else 2.4), 0.78
    top, bottom = 0.45 + TITLE_LINE * lines(finding), 0.5 + CAPTION_LINE * lines(about)
    tall = top + rows * height + (rows - 1) * gap + bottom
    figure = headed(tall, finding, about, palette)
    made = []
    for place, name in enumerate(names):
        row, column = divmod(place, columns)
        x, y = left + column * (left + plot + room), tall - top - row * (height + gap) - height
        box = (x / WIDTH, y / tall, plot / WIDTH, height / tall)
        made.append(dressed(figure.add_axes(box), palette))
        # At a fixed place: to find one costs as much as drawing the panel.
        title = shortened(name, ROW_SIZE, plot + room)
        made[-1].set_title(title, fontsize=ROW_SIZE, color=palette.ink, y=1.0, pad=11)
    return figure, made


def headed(tall: float, finding: str, about: str, palette: Palette) -> Figure:
    """A figure with a finding at its top, and n and method at its bottom."""
    figure = Figure(figsize=(WIDTH, tall), facecolor=palette.paper)
    figure.text(0.01, 1.0 - 0.08 / tall, finding, va="top", fontsize=TITLE_SIZE, color=palette.ink)
    figure.text(0.01, 0.05 / tall, about, va="bottom", fontsize=CAPTION_SIZE, color=palette.faint)
    return figure


def wrapped(text: str, size: float, room: float = WIDTH - 0.3) -> str:
    """The text in lines that fit; its own line breaks stay."""
    found = []
    for line in text.split("\n"):
        fitting = ""
        for word in line.split(" "):
            longer = f"{fitting} {word}".strip()
            if fitting and width(longer, size) > room:
                found.append(fitting)
                longer = word
            fitting = longer
        found.append(fitting)
    return "\n".join(found)


def shortened(text: str, size: float, room: float) -> str:
    """The text, without its middle where it is too wide: an address differs in its end."""
    if width(text, size) <= room:
        return text
    kept = len(text) - 1
    while kept > 2 and width(cut(text, kept), size) > room:
        kept -= 1
    return cut(text, kept)


def cut(text: str, kept: int) -> str:
    """A text cut to `kept` letters, a third of them from its beginning."""
    return f"{text[: kept // 3]}…{text[-(kept - kept // 3) :]}"


def lines(text: str) -> int:
    return text.count("\n") + 1


def width(text: str, size: float) -> float:
    """How wide a text is drawn, in inches."""
    return sum(advance(letter) for letter in text) * size / 72.0


@cache
def advance(letter: str) -> float:
    """A letter's advance width, as a fraction of the font size."""
    font = get_font(findfont(FontProperties()))
    font.set_size(100.0, 72.0)
    glyph = font.load_char(ord(letter), flags=LoadFlags.NO_HINTING)
    return float(glyph.linearHoriAdvance) / 65536.0 / 100.0


def label_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Labels to the right of axes whose position and limits are final: (height in data, text, colour) each,
    moved apart where they would overlap."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("axes without a figure have no size")
    size = axes.get_position().height * figure.get_figheight() * 72.0
    step = 1.35 * LABEL_SIZE / size
    inside = axes.transAxes.inverted()
    wanted = sorted(
        (float(inside.transform(axes.transData.transform((1.0, height)))[1]), text, colour)
        for height, text, colour in ends
    )
    places: list[float] = []
    for place, _, _ in wanted:
        places.append(max(place, places[-1] + step) if places else place)
    over = max(0.0, places[-1] - 1.0) if places else 0.0
    for number in reversed(range(len(places))):
        places[number] -= over
        below = places[number - 1] if number else None
        if below is not None:
            over = max(0.0, below - (places[number] - step))
    for place, (_, text, colour) in zip(places, wanted, strict=True):
        axes.annotate(
            text, (1.0, place), xycoords="axes fraction", xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=LABEL_SIZE, color=colour, annotation_clip=False,
        )  # fmt: skip


def label_row(axes: Axes, height: float, text: str, colour: str) -> None:
    """A label to the right of a row of a sheet."""
    axes.annotate(
        text, (1.0, height), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
        va="center", fontsize=LABEL_SIZE, color=colour,
    )  # fmt: skip


def ratio_axis(axes: Axes, low: float, high: float) -> None:
    """A log2 axis of ratios with readable ticks."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    octaves = math.log2(high / low)
    every = 1 if octaves <= 8 else 2 if octaves <= 16 else 4
    ticks = [2.0**power for power in range(-20, 21) if power % every == 0]
    if octaves <= 4:
        ticks += [2 / 3, 1.5]
    ticks = sorted(tick for tick in ticks if low <= tick <= high)
    axes.set_xticks(ticks, [f"×{t:.3g}" if t >= 1 else f"×{t:.2g}" for t in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def log_axis(axes: Axes, which: Literal["x", "y"], label: Callable[[float], str], palette: Palette) -> None:
    """A log10 axis with ticks at 1, 2 and 5 where there is room for them, else at 1."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axes.set(**{f"{which}scale": "log"})
    low, high = axis.get_view_interval()
    decades = math.log10(high / low) if low > 0.0 else 1.0
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if decades <= 2.5 else (1.0,), numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())
    axes.grid(axis=which, color=palette.band, linewidth=0.8)
    axes.set_axisbelow(True)


def around(values: Sequence[float], least: float = 1.6) -> tuple[float, float]:
    """Limits of a log axis that hold all values, and span a factor of `least` at least."""
    low, high = min(values) / 1.15, max(values) * 1.15
    short = math.sqrt(max(1.0, least / (high / low)))
    return low / short, high * short


def plain_duration(seconds: float) -> str:
    """A tick of a time axis."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def plain_number(value: float) -> str:
    """A tick of a count."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.3g}"


def rounds_text(counts: Sequence[int]) -> str:
    """`n = 4 rounds`, `n = 4 to 20 rounds`."""
    if not counts:
        return "no rounds"
    low, high = min(counts), max(counts)
    return f"n = {counted(low, 'round')}" if low == high else f"n = {low} to {high} rounds"
