"""Terminal output: complete at 80 and 200 columns, and the live view never taller than the screen."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from loadtests.records import Cell, Run
from reports.advice.cards import Card
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.render import markdown, terminal
from reports.render.live import Lines, LiveView
from reports.render.output import Output
from reports.render.tables import verdicts
from reports.wording import units
from reports.wording.sentences import warnings
from tests import scripted
from tests.conftest import Known
from tests.scripted import Scripted
from tests.shapes import SHAPES, even


class Screen(StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shape", SHAPES)
def test_the_results_fit_the_terminal(known: Known, shape: str) -> None:
    found = known[shape]
    for width in (80, 200):
        out = Screen()
        terminal.show(Console(file=out, width=width, color_system=None), found)
        lines = out.getvalue().splitlines()
        assert max(cell_len(line) for line in lines) <= width
        for verdict in found.primaries:
            # A number that is cut off ends in an ellipsis.
            assert units.ratio(verdict.ratio) in out.getvalue()
        assert "…" not in out.getvalue()


@pytest.mark.parametrize(("colour", "variables"), [("auto", {"FORCE_COLOR": "1"}), ("always", {})])
def test_colours_in_a_file_neither_wrap_its_lines_nor_draw_over_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colour: str, variables: Mapping[str, str]
) -> None:
    """CI services set FORCE_COLOR, and keep what is written."""
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", file := StringIO())
    monkeypatch.setattr(sys, "stderr", StringIO())
    _, directory = scripted.run(tmp_path, scripted.plan(), even, rounds=0)
    output, long = Output(colour), " ".join(["word"] * 100)
    output.say(long)
    output.results.print("heading", style="bold")
    with output.watching(Readings(directory)) as progress:
        assert isinstance(progress, Lines)
    assert file.getvalue() == f"{long}\n\x1b[1mheading\x1b[0m\n"


def test_without_colours_a_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bold and dim text are escape sequences, too."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    for style in ("bold", "dim", "red"):
        Output("never").results.print(style, style=style)
    assert screen.getvalue() == "bold\ndim\nred\n"


@pytest.mark.parametrize("width", [90, 120, 140])
def test_names_stay_whole_beside_failure_rates(tmp_path: Path, width: int) -> None:
    """Beside the widest verdict, too."""

    def script(arm: str, cell: Cell, round: int) -> Scripted:
        failures = 45 if (arm, cell.scenario) == ("async", "posts.read") else 0
        half = 2 if (arm, cell.scenario, round) == ("async", "python", 3) else 1
        return Scripted(requests=6000 // half, latency=0.01, spread=4.0, failures=failures)

    plan = scripted.plan(cells=[("posts.read", 64), ("python", 64)])
    run, directory = scripted.run(tmp_path, plan, script)
    out = StringIO()
    found = conclude(run, Readings(directory)).verdicts
    Console(file=out, width=width, color_system=None).print(verdicts.table(run, found, width))
    assert "posts.read" in out.getvalue()
    assert "0% / 0.75%" in out.getvalue()


@pytest.mark.parametrize(("width", "failures"), [(80, 45), (90, 45), (116, 0), (136, 45)])
def test_long_names_of_two_arms_cut_no_number(tmp_path: Path, width: int, failures: int) -> None:
    def script(arm: str, _: Cell, round: int) -> Scripted:
        failed = failures if arm == "storefront-head" else 0
        return Scripted(requests=6000 + round, latency=0.01, spread=4.0, failures=failed)

    plan = scripted.plan(("storefront-base", "storefront-head"), [("posts.read", 64)])
    run, directory = scripted.run(tmp_path, plan, script)
    found = conclude(run, Readings(directory)).verdicts
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(verdicts.table(run, found, width))
    assert "…" not in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= width
    row = out.getvalue().splitlines()[-1].split()
    assert row[:2] == ["posts.read", "64"]
    assert all(value.endswith("/s") for value in row[2:4])


def test_on_a_narrow_terminal_several_arms_stand_below_their_scenario(tmp_path: Path) -> None:
    """The names of three arms and of a scenario leave no room for each other in 80 columns."""
    arms = ("storefront-workers-1", "storefront-workers-2", "storefront-workers-4")
    plan = scripted.plan(arms, [("posts.read", 64)], rounds=6)
    run, directory = scripted.run(tmp_path, plan, lambda *_: Scripted(requests=2_000, latency=0.01))
    found = conclude(run, Readings(directory)).verdicts
    out = StringIO()
    Console(file=out, width=80, color_system=None).print(verdicts.table(run, found, 80))
    _, scenario, *rows = out.getvalue().splitlines()
    assert scenario.strip() == "posts.read"
    assert [row.split()[:2] for row in rows] == [[arm, "64"] for arm in arms[1:]]
    assert max(map(len, rows)) <= 80


def test_long_names_of_arms_leave_room_for_scenarios_and_advice(tmp_path: Path) -> None:
    plan = scripted.plan(("storefront-base", "storefront-head"), [("list-products", 8)])
    run, directory = scripted.run(
        tmp_path, plan, lambda *_: Scripted(requests=2_000, latency=0.01, canary=0.02)
    )
    cards = conclude(run, Readings(directory)).cards
    out = StringIO()
    Console(file=out, width=100, color_system=None).print(terminal.card_table(run, cards, 100))
    assert out.getvalue().splitlines()[-1].startswith("list-products  either  ")


def test_cards_name_the_load_of_their_figures_where_a_run_has_several(known: Known) -> None:
    """An advice that only holds with one user read like one for every load."""
    found = known["curves"]
    for text in (markdown.card_table(found.run, found.cards), drawn(found.run, found.cards)):
        assert all(str(card.verdict.cell) in text for card in found.cards)


def drawn(run: Run, cards: Sequence[Card]) -> str:
    out = StringIO()
    Console(file=out, width=152, color_system=None).print(terminal.card_table(run, cards, 152))
    return out.getvalue()


def test_every_warning_is_an_item_of_its_own_in_markdown(known: Known) -> None:
    """Quoted lines without a mark become one paragraph."""
    found = known["all kinds of verdicts"]
    items = [f"> - {markdown.plain(line)}" for line in warnings(found.run, found.verdicts)]
    quoted = [line for line in markdown.report(found).splitlines() if line.startswith("> ")]
    assert len(items) > 1
    assert quoted[-len(items) :] == items


def view_of(known: Known, shape: str, height: int) -> tuple[LiveView, list[str]]:
    """The live view after a round, and its lines."""
    found = known[shape]
    console = Console(file=StringIO(), width=100, height=height, force_terminal=True, color_system=None)
    view = LiveView(console, found.readings)
    view.trial_begins(found.run, found.run.plan.cells[0], found.run.plan.arms[0], 3)
    view.trial_ends(found.run, found.run.trials[0])
    view.round_ends(found.run, 4, list(found.run.plan.cells[-2:]), 75.0)
    lines = console.render_lines(view.view(), pad=False)
    return view, ["".join(segment.text for segment in line).rstrip() for line in lines]


def test_the_live_view_shows_what_runs_what_is_left_and_every_ratio(known: Known) -> None:
    _, lines = view_of(known, "curves", 40)
    text = "\n".join(lines)
    assert text.count("upstream") == 4  # loads
    assert "at most 1 min 15 s left" in text
    assert "generator at 10% of its core" in text
    assert "round 4 of" in text


@pytest.mark.parametrize("shape", ["every endpoint", "three arms, many cells"])
def test_the_live_view_fits_the_screen_with_open_cells_first(known: Known, shape: str) -> None:
    _, lines = view_of(known, shape, 24)
    assert len(lines) <= 24
    text = "\n".join(lines)
    assert " more" in text
    assert str(SHAPES[shape].cells[-1][0]) in text  # it is still undecided
    assert "generator at" in text


def test_the_live_view_shows_failed_requests(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(), lambda *_: Scripted(requests=400, failures=7))
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
    lines.round_ends(run, 20, [run.plan.cells[1]], 0.0)
    assert out.getvalue().splitlines()[-1] == "round 20 of 20 done after 1 s: 1 cell not decided"
