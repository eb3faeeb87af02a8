"""Whether arms are worse than their opponents in a run that measures both sides (`--base-ref`): in speed
non-inferiority by the plan's margin, in reliability by degrees. comparison.py compares two runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from loadtests.records import Plan
from reports.analysis.reservations import NotMeasured
from reports.analysis.statistics import repeated_p
from reports.analysis.verdicts import Outcome, Verdict
from reports.gate.findings import (
    AnsweredNothing,
    Decision,
    GateFinding,
    fit,
    gross,
    health,
    lost,
    paired,
    reliability,
    together,
)


def decisions(plan: Plan, cases: Sequence[Verdict]) -> list[Decision]:
    """The decision on every case, all together: see mixtures.py."""
    return together([findings(verdict, plan) for verdict in cases], plan.alpha)


def findings(verdict: Verdict, plan: Plan) -> list[GateFinding]:
    """Everything that is judged of one case: of an endpoint of a mixture its speed alone, since how much an
    arm fails is judged of the cell as a whole."""
    if not verdict.primary:
        return [speed(verdict, plan.margin)]
    for reservation in verdict.reservations:
        if isinstance(reservation, NotMeasured) and verdict.arm in reservation.refusal.needs:
            needs = reservation.refusal.needs
            base_needs = needs.get(verdict.reference)
            return [fit(verdict.arm, reservation.refusal, needs[verdict.arm], base_needs)]
    base, head = health(verdict, verdict.reference), health(verdict, verdict.arm)
    reliable = reliability(verdict.arm, base, head, plan.margin, paired, plan.alpha)
    if verdict.verdict != "invalid":
        return [speed(verdict, plan.margin), *reliable]
    # A starved generator measures no speed, but does not make requests of one arm alone fail.
    worse = reliable if gross(base.rounds("failed"), head.rounds("failed")) else []
    return [one for one in worse if one.outcome == "regression"] or [GateFinding("measurement", "invalid")]


def speed(verdict: Verdict, margin: float) -> GateFinding:
    """Whether an arm is slower than its opponent by more than the margin: a non-inferiority test on the
    repeated interval (Jennison and Turnbull 1989), valid at every look. Not decided where too many rounds
    were lost, although an arm is failing."""
    sign = 1.0 if verdict.metric == "throughput" else -1.0
    p = repeated_p(verdict.differences, -sign * math.log1p(margin))
    if verdict.low is None or verdict.high is None or verdict.spoilt:
        base, head = health(verdict, verdict.reference), health(verdict, verdict.arm)
        if lost(base, verdict.metric) and not lost(head, verdict.metric):
            return GateFinding("speed", "pass", 1.0, AnsweredNothing(verdict.reference))
        return GateFinding("speed", "inconclusive", 1.0)
    low, high = verdict.bounds
    if verdict.metric != "throughput":
        low, high = 1.0 / high if high else None, 1.0 / low if low else None
    bound = 1.0 / (1.0 + margin)
    word: Outcome = "inconclusive"
    if high is not None and high < bound:
        word = "regression"
    elif low is not None and low > bound:
        word = "pass"
    return GateFinding("speed", word, 1.0 if p is None else p)
