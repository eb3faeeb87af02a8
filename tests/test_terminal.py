"""What a terminal shows: whole at 80 and at 200 columns, and the live view never taller than the screen."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from reports import terminal, units
from reports.estimates import Readings
from reports.live import Lines, LiveView
from tests import scripted
from tests.scripted import Told
from tests.shapes import SHAPES, even, told


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [80, 200])
def test_the_results_fit_the_terminal(tmp_path: Path, shape: str, width: int) -> None:
    found = told(tmp_path, shape)
    out = StringIO()
    console = Console(file=out, width=width, force_terminal=True, no_color=True, color_system=None)
    terminal.show(console, found)
    lines = out.getvalue().splitlines()
    assert max(cell_len(line) for line in lines) <= width
    for verdict in found.primaries:
        # A number that is cut off ends in an ellipsis.
        assert units.ratio(verdict.ratio) in out.getvalue()
    assert "…" not in out.getvalue()


def view_of(tmp_path: Path, shape: str, height: int) -> tuple[LiveView, list[str]]:
    """The live view after a round, and its lines."""
    found = told(tmp_path, shape)
    console = Console(file=StringIO(), width=100, height=height, force_terminal=True, color_system=None)
    view = LiveView(console, found.readings)
    view.trial_begins(found.run, found.run.plan.cells[0], found.run.plan.arms[0], 3)
    view.trial_ends(found.run, found.run.trials[0])
    view.round_ends(found.run, 4, list(found.run.plan.cells[-2:]), 75.0)
    lines = console.render_lines(view.view(), pad=False)
    return view, ["".join(segment.text for segment in line).rstrip() for line in lines]


def test_the_live_view_shows_what_runs_what_is_left_and_every_ratio(tmp_path: Path) -> None:
    _, lines = view_of(tmp_path, "curves", 40)
    text = "\n".join(lines)
    assert text.count("upstream") == 4  # loads
    assert "at most 1 min 15 s left" in text
    assert "generator at 10% of its core" in text
    assert "round 4 of" in text


@pytest.mark.parametrize("shape", ["every endpoint", "three arms, many cells"])
def test_the_live_view_fits_the_screen_with_open_cells_first(tmp_path: Path, shape: str) -> None:
    _, lines = view_of(tmp_path, shape, 24)
    assert len(lines) <= 24
    text = "\n".join(lines)
    assert " more" in text
    assert str(SHAPES[shape].cells[-1][0]) in text  # it is open still
    assert "generator at" in text


def test_the_live_view_tells_of_failed_requests(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Told(requests=400, failures=7))
    console = Console(file=StringIO(), width=100, height=24)
    view = LiveView(console, Readings(directory))
    view.trial_ends(run, run.trials[0])
    assert "393/s, 7 failed" in view.now.plain


def test_without_a_terminal_every_decided_cell_is_a_line(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(cells=[("ping", 1), ("ping", 64)]), even)
    out = StringIO()
    lines = Lines(Console(file=out, width=100), Readings(directory))
    lines.round_ends(run, 4, [run.plan.cells[1]], 30.0)
    told_lines = out.getvalue().splitlines()
    assert told_lines[0].startswith("  ping at 1 user: async serves 1.40 times as much as sync")
    assert told_lines[-1] == "round 4 of 20 done after 1 s: 1 cell open, at most 30 s left"
