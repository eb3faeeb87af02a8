"""Facts → everything that follows from them, computed once. All report formats show these."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loadtests.records import Cell, Run, rounds_tried
from reports.advice.cards import Card, cards
from reports.advice.explanations import Explanations
from reports.advice.portraits import Portrait, portraits
from reports.analysis.failures.kinds import FailureKind, failure_kinds
from reports.analysis.readings import Readings
from reports.analysis.rounds.launches import rounds_required
from reports.analysis.thresholds import Judgement, judge
from reports.analysis.verdicts import Outcome, Verdict, verdicts
from reports.gate.findings import Decision
from reports.gate.outcomes import decisions
from reports.gate.sides import Side, side_of


@dataclass(frozen=True)
class Conclusions:
    """A run and what it means."""

    run: Run
    readings: Readings
    verdicts: tuple[Verdict, ...]
    explanations: Explanations
    cards: tuple[Card, ...]
    judgements: tuple[Judgement, ...]
    """The results of the plan's thresholds."""
    failure_kinds: tuple[FailureKind, ...] = ()
    """What failed, in the plan's order of cells and arms."""
    decisions: tuple[Decision, ...] = ()
    """In a gate, the decision on each primary verdict; empty for a run that is not a gate."""
    portraits: tuple[Portrait, ...] = ()
    """Of a run of one arm, what it shows in each cell; empty for a run that compares."""

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """In a gate, the outcome of each primary verdict; empty for a run that is not a gate."""
        return tuple(decision.outcome for decision in self.decisions)

    @property
    def primaries(self) -> tuple[Verdict, ...]:
        """One verdict per cell and rival: on the metric that decides."""
        return tuple(verdict for verdict in self.verdicts if verdict.primary)

    @property
    def whole(self) -> tuple[Verdict, ...]:
        """All metrics' verdicts on cells as a whole: their endpoint, or all endpoints of a mix together."""
        chosen = {(verdict.cell, verdict.arm): verdict.endpoint for verdict in self.primaries}
        return tuple(v for v in self.verdicts if chosen.get((v.cell, v.arm)) == v.endpoint)


def conclude(run: Run, readings: Readings) -> Conclusions:
    """The conclusions of a run. Raises RecordError."""
    found = verdicts(run, readings)
    primaries = [verdict for verdict in found if verdict.primary]
    judged = decisions(run.plan, primaries) if run.plan.gate else []
    outcome = {(one.cell, one.arm): found.outcome for one, found in zip(primaries, judged, strict=False)}
    explanations = Explanations(run, readings, found)
    return Conclusions(
        run=run,
        readings=readings,
        verdicts=tuple(found),
        explanations=explanations,
        cards=tuple(
            replace(card, outcome=outcome.get((card.verdict.cell, card.arm)))
            for card in cards(explanations, found)
        ),
        judgements=tuple(judge(run, readings, found)),
        failure_kinds=failure_kinds(run, readings),
        decisions=tuple(judged),
        portraits=tuple(portraits(explanations)) if run.plan.alone else (),
    )


def decided(run: Run, readings: Readings) -> set[Cell]:
    """The cells that need no further round: every rival's primary verdict is settled. In a gate, the outcome
    is: a regression counts as found once it is significant after the Holm correction over all cells, as in
    the gate's final outcome. And whether an arm fails more requests than the other must be settled. A cell
    that is invalid needs further rounds while they can repair it. Raises RecordError."""
    if run.plan.alone:
        return {one.cell for one in portraits(Explanations(run, readings)) if not open_still(run, one)}
    primaries = [verdict for verdict in verdicts(run, readings) if verdict.primary]
    words: list[str] = [verdict.verdict for verdict in primaries]
    if run.plan.gate:
        words = [decision.outcome for decision in decisions(run.plan, primaries)]
    undecided = {
        one.cell
        for one, word in zip(primaries, words, strict=True)
        if word == "inconclusive"
        or (word == "invalid" and rounds_tried(run, one.cell, (one.reference, one.arm)).repairable(run.plan))
        or (one.open_failures and not run.plan.gate)
    }
    return {cell for cell in run.plan.cells if cell not in undecided | short_of_rounds(run, primaries)}


def open_still(run: Run, portrait: Portrait) -> bool:
    """Whether further rounds can make the figures of an only arm more certain."""
    tried = rounds_tried(run, portrait.cell, (portrait.arm, portrait.arm))
    return portrait.word == "inconclusive" or (portrait.word == "invalid" and tried.repairable(run.plan))


def short_of_rounds(run: Run, primaries: list[Verdict]) -> set[Cell]:
    """The cells whose verdicts need more rounds than they have: launches differ, see `rounds_required`."""
    found: set[Cell] = set()
    for arm in run.plan.rivals:
        settled = ("different", "failing", "invalid")
        mine = [one for one in primaries if one.arm == arm.name and one.verdict not in settled]
        required = rounds_required([one.differences for one in mine], run.plan.margin)
        found |= {one.cell for one, rounds in zip(mine, required, strict=True) if one.n < rounds}
    return found


def side(conclusions: Conclusions) -> Side:
    """A run as one side of a comparison. Raises Incompatible if its cells stopped once decided."""
    return side_of(conclusions.run, conclusions.primaries)
