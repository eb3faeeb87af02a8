"""A run or a comparison for a CI job: cases that pass or fail, the worst first, and one overall outcome.

Every CI format shows these; no format decides anything itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.records import Cell, Run
from reports.advice.portraits import Portrait, PortraitWord
from reports.analysis.verdicts import Outcome, Verdict
from reports.conclusions import Conclusions
from reports.gate.comparison import Comparison
from reports.gate.findings import WORST_FIRST, worst
from reports.wording.advice.portraits import headline as portrait_headline
from reports.wording.failures import lines_of_cell
from reports.wording.gates import changes
from reports.wording.headlines import headline
from reports.wording.sentences import case_name, judgement_text, sentences, unlike_lines

OF_PORTRAITS: Mapping[PortraitWord, Outcome] = {
    "measured": "pass",
    "failing": "pass",
    "inconclusive": "inconclusive",
    "invalid": "invalid",
}


@dataclass(frozen=True)
class Case:
    """One thing that can fail: a cell, an endpoint of a mixture, or a threshold in a cell."""

    group: str
    """What is judged: `head against base`, or `thresholds`."""
    name: str
    """Unique within its group."""
    outcome: Outcome
    message: str
    """The whole finding in one line."""
    seconds: float = 0.0
    """For how long both arms were loaded for it; 0 where records that were there already are judged."""
    failed: tuple[str, ...] = ()
    """The kinds of failed requests in its cell, a line each."""
    verdict: Verdict | None = None
    """What it was made from; None of thresholds, comparisons and an arm by itself."""


@dataclass(frozen=True)
class Gate:
    """All cases, the worst first."""

    title: str
    """What was judged, and the result, in one line."""
    run: str
    """The run, or both runs."""
    cases: tuple[Case, ...]
    notes: tuple[str, ...] = ()
    """What must be read before the cases: how the arms' answers differ."""

    @property
    def outcome(self) -> Outcome:
        """The worst of all cases; a gate without cases does not pass."""
        return worst([case.outcome for case in self.cases])


def of_run(conclusions: Conclusions) -> Gate:
    """A run's cells and thresholds. In a gate, cells can fail; in a run that asks which arm is faster, or
    what one arm does by itself, only thresholds can."""
    run = conclusions.run
    judged = conclusions.outcomes or [plain(verdict) for verdict in conclusions.cases]
    cases = [
        Case(
            f"{verdict.arm} against {verdict.reference}", case_name(verdict), word, line,
            # Of a mixture, its own case has the time and the failures of all its endpoints.
            load_on(run, verdict.cell, (verdict.reference, verdict.arm)) if verdict.primary else 0.0,
            lines_of_cell(conclusions.failure_kinds, verdict.cell, (verdict.reference, verdict.arm))
            if verdict.primary else (),
            verdict,
        )
        for verdict, word, line in zip(conclusions.cases, judged, sentences(conclusions), strict=True)
    ]  # fmt: skip
    cases += [alone(conclusions, portrait) for portrait in conclusions.portraits]
    for one in conclusions.judgements:
        name = f"{one.threshold.text}: {one.cell}, {one.arm}"
        kinds = lines_of_cell(conclusions.failure_kinds, one.cell, (one.arm,))
        cases.append(Case("thresholds", name, one.outcome, judgement_text(one), failed=kinds))
    return gate(headline(conclusions), f"run {run.id}", cases, unlike_lines(run, conclusions.primaries))


def alone(conclusions: Conclusions, portrait: Portrait) -> Case:
    """A cell of the only arm of a run."""
    cell, arm = portrait.cell, portrait.arm
    return Case(
        f"{arm} by itself", str(cell), OF_PORTRAITS[portrait.word],
        portrait_headline(portrait, conclusions.run.plan), load_on(conclusions.run, cell, (arm,)),
        lines_of_cell(conclusions.failure_kinds, cell, (arm,)),
    )  # fmt: skip


def load_on(run: Run, cell: Cell, arms: Sequence[str]) -> float:
    """Seconds of load on arms in a cell, in all attempts at its rounds."""
    return sum(trial.seconds for arm in arms for trial in run.every(cell, arm))


def of_comparison(comparison: Comparison) -> Gate:
    """The cells of two runs."""
    cases = [
        Case(
            f"{one.head.arm} against {one.head.reference}", one.head.place, one.outcome,
            changes.sentence(one, comparison.margin),
        )
        for one in comparison.changes
    ]  # fmt: skip
    runs = f"runs {comparison.base.run} and {comparison.head.run}"
    return gate(changes.headline(comparison), runs, cases, changes.unlike_lines(comparison))


def gate(title: str, run: str, cases: Sequence[Case], notes: Sequence[str] = ()) -> Gate:
    ordered = tuple(sorted(cases, key=lambda case: WORST_FIRST.index(case.outcome)))
    return Gate(title, run, ordered, tuple(notes))


def plain(verdict: Verdict) -> Outcome:
    """The outcome of a cell in a run that asks which arm is faster: no finding is a failure."""
    match verdict.verdict:
        case "invalid" | "inconclusive" as word:
            return word
        case "different":
            return "inconclusive"
        case _:
            return "pass"
