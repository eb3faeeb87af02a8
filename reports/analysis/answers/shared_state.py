"""Whether the arms share state, such as a database of their own that stays between trials: then the load
itself makes requests fail, where it writes what is there already, and no arm is to blame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtests.records import Run, Trial
from reports.analysis.readings import Reading

NOTICED = 0.01
"""Fraction of an arm's requests from which on it matters that they are refused."""

TIMES = 4.0
"""How many times as large a part must be refused of an arm that comes later in its rounds."""

CONFLICT = 409
"""HTTP's status for a request that contradicts the state of what it asks for (RFC 9110, 15.5.10)."""


@dataclass(frozen=True)
class SharedState:
    """Requests are refused for what other trials have left."""

    status: int
    """The most frequent one."""
    later: float
    """Fraction of the requests refused in trials that follow another arm's in their round; without `first`,
    in all trials of the arm with the smaller part."""
    first: float | None
    """In the first trials of the rounds; None where their place makes no difference, as of names that are the
    same in all trials."""
    reset: bool
    """Whether a command was given that runs before every server (--before-trial)."""


def shared_state(
    run: Run, trials: Mapping[str, Sequence[Trial]], seen: Mapping[str, Sequence[Reading]]
) -> list[SharedState]:
    """Whether two arms share state: each has requests refused where it follows the other in a round, and
    hardly where it is first; or both answer that a request conflicts with what is there."""
    reset = run.sealed is not None and "--before-trial" in run.sealed.digests
    statuses: Counter[int] = Counter()
    shares: dict[bool, list[float]] = {False: [], True: []}
    conflicts = []
    for arm, mine in trials.items():
        both = list(zip(mine, seen[arm], strict=True))
        for later, found in shares.items():
            found.append(refused_part([one for trial, one in both if (trial.place > 0) == later]))
        conflicts.append(refused_part(seen[arm], CONFLICT))
        for reading in seen[arm]:
            statuses.update(reading.refused)
    if not statuses:
        return []
    if min(shares[True]) > NOTICED and min(shares[True]) > TIMES * max(shares[False]):
        return [SharedState(statuses.most_common(1)[0][0], min(shares[True]), max(shares[False]), reset)]
    if min(conflicts) > NOTICED:
        return [SharedState(CONFLICT, min(conflicts), None, reset)]
    return []


def refused_part(readings: Sequence[Reading], status: int | None = None) -> float:
    """Fraction of the requests that were refused, or refused with one status; 0 without requests."""
    refused = sum(count for one in readings for code, count in one.refused.items() if status in (None, code))
    return refused / max(1, sum(one.requests for one in readings))
