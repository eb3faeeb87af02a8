"""Charts: the same run gives the same bytes, titles state findings, labels do not overlap, in both
schemes."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

from reports.analysis.distributions import heat, tail, typical_round
from reports.analysis.readings import Readings
from reports.analysis.statistics import percentile
from reports.conclusions import Conclusions, conclude
from reports.render.charts import Chart, charts, files, named, saved, uncollected
from reports.render.charts.style import DARK, LIGHT, LOOKS, PALETTES
from tests import scripted
from tests.scripted import Scripted
from tests.shapes import SHAPES, told

EVERY = {"verdicts", "throughput", "neighbours", "latency", "tails", "heat", "costs"}


def drawn(conclusions: Conclusions) -> dict[str, Chart]:
    return {chart.stem: chart for chart in charts(conclusions)}


def svg(chart: Chart) -> str:
    with uncollected():
        return named(saved(chart.draw(LIGHT), "svg").decode(), chart)


class Pictures(dict[str, dict[str, str]]):
    """The pictures of a shape's charts by stem, for tests that only read them; each is drawn once."""

    def __init__(self, known: dict[str, Conclusions]) -> None:
        super().__init__()
        self.known = known

    def __missing__(self, shape: str) -> dict[str, str]:
        self[shape] = {stem: svg(chart) for stem, chart in drawn(self.known[shape]).items()}
        return self[shape]


@pytest.fixture(scope="module")
def pictures(known: dict[str, Conclusions]) -> Pictures:
    return Pictures(known)


@pytest.mark.parametrize(
    ("shape", "stems"),
    [("curves", EVERY - {"neighbours"}), ("three arms", EVERY), ("all kinds of verdicts", EVERY)],
)
def test_the_same_run_gives_the_same_bytes(
    tmp_path: Path, pictures: Pictures, shape: str, stems: set[str]
) -> None:
    """Of more shapes than tests/test_report.py compares whole reports of, with dark ones and bitmaps."""
    first, second = pictures[shape], drawn(told(tmp_path, shape))
    assert set(first) == stems
    for name in first:
        assert first[name] == svg(second[name]), name


def test_a_scenario_with_one_load_does_not_vanish_among_curves(known: dict[str, Conclusions]) -> None:
    for name in ("throughput", "latency"):
        chart = drawn(known["curves, and one load"])[name]
        assert {row[0] for row in chart.rows} == {
            "ping at 64 users", "upstream at 1 user", "upstream at 8 users", "upstream at 64 users"
        }  # fmt: skip
        panels = chart.draw(LIGHT).axes
        assert len(panels) == 2, name
        assert all(axes.lines for axes in panels), name


def test_an_open_loop_has_a_chart_of_response_times(known: dict[str, Conclusions]) -> None:
    assert set(drawn(known["open loop"])) == EVERY - {"throughput"} | {"response"}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_two_labels_overlap_none_is_cut_off_and_a_table_has_the_numbers(
    known: dict[str, Conclusions], shape: str
) -> None:
    for name, chart in drawn(known[shape]).items():
        assert chart.rows, name
        assert {len(row) for row in chart.rows} == {len(chart.head)}, name
        assert faults_of_labels(chart) == [], name


def test_the_labels_of_six_maps_beside_one_another_stay_apart(tmp_path: Path) -> None:
    plan = scripted.plan([f"storefront-workers-{number}" for number in range(6)])
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted())
    assert faults_of_labels(drawn(conclude(run, Readings(directory)))["heat"]) == []


def faults_of_labels(chart: Chart) -> list[str]:
    """The labels of a chart that are cut off, or overlap."""
    with uncollected():
        texts, edges, (width, height) = laid_out(chart.draw(LIGHT))
    x0, y0, x1, y1 = edges.T
    cut = (x0 <= -1) | (x1 >= width + 1) | (y0 <= -1) | (y1 >= height + 1)
    apart = (x1[:, None] <= x0 + 1) | (y1[:, None] <= y0 + 2)
    overlap = np.argwhere(np.triu(~(apart | apart.T), 1))
    return [
        *(f"cut off: {texts[at]}" for at in np.flatnonzero(cut)),
        *(f"overlap: {texts[one]} | {texts[other]}" for one, other in overlap),
    ]


def laid_out(figure: Figure) -> tuple[list[str], NDArray[np.float64], tuple[int, int]]:
    """The texts of a figure, the edges of each in pixels (left, bottom, right, top), and the figure's size;
    without drawing a pixel, which takes twice as long."""
    canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]  # matplotlib types it in part
    undrawn = ticks_out_of_view(figure)
    texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_visible() and t not in undrawn]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_text().strip()]
    shown = [(text, box.extents) for text, box in boxes if box.width > 0]
    return [text for text, _ in shown], np.array([edges for _, edges in shown]), canvas.get_width_height()


def ticks_out_of_view(figure: Figure) -> set[Text]:
    """Labels of ticks beyond an axis's ends, or on a side without labels: matplotlib keeps but does not
    draw them."""
    found = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    found.add(tick.label1)
    return found


def test_titles_state_the_finding(known: dict[str, Conclusions], pictures: Pictures) -> None:
    found = drawn(known["curves"])
    assert found["verdicts"].finding == "async serves more in 4, sync in 4, equal in 0 of 8"
    assert found["throughput"].finding.startswith("posts.read: async serves 3.7")
    assert "times as much at 256 users" in found["throughput"].finding
    for chart in found.values():
        assert chart.finding.splitlines()[0] in pictures["curves"][chart.stem]


def test_a_title_distinguishes_failing_from_undecided(known: dict[str, Conclusions]) -> None:
    assert drawn(known["all kinds of verdicts"])["verdicts"].finding == (
        "async serves more in 0, sync in 0, equal in 1, failing in 1, invalid in 1, inconclusive in 1 of 4"
    )


def test_captions_name_the_rounds_and_the_method(pictures: Pictures) -> None:
    text = pictures["one cell"]["verdicts"]
    assert "n = 6 rounds" in text
    assert "95% repeated confidence intervals" in text


def test_pictures_keep_text_as_text_and_have_a_description(
    known: dict[str, Conclusions], pictures: Pictures
) -> None:
    for chart in drawn(known["curves"]).values():
        text = pictures["curves"][chart.stem]
        root = ElementTree.fromstring(text)  # noqa: S314  # our own picture
        assert "<text" in text
        assert "dc:date" not in text
        assert root.get("role") == "img"
        space = "{http://www.w3.org/2000/svg}"
        title, about = root.find(f"{space}title"), root.find(f"{space}desc")
        assert title is not None
        assert title.text == chart.finding
        assert about is not None
        assert about.text == chart.reading


def test_the_pictures_of_a_report_share_no_ids(pictures: Pictures) -> None:
    ids = [name for text in pictures["curves"].values() for name in re.findall(r'\bid="([^"]+)"', text)]
    assert len(ids) == len(set(ids)) > 90
    for text in pictures["curves"].values():
        for used in re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', text):
            assert f'id="{used}"' in text


def test_a_dark_picture_is_the_light_one_with_other_colours(known: dict[str, Conclusions]) -> None:
    """It is made by replacing colours; drawing in dark colours gives the same result."""
    for chart in drawn(known["all kinds of verdicts"]).values():
        made = files(chart)
        assert made["light.svg"] != made["dark.svg"]
        with uncollected():
            dark = chart.draw(DARK)
            # In the order of `files`: what is saved first lays the figure out.
            whole = named(saved(dark, "svg").decode(), chart)
            assert made["dark.png"] == saved(dark, "png"), chart.stem
        # Reused marks are named by a hash of their appearance.
        once, again = (re.sub(r"-(m|C0_0_)[0-9a-f]{10}", "", s) for s in (made["dark.svg"].decode(), whole))
        assert once == again, chart.stem


def luminance(colour: str) -> float:
    """Relative luminance as in WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", PALETTES, ids=lambda palette: palette.name)
def test_words_and_marks_have_contrast_with_the_background(palette: object) -> None:
    """WCAG 2.2: 4.5 for words, 3 for marks."""
    scheme = LIGHT if palette is LIGHT else DARK
    for words in (scheme.ink, scheme.faint, *scheme.texts):
        assert contrast(words, scheme.paper) >= 4.5, words
    for look in LOOKS:
        assert contrast(look.colour, scheme.paper) >= 3.0, look


def test_dollars_in_the_name_of_an_endpoint_are_no_mathematics(tmp_path: Path) -> None:
    """Matplotlib would read the name as a formula, here as an invalid one, which it refuses to draw."""
    name = r"/$a/\frac$"
    plan = scripted.plan(cells=[("shop", 20)])
    plan = plan.model_copy(update={"gate": True, "against": {"async": "sync"}})
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted(2_000, endpoints=(name, "read")))
    assert name in svg(drawn(conclude(run, Readings(directory)))["verdicts"])


def test_arms_differ_without_colour() -> None:
    assert len({look.marker for look in LOOKS}) == len(LOOKS)
    assert len({look.line for look in LOOKS[:3]}) == 3


def test_a_palettes_colours_are_distinct_in_text() -> None:
    for palette in PALETTES:
        own = [palette.paper, palette.ink, palette.faint, palette.rule, palette.band, *palette.texts]
        assert len({*own, *(look.colour for look in LOOKS)}) == len(own) + len(LOOKS)


def test_trials_that_do_not_count_are_drawn_hollow(known: dict[str, Conclusions]) -> None:
    (axes,) = drawn(known["all kinds of verdicts"])["throughput"].draw(LIGHT).axes
    dots = [line for line in axes.lines if isinstance(line, Line2D) and line.get_markersize() < 3]
    hollow = [line for line in dots if line.get_markerfacecolor() == LIGHT.paper]
    filled = [line for line in dots if line.get_markerfacecolor() != LIGHT.paper]
    assert sum(np.size(line.get_xdata()) for line in hollow) == 4 * 2  # rounds and arms of one cell
    assert sum(np.size(line.get_xdata()) for line in filled) == 4 * 3 * 2  # rounds, cells, arms


def test_hairlines_mark_where_threads_and_connections_run_out(pictures: Pictures) -> None:
    text = pictures["curves"]["throughput"]
    assert "20 connections · 40 threads" in text
    assert ">40 threads<" in text  # upstream uses no database


def test_the_crossover_is_shown_between_its_loads(pictures: Pictures) -> None:
    assert pictures["curves"]["throughput"].count("order flips") == 2
    assert "order flips" not in pictures["three arms"]["throughput"]


def test_a_tail_ends_where_ten_slower_requests_remain(known: dict[str, Conclusions]) -> None:
    conclusions = known["one cell"]
    run, readings = conclusions.run, conclusions.readings
    cell = run.plan.cells[0]
    found = tail(run, readings, cell, "sync")
    assert found is not None
    read = [readings.directory.samples(trial) for trial in run.of(cell, "sync")]
    times = np.sort(np.concatenate([samples.end - samples.due for samples in read]))
    assert found.n == len(times)
    assert found.parts[-1] == pytest.approx(1 - 10 / len(times))
    for part, seconds in zip(found.parts[:-1], found.seconds[:-1], strict=True):
        assert seconds == percentile(times, part)


def test_the_ticks_of_the_tails_are_percentages(known: dict[str, Conclusions]) -> None:
    (axes,) = drawn(known["one cell"])["tails"].draw(LIGHT).axes
    assert [label.get_text() for label in axes.get_xticklabels()][:3] == ["50", "90", "99"]


def test_a_tail_without_twenty_requests_is_not_drawn(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(rounds=1), lambda *_: Scripted(requests=19))
    assert tail(run, Readings(directory), run.plan.cells[0], "sync") is None


def test_the_typical_round_is_the_one_nearest_to_the_medians(tmp_path: Path) -> None:
    rates = [400, 900, 610, 600, 100]
    run, directory = scripted.run(
        tmp_path, scripted.plan(rounds=5), lambda *at: Scripted(requests=rates[at[2]])
    )
    found = typical_round(run, Readings(directory), run.plan.cells[0])
    assert {arm: trial.round for arm, trial in found.items()} == {"sync": 3, "async": 3}


def test_a_heat_map_contains_every_request_once(known: dict[str, Conclusions]) -> None:
    conclusions = known["one cell"]
    trial = conclusions.run.trials[0]
    found = heat(conclusions.readings, trial, np.geomspace(0.005, 0.02, 9), 10)
    assert found.parts.shape == (8, 10)
    assert found.parts.sum() == pytest.approx(1.0)  # those beyond the edges too
    assert found.n == len(conclusions.readings.directory.samples(trial))


def test_a_run_without_trials_has_no_charts(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(), rounds=0)
    assert set(drawn(conclude(run, Readings(directory)))) <= {"verdicts", "throughput", "latency"}
