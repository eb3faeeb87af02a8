"""Estimates and validity → verdicts: what a user of the arm would notice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from loadtests.records import Arm, Cell, Metric, Run
from reports.catalogue import RELEASES_GIL, http_client
from reports.estimates import ALL, METRICS, PARTS, Estimate, Pairs, Reading, Readings, estimate, pair
from reports.statistics import (
    ENOUGH_IN_TAIL,
    FIRST_LOOK,
    LAST_LOOK,
    autocorrelation,
    holm,
    off_zero,
    outliers,
    position,
    repeated_p,
    rounds_to_decide,
    slope,
)

Word = Literal["faster", "slower", "equivalent", "inconclusive", "failing", "invalid"]
Outcome = Literal["pass", "regression", "inconclusive", "invalid"]
"""What a gate says of a cell."""

MOST_FAILURES = 0.01
"""Part of an arm's requests that may fail before the arm itself is failing."""
MOST_BEHIND = 0.05
"""Tasks that an answer may leave undone, as likewise: half of what a difference must be to matter."""


@dataclass(frozen=True)
class Verdict:
    """One arm against the reference, in one cell, for one endpoint and metric."""

    cell: Cell
    endpoint: str
    metric: Metric
    primary: bool
    """Whether it is this metric that decides when the cell stops; the stated error rate is its own."""
    arm: str
    reference: str
    """The arm that it is compared with."""
    verdict: Word
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
    """The error rate at which the interval would just exclude a ratio of 1, all looks counted."""
    warnings: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    """The arms that answered more than 1 % of their requests with errors, or left work behind."""
    clients: str | None = None
    """The HTTP clients that the arms call another service with, which decide as much as the style."""


def verdicts(run: Run, readings: Readings) -> list[Verdict]:
    """Every verdict of a run, in the plan's order of cells."""
    return [
        verdict
        for cell in run.plan.cells
        for rival in run.plan.rivals
        for verdict in of_pair(run, readings, cell, rival.name)
    ]


def decided(run: Run, readings: Readings) -> set[Cell]:
    """The cells that need no further round: every rival's primary verdict is settled, or in a gate whether it
    is worse."""
    undecided = {
        one.cell
        for one in verdicts(run, readings)
        if one.primary and (outcome(one, run.plan.margin) if run.plan.gate else one.verdict) == "inconclusive"
    }
    return {cell for cell in run.plan.cells if cell not in undecided}


def outcome(verdict: Verdict, margin: float) -> Outcome:
    """Whether an arm is worse than the one it is compared with by more than the margin: non-inferiority, on
    the repeated interval (Jennison and Turnbull 1989), so that it holds whenever one looks."""
    if verdict.verdict == "invalid":
        return "invalid"
    if verdict.failing:
        return "regression" if set(verdict.failing) == {verdict.arm} else "inconclusive"
    if verdict.low is None or verdict.high is None:
        return "inconclusive"
    low, high = verdict.low, verdict.high
    if verdict.metric != "throughput":
        low, high = 1.0 / high, 1.0 / low
    bound = 1.0 / (1.0 + margin)
    return "regression" if high < bound else "pass" if low > bound else "inconclusive"


def of_pair(run: Run, readings: Readings, cell: Cell, rival: str) -> list[Verdict]:
    """All verdicts of one arm in one cell: every metric of every endpoint, the primary one first."""
    pairs = pair(run, cell, rival)
    ours = [readings.of(trial) for trial in pairs.reference]
    theirs = [readings.of(trial) for trial in pairs.rival]
    endpoints = endpoints_of(ours + theirs) or [cell.scenario]
    found = []
    for endpoint in endpoints:
        whole = endpoint == endpoints[0]
        # In a closed loop all endpoints of a mix rise and fall together: only the whole has a throughput.
        for metric in metrics(run, cell, whole):
            ref = [reading.get(endpoint, NOTHING) for reading in ours]
            riv = [reading.get(endpoint, NOTHING) for reading in theirs]
            primary = whole and metric == run.plan.primary(cell)
            found.append(judge(run, cell, rival, endpoint, metric, primary, pairs, ref, riv))
    return found


def metrics(run: Run, cell: Cell, whole: bool) -> tuple[Metric, ...]:
    """What is judged of an endpoint, the primary one first where it has one.

    Service times stand beside response times in an open loop; in a closed one they are the same.
    """
    if cell.load.rate is None:
        return METRICS if whole else METRICS[1:]
    primary = run.plan.primary(cell)
    every: tuple[Metric, ...] = ("p50", "p95", "p99", "service_p50", "service_p99")
    return (primary, "throughput", *(m for m in every if m != primary)) if whole else every


NOTHING = Reading(requests=0, failures=0, throughput=0.0, p50=None, p95=None, p99=None)


def standing(found: Sequence[Verdict], level: float) -> tuple[int, int]:
    """How many primary differences there are, and how many of them stand when all cells together may
    err with probability `level` (Holm)."""
    judged = [verdict for verdict in found if verdict.primary and verdict.p is not None]
    stands = holm([verdict.p or 0.0 for verdict in judged], level)
    differences = [verdict.verdict in ("faster", "slower") for verdict in judged]
    both = [difference and stand for difference, stand in zip(differences, stands, strict=True)]
    return sum(differences), sum(both)


def endpoints_of(trials: list[dict[str, Reading]]) -> list[str]:
    """`all` first where there is one, then by name."""
    names = {name for trial in trials for name in trial}
    return sorted(names, key=lambda name: (name != ALL, name))


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
) -> Verdict:
    """The verdict on one metric, with every reservation a reader needs."""
    plan = run.plan
    level = plan.level / max(1, len(plan.rivals))
    against = plan.opponent(rival)
    found = estimate(metric, reference, rival_readings, level)
    word, warnings = decide(run, found, pairs, reference, rival_readings, rival, level)
    if cell.key in run.refused:
        warnings = [f"not measured: {run.refused[cell.key]}"]
    ours = run.plan.scenarios is None
    if ours and endpoint in RELEASES_GIL and len(run.machine.placement.get("server", ())) == 1:
        warnings.append(
            "this work releases the GIL and the server had one core: with more, threads could gain"
        )
    interval = found.interval
    return Verdict(
        cell=cell,
        endpoint=endpoint,
        metric=metric,
        primary=primary,
        arm=rival,
        reference=against.name,
        verdict=word,
        ratio=found.ratio,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        n=len(pairs.rounds),
        values={against.name: found.reference, rival: found.rival},
        differences=found.differences,
        p=repeated_p(found.differences),
        warnings=tuple(warnings),
        failing=tuple(failures({against.name: reference, rival: rival_readings})),
        clients=clients([against, *(arm for arm in plan.rivals if arm.name == rival)], cell.scenario),
    )


def clients(arms: Sequence[Arm], scenario: str) -> str | None:
    """`httpx.Client for sync, httpx.AsyncClient on aiohttp for async`; None where nothing is called."""
    named = [(http_client(arm, scenario), arm.name) for arm in arms]
    if not any(client for client, _ in named):
        return None
    return ", ".join(f"{client or 'unknown'} for {name}" for client, name in named)


def decide(
    run: Run,
    found: Estimate,
    pairs: Pairs,
    reference: list[Reading],
    rival_readings: list[Reading],
    rival: str,
    level: float,
) -> tuple[Word, list[str]]:
    """The word, and the warnings that go with it."""
    if pairs.spoilt:
        total = len(pairs.rounds) + pairs.invalid
        return "invalid", [f"{pairs.invalid} of {total} rounds do not count: {'; '.join(pairs.faults)}"]
    against = run.plan.opponent(rival).name
    failing = failures({against: reference, rival: rival_readings})
    if failing:
        return "failing", list(failing.values())
    warnings = reservations(found, pairs, run.plan.margin)
    if found.metric == "throughput":
        for name, seen in ((against, reference), (rival, rival_readings)):
            warnings += unsteady(name, seen, run.plan.margin)
    interval = found.interval
    if interval is None:
        return "inconclusive", [missing(found, len(pairs.rounds), rival_readings + reference), *warnings]
    place = position(interval, run.plan.margin)
    if place == "within":
        return "equivalent", warnings
    if place == "open":
        needed = rounds_to_decide(found.differences, run.plan.margin, level)
        return "inconclusive", [remedy(needed), *warnings]
    higher_is_better = found.metric == "throughput"
    return ("faster" if (place == "above") == higher_is_better else "slower"), warnings


def remedy(needed: int | None) -> str:
    """What would decide an open cell, given about how many rounds it needs."""
    if needed is not None and needed <= LAST_LOOK:
        return f"about {needed} rounds would decide: use --rounds {needed}"
    rounds = f"about {needed}" if needed is not None else "more than 1,000"
    return f"{rounds} rounds like these would be needed, and {LAST_LOOK} is the most: use a longer --window"


def failures(readings: Mapping[str, list[Reading]]) -> dict[str, str]:
    """The arms that are failing, and how."""
    found = {}
    for name, seen in readings.items():
        rate, behind = failure_rate(seen), left_undone(seen)
        if rate is not None and rate > MOST_FAILURES:
            found[name] = f"{name} failed {rate:.1%} of its requests"
        elif behind is not None and behind > MOST_BEHIND:
            found[name] = (
                f"{name} leaves work behind: for every 100 answers {100 * behind:.0f} more background tasks "
                "were not done; users do not wait for them, so this throughput would not last: find the rate "
                "that it sustains (--rate)"
            )
    return found


def unsettled(words: Sequence[Word]) -> list[str]:
    """How many are neither ahead nor equal, each kind in words."""
    kinds: Mapping[Word, str] = {"failing": "failing", "invalid": "invalid", "inconclusive": "not decided"}
    return [f"{what} in {number}" for word, what in kinds.items() if (number := [*words].count(word))]


def failure_rate(readings: list[Reading]) -> float | None:
    """Part of the requests that failed, those never answered included; None without requests."""
    requests = sum(reading.requests for reading in readings)
    return sum(reading.failures for reading in readings) / requests if requests else None


def left_undone(readings: list[Reading]) -> float | None:
    """Tasks that every answer left undone, the median over rounds; None where a round does not tell."""
    known = [reading.behind for reading in readings if reading.behind is not None]
    return median(known) if known and len(known) == len(readings) else None


def missing(found: Estimate, rounds: int, readings: list[Reading]) -> str:
    """Why there is no interval, and what would give one."""
    if rounds < FIRST_LOOK:
        return (
            f"{rounds} of the {FIRST_LOOK} rounds that an interval needs: use --rounds {FIRST_LOOK} or more, "
            "or a longer --max-time"
        )
    if found.metric in PARTS:
        needed = round(ENOUGH_IN_TAIL / (1.0 - PARTS[found.metric]))
        fewest = round(min((reading.throughput for reading in readings), default=0.0))
        return (
            f"{found.metric} needs {needed:,} requests in every window, and one had only about "
            f"{fewest:,} a second: use a longer --window"
        )
    return "an arm answered nothing in one of the rounds"


UNLIKELY = 0.01
"""Probability below which a drift is taken for one, if it is also as large as half the margin."""


def unsteady(arm: str, readings: Sequence[Reading], margin: float) -> list[str]:
    """Whether an arm serves more, or less, the longer its windows last, over all rounds together."""
    grown = [reading.growth for reading in readings]
    known = [growth for growth in grown if growth is not None]
    found = off_zero(known) if len(known) == len(grown) else None
    if found is None or found[1] > UNLIKELY or abs(found[0]) < math.log1p(margin) / 2:
        return []
    more = math.expm1(found[0])
    than = "more" if more > 0 else "less"
    return [
        f"{arm} served {abs(more):.0%} {than} in the second half of its windows than in the first: use a "
        "longer --warmup, or a longer window (-t)"
    ]


def reservations(found: Estimate, pairs: Pairs, margin: float) -> list[str]:
    """What speaks against taking the interval at its word."""
    said = []
    rounds = pairs.rounds
    places = [
        rival.place - reference.place for reference, rival in zip(pairs.reference, pairs.rival, strict=True)
    ]
    for x, what in (
        (rounds, "the ratio drifts over the rounds, by {:.0%} in all"),
        (places, "the ratio depends on which arm comes first, by {:.0%}"),
    ):
        if len(found.differences) != len(x):
            continue
        line = slope(x, found.differences)
        change = abs(line[0]) * (max(x) - min(x)) if line else 0.0
        if line and line[1] < UNLIKELY and change > math.log1p(margin) / 2:
            said.append(what.format(math.expm1(change)) + ": read it with care, or use more rounds")
    far = outliers(found.differences)
    if far:
        said.append(f"round {rounds[far[0]] + 1} lies far from the others (it counts all the same)")
    correlation = autocorrelation(found.differences)
    if correlation is not None and correlation > 0.3:
        said.append(f"the rounds are not independent (lag-1 autocorrelation {correlation:.2f})")
    return said
