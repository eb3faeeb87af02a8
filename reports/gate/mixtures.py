"""The endpoints of a mixture as cases of a gate: each is judged by its median response time.

The throughput of a mixture, and a percentile of all its requests, hide what one endpoint does: users who wait
between requests make as many whatever they wait for, and a route that takes 40% longer may move the whole by
less than the margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reports.analysis.names.endpoints import ALL
from reports.analysis.reservations import TooFewRequests
from reports.analysis.statistics import FIRST_LOOK
from reports.analysis.verdicts import Verdict

VANISHED = 0.5
"""Fraction of its base's requests below which a head's endpoint counts as one that lost them."""


def of_mixtures(found: Sequence[Verdict]) -> Iterator[Verdict]:
    """The verdicts on the median response time of every endpoint of the cells that have several. Without
    cells whose measurement failed, of which the cell's own verdict says so."""
    mixed = {(one.cell, one.arm) for one in found if one.primary and one.endpoint == ALL}
    return (
        one for one in found
        if (one.cell, one.arm) in mixed and one.endpoint != ALL and one.metric == "p50"
        and not one.spoilt
    )  # fmt: skip


def cases(found: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts that a gate judges: each cell's primary one, followed by those on its endpoints."""
    endpoints: dict[tuple[object, str], list[Verdict]] = {}
    for one in of_mixtures(found):
        if can_be_judged(one):
            endpoints.setdefault((one.cell, one.arm), []).append(one)
    primaries = [one for one in found if one.primary]
    return [case for one in primaries for case in (one, *endpoints.get((one.cell, one.arm), ()))]


def can_be_judged(verdict: Verdict) -> bool:
    """Whether an endpoint has an interval; or none because of its head, which is no reason to be silent."""
    if verdict.low is not None:
        return True
    if verdict.values.get(verdict.reference) is None:
        return False
    # The base has a median in every round, and the head has not.
    few = any(isinstance(one, TooFewRequests) for one in verdict.reservations)
    made, before = verdict.requests.get(verdict.arm, 0), verdict.requests.get(verdict.reference, 0)
    return made < VANISHED * before if few else verdict.values.get(verdict.arm) is None


def not_judged(found: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts on endpoints that are no cases although there are rounds enough: their base has no median
    in some round."""
    return [one for one in of_mixtures(found) if one.n >= FIRST_LOOK and not can_be_judged(one)]
