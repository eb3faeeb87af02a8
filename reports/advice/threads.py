"""Whether more threads would do what another arm does, by the arms of a run that have more."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.records import Arm, Cell, Run
from reports.advice.notes import (
    ThreadsAreTheDifference,
    ThreadsNote,
    ThreadsSeen,
    ThreadsUndecided,
    ThreadsUnsound,
    ThreadsUntried,
)
from reports.analysis.estimates import estimate, pair
from reports.analysis.readings import Readings
from reports.analysis.rounds.consistency import Capped
from reports.analysis.statistics import Interval, position
from reports.analysis.verdicts import Verdict


def more_threads(
    run: Run, readings: Readings, beside: Sequence[Verdict], limited: Arm, better: Arm
) -> tuple[bool, list[ThreadsNote]]:
    """Whether an arm that differs from `limited` only in having more threads is as fast as `better`.
    `beside`: the primary verdicts on all arms in the cell. Raises RecordError."""
    like = [
        arm
        for arm in run.plan.arms
        if (arm.app, arm.hybrid, arm.env) == (limited.app, limited.hybrid, limited.env)
        and run.threads(arm.name) > run.threads(limited.name)
        and arm.serving.model_copy(update={"threads": limited.serving.threads}) == limited.serving
    ]
    if not like:
        return False, [ThreadsUntried(limited.name, *in_force(run, limited))]
    seen: list[ThreadsNote] = []
    cell = beside[0].cell
    metric = run.primary(cell)
    enough = ("above" if metric == "throughput" else "below", "within")
    for arm in like:
        if arm == better:
            return True, [ThreadsAreTheDifference(arm.name, limited.name, run.threads(arm.name))]
        interval = against(run, readings, cell, arm, better)
        if interval is None:
            continue
        if any(unsound(one, arm.name) for one in beside):
            seen.append(ThreadsUnsound(limited.name, run.threads(arm.name)))
            continue
        note = ThreadsSeen(limited.name, run.threads(arm.name), better.name, metric, interval)
        if position(interval, run.plan.margin) in enough:
            return True, [note]
        seen.append(note)
    return False, seen or [ThreadsUndecided()]


def unsound(verdict: Verdict, arm: str) -> bool:
    """Whether an arm fails, or was not measured well enough to be advised for what it serves."""
    failing = arm in verdict.failing or arm in verdict.blemished
    lost = verdict.verdict in ("different", "invalid") or any(
        isinstance(one, Capped) for one in verdict.reservations
    )
    return failing or (lost and arm == verdict.arm)


def in_force(run: Run, arm: Arm) -> tuple[float, bool]:
    """The threads of an arm, and whether its app sets their number itself."""
    threads = run.threads(arm.name)
    return threads, threads != arm.serving.threads


def against(run: Run, readings: Readings, cell: Cell, arm: Arm, other: Arm) -> Interval | None:
    """The primary metric of one arm ÷ another's, regardless of which is the reference."""
    mine, theirs = pair(run, cell, arm.name), pair(run, cell, other.name)
    both = sorted(set(mine.rounds) & set(theirs.rounds))
    ours = [readings.whole(trial) for trial, at in zip(mine.rival, mine.rounds, strict=True) if at in both]
    others = [
        readings.whole(trial) for trial, at in zip(theirs.rival, theirs.rounds, strict=True) if at in both
    ]
    return estimate(run.primary(cell), others, ours, run.plan.alpha / len(run.plan.rivals)).interval
