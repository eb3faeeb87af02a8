"""Known answers in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.advice.selftest import (
    LONGER,
    THREADS,
    TOLERANCE,
    WIDEST,
    AdviceCase,
    AgainstItself,
    KnownAdvice,
    KnownAnswer,
    KnownCeiling,
    PlantedDifference,
    half_width,
)
from reports.analysis.verdicts import Verdict
from reports.wording import units
from reports.wording.advice.cards import advice_text, card_advice, served_text, waits_text
from reports.wording.faults import faults_text
from reports.wording.reservations import reservation_text

ROUTES: Mapping[AdviceCase, str] = {
    "light": "a light JSON route",
    "holds-gil": "a route that computes and holds the GIL",
    "releases-gil": "a route that computes and releases the GIL",
    "blocks": "a route that blocks, also inside `async def`",
    "waits": "a route that awaits, at 128 users",
    "same-app": "two equal apps",
    "threads-taken": "an app whose threads are taken",
    "database": "a database whose driver is a thread",
}


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
        case KnownAdvice():
            return advice_answer(answer)


def advice_answer(answer: KnownAdvice) -> AnswerText:
    """What a route should be, and what its card says, with the figures that it rests on."""
    card = answer.card
    names = [card.verdict.reference, card.arm]
    known = " or ".join(advice_text(one) for one in answer.expected if one.kind != "not-decided")
    waits = waits_text(card.pulses, names)
    return AnswerText(
        ROUTES[answer.case],
        known or "what its figures say, and what neighbours wait",
        f"{card_advice(card)}: {served_text(card, names)}; an `async def` neighbour waits {waits}",
        "do not follow advice measured here: stop other programs, and repeat it with "
        "duel selftest --only styles,threads,database",
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
