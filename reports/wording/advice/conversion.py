"""A conversion plan in words."""

from __future__ import annotations

from collections.abc import Mapping

from reports.advice.conversion import Conversion, RouteStep, Step
from reports.wording import units

STEPS: Mapping[Step, str] = {
    "convert": "convert",
    "offload": "convert, and move its work off the event loop",
    "either": "either: leave it",
    "leave": "leave",
    "open": "not decided",
}

CONVERSION_HEAD = ("scenario", "what to do", "served", "ratio", "a neighbour waits")


def conversion_title(plan: Conversion) -> str:
    """`Convert 2 of 5: from before to after`."""
    convert = [one for one in plan.steps if one.step in ("convert", "offload")]
    return f"Convert {len(convert)} of {len(plan.steps)}: from {plan.reference} to {plan.arm}"


def conversion_row(step: RouteStep) -> tuple[str, ...]:
    """As CONVERSION_HEAD says; `1,210/s → 2,400/s`, `32.8 ms → 38.2 ms (p95, pulse)`."""
    known = [one for one in step.waits if one]
    about = f" (p{known[0].part * 100:.0f}, {step.neighbour})" if known else ""
    return (
        str(step.cell),
        STEPS[step.step],
        " → ".join(units.rate(one) for one in step.served),
        units.ratio(step.ratio),
        " → ".join(units.duration(one.response_time if one else None) for one in step.waits) + about,
    )


def conversion_text(plan: Conversion) -> str:
    """What to do, in a sentence."""
    convert = [one.scenario for one in plan.steps if one.step in ("convert", "offload")]
    if not convert:
        return f"No scenario is better as {plan.arm}"
    return f"Convert {units.listed(convert)}, in this order; leave the others as {plan.reference}"
