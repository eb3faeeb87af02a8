"""Thresholds in k6's grammar, judged on the interval: `"http_req_duration{arm:async}" = ["p(95)<50"]`.

A threshold is met if the whole interval is on its good side, missed if the whole interval is on the bad side,
and undecided otherwise: noise alone neither breaks nor fixes a build.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from loadtests.errors import did_you_mean
from loadtests.plan.arms import BUILT_IN
from loadtests.plan.capacity.target import EXPRESSION
from loadtests.plan.profiles import ENDPOINTS, MIXES, SERVICES
from loadtests.records import Cell, Metric, Plan, RecordError, Run, Trial
from reports.analysis.estimates import needed_for, own_interval, own_trials
from reports.analysis.readings import Readings
from reports.analysis.rounds.consistency import own_ends
from reports.analysis.statistics import FIRST_LOOK, mean_share
from reports.analysis.verdicts import Outcome, Verdict

ThresholdWord = Literal["met", "missed", "inconclusive"]

OUTCOMES_OF: Mapping[ThresholdWord, Outcome] = {
    "met": "pass", "missed": "regression", "inconclusive": "inconclusive",
}  # fmt: skip

KEY = re.compile(r"\s*([^\s{}]+)\s*(?:\{([^{}]*)\})?\s*")

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip

PERCENTILES: Mapping[str, Metric] = {"med": "p50", "p(50)": "p50", "p(95)": "p95", "p(99)": "p99"}

KNOWN: Mapping[str, tuple[str, ...]] = {
    "http_req_duration": tuple(PERCENTILES),
    "http_req_failed": ("rate",),
    "http_reqs": ("rate",),
    "speedup": ("ratio",),
    "capacity": ("rate",),
}
"""Metrics and their aggregations. Durations are in milliseconds, as in k6."""

TAGS = ("arm", "scenario", "users", "rate")

MILLISECONDS = 1000.0


class ThresholdError(RecordError):
    """An invalid threshold, or one that matches nothing: the message says which and why."""


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

    def fits(self, cell: Cell, names: Collection[str]) -> bool:
        """Whether it applies to an arm, by any of its names, in a cell."""
        known: Mapping[str, Collection[str]] = {
            "arm": names,
            "scenario": {cell.scenario},
            "users": {str(cell.load.users)} if cell.load.users is not None else (),
            "rate": {f"{cell.load.rate:g}"} if cell.load.rate is not None else (),
        }
        return all(value in known[tag] for tag, value in self.tags.items())


@dataclass(frozen=True)
class Judgement:
    """The result of a threshold for one arm in one cell."""

    threshold: Threshold
    cell: Cell
    arm: str
    word: ThresholdWord
    value: float | None
    """In the threshold's own unit: milliseconds, requests per second, or a fraction; None, like its interval,
    with too few rounds or samples, or where failures leave none, which misses the threshold."""
    low: float | None
    high: float | None
    """The interval; of a value, None on a side on which a capped arm leaves it unknown."""
    disturbed: bool = field(default=False, kw_only=True)
    """Whether the search for a capacity was disturbed, so that it has none."""

    @property
    def outcome(self) -> Outcome:
        """As a case of a gate."""
        return OUTCOMES_OF[self.word]


def parse(table: Mapping[str, Sequence[str]]) -> list[Threshold]:
    """Every expression of `[tool.duel.thresholds]`. Raises ThresholdError."""
    return [one(key, expression) for key, expressions in table.items() for expression in expressions]


def one(key: str, expression: str) -> Threshold:
    """One threshold. Raises ThresholdError, which says what is wrong and what is allowed."""
    found = KEY.fullmatch(key)
    if not found:
        raise ThresholdError(
            f"threshold {key!r}: cannot read the key",
            hint=f"write metric, or metric{{tag:value}} with one pair of braces; tags: {', '.join(TAGS)}",
        )
    if found[1] not in KNOWN:
        raise ThresholdError(
            f"threshold {key!r}: there is no metric {found[1]!r}",
            hint=did_you_mean(found[1].lower(), list(KNOWN), whole=True),
        )
    metric, tags = found[1], tags_of(key, found[2] or "")
    of, sign, bound = parts_of(key, metric, expression)
    return Threshold(key, expression, metric, tags, of, sign, bound)


def tags_of(key: str, text: str) -> dict[str, str]:
    """The tags between the braces of a key, each once. Raises ThresholdError."""
    tags: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        tag, colon, value = (part.strip() for part in pair.partition(":"))
        if not colon or not value:
            raise ThresholdError(
                f"threshold {key!r}: {pair!r} is not tag:value", hint=f"tags: {', '.join(TAGS)}"
            )
        if tag not in TAGS:
            raise ThresholdError(
                f"threshold {key!r}: there is no tag {tag!r}",
                hint=f"tags: {', '.join(TAGS)}; a scenario's endpoints are judged together",
            )
        if tag in tags:
            raise ThresholdError(f"threshold {key!r}: duplicate tag {tag!r}", hint="write one threshold each")
        tags[tag] = value
    return tags


def parts_of(key: str, metric: str, expression: str) -> tuple[str, str, float]:
    """The aggregation, the sign and the bound of an expression. Raises ThresholdError."""
    unit = "a number of milliseconds" if metric == "http_req_duration" else "a number"
    known = f"{metric} takes {', '.join(KNOWN[metric])} with {', '.join(OPERATORS)} and {unit}"
    parts = EXPRESSION.fullmatch(expression)
    if not parts:
        raise ThresholdError(
            f"threshold {key!r}: cannot read {expression!r}",
            hint=f"write one expression per string, such as p(95)<50 or rate<0.01: {known}",
        )
    percentile, sign = parts["percentile"], parts["sign"]
    of = parts["name"] if percentile is None else f"{parts['name']}({float(percentile):g})"
    if of not in KNOWN[metric]:
        raise ThresholdError(f"threshold {key!r}: {of!r} in {expression!r} is not supported", hint=known)
    if sign not in OPERATORS:
        raise ThresholdError(
            f"threshold {key!r}: {sign!r} in {expression!r} is not supported",
            hint=f"a threshold is judged on an interval, which never equals a number: {known}",
        )
    return of, sign, float(parts["bound"])


def check(thresholds: Sequence[Threshold], plan: Plan) -> None:
    """Raises ThresholdError for one that matches nothing in the plan, and is not meant for another run."""
    for threshold in thresholds:
        if not subjects(threshold, plan) and not of_other_runs(threshold, plan):
            raise ThresholdError(
                f"threshold {threshold.key!r} matches nothing that is measured",
                hint=way_out(threshold, plan),
            )


def of_other_runs(threshold: Threshold, plan: Plan) -> bool:
    """Whether a threshold is about another kind of run, or names an arm, a side of one in a gate, or a
    scenario that exists and is not in this plan; and nothing that is unknown."""
    scenarios = plan.locustfile.scenarios if plan.locustfile is not None else (*ENDPOINTS, *MIXES, *SERVICES)
    measured = {"arm": {*arm_names(plan)}, "scenario": {c.scenario for c in plan.cells}}
    arms = {*measured["arm"], *BUILT_IN}
    sides = {f"{arm}-{side}" for arm in arms for side in ("base", "head")}
    existing = {"arm": arms | sides, "scenario": {*measured["scenario"], *scenarios}}
    named = {tag: value for tag, value in threshold.tags.items() if tag in measured}
    known = all(value in existing[tag] for tag, value in named.items())
    other = of_another_kind(threshold, plan)
    return known and (other or any(value not in measured[tag] for tag, value in named.items()))


def of_another_kind(threshold: Threshold, plan: Plan) -> bool:
    """Whether a threshold is about another kind of run: one that searches for rates, or one that asks which
    arm is ahead: the ratios of a gate are those of heads to their own bases, and 1 where nothing changed."""
    searches = (threshold.metric == "capacity") != (plan.capacity is not None)
    return searches or (threshold.metric == "speedup" and plan.gate)


def arm_names(plan: Plan) -> list[str]:
    """Every name that a threshold may call an arm by."""
    return list(dict.fromkeys(name for arm in plan.arms for name in plan.names_of(arm.name)))


def skipped(plan: Plan) -> list[str]:
    """The keys of the thresholds that are not judged in this run."""
    found = parse(plan.thresholds)
    return list(dict.fromkeys(one.key for one in found if not subjects(one, plan)))


def way_out(threshold: Threshold, plan: Plan) -> str:
    """What to write instead of a threshold that matches nothing."""
    known = {
        "arm": arm_names(plan),
        "scenario": list(dict.fromkeys(cell.scenario for cell in plan.cells)),
        "users": list(dict.fromkeys(str(cell.load.users) for cell in plan.cells if cell.load.users)),
        "rate": list(dict.fromkeys(f"{cell.load.rate:g}" for cell in plan.cells if cell.load.rate)),
    }
    for tag, value in threshold.tags.items():
        if not known[tag]:
            other = "rate" if plan.open else "users"
            return f"no cell of this run has {tag}; its loads are {other}:{', '.join(known[other])}"
        if value not in known[tag]:
            return did_you_mean(value, known[tag], whole=True)
    rivals = [arm.name for arm in plan.rivals]
    arm = threshold.tags.get("arm")
    if threshold.metric == "speedup" and plan.alone:
        return f"{plan.reference.name} is the only arm: a speedup needs another one to compare it with"
    if threshold.metric == "speedup" and arm is not None and arm not in rivals:
        return f"{arm} is what the others are compared with: speedup is that of {', '.join(rivals)}"
    return f"no cell has all of these tags; cells: {', '.join(map(str, plan.cells))}"


def subjects(threshold: Threshold, plan: Plan) -> list[tuple[Cell, str]]:
    """The cells and arms to which a threshold applies; a speedup applies to rivals only, and so does
    everything in a gate, unless the threshold names a base: a change is not judged by what it repairs."""
    if of_another_kind(threshold, plan):
        return []
    every = threshold.metric != "speedup" and (not plan.gate or "arm" in threshold.tags)
    return [
        (cell, arm.name)
        for cell in plan.cells
        for arm in (plan.arms if every else plan.rivals)
        if threshold.fits(cell, plan.names_of(arm.name))
    ]


def judge(run: Run, readings: Readings, verdicts: Sequence[Verdict]) -> list[Judgement]:
    """The plan's thresholds, for all arms and cells that they match. Raises ThresholdError, RecordError."""
    thresholds = parse(run.plan.thresholds)
    check(thresholds, run.plan)
    found = []
    for threshold in thresholds:
        for cell, arm in subjects(threshold, run.plan):
            seen = measured(threshold, run, readings, verdicts, cell, arm)
            word = place(threshold, seen)
            if seen is None and nothing_left(threshold, judged_by(run, verdicts, cell, arm), readings):
                word = "missed"
            fails = threshold.metric == "speedup" and arm in primary(verdicts, cell, arm).failing
            # A failing arm is not faster, whatever its ratio.
            word = "missed" if fails and word == "met" else word
            found.append(Judgement(threshold, cell, arm, word, *(seen or (None,) * 3)))
    return found


def judged_by(run: Run, verdicts: Sequence[Verdict], cell: Cell, arm: str) -> list[Trial]:
    """The trials that show how an arm fails: those that count, or where it is failing although hardly any
    do, the last attempt of every round."""
    counted = own_trials(run, cell, arm)
    last = list({trial.round: trial for trial in run.of(cell, arm)}.values())
    failing = any(row.cell == cell and row.verdict == "failing" and arm in row.failing for row in verdicts)
    return last if failing and len(counted) < FIRST_LOOK else counted


def nothing_left(threshold: Threshold, trials: Sequence[Trial], readings: Readings) -> bool:
    """Whether failures leave an arm the worst possible value in every round: an infinite percentile, or no
    throughput."""
    seen = [readings.whole(trial) for trial in trials]
    if len(seen) < FIRST_LOOK:
        return False
    if threshold.metric == "http_reqs":
        return threshold.sign in (">", ">=") and not any(one.throughput for one in seen)
    if threshold.metric != "http_req_duration" or threshold.sign not in ("<", "<="):
        return False
    metric = PERCENTILES[threshold.of]
    enough = all(one.answered + one.failed >= needed_for(metric) for one in seen)
    return enough and all(one.value(metric) is None for one in seen)


def limits(plan: Plan, cell: Cell) -> dict[float, set[str]]:
    """The limits of the p95 latency in a cell, in seconds, each with the arms that its thresholds judge."""
    found: dict[float, set[str]] = {}
    for threshold in parse(plan.thresholds):
        if (threshold.metric, threshold.of) == ("http_req_duration", "p(95)"):
            arms = {arm for where, arm in subjects(threshold, plan) if where == cell}
            if arms:
                found.setdefault(threshold.bound / MILLISECONDS, set()).update(arms)
    return found


def primary(verdicts: Sequence[Verdict], cell: Cell, arm: str) -> Verdict:
    """The verdict that decides on an arm in a cell."""
    return next(row for row in verdicts if row.primary and (row.cell, row.arm) == (cell, arm))


Seen = tuple[float, float | None, float | None]
"""A value and its interval; None on a side that is unknown."""


def measured(
    threshold: Threshold, run: Run, readings: Readings, verdicts: Sequence[Verdict], cell: Cell, arm: str
) -> Seen | None:
    """Value and interval in the threshold's own unit; None where unknown."""
    if threshold.metric == "speedup":
        return speedup(primary(verdicts, cell, arm))
    if threshold.metric == "http_req_failed":
        return failed(judged_by(run, verdicts, cell, arm), readings, run.plan.alpha)
    metric: Metric = "throughput" if threshold.metric == "http_reqs" else PERCENTILES[threshold.of]
    interval = own_interval(run, readings, cell, arm, metric)
    if interval is None:
        return None
    scale = 1.0 if metric == "throughput" else MILLISECONDS
    low, high = own_ends(run, cell, arm, metric, interval)
    return (
        interval.ratio * scale,
        None if low is None else low * scale,
        None if high is None else high * scale,
    )


def speedup(row: Verdict) -> Seen | None:
    """The ratio of a verdict, above 1 where the arm is better, whether or not higher is better; None without
    an interval, and where too many rounds were lost for the others to count."""
    if row.spoilt or row.ratio is None or row.low is None or row.high is None:
        return None
    low, high = row.bounds
    if row.metric == "throughput":
        return row.ratio, low, high
    return 1 / row.ratio, 1 / high if high else None, 1 / low if low else None


def failed(trials: Sequence[Trial], readings: Readings, alpha: float) -> Seen | None:
    """The mean fraction of failed requests with its repeated interval; None before the first look. Raises
    RecordError."""
    seen = [one for trial in trials if (one := readings.whole(trial)).requests or trial.ended]
    counts = [one.counts for one in seen if one.requests]
    # A server that did not start would have failed every request: that is certain without any count.
    unserved = [1.0] * (len(seen) - len(counts))
    return mean_share([*(part / of for part, of in counts), *unserved], counts, alpha)


def place(threshold: Threshold, seen: Seen | None) -> ThresholdWord:
    """The side of the bound on which the whole interval is, if any; a side that is unknown has no end."""
    if seen is None:
        return "inconclusive"
    holds, (_, low, high) = OPERATORS[threshold.sign], seen
    ends = [holds(-math.inf if low is None else low, threshold.bound)]
    ends.append(holds(math.inf if high is None else high, threshold.bound))
    return "met" if all(ends) else "missed" if not any(ends) else "inconclusive"
