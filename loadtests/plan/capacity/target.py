"""What must hold at a rate, in k6's grammar, as a statement about a share of the requests.

`p(99)<50` says that less than 1% of the requests take 50 ms or longer. The share is a mean, and changes
smoothly with the rate; a percentile is neither.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from loadtests.errors import PlanError
from loadtests.plan.fields import Frozen, Positive

EXPRESSION = re.compile(
    r"\s*(?P<name>[a-z]+)(?:\(\s*(?P<percentile>\d+(?:\.\d+)?)\s*\))?\s*"
    r"(?P<sign><=|>=|===?|!=|<|>)\s*(?P<bound>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
)
"""As k6 reads it, its signs for equality included, so that they can be refused by name."""

METRICS = ("http_req_duration", "http_req_failed")

GRAMMAR = "write a percentile in milliseconds, such as p(99)<50, or a share of failures, such as rate<0.01"

MILLISECONDS = 1000.0

SMALLEST, LARGEST = 0.001, 0.5
"""MissedShares between which a target can be found: of rarer events no search sees enough."""


class CapacityTarget(Frozen):
    """Less than `share` of the requests may fail, or take `limit` seconds or longer."""

    share: Annotated[float, Field(ge=SMALLEST, le=LARGEST)]
    limit: Positive | None = None
    """Seconds; None: only failures count."""

    @property
    def metric(self) -> Literal["http_req_duration", "http_req_failed"]:
        return "http_req_failed" if self.limit is None else "http_req_duration"

    def __str__(self) -> str:
        """As k6 writes it."""
        if self.limit is None:
            return f"rate<{self.share:g}"
        return f"p({100.0 * (1.0 - self.share):.6g})<{self.limit * MILLISECONDS:g}"


def target(text: str) -> CapacityTarget:
    """`p(99)<50`, `http_req_failed: rate<0.01` or the same without the metric. Raises PlanError."""
    metric, colon, expression = text.rpartition(":")
    found = EXPRESSION.fullmatch(expression)
    if colon and metric.strip() not in METRICS:
        raise PlanError(f"target {text!r}: there is no metric {metric.strip()!r}", hint=GRAMMAR)
    if found is None or found["sign"] not in ("<", "<="):
        raise PlanError(f"target {text!r}: cannot read it", hint=GRAMMAR)
    name, percentile, bound = found["name"], found["percentile"], float(found["bound"])
    if name == "med" and percentile is None:
        name, percentile = "p", "50"
    of = {"p": "http_req_duration", "rate": "http_req_failed"}.get(name)
    if of is None or (of == "http_req_duration") == (percentile is None) or (colon and metric.strip() != of):
        raise PlanError(f"target {text!r}: {expression.strip()!r} is not supported", hint=GRAMMAR)
    share = bound if percentile is None else 1.0 - float(percentile) / 100.0
    if not SMALLEST <= round(share, 9) <= LARGEST:
        raise PlanError(
            f"target {text!r}: it allows {100.0 * share:g}% of the requests",
            cause=f"a search can find where {100.0 * SMALLEST:g} to {100.0 * LARGEST:g}% are reached",
            hint="use p(99) or p(95), or a rate of 0.001 or more",
        )
    if percentile is not None and bound <= 0.0:
        raise PlanError(f"target {text!r}: no request takes less than {bound:g} ms", hint=GRAMMAR)
    return CapacityTarget(share=round(share, 9), limit=None if percentile is None else bound / MILLISECONDS)


class CapacityGoal(Frozen):
    """What a search is to find for every scenario and arm."""

    target: CapacityTarget
    precision: Annotated[float, Field(gt=0, lt=1)] = 0.10
    """Half the length of an interval that is narrow enough, as a fraction of the rate."""
    seconds: Positive = 180.0
    """Maximum for one scenario with all its arms."""
