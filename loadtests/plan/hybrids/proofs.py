"""Whether a plan ends with the proof of its advice: an app that follows the cards, beside the two arms."""

from __future__ import annotations

from loadtests.errors import PlanError
from loadtests.plan.arms import Arm, ArmSettings
from loadtests.plan.hybrids.parsing import check_shareable
from loadtests.plan.plan import Plan
from loadtests.plan.profiles import MIXES

PART = 0.2
"""Of a user's limit of time, at most, for the proof."""


def with_proof(plan: Plan, seconds: float | None) -> Plan:
    """The plan with a proof of at most `seconds` after its rounds; without one where none is asked for, where
    there is nothing to prove, and where a user's limit of time leaves no room for it."""
    if seconds is None or not provable(plan):
        return plan
    if plan.deadline is None:
        return plan.model_copy(update={"proof_time": seconds})
    left, given = in_two(plan.deadline, seconds)
    proved = plan.model_copy(update={"proof_time": given})
    needed = plan.preparation_seconds + len(plan.cells) * plan.min_rounds * plan.round_seconds()
    if given < proved.proof_seconds[0] or left < needed:
        return plan
    return proved.model_copy(update={"max_time": left, "deadline": left})


def in_two(limit: float, seconds: float) -> tuple[float, float]:
    """A user's limit of time in two: for the rounds, and for their proof, which takes `seconds` at most."""
    given = min(seconds, limit * PART)
    return limit - given, given


def time_left(plan: Plan) -> float | None:
    """Seconds for the proof after rounds under the plan's limit of time; None where it plans no proof."""
    if plan.proof_time is None or plan.deadline is None:
        return plan.proof_time
    return min(plan.proof_time, plan.deadline * PART / (1.0 - PART))


def provable(plan: Plan) -> bool:
    """Whether a plan compares two apps of which one can be made, under loads that may ask for several of
    their routes."""
    pair = [arm for arm in plan.arms if arm.url is None]
    mixed = plan.locustfile is not None or any(cell.scenario in MIXES for cell in plan.cells)
    # A run with a hybrid of its own shows already what mixing is worth.
    given = any(arm.hybrid is not None for arm in plan.arms)
    return mixed and not given and not plan.gate and len(pair) > 1 and joinable(*pair[:2])


def joinable(one: Arm, other: Arm) -> bool:
    """Whether two arms are different apps that one process can serve."""
    if (one.app, one.app_dir) == (other.app, other.app_dir):
        return False
    modules = {arm.app.partition(":")[0].partition(".")[0] for arm in (one, other)}
    if len(modules) == 1 and one.app_dir != other.app_dir:
        # Two versions of one package: a process has one of them.
        return False
    try:
        check_shareable("hybrid", one, other, ArmSettings("hybrid", ()))
    except PlanError:
        return False
    return True
