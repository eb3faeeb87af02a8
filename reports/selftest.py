"""Whether known answers were found: what `duel selftest` says of a machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.records import Run
from reports import units
from reports.estimates import Readings
from reports.verdicts import Verdict, verdicts

# What loadtests/known_answers.py plants; a test holds the two equal.
THREADS, WAIT, BLOCK, LONGER = 40, 0.05, 0.02, 1.3

TOLERANCE = 0.05
"""Part by which a known throughput may be missed."""
WIDEST = 0.15
"""Half-width of the interval of an app against itself."""


@dataclass(frozen=True)
class Answer:
    """One known answer, and what was found."""

    question: str
    known: str
    found: str
    right: bool
    remedy: str = ""


def answers(name: str, run: Run, readings: Readings) -> list[Answer]:
    """What one of the runs of `duel selftest` found; `name` as loadtests.known_answers has it."""
    match name:
        case "ceilings":
            seen = run.calibration("threads", "ping", 1)
            # A thread is taken for as long as a request takes by itself.
            wait = seen.service_time if seen and seen.service_time else WAIT
            return [
                ceiling(
                    run,
                    readings,
                    "threads",
                    f"{THREADS} threads, {units.duration(wait)} each",
                    THREADS / wait,
                ),
                ceiling(
                    run,
                    readings,
                    "blocked",
                    f"a loop blocked for {units.duration(BLOCK)} a request",
                    1.0 / BLOCK,
                ),
            ]
        case "same":
            return [same(run, readings)]
        case _:
            return [planted(run, readings)]


def ceiling(run: Run, readings: Readings, arm: str, question: str, truth: float) -> Answer:
    """A throughput that is known beforehand, in requests per second."""
    trials = [trial for trial in run.of(run.plan.cells[0], arm) if not trial.invalid]
    if not trials:
        faults = "; ".join(dict.fromkeys(fault for trial in run.trials for fault in trial.invalid))
        return Answer(question, units.rate(truth), f"nothing that counts: {faults}", False)
    found = readings.whole(trials[-1]).throughput
    off = found / truth - 1.0
    return Answer(
        question,
        f"{units.rate(truth)} ± {TOLERANCE:.0%}",
        f"{units.rate(found)} ({off:+.1%})",
        abs(off) <= TOLERANCE,
        "the server or the generator does not get the CPU time it needs: stop what else is running",
    )


def same(run: Run, readings: Readings) -> Answer:
    """An app against itself."""
    verdict = primary(run, readings)
    width = half_width(verdict)
    right = verdict.verdict in ("equivalent", "inconclusive") and width is not None and width <= WIDEST
    return Answer(
        "an app against itself is not told apart",
        f"no difference, known to ± {WIDEST:.0%}",
        told(verdict),
        right,
        "this machine is too noisy for small differences: trust large ones, or use longer windows (-t 5)",
    )


def planted(run: Run, readings: Readings) -> Answer:
    """An app that computes longer."""
    verdict = primary(run, readings)
    return Answer(
        f"computing {LONGER - 1:.0%} longer is found",
        f"slower, about {units.ratio(1 / LONGER)}",
        told(verdict),
        verdict.verdict == "slower",
        "this machine is too noisy to find a difference of this size in eight rounds",
    )


def primary(run: Run, readings: Readings) -> Verdict:
    return next(verdict for verdict in verdicts(run, readings) if verdict.primary)


def half_width(verdict: Verdict) -> float | None:
    if verdict.low is None or verdict.high is None:
        return None
    return float((verdict.high / verdict.low) ** 0.5 - 1.0)


def told(verdict: Verdict) -> str:
    """The verdict and its interval."""
    if verdict.low is None:
        return f"{verdict.verdict}: {'; '.join(verdict.warnings)}"
    width = half_width(verdict) or 0.0
    return (
        f"{verdict.verdict}, {units.ratio(verdict.ratio)} "
        f"({units.interval(verdict.low, verdict.high)}, ± {width:.0%}, n = {verdict.n})"
    )


def conclusion(answers: Sequence[Answer]) -> str:
    """What the answers say of results from this machine."""
    if all(answer.right for answer in answers):
        return "results from this machine can be trusted"
    return "results from this machine cannot be trusted as they are: see the remedies above"
