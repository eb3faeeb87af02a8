"""Confidence and words agree: a difference counts where it is significant among all of a run."""

from __future__ import annotations

from pathlib import Path

from loadtests.errors import Exit
from loadtests.records import Cell
from reports.analysis.readings import Readings
from reports.conclusions import conclude, decided
from reports.exit_codes import exit_code, outcomes_of
from reports.wording.advice.cards import card_advice
from reports.wording.headlines import headline
from reports.wording.sentences import sentences, together
from tests import scripted
from tests.scripted import Scripted


def edge(arm: str, cell: Cell, round: int) -> Scripted:
    """One user: twice as much; others: a difference just below its own 5%."""
    if cell.load.users == 1:
        return Scripted(requests=(4000 if arm == "async" else 2000) + 10 * (round % 2))
    return Scripted(requests=2000 + (arm == "async") * (560 + (round % 2) * 600))


def test_a_difference_that_is_not_significant_among_all_is_undecided(tmp_path: Path) -> None:
    """By itself, each would be one: verdicts, cards and the exit code agree with the corrected confidence."""
    plan = scripted.plan(cells=[("ping", users) for users in (1, 2, 3, 4)])
    run, directory = scripted.run(tmp_path, plan, edge)
    readings = Readings(directory)
    found = conclude(run, readings)
    assert [one.verdict for one in found.primaries] == ["faster", *["inconclusive"] * 3]
    assert together(run, found.verdicts) == (
        "1 of 4 differences can be relied on: ping at 1 user (error rate of all together ≤ 5%, Holm)."
    )
    said = sentences(found)[1]
    assert "inconclusive: faster by itself, but not significant after Holm correction over 4 verdicts" in said
    assert decided(run, readings) == {plan.cells[0]}
    assert exit_code(outcomes_of(found), strict=True) == Exit.INCONCLUSIVE
    assert headline(found) == "async is ahead in 1, sync in 0, equal in 0, inconclusive in 3 of 4 cells"


def test_a_card_whose_difference_does_not_stand_reads_undecided(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("ping", 2), ("sleep", 2), ("hash", 2)])
    run, directory = scripted.run(tmp_path, plan, edge)
    for one in conclude(run, Readings(directory)).cards:
        assert card_advice(one) == "not decided"
        assert one.lowest is None


def test_a_verdict_alone_needs_no_correction(tmp_path: Path) -> None:
    run, directory = scripted.run(tmp_path, scripted.plan(cells=[("ping", 2)]), edge)
    found = conclude(run, Readings(directory))
    assert found.primaries[0].verdict == "faster"
    assert together(run, found.verdicts) == ""
