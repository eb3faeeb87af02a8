"""Facts → everything that follows from them, computed once. All report formats show these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadtests.records import Cell, RecordError, Run, rounds_tried
from reports.advice.cards import Card, cards
from reports.advice.conversion import Conversion, conversions
from reports.advice.explanations import Explanations
from reports.advice.portraits import Portrait, portraits
from reports.advice.proving.after import NothingToMix, nothing_to_mix, proof_after
from reports.advice.proving.proof import Proof, proof
from reports.analysis.failures.kinds import FailureKind, failure_kinds
from reports.analysis.mixtures.figures import ComparedEndpoint, endpoint_figures
from reports.analysis.readings import Readings
from reports.analysis.rounds.launches import rounds_required
from reports.analysis.thresholds import Judgement, judge
from reports.analysis.verdicts import Outcome, Verdict, verdicts
from reports.gate.findings import Decision, worst
from reports.gate.mixtures import cases, of_mixtures
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
    endpoints: tuple[ComparedEndpoint, ...] = ()
    """The figures of every endpoint of the cells that have several."""
    decisions: tuple[Decision, ...] = ()
    """In a gate, the decision on each of its cases; empty for a run that is not a gate."""
    portraits: tuple[Portrait, ...] = ()
    """Of a run of one arm, what it shows in each cell; empty for a run that compares."""
    proof: Proof | None = None
    """Whether an app that follows the cards is better than either arm: of a run of two arms and the hybrid
    made of both, or measured after the run's rounds."""
    nothing_to_mix: NothingToMix | None = None
    """Why a run that is to end with a proof has none."""

    @property
    def cases(self) -> tuple[Verdict, ...]:
        """What is judged: the primary verdicts, and in a gate every endpoint of a mixture as well."""
        return tuple(judged(self.run, self.verdicts))

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """In a gate, the outcome of each of its cases; empty for a run that is not a gate."""
        return tuple(decision.outcome for decision in self.decisions)

    @property
    def conversions(self) -> tuple[Conversion, ...]:
        """Which scenarios of one's own app to write as another arm does; empty for the twins."""
        return conversions(self.run, self.cards)

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
    """The conclusions of a run. Raises RecordError, also for one that searched for the highest rates: see
    `reports.capacities`."""
    if run.plan.capacity is not None:
        raise RecordError(
            f"run {run.id} searched for the highest rates, and has no verdicts",
            hint="`duel report` shows what it found",
        )
    found = verdicts(run, readings)
    made = decisions(run.plan, judged(run, found)) if run.plan.gate else []
    outcomes: dict[tuple[Cell, str], list[tuple[Outcome, Verdict]]] = {}
    for one, decision in zip(judged(run, found), made, strict=False):
        outcomes.setdefault((one.cell, one.arm), []).append((decision.outcome, one))
    explanations = Explanations(run, readings, found)
    made_cards = cards(explanations, found)
    proven = proof(run, readings, found) or proof_after(run, readings.directory, made_cards)
    return Conclusions(
        run=run,
        readings=readings,
        verdicts=tuple(found),
        explanations=explanations,
        cards=tuple(
            with_outcomes(card, outcomes.get((card.verdict.cell, card.arm), ())) for card in made_cards
        ),
        judgements=tuple(judge(run, readings, found)),
        failure_kinds=failure_kinds(run, readings),
        endpoints=tuple(endpoint_figures(run, readings, found)),
        decisions=tuple(made),
        portraits=tuple(portraits(explanations)) if run.plan.alone else (),
        proof=proven,
        nothing_to_mix=nothing_to_mix(run, made_cards) if proven is None else None,
    )


def with_outcomes(card: Card, mine: Sequence[tuple[Outcome, Verdict]]) -> Card:
    """A card with what a gate found of its cell; the card itself where there is no gate."""
    if not mine:
        return card
    endpoints = tuple(one for one in mine if one[0] != "pass" and not one[1].primary)
    return replace(card, outcome=worst([word for word, _ in mine]), endpoints=endpoints)


def judged(run: Run, found: Sequence[Verdict]) -> list[Verdict]:
    """What decides when a cell stops: the primary verdicts, or a gate's cases."""
    return cases(found) if run.plan.gate else [one for one in found if one.primary]


def decided(run: Run, readings: Readings) -> set[Cell]:
    """The cells that need no further round: every rival's primary verdict is settled. In a gate, the outcome
    of each of its cases is: a regression counts as found once it is significant after the Holm correction
    over all cases, as in the gate's final outcome. And whether an arm fails more requests than the other must
    be settled. A cell that is invalid needs further rounds while they can repair it. Raises RecordError."""
    if run.plan.alone:
        return {one.cell for one in portraits(Explanations(run, readings)) if not open_still(run, one)}
    found = judged(run, verdicts(run, readings))
    words: list[str] = [verdict.verdict for verdict in found]
    if run.plan.gate:
        words = [decision.outcome for decision in decisions(run.plan, found)]
    undecided = {
        one.cell
        for one, word in zip(found, words, strict=True)
        if word == "inconclusive"
        or (word == "invalid" and rounds_tried(run, one.cell, (one.reference, one.arm)).repairable(run.plan))
        or (one.open_failures and not run.plan.gate)
    }
    return {cell for cell in run.plan.cells if cell not in undecided | short_of_rounds(run, found)}


def open_still(run: Run, portrait: Portrait) -> bool:
    """Whether further rounds can make the figures of an only arm more certain."""
    tried = rounds_tried(run, portrait.cell, (portrait.arm, portrait.arm))
    if portrait.word == "inconclusive":
        return not portrait.settled
    return portrait.word == "invalid" and tried.repairable(run.plan)


def short_of_rounds(run: Run, judged: Sequence[Verdict]) -> set[Cell]:
    """The cells whose verdicts need more rounds than they have: launches differ, see `rounds_required`."""
    found: set[Cell] = set()
    for arm in run.plan.rivals:
        settled = ("different", "failing", "invalid")
        mine = [one for one in judged if one.arm == arm.name and one.verdict not in settled]
        required = rounds_required([(one.cell.scenario, one.differences) for one in mine], run.plan.margin)
        found |= {one.cell for one, rounds in zip(mine, required, strict=True) if one.n < rounds}
    return found


def side(conclusions: Conclusions) -> Side:
    """A run as one side of a comparison. Raises Incompatible if its cells stopped once decided."""
    found = [*conclusions.primaries, *of_mixtures(conclusions.verdicts)]
    return side_of(conclusions.run, found, conclusions.failure_kinds)
