"""Measures for trackers that keep a history: OpenMetrics, github-action-benchmark, Bencher."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from reports.analysis.verdicts import Verdict
from reports.export.cases import Gate
from reports.export.measures import Measure
from reports.gate.findings import WORST_FIRST
from reports.wording import units

HELP = {
    "duel_throughput": "Successful requests per second, the geometric mean over the rounds.",
    "duel_response_time_seconds": "Percentile of the response time, the geometric mean over the rounds.",
    "duel_ratio": "The arm's value divided by that of the arm it is compared with.",
    "duel_failed_ratio": "Fraction of an arm's requests that failed, over all rounds.",
    "duel_case": "1 for the outcome of each case, 0 for the other outcomes.",
}

PERCENTILES = {"p50": "0.5", "p95": "0.95", "p99": "0.99"}

NANOSECONDS = 1e9

ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def openmetrics(measures: Sequence[Measure], primaries: Sequence[Verdict], gate: Gate) -> str:
    """The text format of OpenMetrics 1.0: gauges, each with the ends of its interval by `bound`."""
    families: dict[str, list[str]] = {name: [] for name in HELP}
    failed: dict[tuple[str, str, str], tuple[int, float]] = {}
    for one in measures:
        labels = {"scenario": one.cell.scenario, "load": str(one.cell.load), "arm": one.arm}
        name = "duel_throughput"
        if one.metric != "throughput":
            name, labels = "duel_response_time_seconds", {**labels, "quantile": PERCENTILES[one.metric]}
        families[name] += bounded(name, labels, one.value, one.low, one.high)
    for row in primaries:
        if row.ratio is not None:
            labels = {"scenario": row.cell.scenario, "load": str(row.cell.load), "arm": row.arm,
                      "against": row.reference, "metric": row.metric}  # fmt: skip
            families["duel_ratio"] += bounded("duel_ratio", labels, row.ratio, *row.bounds)
        for arm, part in row.failed.items():
            if part is not None:
                key = row.cell.scenario, str(row.cell.load), arm
                # The reference of several arms is in the verdicts of all of them, with the rounds of each.
                failed[key] = max(failed.get(key, (0, 0.0)), (row.n, part))
    for (scenario, load, arm), (_, part) in failed.items():
        labels = {"scenario": scenario, "load": load, "arm": arm}
        families["duel_failed_ratio"].append(sample("duel_failed_ratio", labels, part))
    for case in gate.cases:
        labels = {"group": case.group, "case": case.name}
        families["duel_case"] += [
            sample("duel_case", {**labels, "outcome": word}, float(word == case.outcome))
            for word in WORST_FIRST
        ]
    lines = []
    for name, samples in families.items():
        if samples:
            lines += [f"# TYPE {name} gauge", f"# HELP {name} {HELP[name]}", *samples]
    return "\n".join([*lines, "# EOF", ""])


def bounded(
    name: str, labels: dict[str, str], value: float, low: float | None, high: float | None
) -> list[str]:
    known = {"estimate": value, "low": low, "high": high}
    return [
        sample(name, {**labels, "bound": bound}, number)
        for bound, number in known.items()
        if number is not None
    ]


def sample(name: str, labels: dict[str, str], value: float) -> str:
    """A line, with labels escaped as the format requires."""
    said = ",".join(f'{key}="{label.translate(ESCAPES)}"' for key, label in labels.items())
    return f"{name}{{{said}}} {value!r}"


def bigger_is_better(measures: Sequence[Measure]) -> str:
    """Throughput for github-action-benchmark's customBiggerIsBetter."""
    return benchmark(measures, lambda one: one.metric == "throughput", "requests/s", 1.0)


def smaller_is_better(measures: Sequence[Measure]) -> str:
    """Response times for its customSmallerIsBetter."""
    return benchmark(measures, lambda one: one.metric != "throughput", "ms", 1_000.0)


def benchmark(measures: Sequence[Measure], chosen: Callable[[Measure], bool], unit: str, scale: float) -> str:
    rows = []
    for one in filter(chosen, measures):
        row: dict[str, Any] = {
            "name": f"{one.cell}, {one.arm}: {units.METRIC_SHORT[one.metric]}",
            "unit": unit,
            "value": float(f"{one.value * scale:.6g}"),
            "extra": f"n = {one.n}" + (f", failed: {units.percent(one.failed)}" if one.failed else ""),
        }
        if one.low is not None and one.high is not None:
            row["range"] = f"{one.low * scale:.6g} to {one.high * scale:.6g}"
        rows.append(row)
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def bencher(measures: Sequence[Measure]) -> str:
    """Bencher Metric Format: throughput in requests per second, latencies in nanoseconds, and the fraction of
    failed requests, which is 0 where none failed: a series that only appears with failures has no history."""
    found: dict[str, dict[str, Any]] = {}
    for one in measures:
        slug = "throughput" if one.metric == "throughput" else f"latency-{one.metric}"
        # Bencher has a built-in measure named latency: use it for the median.
        slug = "latency" if one.metric == "p50" else slug
        scale = 1.0 if one.metric == "throughput" else NANOSECONDS
        values = {"value": one.value, "lower_value": one.low, "upper_value": one.high}
        mine = found.setdefault(f"{one.cell}, {one.arm}", {})
        mine[slug] = {key: value * scale for key, value in values.items() if value is not None}
        if one.failed is not None:
            mine["failed-requests"] = {"value": one.failed}
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
