"""Whether `duel selftest` found the known answers on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from loadtests.records import Fault, Run
from reports.advice.cards import EITHER, MORE_THREADS, NOT_DECIDED, OFFLOAD, Advice, Card, cards
from reports.advice.explanations import Explanations
from reports.advice.notes import NeighbourWaits
from reports.advice.proving.table import preferred
from reports.advice.weighing.ways import COMPARED
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict, verdicts

# As planted by loadtests/measure/known_answers; a test keeps the two equal.
THREADS, WAIT, BLOCK, LONGER = 40, 0.05, 0.02, 1.3

TOLERANCE = 0.05
"""Maximum relative error of a known throughput."""

WIDEST = 0.15
"""Maximum half-width of the interval of an app against itself."""

AdviceCase = Literal[
    "light", "holds-gil", "releases-gil", "blocks", "waits", "same-app", "threads-taken", "database"
]

DEF, ASYNC = Advice("arm", "def"), Advice("arm", "async")

CASES: Mapping[tuple[str, str], tuple[AdviceCase, tuple[Advice, ...]]] = {
    ("styles", "ping"): ("light", (ASYNC,)),
    ("styles", "python"): ("holds-gil", (DEF, OFFLOAD)),
    ("styles", "hash"): ("releases-gil", (DEF, OFFLOAD)),
    ("styles", "blocking"): ("blocks", (DEF,)),
    ("styles", "sleep"): ("waits", (ASYNC,)),
    # Wide intervals decide nothing, which is no wrong advice.
    ("same", "posts.read"): ("same-app", (EITHER, NOT_DECIDED)),
    ("threads", "ping"): ("threads-taken", (MORE_THREADS,)),
    ("database", "posts.read"): ("database", ()),
}
"""By part and scenario, what is known of a route, and the advice that is right; none: what its figures
say."""


@dataclass(frozen=True)
class KnownCeiling:
    """A throughput that is known in advance."""

    limit: Literal["threads", "blocked"]
    """The number of threads, or an event loop that each request blocks."""
    seconds: float
    """How long one request takes a thread, or blocks the loop."""
    truth: float
    """Requests per second."""
    found: float | None
    """None without a valid trial."""
    faults: tuple[Fault, ...] = ()
    """Why trials do not count, one per kind."""

    @property
    def off(self) -> float | None:
        """Relative error against the truth."""
        return None if self.found is None else self.found / self.truth - 1.0

    @property
    def right(self) -> bool:
        return self.off is not None and abs(self.off) <= TOLERANCE


@dataclass(frozen=True)
class AgainstItself:
    """An app against itself."""

    verdict: Verdict

    @property
    def right(self) -> bool:
        width = half_width(self.verdict)
        same = self.verdict.verdict in ("equivalent", "inconclusive")
        return same and width is not None and width <= WIDEST


@dataclass(frozen=True)
class PlantedDifference:
    """An app that computes longer."""

    verdict: Verdict

    @property
    def right(self) -> bool:
        return self.verdict.verdict == "slower"


@dataclass(frozen=True)
class KnownAdvice:
    """The card of a route of which it is known what it should be."""

    case: AdviceCase
    expected: tuple[Advice, ...]
    """One of these is right; empty: what the card's own figures say."""
    card: Card
    advised: str | None
    """The arm that the card prefers; None where it prefers neither."""

    @property
    def right(self) -> bool:
        if self.expected:
            return self.card.advice in self.expected
        return follows(self.card, self.advised) and tells_neighbours(self.card)


KnownAnswer = KnownCeiling | AgainstItself | PlantedDifference | KnownAdvice


def answers(part: str, run: Run, readings: Readings) -> list[KnownAnswer]:
    """What one of the runs of `duel selftest` found; `part` as in loadtests.measure.known_answers. Raises
    RecordError."""
    match part:
        case "ceilings":
            seen = run.calibration("threads", "ping", 1)
            # A request takes its thread for its service time with one user.
            wait = seen.service_time if seen and seen.service_time else WAIT
            return [
                ceiling(run, readings, "threads", wait, THREADS / wait),
                ceiling(run, readings, "blocked", BLOCK, 1.0 / BLOCK),
            ]
        case "same":
            return [AgainstItself(primary(run, readings)), *known_advice(part, run, readings)]
        case "planted":
            return [PlantedDifference(primary(run, readings))]
        case _:
            return [*known_advice(part, run, readings)]


def known_advice(part: str, run: Run, readings: Readings) -> list[KnownAdvice]:
    """The cards of a part's run whose advice is known. Raises RecordError."""
    arms = run.plan.reference.name, run.plan.rivals[0].name
    found = verdicts(run, readings)
    return [
        KnownAdvice(*CASES[part, card.scenario], card, preferred(run, card, arms))
        for card in cards(Explanations(run, readings, found), found)
        if (part, card.scenario) in CASES
    ]


def follows(card: Card, advised: str | None) -> bool:
    """Whether a card advises the arm that serves more, or says what its neighbours would wait instead."""
    word = card.verdict.verdict
    ahead = {"faster": card.arm, "slower": card.verdict.reference}.get(word)
    if ahead is None or advised == ahead:
        return word in COMPARED
    return any(isinstance(note, NeighbourWaits) and note.arm == ahead for note in card.notes)


def tells_neighbours(card: Card) -> bool:
    """Whether a card has what neighbours of both kinds wait, beside each arm."""
    return all(known is not None for side in (card.pulses, card.neighbours) for known in side.values())


def ceiling(
    run: Run, readings: Readings, arm: Literal["threads", "blocked"], seconds: float, truth: float
) -> KnownCeiling:
    """The throughput of an arm whose true one, in requests per second, is known in advance."""
    trials = [trial for trial in run.of(run.plan.cells[0], arm) if trial.valid]
    if not trials:
        faults = {fault.kind: fault for trial in run.trials for fault in trial.faults}
        return KnownCeiling(arm, seconds, truth, None, tuple(faults.values()))
    return KnownCeiling(arm, seconds, truth, readings.whole(trials[-1]).throughput)


def primary(run: Run, readings: Readings) -> Verdict:
    return next(verdict for verdict in verdicts(run, readings) if verdict.primary)


def half_width(verdict: Verdict) -> float | None:
    """Relative half-width of the interval; None without one."""
    if verdict.low is None or verdict.high is None:
        return None
    return float((verdict.high / verdict.low) ** 0.5 - 1.0)
