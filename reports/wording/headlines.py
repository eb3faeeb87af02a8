"""A run in one line, for the head of a report or a comment: what was found, and what its thresholds say."""

from __future__ import annotations

from collections.abc import Sequence

from reports.advice.portraits import Portrait
from reports.conclusions import Conclusions
from reports.wording.advice.portraits import portrait_title
from reports.wording.gates.notes import gate_headline, thresholds_text
from reports.wording.sentences import UNSETTLED, unsettled
from reports.wording.units import counted
from reports.wording.vocabulary import PORTRAIT_MARKS


def headline(conclusions: Conclusions) -> str:
    """`async is ahead in 4, sync in 1, equal in 1 of 6 cells; 1 threshold missed`; of a gate its result."""
    if conclusions.run.plan.gate:
        return gate_headline(conclusions.outcomes, conclusions.judgements)
    return "; ".join([finding(conclusions), *thresholds_text(conclusions.judgements)])


def finding(conclusions: Conclusions) -> str:
    """What a run that is no gate has found, where nothing passes or fails."""
    run, words = conclusions.run, [row.verdict for row in conclusions.primaries]
    arms = " or ".join(arm.name for arm in run.plan.arms)
    if conclusions.portraits:
        return f"{portrait_title(run.plan)}: {portraits_text(conclusions.portraits)}"
    if not words:
        return f"{arms}: nothing was measured"
    if len(run.plan.rivals) > 1:
        settled = sum(word not in UNSETTLED for word in words)
        return f"{arms}: {settled} of {counted(len(words), 'comparison')} decided"
    parts = [
        f"{run.plan.rivals[0].name} is ahead in {words.count('faster')}",
        f"{run.plan.yardstick} in {words.count('slower')}",
        f"equal in {words.count('equivalent')}",
    ]
    return f"{', '.join([*parts, *unsettled(words)])} of {counted(len(words), 'cell')}"


def portraits_text(portraits: Sequence[Portrait]) -> str:
    """`measured in 5, failing in 1 of 6 cells`."""
    words = [portrait.word for portrait in portraits]
    parts = [f"{word} in {words.count(word)}" for word in PORTRAIT_MARKS if word in words]
    return f"{', '.join(parts)} of {counted(len(words), 'cell')}"
