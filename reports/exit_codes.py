"""From outcomes to the exit code of the `duel` command."""

from __future__ import annotations

from collections.abc import Collection

from loadtests.errors import Exit
from reports.conclusions import Conclusions


def exit_code(outcomes: Collection[str], strict: bool = False) -> Exit:
    """The exit code of the worst of `outcomes`: words of verdicts, thresholds, changes and
    findings. `strict`: undecided ones count, too, and code that could not be read."""
    if not {"regression", "missed", "wrong"}.isdisjoint(outcomes):
        return Exit.GATE
    if "invalid" in outcomes:
        return Exit.INVALID
    open = not {"inconclusive", "different", "unread"}.isdisjoint(outcomes)
    return Exit.INCONCLUSIVE if strict and open else Exit.DONE


def outcomes_of(conclusions: Conclusions) -> set[str]:
    """What decides the exit code of a run: its thresholds, and a gate's outcomes or else the primary
    verdicts, or what its only arm shows; invalid ones always count."""
    verdicts: set[str] = {verdict.verdict for verdict in conclusions.primaries}
    verdicts |= {portrait.word for portrait in conclusions.portraits}
    decided = set(conclusions.outcomes) or verdicts
    return {judgement.word for judgement in conclusions.judgements} | decided | (verdicts & {"invalid"})
