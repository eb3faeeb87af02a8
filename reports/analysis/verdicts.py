"""Estimates and validity → verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from loadtests.records import Cell, Metric, Plan, Run, ServerCpus, Trial
from reports.analysis.answers.differences import Unlike, explained, unlike
from reports.analysis.answers.shared_state import shared_state
from reports.analysis.backlogs.judgement import backlog, degree
from reports.analysis.catalogue import http_clients
from reports.analysis.cores import left_unknown
from reports.analysis.estimates import METRICS, Estimate, Pairs, estimate, pair
from reports.analysis.failures.gross import failing_most, gross_failures
from reports.analysis.readings import Reading, Readings, endpoints_of
from reports.analysis.reservations import (
    Failure,
    MayFailMore,
    MoreRoundsNeeded,
    NotMeasured,
    NotSignificant,
    Piles,
    Reservation,
    RoundsLost,
    blemishes,
    canary_failures,
    ended_servers,
    failure_rate,
    failures,
    left_over,
    missing,
    resent_part,
    reservations,
    unsteady,
)
from reports.analysis.rounds.consistency import Capped, PercentilesDisagree, cap, figures_disagree, known_ends
from reports.analysis.rounds.silence import idle_windows
from reports.analysis.rounds.think_time import users_think
from reports.analysis.statistics import Interval, holm, position, repeated_p, rounds_to_decide

VerdictWord = Literal["faster", "slower", "equivalent", "inconclusive", "different", "failing", "invalid"]

Outcome = Literal["pass", "regression", "inconclusive", "invalid"]
"""A gate's result for a cell."""


@dataclass(frozen=True)
class Degrees:
    """How much an arm fails, round by round; a degree that is unknown in any round is empty."""

    failed: tuple[tuple[int, int], ...] = ()
    """Failed requests, and all."""
    unanswered: tuple[float, ...] = ()
    """The fraction of the users' time that went into requests without any answer."""
    behind: tuple[float, ...] = ()
    """Pieces of work left unfinished per response, of the kind that piles up most."""
    resent: tuple[tuple[int, int], ...] = ()
    """Requests that were sent twice, and all."""


@dataclass(frozen=True)
class Verdict:
    """One arm against the reference, in one cell, for one endpoint and metric."""

    cell: Cell
    endpoint: str
    metric: Metric
    primary: bool
    """Whether this metric decides when the cell stops; the stated error rate applies to it."""
    arm: str
    reference: str
    """The arm against which it is compared."""
    verdict: VerdictWord
    ratio: float | None
    """The arm's value ÷ the reference's."""
    low: float | None
    high: float | None
    n: int
    """Rounds."""
    values: dict[str, float | None]
    """Of the reference and the arm: requests per second, or seconds."""
    differences: tuple[float, ...] = ()
    """Logarithms of the ratio, one per round."""
    p: float | None = None
    """The smallest error rate, over all looks, at which the interval would exclude a ratio of 1."""
    reservations: tuple[Reservation, ...] = ()
    failing: tuple[str, ...] = ()
    """The arms that answered more than 1% of their requests with errors or not at all, whose server ended,
    or in which work piles up."""
    failed: Mapping[str, float | None] = field(default_factory=dict)
    """By arm, the fraction of its requests that failed; None without requests."""
    requests: Mapping[str, int] = field(default_factory=dict)
    """By arm, how many were made in all rounds that count."""
    resent: Mapping[str, float | None] = field(default_factory=dict)
    """By arm, the fraction of its requests that were sent twice; None where that was not counted."""
    blemished: tuple[str, ...] = ()
    """The arms that fail more requests than the other, drop connections, or may let work pile up: not advised
    for their speed."""
    open_failures: bool = False
    """Whether more rounds are needed to tell if an arm fails more requests than the other."""
    degrees: Mapping[str, Degrees] = field(default_factory=dict)
    """By arm, how much it fails in each round; of a cell whose measurement failed, in every round that was
    tried. Primary verdicts only."""
    clients: Mapping[str, str | None] = field(default_factory=dict)
    """By arm, the HTTP client with which it calls another service, which matters as much as the style; None
    if unknown. Empty if no service is called."""
    cpus: ServerCpus | None = None
    """Where the servers ran; None where nothing was measured, and with an external server."""

    @property
    def bounds(self) -> tuple[float | None, float | None]:
        """The interval; None on a side where a capped arm leaves the ratio unknown."""
        capped = next((one for one in self.reservations if isinstance(one, Capped)), None)
        return known_ends(self.low, self.high, capped)

    @property
    def spoilt(self) -> bool:
        """Whether too many rounds were lost for its ratio to count, also where an arm is failing all the
        same."""
        return self.verdict == "invalid" or any(isinstance(one, RoundsLost) for one in self.reservations)

    def with_first(self, decisive: Reservation) -> Verdict:
        return replace(self, reservations=(decisive, *self.reservations))

    def with_reservations(self, more: Sequence[Reservation]) -> Verdict:
        return replace(self, reservations=(*self.reservations, *more))


def verdicts(run: Run, readings: Readings) -> list[Verdict]:
    """Every verdict of a run, in the plan's order of cells. In a gate, which corrects its own decisions, the
    verdicts are not corrected for their number. Raises RecordError."""
    found = [
        verdict
        for cell in run.plan.cells
        for rival in run.plan.rivals
        for verdict in of_pair(run, readings, cell, rival.name)
    ]
    return found if run.plan.gate else corrected(found, run.plan.alpha)


def per_rival(plan: Plan) -> float:
    """The error rate of a verdict on one of several arms (Bonferroni)."""
    return plan.alpha / max(1, len(plan.rivals))


def of_pair(run: Run, readings: Readings, cell: Cell, rival: str) -> list[Verdict]:
    """All verdicts of one arm in one cell: every metric of every endpoint, the primary one first."""
    pairs = pair(run, cell, rival)
    both = (*pairs.reference, *pairs.rival)
    endpoints = endpoints_of([readings.of(trial) for trial in both]) or [cell.scenario]
    trials = {run.plan.opponent(rival).name: pairs.reference, rival: pairs.rival}
    wholes = {name: list(map(readings.whole, several)) for name, several in trials.items()}
    thinking = users_think(trials, wholes)
    apart = unlike(run, readings, cell, pairs, rival)
    piles = {
        name: pile
        for name, several in trials.items()
        if (pile := backlog(run, name, several, wholes[name])) is not None
    }
    beside = [*thinking, *canary_failures(readings, trials), *shared_state(run, trials, wholes)]
    beside += left_over(trials, wholes, piles)
    tried = {name: pairs.every(place) for place, name in enumerate(trials)} if pairs.tried.spoilt else {}
    # That a server ended, or failed most requests, is certain, however the rounds were disturbed.
    certain = {**gross_failures(tried, readings), **ended_servers(run, cell, list(trials))}
    found: list[Verdict] = []
    for endpoint in endpoints:
        whole = endpoint == endpoints[0]
        # In a closed loop, the endpoints of a mix speed up and slow down together: only the mix has a
        # throughput.
        for metric in metrics(run, cell, whole):
            ref, riv = (
                [readings.whole(one) if whole else readings.of(one).get(endpoint, NOTHING) for one in side]
                for side in (pairs.reference, pairs.rival)
            )
            primary = whole and metric == run.primary(cell)
            verdict = judge(
                run, cell, rival, endpoint, metric, primary, pairs, ref, riv, apart, piles, certain
            )
            if primary:
                verdict = with_idle_windows(verdict, ref, riv).with_reservations(beside)
                verdict = with_degrees(run, verdict, pairs, readings)
            elif metric == "throughput":
                verdict = verdict.with_reservations(thinking)
            found.append(verdict)
    return [equal_throughout(found), *found[1:]]


def equal_throughout(found: Sequence[Verdict]) -> Verdict:
    """The first verdict, the primary one: arms are not equivalent by one percentile of the response time
    while they differ by another, as when both have the same slow tail and one is slower in all else."""
    first = found[0]
    for one in found:
        if (
            (first.verdict, one.endpoint) == ("equivalent", first.endpoint)
            and (first.metric, one.metric) in (("p50", "p99"), ("p99", "p50"))
            and one.verdict in ("faster", "slower")
            and one.ratio is not None and one.low is not None and one.high is not None
        ):  # fmt: skip
            differs = PercentilesDisagree(
                first.metric, one.metric, Interval(one.ratio, one.low, one.high, one.n)
            )
            return replace(first, verdict="inconclusive", reservations=(differs, *first.reservations))
    return first


def with_idle_windows(verdict: Verdict, reference: Sequence[Reading], rival: Sequence[Reading]) -> Verdict:
    """A verdict that says where users made no request, in place of what follows from that."""
    silent = verdict.verdict == "inconclusive" and verdict.low is None
    idle = idle_windows({verdict.reference: reference, verdict.arm: rival}) if silent else []
    return replace(verdict, reservations=(*idle, *verdict.reservations[1:])) if idle else verdict


def with_degrees(run: Run, verdict: Verdict, pairs: Pairs, readings: Readings) -> Verdict:
    """A verdict with how much its arms fail in each round. Raises RecordError."""
    rounds = [*zip(pairs.reference, pairs.rival, strict=True), *(pairs.lost if pairs.tried.spoilt else ())]
    degrees = {}
    for place, arm in enumerate((verdict.reference, verdict.arm)):
        trials = [both[place] for both in rounds]
        seen = [readings.whole(trial) for trial in trials]
        failed = tuple(counted(*both) for both in zip(trials, seen, strict=True))
        waited = [one.unanswered for one in seen if one.unanswered is not None]
        piles = [max(degree(run, *one).values(), default=None) for one in zip(trials, seen, strict=True)]
        left = [one for one in piles if one is not None]
        again = [
            (min(trial.resent, of), of)
            for trial, (_, of) in zip(trials, failed, strict=True)
            if trial.resent is not None
        ]
        degrees[arm] = Degrees(
            failed,
            unanswered=tuple(waited) if len(waited) == len(seen) else (),
            behind=tuple(left) if len(left) == len(seen) else (),
            resent=tuple(again) if len(again) == len(seen) else (),
        )
    if not pairs.tried.spoilt:
        return replace(verdict, degrees=degrees)
    parts = {arm: [sum(counts) for counts in zip(*of.failed, strict=True)] for arm, of in degrees.items()}
    return replace(verdict, degrees=degrees, failed={arm: part / of for arm, (part, of) in parts.items()})


def counted(trial: Trial, reading: Reading) -> tuple[int, int]:
    """A trial's failed requests, and all. A trial without any counts as one that failed, unless the server
    lived and none was due, as with users who had all ended by themselves."""
    if reading.requests:
        return reading.counts
    idle = trial.thinks or trial.arrivals == 0 or trial.left == trial.cell.load.users
    due = trial.ended is not None or not idle
    return int(due), 1


def metrics(run: Run, cell: Cell, whole: bool) -> tuple[Metric, ...]:
    """The metrics judged for an endpoint, the primary one first if it has one.

    An open loop has service times besides response times; in a closed loop they are the same.
    """
    primary = run.primary(cell)
    every = METRICS[1:]
    if cell.load.rate is not None:
        every = (*every, "service_p50", "service_p99")
    elif primary == "throughput":
        return METRICS if whole else every
    return (primary, "throughput", *(m for m in every if m != primary)) if whole else every


NOTHING = Reading(requests=0, failures=0, throughput=0.0, p50=None, p95=None, p99=None)


def corrected(found: Sequence[Verdict], alpha: float) -> list[Verdict]:
    """The verdicts, of which primary differences that are not significant after Holm correction over all
    primary ones at `alpha` are undecided."""
    judged = [verdict for verdict in found if verdict.primary and verdict.p is not None]
    significant = holm([verdict.p or 0.0 for verdict in judged], alpha)
    open = {
        id(one) for one, sure in zip(judged, significant, strict=True)
        if one.verdict in ("faster", "slower") and not sure and len(judged) > 1
    }  # fmt: skip
    return [
        replace(one, verdict="inconclusive").with_first(NotSignificant(one.verdict, len(judged)))
        if id(one) in open else one
        for one in found
    ]  # fmt: skip


def judge(
    run: Run,
    cell: Cell,
    rival: str,
    endpoint: str,
    metric: Metric,
    primary: bool,
    pairs: Pairs,
    reference: list[Reading],
    rival_readings: list[Reading],
    apart: Sequence[Unlike],
    piles: Piles,
    certain: Mapping[str, Failure],
) -> Verdict:
    """The verdict on one metric, with its reservations. `apart`: how the arms' answers differ; `certain`: the
    arms that fail even where too many rounds were lost, and how."""
    plan, against, alpha = run.plan, run.plan.opponent(rival), per_rival(run.plan)
    found = estimate(metric, reference, rival_readings, alpha)
    seen = {against.name: reference, rival: rival_readings}
    trials = {against.name: pairs.reference, rival: pairs.rival}
    failing = failures(seen, certain, piles)
    word, doubts = decide(run, found, pairs, reference, rival_readings, rival, alpha, failing, bool(certain))
    spots = blemishes(seen, trials, piles, alpha)
    # A failing arm's verdict says so already.
    doubts += [spot for arm, several in spots.items() if arm not in failing for spot in several]
    apart = () if explained(apart, tuple(failing)) else apart  # errors are no answers of another kind
    doubts += apart
    if apart and must_be_alike(plan) and word != "invalid" and cell.key not in run.refused:
        # Not even the ratio: it would compare two different things.
        word, found = "different", replace(found, differences=(), interval=None)
        doubts = [*apart, *failing.values()]
    if cell.key in run.refused:
        doubts = [NotMeasured(run.refused[cell.key])]
    doubts += left_unknown(run, cell, endpoint, rival)
    interval = found.interval
    return Verdict(
        cell=cell,
        endpoint=endpoint,
        metric=metric,
        primary=primary,
        arm=rival,
        reference=against.name,
        verdict=word,
        ratio=None if word == "different" else found.ratio,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n=len(pairs.rounds),
        values={against.name: found.reference, rival: found.rival},
        differences=found.differences,
        p=repeated_p(found.differences),
        reservations=tuple(doubts),
        failing=tuple(failing),
        failed={arm: failure_rate(readings) for arm, readings in seen.items()},
        requests={arm: sum(reading.requests for reading in readings) for arm, readings in seen.items()},
        resent={arm: resent_part(trials[arm], readings) for arm, readings in seen.items()},
        blemished=tuple(arm for arm, several in spots.items() if several),
        open_failures=not failing and any(isinstance(one, MayFailMore) for one in doubts),
        clients=http_clients([against, *(arm for arm in plan.rivals if arm.name == rival)], cell.scenario),
        cpus=run.server_cpus(cell) if run.of(cell, rival) and not plan.external(*trials) else None,
    )


def must_be_alike(plan: Plan) -> bool:
    """Whether arms that answer differently are not compared. A change may answer differently from its base:
    a gate says so, and judges it."""
    return plan.answers == "alike" and not plan.gate


def decide(
    run: Run,
    found: Estimate,
    pairs: Pairs,
    reference: list[Reading],
    rival_readings: list[Reading],
    rival: str,
    alpha: float,
    failing: Mapping[str, Failure],
    certain: bool,
) -> tuple[VerdictWord, list[Reservation]]:
    """The verdict's word and its reservations, the decisive one first. `failing`: by arm, how; `certain`:
    whether that holds even where too many rounds are lost."""
    lost, counted = len(pairs.tried.lost), len(pairs.tried.counted)
    clients = {trial.client for both in pairs.lost for trial in both if trial.client}
    client = min(clients, default=None)
    disturbed = [RoundsLost(lost, lost + counted, pairs.faults, client)] if pairs.tried.spoilt else []
    if disturbed and not certain:
        return "invalid", [*disturbed]
    against, interval = run.plan.opponent(rival).name, found.interval
    limit = cap(run, pairs, rival, interval, found.metric, failing_most(failing))
    capped = [limit] if limit is not None else []
    if failing:
        return "failing", [*failing.values(), *disturbed, *capped]
    doubts: list[Reservation] = [*capped, *reservations(found, pairs, run.plan.margin)]
    if found.metric == "throughput":
        for name, seen in ((against, reference), (rival, rival_readings)):
            doubts += unsteady(name, seen, run.plan.margin)
        if not run.plan.open:
            doubts += figures_disagree(reference, rival_readings, run.plan.margin)
    if interval is None:
        return "inconclusive", [missing(found, pairs, run.plan, rival_readings + reference), *doubts]
    place = limit.place if limit is not None else position(interval, run.plan.margin)
    if place == "within":
        return "equivalent", doubts
    if place == "open":
        if limit is None:  # more rounds do not lift a cap
            needed = rounds_to_decide(found.differences, run.plan.margin, alpha)
            doubts.insert(0, MoreRoundsNeeded(needed))
        return "inconclusive", doubts
    higher_is_better = found.metric == "throughput"
    return ("faster" if (place == "above") == higher_is_better else "slower"), doubts
