"""Jobs that an app hands to a queue, and that a worker beside its server does: whether they pile up.

The arm's server has nothing left to do, and more workers do more jobs: a doubt, no failure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from loadtests.records import Trial
from reports.analysis.backlogs.growth import FEWEST
from reports.analysis.backlogs.judgement import MOST_BEHIND, Served


@dataclass(frozen=True)
class JobsPileUp:
    """The worker beside an arm's server does fewer jobs than that hands over."""

    arm: str
    behind: float
    """Jobs left undone per response, the median over rounds."""


def piling(trials: Mapping[str, Sequence[Trial]], wholes: Mapping[str, Sequence[Served]]) -> list[JobsPileUp]:
    """The arms whose jobs pile up. `wholes`: by arm, of all endpoints of each trial together."""
    found = []
    for arm, several in trials.items():
        left = [jobs_left(*both) for both in zip(several, wholes[arm], strict=True)]
        known = [one for one in left if one is not None]
        if known and median(known) > MOST_BEHIND:
            found.append(JobsPileUp(arm, median(known)))
    return found


def jobs_left(trial: Trial, reading: Served) -> float | None:
    """Jobs per response by which a queue grew in a trial's window; 0 where it did not, None where that is not
    known."""
    jobs = trial.resources.jobs
    if jobs is None or not reading.ended:
        return None
    grown = jobs.closed - jobs.opened
    return grown / reading.ended if grown >= FEWEST else 0.0
