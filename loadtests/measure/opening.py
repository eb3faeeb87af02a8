"""What every measurement begins with: the machine's turn, the bench, the checks before the first round."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from loadtests.errors import PlanError
from loadtests.measure.answers.equality import check_equal, check_resumable
from loadtests.measure.answers.inquiries import compare_answers
from loadtests.measure.answers.questions import fixed_questions
from loadtests.measure.bench import Bench
from loadtests.measure.calibration import ceilings_needed, refusals
from loadtests.measure.in_force import check_in_force, in_force
from loadtests.measure.prospects.obstacles import (
    check_connections,
    check_fits,
    check_reachable,
    check_scenarios,
)
from loadtests.measure.runs import check_unchanged, sealed
from loadtests.measure.watcher import Watcher
from loadtests.plan.options import RunOptions
from loadtests.records.directory import RunDirectory
from loadtests.records.in_force import InForce
from loadtests.records.refusals import Refusal, foreseen
from loadtests.records.run import Calibration, Run
from loadtests.serving.checkout import checked_out
from loadtests.serving.server import Target
from loadtests.system.lock import measurement_lock

TOGETHER = 2
"""How many servers of the twins start together before the rounds, at most: a small machine has two CPUs."""


class Opened(NamedTuple):
    """A run that is ready for its first round, or its next one."""

    run: Run
    bench: Bench
    began: float
    """When its own time began, on perf_counter's clock."""


@contextmanager
def opened(run: Run, directory: RunDirectory, watcher: Watcher, options: RunOptions) -> Iterator[Opened]:
    """Wait for the machine, open the bench, check and calibrate. Raises PlanError, ChildFailed, ArmsDiffer,
    CannotWrite."""
    check_reachable(run.plan, options)
    check_connections(run.plan)
    run = sealed(run, options)
    if not run.trials:
        # Interrupted in its preparation, it is resumed with the same values, too.
        directory.save(run)
    with measurement_lock(f"run {run.id}", options.wait, watcher.waits), ExitStack() as opening:
        # It may have waited for hours.
        check_unchanged(run)
        directory.sweep()
        opening.callback(directory.sweep)  # after the generator has ended
        checkout = opening.enter_context(checked_out(run.plan))
        # Not earlier: neither waiting for another measurement nor preparing a base is this run's time.
        began = time.perf_counter()
        bench = opening.enter_context(Bench(directory.logs, options, run.plan))
        bench.environment.checkout = checkout
        bench.environment.begin(run, directory.path)
        bench.recall(run.trials)
        check_scenarios(run.plan, bench.scenarios)
        run = run.model_copy(update={"workers": bench.gather(watcher)})
        yield Opened(prepared(run, bench, watcher), bench, began)


def still_refused(run: Run, now: Mapping[str, Refusal]) -> dict[str, Refusal]:
    """The cells of a resumed run that are not measured, by their keys: those that were not, and would not be
    `now`."""
    return {key: why for key, why in run.refused.items() if key in now}


def prepared(run: Run, bench: Bench, watcher: Watcher) -> Run:
    """The run with the checks and calibrations before its first round: equal answers, each arm's cost at low
    load, the generator's best rate. Raises PlanError, ChildFailed, ArmsDiffer."""
    plan = run.plan
    # A change may answer differently from its base: then only what its scenarios request is compared.
    questions = () if plan.gate else fixed_questions(plan.arms)
    calibrations: list[Calibration] = []
    known: dict[str, InForce] = {}

    def calibrate(server: Target) -> None:
        found = in_force(server)
        check_in_force(plan.arms, server.arm, found)
        watcher.prepares(server.arm)
        calibrations.extend(bench.calibrations(server, plan))
        bench.note_memory(server)
        # Again: pools are made, and limits set, by the first requests that need them.
        found = in_force(server) or found
        check_in_force(plan.arms, server.arm, found)
        known.update({server.arm.name: found} if found else {})

    database = bench.environment.database_version
    if run.trials:
        if run.machine.database not in (None, database):
            raise PlanError(
                f"cannot resume run {run.id}: its database was {run.machine.database}, and is now {database}",
                hint="rounds of two different things do not belong to one run: start a new one",
            )
        # Resumed: its rounds are still judged by what was known before the first one.
        check_resumable(plan, bench.environment, questions)
        # With more time, or no limit, what did not fit may.
        now = {**refusals(plan, run.calibrations), **foreseen(plan)}
        run = run.model_copy(update={"refused": still_refused(run, now)})
    else:
        if questions:
            # What more of them would need is known after this.
            apart = bench.apart or ("memory" if len(plan.arms) > TOGETHER else None)
            equal = check_equal(plan.arms, bench.environment, questions, calibrate, apart=apart)
            answers, compared = None, equal.requests
        else:
            answers, compared = compare_answers(plan, bench, calibrate), None
        run = run.model_copy(
            update={
                "machine": run.machine.model_copy(update={"database": database}),
                "answers": answers,
                "answers_compared": compared,
                **bench.environment.sources.told(),
                "in_force": known,
                "ceilings": tuple(bench.ceilings(ceilings_needed(plan, calibrations), plan.seed % 2**31)),
                "calibrations": tuple(calibrations),
                "refused": {**refusals(plan, calibrations), **foreseen(plan)},
            }
        )
    check_fits(plan, run.refused)
    return run
