"""What each endpoint of a mixture shows, arm by arm: requests, failures, response times, and their ratio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from loadtests.records import Cell, Metric, Run, Trial
from reports.analysis.estimates import PARTS, geometric_mean_of, pair
from reports.analysis.names.endpoints import ALL
from reports.analysis.readings import Readings
from reports.analysis.statistics import percentile
from reports.analysis.verdicts import NOTHING, Verdict


@dataclass(frozen=True)
class ArmFigures:
    """One arm's figures for one endpoint, over all rounds that count. Seconds; None where nothing was
    answered."""

    requests: int
    failures: int
    throughput: float
    """Successful requests per second."""
    mean: float | None
    fastest: float | None
    slowest: float | None
    p50: float | None
    """Like p95 and p99, the geometric mean over the rounds; where some window holds too few requests, the
    percentile of the requests of all rounds together. None where there are too few of those as well, or
    where it is infinite."""
    p95: float | None
    p99: float | None


@dataclass(frozen=True)
class ComparedEndpoint:
    """One endpoint of a mixture, or all together."""

    cell: Cell
    endpoint: str
    arm: str
    reference: str
    """The arm against which it is compared."""
    figures: Mapping[str, ArmFigures]
    """Of the reference and the arm."""
    ratio: float | None
    """Of the median response times, the arm's ÷ the reference's; None without one in every round."""
    low: float | None
    high: float | None
    n: int
    """Rounds."""


def endpoint_figures(run: Run, readings: Readings, found: Sequence[Verdict]) -> list[ComparedEndpoint]:
    """The figures of every endpoint of the cells that have several, all together first; in the plan's order
    of cells. Raises RecordError."""
    mixed = [one for one in found if one.primary and one.endpoint == ALL]
    return [one for primary in mixed for one in of_mixture(run, readings, primary, found)]


def of_mixture(
    run: Run, readings: Readings, primary: Verdict, found: Sequence[Verdict]
) -> Iterator[ComparedEndpoint]:
    """The figures of one mixture. Raises RecordError."""
    pairs = pair(run, primary.cell, primary.arm)
    trials = {primary.reference: pairs.reference, primary.arm: pairs.rival}
    medians = [
        one for one in found
        if (one.cell, one.arm, one.metric) == (primary.cell, primary.arm, "p50")
    ]  # fmt: skip
    for one in medians if pairs.rounds else ():
        figures = {arm: of_arm(readings, mine, one.endpoint) for arm, mine in trials.items()}
        low, high = one.bounds
        yield ComparedEndpoint(
            one.cell, one.endpoint, one.arm, one.reference, figures,
            one.ratio if one.low is not None else None, low, high, one.n,
        )  # fmt: skip


def of_arm(readings: Readings, trials: Sequence[Trial], endpoint: str) -> ArmFigures:
    """One arm's figures for an endpoint. Raises RecordError."""
    seen = [
        readings.whole(trial) if endpoint == ALL else readings.of(trial).get(endpoint, NOTHING)
        for trial in trials
    ]
    took = np.sort(np.concatenate([readings.response_times(trial, endpoint) for trial in trials]))
    failed = sum(reading.failed for reading in seen)

    def middle(metric: Metric) -> float | None:
        mean = geometric_mean_of([reading.value(metric) for reading in seen])
        return percentile(took, PARTS[metric], failed) if mean is None else mean

    return ArmFigures(
        requests=sum(reading.requests for reading in seen),
        failures=sum(reading.failures for reading in seen),
        throughput=fmean(reading.throughput for reading in seen),
        mean=float(took.mean()) if len(took) else None,
        fastest=float(took[0]) if len(took) else None,
        slowest=float(took[-1]) if len(took) else None,
        p50=middle("p50"),
        p95=middle("p95"),
        p99=middle("p99"),
    )
