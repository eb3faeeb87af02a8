"""Whether arms are worse than those they are against: non-inferiority by the plan's margin.

Of a run that measures both (`--base-ref`); comparison.py does it for two runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from loadtests.records import Plan
from reports.statistics import holm, repeated_p
from reports.verdicts import Outcome, Verdict, outcome

OUTCOMES: dict[Outcome, str] = {
    "regression": "worse", "invalid": "invalid", "inconclusive": "not decided", "pass": "not worse",
}  # fmt: skip


def outcomes(plan: Plan, primaries: Sequence[Verdict]) -> list[Outcome]:
    """The outcome of every primary verdict; of the regressions those that stand when all cells together may
    err as often as one (Holm), the others are not decided."""
    words = [outcome(verdict, plan.margin) for verdict in primaries]
    bound = math.log1p(plan.margin)
    p = [
        repeated_p(verdict.differences, -bound if verdict.metric == "throughput" else bound)
        for verdict in primaries
    ]
    # A cell that passes cannot be a regression, however sure it is that it is none.
    stands = holm(
        [
            one if one is not None and word == "regression" else 1.0
            for one, word in zip(p, words, strict=True)
        ],
        plan.level,
    )
    return [
        "inconclusive" if word == "regression" and not stand and not verdict.failing else word
        for verdict, word, stand in zip(primaries, words, stands, strict=True)
    ]
