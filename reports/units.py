"""The only place where units are scaled and numbers rounded."""

from __future__ import annotations

from collections.abc import Mapping

from loadtests.records import Metric

NONE = "–"

METRIC_NAMES: Mapping[Metric, str] = {
    "throughput": "throughput",
    "p50": "median response time", "p95": "95 % response time", "p99": "99 % response time",
    "service_p50": "median service time", "service_p99": "99 % service time",
}  # fmt: skip
METRIC_SHORT: Mapping[Metric, str] = {
    "throughput": "throughput", "p50": "p50", "p95": "p95", "p99": "p99",
    "service_p50": "service p50", "service_p99": "service p99",
}  # fmt: skip
METRIC_ABOUT: Mapping[Metric, str] = {
    "throughput": "throughput: successful requests per second",
    "p50": "p50: half of the requests are answered within this time from when they were due",
    "p95": "p95: 95 in 100 requests are answered within this time from when they were due",
    "p99": "p99: 99 in 100 requests are answered within this time from when they were due",
    "service_p50": "service p50: half of the requests are answered within this time from their start",
    "service_p99": "service p99: 99 in 100 requests are answered within this time from their start",
}
"""What a metric is called, in a heading, and in a line of its own."""


def duration(seconds: float | None) -> str:
    """A latency, three figures: `412 µs`, `12.3 ms`, `1.03 s`."""
    if seconds is None:
        return NONE
    if seconds < 0.001:
        return f"{figures(seconds * 1e6)} µs"
    if seconds < 1.0:
        return f"{figures(seconds * 1e3)} ms"
    return f"{figures(seconds)} s"


def rate(per_second: float | None) -> str:
    """A throughput, three figures: `1,010/s`."""
    return NONE if per_second is None else f"{figures(per_second)}/s"


def value(metric: Metric, number: float | None) -> str:
    """A metric's value in its own unit."""
    return rate(number) if metric == "throughput" else duration(number)


def ratio(number: float | None) -> str:
    """A ratio: `×1.27`."""
    return NONE if number is None else f"×{figures(number)}"


def interval(low: float | None, high: float | None) -> str:
    """An interval of ratios: `0.71–0.79`."""
    return NONE if low is None or high is None else f"{figures(low)}–{figures(high)}"


def figures(number: float) -> str:
    """Three figures, or all of a whole number, with thousands set apart."""
    if abs(number) >= 100:
        return f"{number:,.0f}"
    if abs(number) >= 10:
        return f"{number:.1f}"
    return f"{number:.2f}"


def plain(number: float) -> str:
    """A number without a unit, three figures at least: `0.012`, `48.3`, `1,210`."""
    return figures(number) if abs(number) >= 1 or number == 0 else f"{number:.3g}"


def span(seconds: float) -> str:
    """A length of time for people: `45 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def memory(size: int | None) -> str:
    """Bytes as GiB or MiB."""
    if size is None:
        return NONE
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
