"""Facts → all that they come to, each part computed once. Every format of the report shows these."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loadtests.records import Run
from reports.cards import Card, Explanations, cards
from reports.estimates import Readings
from reports.gate import OUTCOMES, outcomes
from reports.thresholds import Judgement, judge
from reports.verdicts import Outcome, Verdict, verdicts


@dataclass(frozen=True)
class Conclusions:
    """A run and what it means."""

    run: Run
    readings: Readings
    verdicts: tuple[Verdict, ...]
    explanations: Explanations
    cards: tuple[Card, ...]
    judgements: tuple[Judgement, ...]
    """What became of the plan's thresholds."""
    outcomes: tuple[Outcome, ...] = ()
    """Of a gate, what became of each primary verdict; empty for a run that asks which arm is ahead."""

    @property
    def primaries(self) -> tuple[Verdict, ...]:
        """One verdict a cell and rival: on the metric that decides."""
        return tuple(verdict for verdict in self.verdicts if verdict.primary)

    @property
    def whole(self) -> tuple[Verdict, ...]:
        """The verdicts, of every metric, on what a cell is about: its endpoint, or all of a mix together."""
        chosen = {(verdict.cell, verdict.arm): verdict.endpoint for verdict in self.primaries}
        return tuple(v for v in self.verdicts if chosen.get((v.cell, v.arm)) == v.endpoint)


def conclude(run: Run, readings: Readings) -> Conclusions:
    """What a run comes to. Raises RecordError."""
    found = verdicts(run, readings)
    primaries = [verdict for verdict in found if verdict.primary]
    judged = outcomes(run.plan, primaries) if run.plan.gate else []
    words = {(one.cell, one.arm): OUTCOMES[word] for one, word in zip(primaries, judged, strict=False)}
    explanations = Explanations(run, readings)
    return Conclusions(
        run=run,
        readings=readings,
        verdicts=tuple(found),
        explanations=explanations,
        # Of a gate nobody asks which version to prefer.
        cards=tuple(
            replace(card, advice=words.get((card.verdict.cell, card.arm), card.advice))
            for card in cards(explanations, found)
        ),
        judgements=tuple(judge(run, readings, found)),
        outcomes=tuple(judged),
    )
