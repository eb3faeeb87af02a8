"""What one arm shows by itself, where a run compares it with nothing: its figures, what limits it, and what
to try next. All of it is data: `reports/wording` makes the sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from loadtests.records import Cell, Metric, Run, Trial, rounds_tried
from reports.advice.explanations import Explanations
from reports.advice.weighing.computing import HoldsGil, holds_gil
from reports.advice.weighing.costs import Cost, cost
from reports.analysis.backlogs.judgement import backlog
from reports.analysis.bounds import Name
from reports.analysis.estimates import METRICS, mean_interval
from reports.analysis.failures.gross import gross_failures
from reports.analysis.readings import Reading, Readings, endpoints_of
from reports.analysis.reservations import (
    NotMeasured,
    Reservation,
    RoundsLost,
    canary_failures,
    ended_servers,
    failures,
    left_over,
)
from reports.analysis.rounds.consistency import CappedAlone, own_ends
from reports.analysis.rounds.think_time import users_think
from reports.analysis.signs import Signs
from reports.analysis.verdicts import NOTHING

PortraitWord = Literal["measured", "inconclusive", "failing", "invalid"]
"""`measured`: the primary metric is known to within the margin; `inconclusive`: not yet."""

NextStep = Literal[
    "more-threads", "larger-pool", "shorter-transactions", "find-the-call", "another-client", "more-workers",
    "more-users", "fewer-hops", "lighter-generator", "quiet-machine", "own-process",
]  # fmt: skip

NEXT: Mapping[Name, NextStep] = {
    "generator": "lighter-generator", "host": "quiet-machine", "event-loop": "find-the-call",
    "http-client": "another-client", "db-lock": "shorter-transactions", "db-pool": "larger-pool",
    "thread-tokens": "more-threads", "gil": "more-workers", "cpu": "more-workers", "users": "more-users",
    "convoys": "fewer-hops",
}  # fmt: skip
"""By what limits an arm, the experiment that would tell whether it is so."""


@dataclass(frozen=True)
class OwnFigure:
    """One figure of an arm: its geometric mean over rounds, with its repeated confidence interval. Requests
    per second, or seconds."""

    value: float
    low: float | None
    high: float | None
    """None, as `low` may be, on the side that is not known since the load generator held the arm back."""
    half_width: float
    """Of the whole interval, as a fraction, also where one of its ends is not known."""


class EndpointFigures(NamedTuple):
    """One endpoint of an arm in one cell, or all of them together."""

    endpoint: str
    requests: int
    """In all windows."""
    failed: float | None
    """The fraction of them that failed; None without requests."""
    figures: Mapping[Metric, OwnFigure]
    """By metric; without those that a round does not state, and all before the first look."""


@dataclass(frozen=True)
class Portrait:
    """What one arm shows in one cell."""

    cell: Cell
    arm: str
    metric: Metric
    """The primary one."""
    word: PortraitWord
    n: int
    """Rounds that count."""
    settled: bool
    """Whether these agree on the primary metric to within the margin: where it is not known all the same,
    since the load generator held the arm back, further ones would not tell more."""
    rows: tuple[EndpointFigures, ...]
    """All endpoints together first, then each, where there are several."""
    signs: Signs | None
    cost: Cost
    limited_by: tuple[Name, ...]
    """What limits the arm, the leading one first; `explanations` has the evidence."""
    next_step: NextStep | None
    computes: HoldsGil | None
    """That its threads compute, where neighbours notice."""
    reservations: tuple[Reservation, ...]

    @property
    def whole(self) -> EndpointFigures:
        return self.rows[0]

    @property
    def values(self) -> dict[str, float | None]:
        """The primary metric by arm, as a verdict has it for two."""
        known = self.whole.figures.get(self.metric)
        return {self.arm: known.value if known else None}


def portraits(explanations: Explanations) -> list[Portrait]:
    """A portrait of the only arm in each cell, in the plan's order. Raises RecordError."""
    run = explanations.run
    return [portrait(explanations, cell, run.plan.reference.name) for cell in run.plan.cells]


def portrait(explanations: Explanations, cell: Cell, arm: str) -> Portrait:
    """What an arm shows in one cell. Raises RecordError."""
    run, readings = explanations.run, explanations.readings
    tried = rounds_tried(run, cell, (arm, arm))
    last = {trial.round: trial for trial in run.of(cell, arm)}
    trials = [last[number] for number in tried.counted]
    every = [*trials, *(last[number] for number in tried.lost)] if tried.spoilt else trials
    rows = rows_of(run, readings, cell, arm, trials)
    seen = list(map(readings.whole, trials))
    pile = backlog(run, arm, trials, seen)
    certain = {**gross_failures({arm: every}, readings), **ended_servers(run, cell, [arm])}
    failing = failures({arm: seen}, certain, {arm: pile} if pile is not None else {})
    doubts: list[Reservation] = [*failing.values(), *([pile] if pile is not None and not failing else [])]
    if tried.spoilt:
        faults = {fault.kind: fault for number in tried.lost for fault in last[number].faults}
        count = len(tried.lost)
        doubts.append(RoundsLost(count, count + len(trials), tuple(faults.values())))
    if cell.key in run.refused:
        doubts = [NotMeasured(run.refused[cell.key])]
    doubts += [*users_think({arm: trials}, {arm: seen}), *canary_failures(readings, {arm: trials})]
    doubts += left_over({arm: trials}, {arm: seen}, {arm: pile} if pile is not None else {})
    signs, limits = explanations.of(cell, arm)
    names = tuple(limit.name for limit in limits)
    metric = run.primary(cell)
    known = rows[0].figures.get(metric)
    invalid = tried.spoilt or cell.key in run.refused
    held = capped(arm, metric, known, trials) if not failing and not invalid else []
    limiting: tuple[Name, ...] = names or (("generator",) if held else ())
    computes = holds_gil(arm, signs, limits)
    return Portrait(
        cell=cell,
        arm=arm,
        metric=metric,
        word=word(known, run, bool(failing), invalid),
        n=len(trials),
        settled=known is not None and known.half_width <= run.plan.margin,
        rows=rows,
        signs=signs,
        cost=cost(run, cell, arm, signs),
        limited_by=names,
        next_step="own-process" if computes else next_step(limiting, cell, run.plan.cells),
        computes=computes,
        reservations=(*doubts, *held),
    )


def capped(arm: str, metric: Metric, known: OwnFigure | None, trials: Sequence[Trial]) -> list[Reservation]:
    """That the generator held the arm back, where one end of the primary metric's interval is not known."""
    if known is None or (known.low is not None and known.high is not None):
        return []
    bound = known.high if known.low is None else known.low
    client = next((trial.client for trial in trials if trial.client), None)
    return [CappedAlone(arm, metric, bound, client)] if bound is not None else []


def word(known: OwnFigure | None, run: Run, failing: bool, spoilt: bool) -> PortraitWord:
    """Whether the arm fails, the measurement did, or the primary metric is known closely enough."""
    if failing:
        return "failing"
    if spoilt:
        return "invalid"
    if known is None or known.low is None or known.high is None:
        return "inconclusive"
    return "measured" if known.half_width <= run.plan.margin else "inconclusive"


def rows_of(
    run: Run, readings: Readings, cell: Cell, arm: str, trials: Sequence[Trial]
) -> tuple[EndpointFigures, ...]:
    """All endpoints together, then each where there are several. Raises RecordError."""
    several = list(map(readings.of, trials))
    endpoints = endpoints_of(several) or [cell.scenario]
    whole = row(run, cell, arm, endpoints[0], list(map(readings.whole, trials)))
    # A round without an endpoint's requests is a round of it: its figures are not those of fewer rounds.
    parts = [row(run, cell, arm, name, [one.get(name, NOTHING) for one in several]) for name in endpoints[1:]]
    return (whole, *parts)


def row(run: Run, cell: Cell, arm: str, endpoint: str, seen: Sequence[Reading]) -> EndpointFigures:
    """The figures of an endpoint over rounds."""
    requests = sum(one.requests for one in seen)
    failed = sum(one.failures for one in seen) / requests if requests else None
    found = {
        metric: OwnFigure(one.ratio, *own_ends(run, cell, arm, metric, one), one.half_width)
        for metric in METRICS
        if (one := mean_interval(metric, seen, run.plan.alpha)) is not None
    }
    return EndpointFigures(endpoint, requests, failed, found)


def next_step(limits: Sequence[Name], cell: Cell, cells: Sequence[Cell]) -> NextStep | None:
    """What to try next. More users find a limit where none is known, unless `cells` has more already; an open
    loop has no limit to find."""
    step = NEXT.get(limits[0]) if limits else "more-users"
    if step != "more-users":
        return step
    loads = [one.load.level for one in cells if one.scenario == cell.scenario]
    return step if cell.load.rate is None and cell.load.level == max(loads) else None
