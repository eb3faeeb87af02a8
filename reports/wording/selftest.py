"""Known answers in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.analysis.selftest import (
    LONGER,
    THREADS,
    TOLERANCE,
    WIDEST,
    AgainstItself,
    KnownAnswer,
    KnownCeiling,
    PlantedDifference,
    half_width,
)
from reports.analysis.verdicts import Verdict
from reports.wording import units
from reports.wording.faults import faults_text
from reports.wording.reservations import reservation_text


@dataclass(frozen=True)
class AnswerText:
    """A known answer in words."""

    question: str
    known: str
    found: str
    remedy: str


def answer_text(answer: KnownAnswer) -> AnswerText:
    """What was asked, what is known, what was found, and what to do where that is wrong."""
    match answer:
        case KnownCeiling():
            return ceiling_text(answer)
        case AgainstItself(verdict):
            return AnswerText(
                "no difference between an app and itself",
                f"no difference, within ±{WIDEST:.0%}",
                verdict_found(verdict),
                "this machine is too noisy for small differences: trust only large ones, or use longer "
                "windows (-t 5)",
            )
        case PlantedDifference(verdict):
            return AnswerText(
                f"{LONGER - 1:.0%} more computing is detected",
                f"slower, about {units.ratio(1 / LONGER)}",
                verdict_found(verdict),
                "this machine is too noisy to detect a difference of this size in eight rounds",
            )


def ceiling_text(answer: KnownCeiling) -> AnswerText:
    takes = units.duration(answer.seconds)
    question = {
        "threads": f"{THREADS} threads, {takes} per request",
        "blocked": f"a loop blocked for {takes} per request",
    }[answer.limit]
    if answer.found is None or answer.off is None:
        found = f"no valid trial: {faults_text(answer.faults)}"
    else:
        found = f"{units.rate(answer.found)} ({answer.off:+.1%})"
    return AnswerText(
        question,
        f"{units.rate(answer.truth)} ±{TOLERANCE:.0%}",
        found,
        "the server or the load generator is short of CPU time: stop other programs",
    )


def verdict_found(verdict: Verdict) -> str:
    """The verdict and its interval."""
    word = verdict.verdict
    if verdict.low is None:
        return f"{word}: {'; '.join(map(reservation_text, verdict.reservations))}"
    width = half_width(verdict) or 0.0
    return (
        f"{word}, {units.ratio(verdict.ratio)} "
        f"({units.interval(verdict.low, verdict.high)}, ±{width:.0%}, n = {verdict.n})"
    )


def conclusion(answers: Sequence[KnownAnswer]) -> str:
    """Whether results from this machine can be trusted."""
    if all(answer.right for answer in answers):
        return "you can trust results from this machine"
    return "do not trust results from this machine yet: see the remedies above"
