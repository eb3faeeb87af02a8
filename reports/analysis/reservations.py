"""Warnings about a single verdict, as data: `reports/wording` makes the sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from loadtests.records import Cell, Fault, Metric, Plan, Refusal, Run, ServerEnd, Trial
from reports.analysis.answers.differences import Unlike
from reports.analysis.answers.shared_state import SharedState
from reports.analysis.backlogs.judgement import Backlog, BacklogPossible
from reports.analysis.backlogs.keeping import KeepsMore, keeping
from reports.analysis.backlogs.queues import JobsPileUp, piling
from reports.analysis.cores import CrowdedWorkers, OneCore
from reports.analysis.estimates import PARTS, Estimate, Pairs, needed_for
from reports.analysis.readings import Reading, Readings
from reports.analysis.rounds.consistency import Capped, CappedAlone, FiguresDisagree, PercentilesDisagree
from reports.analysis.rounds.launches import NotNormal, not_normal
from reports.analysis.rounds.silence import NoRequestMade
from reports.analysis.rounds.think_time import UsersThink
from reports.analysis.statistics import (
    FIRST_LOOK,
    ShareDifference,
    autocorrelation,
    difference_of_shares,
    off_zero,
    outliers,
    slope,
)

MOST_FAILURES = 0.01
"""Fraction of failed requests above which an arm counts as failing."""

GROSS = 0.5
"""Fraction of failed requests that no interval is needed for, and that no fault of the generator explains."""

NOTICED_FAILURES = 0.001
"""Difference of two arms' fractions of failed requests from which on it matters."""

MOST_RESENT = 0.01
"""Fraction of requests sent twice above which an arm counts as dropping connections."""

UNLIKELY = 0.01
"""p-value below which a drift counts as real, if it is also at least half the margin."""


@dataclass(frozen=True)
class RoundsLost:
    """Too many rounds do not count."""

    lost: int
    rounds: int
    faults: tuple[Fault, ...]
    """One per kind."""
    client: str | None = None
    """The kind of Locust user that made the load; None where that is not known."""


@dataclass(frozen=True)
class NotMeasured:
    """The cell was refused before the rounds."""

    refusal: Refusal


@dataclass(frozen=True)
class ServerEnded:
    """An arm's server ended by itself."""

    arm: str
    times: int
    launches: int
    """Servers started for this cell, every attempt at a trial included."""
    end: ServerEnd
    """The first one."""


@dataclass(frozen=True)
class RequestsUnanswered:
    """An arm leaves users without an answer, who then send no further requests that could fail."""

    arm: str
    part: float
    """Fraction of the users' time that went into requests without any answer."""


@dataclass(frozen=True)
class RequestsFailed:
    """An arm fails too many requests."""

    arm: str
    part: float
    """Fraction of its requests."""


@dataclass(frozen=True)
class FailsMore:
    """An arm fails significantly more of its requests than the other, though not too many."""

    arm: str
    difference: ShareDifference
    """Fractions: this arm's minus the other's."""


@dataclass(frozen=True)
class MayFailMore:
    """An arm fails more of its requests than the other, which the rounds do not prove yet."""

    arm: str
    difference: ShareDifference
    """Fractions: this arm's minus the other's."""


@dataclass(frozen=True)
class DropsConnections:
    """An arm closes connections in use before it answers: requests that may be repeated were sent again."""

    arm: str
    part: float
    """Fraction of its requests."""


@dataclass(frozen=True)
class CanaryFailed:
    """An arm answers light requests beside the load with errors."""

    arm: str
    failed: int
    requests: int


@dataclass(frozen=True)
class TooFewRounds:
    """Too few rounds for an interval."""

    rounds: int
    needed: int
    planned: int
    """The most that the plan allows: where these would do, the run ended before them."""


@dataclass(frozen=True)
class TooFewRequests:
    """A window holds too few requests for a percentile."""

    metric: Metric
    needed: int
    """Requests in a window."""
    throughput: float
    """Requests per second in the window with the fewest."""


@dataclass(frozen=True)
class PercentileFailed:
    """A percentile is infinite in a round, since too many of its requests failed."""

    metric: Metric


@dataclass(frozen=True)
class RoundWithoutResponse:
    """An arm answered nothing in one of the rounds."""


@dataclass(frozen=True)
class MoreRoundsNeeded:
    """The interval is too wide to decide."""

    rounds: int | None
    """About how many rounds would decide; None: more than 1,000."""


@dataclass(frozen=True)
class NotSignificant:
    """A difference that is significant by itself, but not among all (Holm)."""

    word: str
    """Its verdict by itself: `faster` or `slower`."""
    family: int
    """How many verdicts are judged together."""


@dataclass(frozen=True)
class RatioDrifts:
    """The ratio changes from round to round in one direction."""

    change: float
    """Over all rounds, as a fraction."""


@dataclass(frozen=True)
class OrderMatters:
    """The ratio depends on which arm comes first."""

    change: float


@dataclass(frozen=True)
class FarOff:
    """One round is an outlier."""

    round: int
    """Counted from 1."""


@dataclass(frozen=True)
class RoundsDepend:
    """The ratios of successive rounds are correlated."""

    correlation: float


@dataclass(frozen=True)
class Unsteady:
    """An arm's throughput rises or falls within its windows."""

    arm: str
    change: float
    """Of the second half against the first, as a fraction."""


Failure = ServerEnded | RequestsFailed | RequestsUnanswered | Backlog

Blemish = FailsMore | MayFailMore | DropsConnections | BacklogPossible

Reservation = (
    RoundsLost | NotMeasured | Failure | Blemish | CanaryFailed | TooFewRounds | TooFewRequests
    | PercentileFailed | NoRequestMade | RoundWithoutResponse | UsersThink | PercentilesDisagree
    | MoreRoundsNeeded | NotSignificant | RatioDrifts | OrderMatters | FarOff | NotNormal | RoundsDepend
    | Unsteady | OneCore | CrowdedWorkers | FiguresDisagree | Capped | CappedAlone | SharedState | KeepsMore
    | JobsPileUp | Unlike
)  # fmt: skip


Piles = Mapping[str, Backlog | BacklogPossible]
"""By arm, what piles up in it, or may."""


def failures(
    readings: Mapping[str, list[Reading]], certain: Mapping[str, Failure], piles: Piles
) -> dict[str, Failure]:
    """The arms that are failing, and how. `certain`: those of which that is known already."""
    found = dict(certain)
    for name, seen in readings.items():
        rate, waited, pile = failure_rate(seen), left_waiting(seen), piles.get(name)
        if name in found:
            continue
        if rate is not None and rate > MOST_FAILURES:
            found[name] = RequestsFailed(name, rate)
        elif waited is not None and waited > MOST_FAILURES:
            found[name] = RequestsUnanswered(name, waited)
        elif isinstance(pile, Backlog):
            found[name] = pile
    return found


def failure_rate(readings: list[Reading]) -> float | None:
    """Fraction of the requests that failed, including those never answered; None without requests."""
    requests = sum(reading.requests for reading in readings)
    return sum(reading.failures for reading in readings) / requests if requests else None


def ended_servers(run: Run, cell: Cell, arms: Sequence[str]) -> dict[str, ServerEnded]:
    """The arms whose server ended in a cell, in whatever attempt, also on CPUs that the cell has left: no
    later one makes up for it."""
    found = {}
    for arm in arms:
        every = run.every(cell, arm)
        ends = [trial.ended for trial in every if trial.ended is not None]
        if ends:
            found[arm] = ServerEnded(arm, len(ends), len(every), ends[0])
    return found


def blemishes(
    readings: Mapping[str, list[Reading]],
    trials: Mapping[str, Sequence[Trial]],
    piles: Piles,
    alpha: float,
) -> dict[str, list[Blemish]]:
    """The blemishes of two arms: that one fails more requests than the other, drops connections, or may let
    work pile up."""
    (one, ours), (other, theirs) = readings.items()
    found: dict[str, list[Blemish]] = {one: [], other: []}
    counts = [[reading.counts for reading in seen] for seen in (ours, theirs)]
    for arm, before, after in ((other, counts[0], counts[1]), (one, counts[1], counts[0])):
        more = difference_of_shares(before, after, alpha)
        if more is not None and more.change >= NOTICED_FAILURES:
            found[arm].append(FailsMore(arm, more) if more.low > 0.0 else MayFailMore(arm, more))
    for arm, seen in readings.items():
        again = resent_part(trials[arm], seen)
        if again is not None and again > MOST_RESENT:
            found[arm].append(DropsConnections(arm, again))
        pile = piles.get(arm)
        if isinstance(pile, BacklogPossible):
            found[arm].append(pile)
    return found


def left_over(
    trials: Mapping[str, Sequence[Trial]], wholes: Mapping[str, Sequence[Reading]], piles: Piles
) -> list[Reservation]:
    """The arms whose jobs pile up beside them, and those that keep more with every response, without those
    whose work is known to pile up."""
    known = [arm for arm, pile in piles.items() if isinstance(pile, Backlog)]
    found = [keeping(arm, [one.kept for one in seen]) for arm, seen in wholes.items() if arm not in known]
    return [*piling(trials, wholes), *(one for one in found if one is not None)]


def resent_part(trials: Sequence[Trial], readings: Sequence[Reading]) -> float | None:
    """Fraction of an arm's requests that were sent twice; None where that was not counted."""
    counted = [trial.resent for trial in trials if trial.resent is not None]
    requests = sum(reading.requests for reading in readings)
    return sum(counted) / requests if len(counted) == len(trials) and requests else None


def canary_failures(readings: Readings, trials: Mapping[str, Sequence[Trial]]) -> list[Reservation]:
    """The arms that answered light requests with errors. Raises RecordError."""
    found: list[Reservation] = []
    for arm, mine in trials.items():
        seen = [one for trial in mine if (one := readings.canary(trial)) is not None]
        failed = sum(one.failed for one in seen)
        if failed:
            found.append(CanaryFailed(arm, failed, sum(one.n for one in seen)))
    return found


def left_waiting(readings: Sequence[Reading]) -> float | None:
    """Fraction of the users' time that went into requests without an answer, the mean over rounds; None
    where any round is unknown."""
    known = [reading.unanswered for reading in readings if reading.unanswered is not None]
    return fmean(known) if known and len(known) == len(readings) else None


def missing(found: Estimate, pairs: Pairs, plan: Plan, readings: list[Reading]) -> Reservation:
    """Why there is no interval."""
    if len(pairs.rounds) < FIRST_LOOK:
        return TooFewRounds(len(pairs.rounds), FIRST_LOOK, plan.most_rounds)
    if found.metric in PARTS:
        needed = needed_for(found.metric)
        if all(reading.answered + reading.failed >= needed for reading in readings):
            return PercentileFailed(found.metric)
        fewest = min((reading.throughput for reading in readings), default=0.0)
        return TooFewRequests(found.metric, needed, fewest)
    return RoundWithoutResponse()


def unsteady(arm: str, readings: Sequence[Reading], margin: float) -> list[Reservation]:
    """Whether an arm's throughput rises or falls within its windows, over all rounds together."""
    grown = [reading.growth for reading in readings]
    known = [growth for growth in grown if growth is not None]
    found = off_zero(known) if len(known) == len(grown) else None
    if found is None or found[1] > UNLIKELY or abs(found[0]) < math.log1p(margin) / 2:
        return []
    return [Unsteady(arm, math.expm1(found[0]))]


def reservations(found: Estimate, pairs: Pairs, margin: float) -> list[Reservation]:
    """Reasons to distrust the interval."""
    places = [
        rival.place - reference.place for reference, rival in zip(pairs.reference, pairs.rival, strict=True)
    ]
    doubts: list[Reservation] = []
    over_rounds = trend(pairs.rounds, found.differences, margin)
    if over_rounds is not None:
        doubts.append(RatioDrifts(over_rounds))
    by_place = trend(places, found.differences, margin)
    if by_place is not None:
        doubts.append(OrderMatters(by_place))
    far = outliers(found.differences)
    if far:
        doubts.append(FarOff(pairs.rounds[far[0]] + 1))
    spread = not_normal(found.differences, margin)
    if spread is not None:
        doubts.append(spread)
    correlation = autocorrelation(found.differences)
    if correlation is not None and correlation > 0.3:
        doubts.append(RoundsDepend(correlation))
    return doubts


def trend(x: Sequence[int], differences: Sequence[float], margin: float) -> float | None:
    """Relative change of the ratio over all of `x`; None unless it is both significant and large."""
    if len(differences) != len(x):
        return None
    line = slope(x, differences)
    change = abs(line[0]) * (max(x) - min(x)) if line else 0.0
    if line is None or line[1] >= UNLIKELY or change <= math.log1p(margin) / 2:
        return None
    return math.expm1(change)
