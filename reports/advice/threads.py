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
from reports.analysis.rounds.consistency import capping, held_back, known_ends
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
        if differ_in_threads(arm, limited) and run.threads(arm.name) > run.threads(limited.name)
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
        held = tuple(one.name for one in (better, arm) if held_back(run, cell, one.name))
        limit = capping(held, arm.name, interval, metric)
        bounds = known_ends(interval.low, interval.high, limit)
        note = ThreadsSeen(limited.name, run.threads(arm.name), better.name, metric, interval.ratio, bounds)
        place = position(interval, run.plan.margin) if limit is None else limit.place
        if place in enough:
            return True, [note]
        # Of an arm that the generator held back, more may be true than is known.
        seen += [note] if limit is None or place != "open" else []
    return False, seen or [ThreadsUndecided()]


def differ_in_threads(arm: Arm, other: Arm) -> bool:
    """Whether two arms are the same in everything but their names and the threads that they ask for."""
    serving = arm.serving.model_copy(update={"threads": other.serving.threads})
    return arm.model_copy(update={"name": other.name, "serving": serving}) == other


def unsound(verdict: Verdict, arm: str) -> bool:
    """Whether an arm fails, or was not measured well enough to be advised for what it serves."""
    failing = arm in verdict.failing or arm in verdict.blemished
    lost = verdict.verdict in ("different", "invalid")
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
