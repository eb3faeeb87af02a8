"""The only place where units are scaled and numbers rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtests.records import Metric

NONE = "–"

METRIC_NAMES: Mapping[Metric, str] = {
    "throughput": "throughput",
    "p50": "median response time", "p95": "p95 response time", "p99": "p99 response time",
    "service_p50": "median service time", "service_p99": "p99 service time",
}  # fmt: skip

METRIC_SHORT: Mapping[Metric, str] = {
    "throughput": "throughput", "p50": "p50", "p95": "p95", "p99": "p99",
    "service_p50": "service p50", "service_p99": "service p99",
}  # fmt: skip

METRIC_ABOUT: Mapping[Metric, str] = {
    "throughput": "throughput: successful requests per second",
    "p50": "p50: half of the requests complete within this time after they were due",
    "p95": "p95: 95% of the requests complete within this time after they were due",
    "p99": "p99: 99% of the requests complete within this time after they were due",
    "service_p50": "service p50: half of the requests complete within this time after they were sent",
    "service_p99": "service p99: 99% of the requests complete within this time after they were sent",
}
"""A metric's definition, in a line of its own."""


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
    """An interval of ratios: `0.71–0.79`; known from one side only: `≥ 1.04`."""
    if low is not None and high is not None:
        return f"{figures(low)}–{figures(high)}"
    if low is not None:
        return f"≥ {figures(low)}"
    return NONE if high is None else f"≤ {figures(high)}"


def ends(metric: Metric, low: float | None, high: float | None) -> str:
    """An interval of a metric: `984/s–1,030/s`; known from one side only: `at least 984/s`."""
    if low is not None and high is not None:
        return f"{value(metric, low)}–{value(metric, high)}"
    if low is not None:
        return f"at least {value(metric, low)}"
    return NONE if high is None else f"at most {value(metric, high)}"


def figures(number: float) -> str:
    """Three figures, or all of a whole number, with thousands set apart."""
    if abs(number) >= 99.95:
        return f"{number:,.0f}"
    if abs(number) >= 9.995:
        return f"{number:.1f}"
    return f"{number:.2f}"


def percent(part: float | None) -> str:
    """A fraction in per cent, two figures: `12%`, `0.9%`, `0.013%`; nearly all is not all: `99.6%`."""
    if part is None:
        return NONE
    if 0.99 < part < 1.0:
        return f"{min(part, 0.999):.1%}"
    return f"{part:.0%}" if abs(part) >= 0.1 else f"{100.0 * part:.2g}%"


def exact_percent(part: float) -> str:
    """A fraction that was set, in per cent, not rounded: `10%`, `2.5%`."""
    return f"{100.0 * part:g}%"


def plain(number: float) -> str:
    """A number without a unit, three figures at least: `0.012`, `48.3`, `1,210`."""
    return figures(number) if abs(number) >= 1 or number == 0 else f"{number:.3g}"


def span(seconds: float) -> str:
    """A length of time: `45 s`, `3 min 20 s`, `2 h 05 min`."""
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


def counted(number: int, noun: str) -> str:
    """A number of things: `1 cell`, `7 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str], most: int = 5) -> str:
    """`a, b`; of many the first, and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
