"""The proof that was measured after a run's rounds, from its records in the run's directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadtests.errors import PlanError
from loadtests.records import Run, RunDirectory
from reports.advice.cards import Card
from reports.advice.proving.proof import Proof, proof
from reports.advice.proving.table import RouteTable, compared, preferred, route_table, routes_of
from reports.analysis.readings import Readings
from reports.analysis.verdicts import verdicts


@dataclass(frozen=True)
class NothingToMix:
    """A run whose advice needs no proof: its cards prefer the first arm for no route."""

    arm: str
    """The other one, which is the app that follows them."""
    routes: int
    """For which they prefer it."""


def nothing_to_mix(run: Run, cards: Sequence[Card]) -> NothingToMix | None:
    """Why a run that is to end with a proof has none; None where there is something to measure."""
    if run.plan.proof_time is None or not run.complete:
        return None
    try:
        arms = compared(run)
    except PlanError:
        return None
    wanted: dict[str | None, set[str]] = {}
    for card in (one for one in cards if one.arm == arms[1]):
        arm = preferred(run, card, arms)
        wanted.setdefault(arm, set()).update(routes_of(run, card.scenario, arm) if arm is not None else ())
    first, other = (wanted.get(arm, set()) for arm in arms)
    return None if first - other else NothingToMix(arms[1], len(other))


def proof_after(run: Run, directory: RunDirectory, cards: Sequence[Card]) -> Proof | None:
    """Whether an app that follows the cards is better than the arms; None where that was not measured. Raises
    RecordError."""
    inner = directory.proof
    if inner is None:
        return None
    proven = inner.load().accepting(run.plan.answers)
    readings = Readings(inner)
    found = proof(proven, readings, verdicts(proven, readings))
    if found is None or not {*found.arms} <= {arm.name for arm in run.plan.arms}:
        return None
    return replace(found, apart=True, complete=proven.complete, changed=changed(run, proven, cards))


def changed(run: Run, proven: Run, cards: Sequence[Card]) -> tuple[str, ...]:
    """Routes that the app which was measured answers otherwise than the cards say now: a run that is resumed
    may decide more of them."""
    made = next((arm.hybrid for arm in proven.plan.arms if arm.hybrid is not None), None)
    if made is None:
        return ()
    try:
        now = route_table(run, cards)
    except PlanError:
        now = RouteTable(made.arms, ((), ()), ())
    # The last arm also answers what no table names.
    then = {*made.routes}
    return tuple(route for route in dict.fromkeys((*made.routes, *now.routes[0]))
                 if (route in then) != (route in now.routes[0]))  # fmt: skip
