"""What a card adds to its advice, as data: `reports/wording` makes the sentences."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.records import LightKind, Metric
from reports.advice.rule import Behind
from reports.advice.weighing.behind import FinishesMore
from reports.advice.weighing.computing import HoldsGil
from reports.analysis.signs import CanaryTimes


@dataclass(frozen=True)
class NeighbourWaits:
    """A light request beside the load waits much longer with one arm than with the other."""

    arm: str
    kind: LightKind
    waits: CanaryTimes
    """With this arm."""
    instead: CanaryTimes
    """With the other one."""
    behind: Behind


@dataclass(frozen=True)
class LightRoutesAsync:
    """Beside an arm that is advised, light routes that are `async def` wait much less than `def` ones, which
    queue for threads."""

    arm: str
    asyncs: CanaryTimes
    defs: CanaryTimes


@dataclass(frozen=True)
class PulseMissing:
    """Without a pulse it is not known how long `async def` neighbours wait beside this arm, nor the other."""

    arm: str


@dataclass(frozen=True)
class AlwaysCoroutine:
    """FastAPI takes the endpoint's route as `async def` only: what the twins' styles stand for."""


@dataclass(frozen=True)
class NotForItsSpeed:
    """The arm that is ahead fails more requests or drops connections."""

    arm: str


@dataclass(frozen=True)
class MayNotLast:
    """An arm that is advised keeps more objects with every response."""

    arm: str


@dataclass(frozen=True)
class OffloadUntried:
    """No arm offloads, so the effect is unknown."""


@dataclass(frozen=True)
class OffloadSeen:
    """The effect of offloading to the thread pool, from the arm that does so."""

    metric: Metric
    ratio: float
    """The offloading arm's value ÷ the blocking one's."""
    waits: CanaryTimes
    """Response time of a light request beside the load in the offloading arm."""


@dataclass(frozen=True)
class ThreadsUntried:
    """No arm had more threads."""

    arm: str
    threads: float
    by_app: bool
    """Whether the app sets their number itself, so that `threads=` has no effect."""


@dataclass(frozen=True)
class ThreadsAreTheDifference:
    """The better arm is the limited one with more threads."""

    arm: str
    limited: str
    threads: float


@dataclass(frozen=True)
class ThreadsSeen:
    """An arm with more threads, compared with the better arm."""

    limited: str
    threads: float
    better: str
    metric: Metric
    ratio: float
    """The value with more threads ÷ the better arm's."""
    bounds: tuple[float | None, float | None]
    """The ends of its interval; None on a side that is not known, where the generator held an arm back."""


@dataclass(frozen=True)
class ThreadsUnsound:
    """An arm with more threads fails, or what it serves is not known."""

    limited: str
    threads: float


@dataclass(frozen=True)
class ThreadsUndecided:
    """Arms with more threads were measured, without a conclusion."""


ThreadsNote = ThreadsUntried | ThreadsAreTheDifference | ThreadsSeen | ThreadsUnsound | ThreadsUndecided

Note = (
    NeighbourWaits | LightRoutesAsync | PulseMissing | NotForItsSpeed | MayNotLast | OffloadUntried
    | OffloadSeen | ThreadsNote | FinishesMore | AlwaysCoroutine | HoldsGil
)  # fmt: skip
