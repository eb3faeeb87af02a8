"""A conversion plan in words."""

from __future__ import annotations

from collections.abc import Mapping

from reports.advice.conversion import Conversion, RouteStep, Step
from reports.wording import units

STEPS: Mapping[Step, str] = {
    "convert": "convert",
    "offload": "convert, and move its work off the event loop",
    "either": "either: leave it",
    "more-threads": "leave, and raise the thread limit",
    "leave": "leave",
    "open": "not decided",
}

CONVERSION_HEAD = ("scenario", "routes", "what to do", "served", "ratio", "a neighbour waits")

CONVERTED: tuple[Step, ...] = ("convert", "offload")


def conversion_title(plan: Conversion) -> str:
    """`Convert 2 of 5: from before to after`."""
    convert = [one for one in plan.steps if one.step in CONVERTED]
    return f"Convert {len(convert)} of {len(plan.steps)}: from {plan.reference} to {plan.arm}"


def conversion_row(step: RouteStep) -> tuple[str, ...]:
    """As CONVERSION_HEAD says; `1,210/s → 2,400/s`, `×1.98 (1.90–2.06)`, `32.8 ms → 38.2 ms (p95, pulse)`."""
    known = [one for one in step.waits if one]
    about = f" (p{known[0].part * 100:.0f}, {step.neighbour})" if known else ""
    bounds = f" ({units.interval(*step.bounds)})" if None not in step.bounds else ""
    of = "" if step.metric == "throughput" else f"{units.METRIC_SHORT[step.metric]} "
    return (
        str(step.cell),
        ", ".join(step.routes) or units.NONE,
        STEPS[step.step],
        " → ".join(units.rate(one) for one in step.served),
        f"{of}{units.ratio(step.ratio)}{bounds}",
        " → ".join(units.duration(one.response_time if one else None) for one in step.waits) + about,
    )


def conversion_text(plan: Conversion) -> str:
    """What to do, in a sentence or two."""
    named = {word: [one.scenario for one in plan.steps if one.step == word] for word in STEPS}
    convert = [one.scenario for one in plan.steps if one.step in CONVERTED]
    order = ", in this order" if len(convert) > 1 else ""
    said = [f"Convert {units.listed(convert)}{order}" if convert else f"No scenario is better as {plan.arm}"]
    leave = [one for word in ("either", "more-threads", "leave") for one in named[word]]
    said += [f"leave {units.listed(leave)} as {plan.reference}"] if leave and convert else []
    said += [f"not decided: {units.listed(named['open'])}"] if named["open"] else []
    text = "; ".join(said)
    if plan.together:
        text += (
            f". Measured only together with other routes, which says nothing of one alone: "
            f"{units.listed(plan.together)}; give each a user class of its own"
        )
    return text
