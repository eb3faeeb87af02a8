"""Whether a machine and some arms are fit to be measured, before they are."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests.errors import Disturbed
from loadtests.measure.answers.equality import check_equal
from loadtests.measure.answers.published import Published, published_questions
from loadtests.measure.answers.questions import fixed_questions
from loadtests.measure.bench import Bench
from loadtests.measure.in_force import in_force
from loadtests.plan.arms import Arm
from loadtests.plan.options import RunOptions
from loadtests.records.answers import Compared
from loadtests.records.in_force import InForce
from loadtests.records.run import Machine, highest
from loadtests.system import fingerprint, suitability
from loadtests.system.lock import Waits, measurement_lock

USERS = 64
"""Users with which the generator's ceiling is measured."""


@dataclass(frozen=True)
class Fitness:
    """What was found."""

    machine: Machine
    findings: Sequence[str]
    """What makes the machine less suitable."""
    disturbances: Sequence[str]
    """Why nothing can be measured now."""
    ceiling: float | None
    """Requests per second that the generator can send to a server that does nothing."""
    compared: Compared
    """What the arms answered alike."""
    in_force: Mapping[str, InForce]
    """By arm, what its server reported of itself."""


def examine(arms: Sequence[Arm], options: RunOptions, waits: Waits) -> Fitness:
    """Look at the machine, start the arms, and compare their answers. Raises ChildFailed, ArmsDiffer, and
    PlanError during another measurement, unless `options` wait for its end, which `waits` shows."""
    with (
        measurement_lock("duel check", options.wait, waits),
        tempfile.TemporaryDirectory(prefix="duel-logs-") as logs,
        Bench(Path(logs), options) as bench,
    ):
        disturbances = suitability.disturbances()
        fixed = fixed_questions(arms)
        asked = Published(list(fixed), (), ()) if fixed else published_questions(arms[0], bench.environment)
        known: dict[str, InForce | None] = {}
        compared = check_equal(
            arms,
            bench.environment,
            asked.questions,
            lambda server: known.update({server.arm.name: in_force(server)}),
        )
        # Last: what is wrong with an arm is told first.
        ceiling = highest(bench.ceilings({"ping": USERS}))
        left_out = {"unanswered": asked.unanswered, "unsteady": asked.unsteady}
        machine = fingerprint.fingerprint(bench.environment.placement)
        machine = machine.model_copy(update={"database": bench.environment.database_version})
    told = {name: found for name, found in known.items() if found is not None}
    return Fitness(
        machine, suitability.findings(), disturbances, ceiling, compared.model_copy(update=left_out), told
    )


def check_quiet(found: Fitness) -> None:
    """Raises Disturbed where a measurement would be invalid now."""
    if found.disturbances:
        raise Disturbed(
            f"{' and '.join(found.disturbances)}: a measurement would be invalid",
            hint="stop what else is running, or use a quieter machine",
        )
