"""The proof that was measured after a run's rounds, from its records in the run's directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loadtests.errors import PlanError
from loadtests.records import Run, RunDirectory
from reports.advice.cards import Card
from reports.advice.proving.proof import Proof, proof
from reports.advice.proving.table import RouteTable, route_table
from reports.analysis.readings import Readings
from reports.analysis.verdicts import verdicts


def proof_after(run: Run, directory: RunDirectory, cards: Sequence[Card]) -> Proof | None:
    """Whether an app that follows the cards is better than the arms; None where that was not measured. Raises
    RecordError."""
    inner = directory.proof
    if inner is None:
        return None
    proven = inner.load().accepting(run.plan.answers)
    readings = Readings(inner)
    found = proof(proven, readings, verdicts(proven, readings))
    if found is None:
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
