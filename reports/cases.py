"""What a CI job needs of a run or a comparison: cases that pass or fail, the worst first, and one word.

Every CI format shows these; none of them decides anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports import changes
from reports.comparison import Comparison
from reports.conclusions import Conclusions
from reports.terminal import JUDGED, WORST_FIRST, headline, judgement_line, sentences, worst
from reports.verdicts import Outcome, Verdict

OF_THRESHOLDS: dict[str, Outcome] = {"met": "pass", "missed": "regression", "inconclusive": "inconclusive"}


@dataclass(frozen=True)
class Case:
    """One thing that can fail: a cell, or a threshold in a cell."""

    group: str
    """What is judged: `head against base`, or `thresholds`."""
    name: str
    """Unique within its group."""
    outcome: Outcome
    message: str
    """The whole finding in one line."""


@dataclass(frozen=True)
class Gate:
    """All cases, the worst first."""

    title: str
    """What was judged, and how it came out, in one line."""
    run: str
    """The run, or the two of them."""
    cases: tuple[Case, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of all cases; a gate without cases passes nothing."""
        return worst([case.outcome for case in self.cases])


def of_run(conclusions: Conclusions) -> Gate:
    """A run's cells, and its thresholds. Cells fail where the run was to say whether one arm is worse than
    another; where it was to say which is ahead, nothing but the thresholds can."""
    run = conclusions.run
    judged = conclusions.outcomes or [plain(verdict) for verdict in conclusions.primaries]
    cases = [
        Case(f"{verdict.arm} against {verdict.reference}", str(verdict.cell), word, said)
        for verdict, word, said in zip(conclusions.primaries, judged, sentences(conclusions), strict=True)
    ]
    for one in conclusions.judgements:
        line = judgement_line(one).removeprefix(f"{JUDGED[one.word]} ")
        name = f"{one.threshold.text}: {one.cell}, {one.arm}"
        cases.append(Case("thresholds", name, OF_THRESHOLDS[one.word], line))
    return gate(f"run {run.id}", cases)


def of_comparison(comparison: Comparison) -> Gate:
    """The cells of two runs."""
    cases = [
        Case(
            f"{one.head.arm} against {one.head.reference}", str(one.head.cell), one.outcome,
            changes.sentence(one, comparison.margin),
        )
        for one in comparison.changes
    ]  # fmt: skip
    return gate(f"runs {comparison.base.run} and {comparison.head.run}", cases)


def gate(run: str, cases: Sequence[Case]) -> Gate:
    ordered = tuple(sorted(cases, key=lambda case: WORST_FIRST.index(case.outcome)))
    return Gate(headline([case.outcome for case in ordered]), run, ordered)


def plain(verdict: Verdict) -> Outcome:
    """A cell of a run that asks which arm is ahead: whatever it finds is no failure."""
    match verdict.verdict:
        case "invalid" | "inconclusive" as word:
            return word
        case _:
            return "pass"
