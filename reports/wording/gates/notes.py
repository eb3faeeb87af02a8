"""What a gate found in a cell, in words, and a whole gate in one line."""

from __future__ import annotations

from collections.abc import Sequence

from reports.analysis.thresholds import Judgement, ThresholdWord
from reports.analysis.verdicts import Outcome, Verdict
from reports.gate.findings import (
    WORST_FIRST,
    AnsweredNothing,
    ArmsUnlike,
    BeganToFail,
    Degree,
    FailedBefore,
    FailsBy,
    FitsNow,
    GateNote,
    MayPileUp,
    NearMaximum,
    NotAmongAll,
    RatioMissing,
    SideInvalid,
    Unfit,
    worst,
)
from reports.wording import units
from reports.wording.units import counted
from reports.wording.vocabulary import GATES, OUTCOMES, THRESHOLDS


def gate_note_text(note: GateNote) -> str:
    """A finding on one cell; it does not name the cell."""
    match note:
        case FailsBy(arm, degree, base, head):
            return f"{arm} {degree_text(degree, base, head)}"
        case BeganToFail(arm):
            return f"{arm} began to fail"
        case FailedBefore(arm):
            return f"{arm} already failed in base"
        case MayPileUp(arm):
            return f"{arm} may respond before its work is finished; base does not"
        case AnsweredNothing(arm):
            return f"{arm} has no figure in any round, since its requests failed"
        case Unfit(arm, needed, limit, base):
            before = f", and at most {base:.1f} s in base" if base is not None else ""
            return f"not measured: {arm} needs windows of {needed:.1f} s{before} (maximum {limit:.1f} s)"
        case FitsNow():
            return "the base was not measured, since it did not fit the available time"
        case SideInvalid(sides):
            return f"the measurement failed in {' and '.join(sides)}"
        case RatioMissing():
            return "one side lacks a ratio in some rounds"
        case ArmsUnlike(sides):
            return f"the arms answer differently in {' and in '.join(sides)}, so there is no ratio to compare"
        case NearMaximum():
            return "an arm came near the generator's maximum rate: use a lower load, or more --generators"
        case NotAmongAll(cells):
            return f"not significant after Holm correction ({counted(cells, 'test')})"


def gate_figures(verdict: Verdict) -> str:
    """`throughput 1,010/s → 805/s (×0.80, 0.78–0.82, n = 8)`; empty without an interval."""
    if verdict.ratio is None or verdict.low is None:
        return ""
    numbers = f"({units.ratio(verdict.ratio)}, {units.interval(*verdict.bounds)}, n = {verdict.n})"
    values = [
        units.value(verdict.metric, verdict.values.get(name)) for name in (verdict.reference, verdict.arm)
    ]
    return f"{units.METRIC_NAMES[verdict.metric]} {' → '.join(values)} {numbers}"


def degree_text(degree: Degree, base: float, head: float) -> str:
    """How much an arm fails in the head, and in the base."""
    match degree:
        case "failed":
            return f"failed {units.percent(head)} of its requests, and {units.percent(base)} in base"
        case "unanswered":
            return (
                f"left users without an answer for {units.percent(head)} of their time, and "
                f"{units.percent(base)} in base"
            )
        case "behind":
            pieces = f"{100 * head:.0f} pieces of work unfinished per 100 responses"
            return f"left {pieces}, and {100 * base:.0f} in base"
        case "resent":
            return (
                f"dropped the connections of {units.percent(head)} of its requests, and of "
                f"{units.percent(base)} in base"
            )


def gate_headline(words: Sequence[Outcome], judgements: Sequence[Judgement] = (), noun: str = "case") -> str:
    """A gate in one line, by the outcomes of its cases and those of its thresholds."""
    counts = [f"{words.count(word)} {OUTCOMES[word]}" for word in WORST_FIRST if word in words]
    judged = ", ".join(counts) or "nothing was judged"
    result = GATES[worst([*words, *(one.outcome for one in judgements)])]
    said = f"gate {result}: {judged}, of {counted(len(words), noun)}"
    return "; ".join([said, *thresholds_text(judgements)])


def thresholds_text(judgements: Sequence[Judgement]) -> list[str]:
    """`1 threshold missed`, `2 thresholds met`: each by the worst of its results. Empty without any."""
    found: dict[str, set[ThresholdWord]] = {}
    for one in judgements:
        found.setdefault(one.threshold.text, set()).add(one.word)
    worsts = [next(word for word in THRESHOLDS if word in words) for words in found.values()]
    return [
        f"{counted(worsts.count(word), 'threshold')} {text}"
        for word, text in THRESHOLDS.items()
        if word in worsts
    ]
