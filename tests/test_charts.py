"""Charts: the same run gives the same bytes, titles state findings, labels stay apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from loadtests.config import ENDPOINTS
from loadtests.records import Cell
from reports.charts import charts, render
from reports.estimates import Readings
from reports.verdicts import verdicts
from tests import scripted
from tests.scripted import Told

FACTORS = {"sync": 1.0, "async": 1.4, "more": 1.1}

SHAPES: dict[str, tuple[Sequence[str], Sequence[tuple[str, int]]]] = {
    "one cell": (("sync", "async"), [("ping", 64)]),
    "curves": (("sync", "async"), [(s, u) for s in ("ping", "upstream") for u in (1, 8, 64, 256)]),
    "every endpoint": (("sync", "async"), [(scenario, 64) for scenario in ENDPOINTS]),
    "three arms": (("sync", "async", "more"), [("ping", 1), ("ping", 64), ("ping", 1000)]),
}


def script(arm: str, cell: Cell, round: int) -> Told:
    return Told(requests=int(1200 * FACTORS[arm]) + 7 * round, latency=0.01 / FACTORS[arm])


def drawn(tmp_path: Path, shape: str) -> dict[str, Figure]:
    arms, cells = SHAPES[shape]
    run, directory = scripted.run(tmp_path, scripted.plan(arms, cells, rounds=6), script)
    return dict(charts(run, verdicts(run, Readings(directory))))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_run_gives_the_same_bytes(tmp_path: Path, shape: str) -> None:
    (tmp_path / "again").mkdir()
    first, second = drawn(tmp_path, shape), drawn(tmp_path / "again", shape)
    assert set(first) == {"verdicts", "throughput", "latency"}
    for name in first:
        for kind in ("svg", "png"):
            assert render(first[name], kind) == render(second[name], kind), name


@pytest.mark.parametrize("shape", SHAPES)
def test_no_two_labels_overlap_and_none_is_cut_off(tmp_path: Path, shape: str) -> None:
    for name, figure in drawn(tmp_path, shape).items():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib types it in part
        renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]  # as above
        undrawn = ticks_out_of_view(figure)
        texts = [
            t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_visible() and t not in undrawn
        ]
        boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
        width, height = canvas.get_width_height()
        shown = [(text, box) for text, box in boxes if box.width > 0 and text.strip()]
        for text, box in shown:
            assert box.x0 > -1, f"{name}: {text} is cut off"
            assert box.x1 < width + 1, f"{name}: {text} is cut off"
            assert box.y0 > -1, f"{name}: {text} is cut off"
            assert box.y1 < height + 1, f"{name}: {text} is cut off"
        for number, (text, box) in enumerate(shown):
            for other, that in shown[number + 1 :]:
                apart = (
                    box.x1 <= that.x0 + 1
                    or that.x1 <= box.x0 + 1
                    or box.y1 <= that.y0 + 2
                    or that.y1 <= box.y0 + 2
                )
                assert apart, f"{name}: {text!r} overlaps {other!r}"


def ticks_out_of_view(figure: Figure) -> set[Text]:
    """Labels of ticks beyond an axis's ends, which matplotlib keeps but does not draw."""
    found = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    found.add(tick.label1)
    return found


def test_titles_state_the_finding(tmp_path: Path) -> None:
    figures = drawn(tmp_path, "curves")
    assert "async serves more in 8" in svg(figures["verdicts"])
    assert "async serves 1.39 times as much at 256 users" in svg(figures["throughput"])


def test_captions_name_the_rounds_and_the_method(tmp_path: Path) -> None:
    text = svg(drawn(tmp_path, "one cell")["verdicts"])
    assert "n = 6 rounds" in text
    assert "95% repeated confidence intervals" in text


def test_svg_keeps_text_as_text_and_names_no_moment(tmp_path: Path) -> None:
    for figure in drawn(tmp_path, "one cell").values():
        text = svg(figure)
        ElementTree.fromstring(text)  # noqa: S314  # our own picture
        assert "<text" in text
        assert not re.search(r"<dc:date>", text)


def svg(figure: Figure) -> str:
    return render(figure, "svg").decode()
