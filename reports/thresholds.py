"""Thresholds in k6's grammar, judged on the interval: `"http_req_duration{arm:async}" = ["p(95)<50"]`.

A threshold is met when the whole interval lies on its good side, missed when the whole interval lies on the
bad one, and not decided in between: noise alone neither breaks a build nor mends one.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np

from loadtests.records import Cell, Metric, Plan, RecordError, Run
from reports import units
from reports.estimates import Readings, own_interval
from reports.statistics import FIRST_LOOK, critical
from reports.verdicts import Verdict

Word = Literal["met", "missed", "inconclusive"]

KEY = re.compile(r"\s*([a-z_]+)\s*(?:\{([^{}]*)\})?\s*")
EXPRESSION = re.compile(r"\s*([a-z]+(?:\(\s*[\d.]+\s*\))?)\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)\s*")
OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
PERCENTILES: Mapping[str, Metric] = {"med": "p50", "p(50)": "p50", "p(95)": "p95", "p(99)": "p99"}
KNOWN: Mapping[str, tuple[str, ...]] = {
    "http_req_duration": tuple(PERCENTILES),
    "http_req_failed": ("rate",),
    "http_reqs": ("rate",),
    "speedup": ("ratio",),
}
"""Metrics, and what may be asked of each. Durations are in milliseconds, as in k6."""
TAGS = ("arm", "scenario", "users", "rate")
MILLISECONDS = 1000.0


class ThresholdError(RecordError):
    """A threshold that says nothing: the message names it, and why."""


@dataclass(frozen=True)
class Threshold:
    """One expression about one metric."""

    key: str
    expression: str
    metric: str
    tags: Mapping[str, str]
    of: str
    sign: str
    bound: float

    @property
    def text(self) -> str:
        return f"{self.key}: {self.expression}"

    def fits(self, cell: Cell, arm: str) -> bool:
        """Whether it speaks of an arm in a cell."""
        known = {
            "arm": arm,
            "scenario": cell.scenario,
            "users": "" if cell.load.users is None else str(cell.load.users),
            "rate": "" if cell.load.rate is None else f"{cell.load.rate:g}",
        }
        return all(known[tag] == value for tag, value in self.tags.items())


@dataclass(frozen=True)
class Judgement:
    """What became of a threshold for one arm in one cell."""

    threshold: Threshold
    cell: Cell
    arm: str
    word: Word
    value: float | None
    low: float | None
    high: float | None

    @property
    def shown(self) -> str:
        """The value with its interval, in the threshold's own unit."""
        if self.value is None or self.low is None or self.high is None:
            return "not enough rounds, or samples in a window"
        unit = " ms" if self.threshold.metric == "http_req_duration" else ""
        numbers = [units.plain(number) for number in (self.value, self.low, self.high)]
        return f"{numbers[0]}{unit} ({numbers[1]} to {numbers[2]})"


def parse(table: Mapping[str, Sequence[str]]) -> list[Threshold]:
    """Every expression of `[tool.duel.thresholds]`. Raises ThresholdError."""
    return [one(key, expression) for key, expressions in table.items() for expression in expressions]


def one(key: str, expression: str) -> Threshold:
    """One threshold. Raises ThresholdError that says what is wrong, and what is known."""
    found = KEY.fullmatch(key)
    if not found or found[1] not in KNOWN:
        name = found[1] if found else key
        raise ThresholdError(f"threshold {key!r}: there is no metric {name!r}", near(name, list(KNOWN)))
    tags = {}
    for pair in filter(None, (part.strip() for part in (found[2] or "").split(","))):
        tag, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or not value:
            raise ThresholdError(f"threshold {key!r}: {pair!r} is not tag:value", f"tags: {', '.join(TAGS)}")
        if tag not in TAGS:
            raise ThresholdError(f"threshold {key!r}: there is no tag {tag!r}", near(tag, TAGS))
        tags[tag] = value
    parts = EXPRESSION.fullmatch(expression)
    if not parts:
        raise ThresholdError(
            f"threshold {key!r}: cannot read {expression!r}",
            "write an expression such as p(95)<50 or rate<0.01",
        )
    of = parts[1].replace(" ", "")
    if of not in KNOWN[found[1]]:
        known = ", ".join(KNOWN[found[1]])
        raise ThresholdError(f"threshold {key!r}: {found[1]} has no {of!r}", f"known: {known}")
    return Threshold(key, expression, found[1], tags, of, parts[2], float(parts[3]))


def near(word: str, known: Sequence[str]) -> str:
    close = get_close_matches(word, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}"


def check(thresholds: Sequence[Threshold], plan: Plan) -> None:
    """Raises ThresholdError for one that speaks of nothing that the plan measures."""
    for threshold in thresholds:
        if subjects(threshold, plan):
            continue
        measured = {
            "arm": [arm.name for arm in plan.arms],
            "scenario": list(dict.fromkeys(cell.scenario for cell in plan.cells)),
            "users": [str(cell.load.users) for cell in plan.cells if cell.load.users],
            "rate": [f"{cell.load.rate:g}" for cell in plan.cells if cell.load.rate],
        }
        wrong = next((tag for tag, value in threshold.tags.items() if value not in measured[tag]), None)
        hint = near(threshold.tags[wrong], measured[wrong]) if wrong else "no cell has all of these tags"
        raise ThresholdError(f"threshold {threshold.key!r} matches nothing that is measured", hint)


def subjects(threshold: Threshold, plan: Plan) -> list[tuple[Cell, str]]:
    """The arms and cells that a threshold speaks of; a speedup is a rival's."""
    arms = plan.rivals if threshold.metric == "speedup" else plan.arms
    return [(cell, arm.name) for cell in plan.cells for arm in arms if threshold.fits(cell, arm.name)]


def judge(run: Run, readings: Readings, verdicts: Sequence[Verdict]) -> list[Judgement]:
    """The plan's thresholds for every arm and cell that they speak of. Raises ThresholdError, RecordError."""
    thresholds = parse(run.plan.thresholds)
    check(thresholds, run.plan)
    found = []
    for threshold in thresholds:
        for cell, arm in subjects(threshold, run.plan):
            seen = measured(threshold, run, readings, verdicts, cell, arm)
            found.append(Judgement(threshold, cell, arm, place(threshold, seen), *(seen or (None,) * 3)))
    return found


def limits(plan: Plan, scenario: str) -> list[float]:
    """The 95 % latencies, in seconds, that the thresholds allow in a scenario."""
    return [
        threshold.bound / MILLISECONDS
        for threshold in parse(plan.thresholds)
        if (threshold.metric, threshold.of) == ("http_req_duration", "p(95)")
        if threshold.tags.get("scenario", scenario) == scenario
    ]


def measured(
    threshold: Threshold, run: Run, readings: Readings, verdicts: Sequence[Verdict], cell: Cell, arm: str
) -> tuple[float, float, float] | None:
    """Value and interval in the threshold's own unit; None where nothing can be said."""
    if threshold.metric == "speedup":
        row = next(row for row in verdicts if row.primary and (row.cell, row.arm) == (cell, arm))
        if row.ratio is None or row.low is None or row.high is None:
            return None
        # A speedup is above 1 when the arm is better, whichever way its metric points.
        turned = row.metric != "throughput"
        return (1 / row.ratio, 1 / row.high, 1 / row.low) if turned else (row.ratio, row.low, row.high)
    if threshold.metric == "http_req_failed":
        rates = [
            seen.failures / seen.requests
            for trial in run.of(cell, arm)
            if not trial.invalid and (seen := readings.whole(trial)).requests
        ]
        return failure_interval(rates, run.plan.level)
    metric: Metric = "throughput" if threshold.metric == "http_reqs" else PERCENTILES[threshold.of]
    interval = own_interval(run, readings, cell, arm, metric)
    if interval is None:
        return None
    scale = 1.0 if metric == "throughput" else MILLISECONDS
    return interval.ratio * scale, interval.low * scale, interval.high * scale


def failure_interval(rates: Sequence[float], level: float) -> tuple[float, float, float] | None:
    """The mean part of requests that failed, with its repeated interval; None before the first look."""
    n = len(rates)
    if n < FIRST_LOOK:
        return None
    mean = float(np.mean(rates))
    reach = critical(n, level) * float(np.std(rates, ddof=1)) / math.sqrt(n)
    return mean, max(0.0, mean - reach), min(1.0, mean + reach)


def place(threshold: Threshold, seen: tuple[float, float, float] | None) -> Word:
    """On which side of the bound the whole interval lies."""
    if seen is None:
        return "inconclusive"
    holds = OPERATORS[threshold.sign]
    ends = [holds(end, threshold.bound) for end in seen[1:]]
    return "met" if all(ends) else "missed" if not any(ends) else "inconclusive"
