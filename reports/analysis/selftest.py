"""Whether `duel selftest` found the known answers on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from loadtests.records import Fault, Run
from reports.analysis.readings import Readings
from reports.analysis.verdicts import Verdict, verdicts

# As planted by loadtests/measure/known_answers.py; a test keeps the two equal.
THREADS, WAIT, BLOCK, LONGER = 40, 0.05, 0.02, 1.3

TOLERANCE = 0.05
"""Maximum relative error of a known throughput."""

WIDEST = 0.15
"""Maximum half-width of the interval of an app against itself."""


@dataclass(frozen=True)
class KnownCeiling:
    """A throughput that is known in advance."""

    limit: Literal["threads", "blocked"]
    """The number of threads, or an event loop that each request blocks."""
    seconds: float
    """How long one request takes a thread, or blocks the loop."""
    truth: float
    """Requests per second."""
    found: float | None
    """None without a valid trial."""
    faults: tuple[Fault, ...] = ()
    """Why trials do not count, one per kind."""

    @property
    def off(self) -> float | None:
        """Relative error against the truth."""
        return None if self.found is None else self.found / self.truth - 1.0

    @property
    def right(self) -> bool:
        return self.off is not None and abs(self.off) <= TOLERANCE


@dataclass(frozen=True)
class AgainstItself:
    """An app against itself."""

    verdict: Verdict

    @property
    def right(self) -> bool:
        width = half_width(self.verdict)
        same = self.verdict.verdict in ("equivalent", "inconclusive")
        return same and width is not None and width <= WIDEST


@dataclass(frozen=True)
class PlantedDifference:
    """An app that computes longer."""

    verdict: Verdict

    @property
    def right(self) -> bool:
        return self.verdict.verdict == "slower"


KnownAnswer = KnownCeiling | AgainstItself | PlantedDifference


def answers(name: str, run: Run, readings: Readings) -> list[KnownAnswer]:
    """What one of the runs of `duel selftest` found; `name` as in loadtests.measure.known_answers."""
    match name:
        case "ceilings":
            seen = run.calibration("threads", "ping", 1)
            # A request takes its thread for its service time with one user.
            wait = seen.service_time if seen and seen.service_time else WAIT
            return [
                ceiling(run, readings, "threads", wait, THREADS / wait),
                ceiling(run, readings, "blocked", BLOCK, 1.0 / BLOCK),
            ]
        case "same":
            return [AgainstItself(primary(run, readings))]
        case _:
            return [PlantedDifference(primary(run, readings))]


def ceiling(
    run: Run, readings: Readings, arm: Literal["threads", "blocked"], seconds: float, truth: float
) -> KnownCeiling:
    """The throughput of an arm whose true one, in requests per second, is known in advance."""
    trials = [trial for trial in run.of(run.plan.cells[0], arm) if trial.valid]
    if not trials:
        faults = {fault.kind: fault for trial in run.trials for fault in trial.faults}
        return KnownCeiling(arm, seconds, truth, None, tuple(faults.values()))
    return KnownCeiling(arm, seconds, truth, readings.whole(trials[-1]).throughput)


def primary(run: Run, readings: Readings) -> Verdict:
    return next(verdict for verdict in verdicts(run, readings) if verdict.primary)


def half_width(verdict: Verdict) -> float | None:
    """Relative half-width of the interval; None without one."""
    if verdict.low is None or verdict.high is None:
        return None
    return float((verdict.high / verdict.low) ** 0.5 - 1.0)
