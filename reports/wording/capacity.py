"""Searches for the highest rates, in words: before, while and after they are carried out."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.records import CapacityGoal, CapacityTarget, Plan, Run
from reports.analysis.capacity.searches import ArmSearch, CapacityRatio, EndedSlices
from reports.analysis.statistics import Interval
from reports.analysis.verdicts import Outcome
from reports.capacities import Capacities
from reports.wording import units
from reports.wording.bottlenecks import light_text, limit_text
from reports.wording.faults import faults_text, not_counted
from reports.wording.plans import note_lines, served_lines
from reports.wording.reservations import log_text, server_end_text
from reports.wording.units import counted
from reports.wording.vocabulary import OUTCOMES

CAPACITY_HEAD = (
    "scenario", "arm", "carries", "interval", "n", "ratio", "interval of the ratio", "limited by",
    "async def waits (pulse)", "light route waits (canary)",
)  # fmt: skip

POINTS_HEAD = ("scenario", "arm", "rate", "rounds", "missed the target", "percentile")


def target_text(target: CapacityTarget) -> str:
    """`less than 1% of the requests take 50 ms or longer, or fail`."""
    share = units.percent(target.share)
    if target.limit is None:
        return f"less than {share} of the requests fail"
    return f"less than {share} of the requests take {units.duration(target.limit)} or longer, or fail"


def search_text(plan: Plan) -> str:
    """What will happen and how long it takes."""
    goal = plan.capacity
    if goal is None:
        raise ValueError("the plan has no target")
    arms = " against ".join(arm.name for arm in plan.arms)
    scenarios = [cell.scenario for cell in plan.cells]
    these = f"{counted(len(scenarios), 'scenario')} ({units.listed(scenarios)})"
    lines = [
        f"{arms}: the highest arrival rate at which {goal.target} holds: {target_text(goal.target)}.",
        f"{these}, fresh servers in every round: at most {units.span(goal.seconds)} each, until every "
        f"interval is within ±{units.exact_percent(goal.precision)}.",
        *served_lines(plan),
        *(f"note: {line}" for line in note_lines(plan)),
    ]
    return "\n".join(lines)


def rate_text(one: ArmSearch) -> str:
    """`carries 1,450/s [1,380–1,510]`: what an arm's search has found."""
    low, high = one.bounds
    match one.word:
        case "found":
            return f"carries {units.rate(one.rate)} {interval_text(one.interval)}"
        case "beyond":
            if low == one.rate:
                return f"carries more than {units.rate(low)}, beyond what the generator reaches"
            return f"carries more than {units.rate(low)} {edge_text(one, 'highest')}"
        case "never":
            if high == one.rate:
                return f"misses the target at every rate, {units.rate(one.rate)} included"
            return f"carries less than {units.rate(high)} {edge_text(one, 'lowest')}"
        case "invalid":
            return "was not measured: too many slices were disturbed"
        case "open":
            about = f", about {units.rate(one.rate)}" if one.rate is not None else ""
            return f"is not decided{about}: too few rounds near the crossing"


def edge_text(one: ArmSearch, side: str) -> str:
    """That too few requests were made at the outermost rate to decide more."""
    return f"(at {units.rate(one.rate)}, the {side} rate measured, not decided)"


def interval_text(interval: Interval | None) -> str:
    """`[1,380–1,510]`."""
    return "" if interval is None else f"[{units.interval(interval.low, interval.high)}]"


def ratio_text(one: CapacityRatio) -> str:
    """`×2.01 [1.91–2.20]`; where only a side is known, `at most ×0.13`; "" where nothing is."""
    if one.ratio is not None:
        return f"{units.ratio(one.ratio)} {interval_text(one.interval)}".rstrip()
    low, high = one.sides
    sides = ((low, "at least"), (high, "at most"))
    return " and ".join(f"{side} {units.ratio(end)}" for end, side in sides if end is not None)


def search_headline(found: Capacities, scenario: str) -> str:
    """`upstream: async carries 1,450/s [1,380–1,510], sync 720/s [690–760]: ×2.0 [1.9–2.2]`; without a ratio
    where an arm is failing."""
    plan = found.run.plan
    # The reference comes last, as what the others are divided by.
    arms = sorted(found.of(scenario), key=lambda one: one.arm == plan.reference.name)
    said = ", ".join(f"{one.arm} {'is failing, and ' if one.ended else ''}{rate_text(one)}" for one in arms)
    known = [one for one in found.ratios if one.scenario == scenario and ratio_text(one)]
    ratios = [one for one in known if not one.failing]
    if not ratios:
        return f"{scenario}: {said}"
    several = len(plan.rivals) > 1
    parts = [f"{one.arm} {ratio_text(one)}" if several else ratio_text(one) for one in ratios]
    return f"{scenario}: {said}: {', '.join(parts)}"


def search_lines(found: Capacities, scenario: str) -> list[str]:
    """Which arms are failing, what limits each arm of a scenario there, what its neighbours wait, and what a
    gate decides."""
    ends = [f"failing: {ended_text(one.arm, one.ended)}" for one in found.of(scenario) if one.ended]
    arms = [line for one in found.of(scenario) if (line := arm_line(one))]
    gates = [
        gate_line(one, outcome)
        for one in found.ratios
        if one.scenario == scenario and (outcome := found.outcome(one)) is not None
    ]
    return [*ends, *arms, *gates]


def ended_text(arm: str, ended: EndedSlices) -> str:
    """`async: its server did not start (exit code 3) in 4 of 27 slices; its log ends with: …`."""
    end = ended.end
    return f"{arm}: {server_end_text(end)} in {ended.times} of {ended.of} slices{log_text(end)}"


def arm_line(one: ArmSearch) -> str:
    """What limits an arm, and what its neighbours wait; or what disturbed it. "" where nothing is known."""
    if one.word in ("open", "invalid") and one.disturbed is not None:
        lost = one.disturbed
        return f"{one.arm}: {not_counted(lost.lost, lost.of, 'slice')}: {faults_text(lost.faults)}"
    if one.rate is None:
        return ""
    if one.limits:
        said = f"limited by {limit_text(one.limits[0])}, at {units.rate(one.limited_at)}"
    else:
        said = "" if one.word == "beyond" else "no bottleneck identified"
    parts = "; ".join(filter(None, (said, neighbours_text(one))))
    return f"{one.arm} at {units.rate(one.rate)}: {parts}" if parts else ""


def gate_line(one: CapacityRatio, outcome: Outcome) -> str:
    """What a gate decides of one arm, with the reason where that is no interval."""
    said = f"gate: {one.arm} against {one.reference}: {OUTCOMES[outcome]}"
    if one.arm in one.failing:
        return f"{said}: {'both are' if one.reference in one.failing else f'{one.arm} is'} failing"
    return f"{said}: {ratio_text(one)}" if one.ratio is None and ratio_text(one) else said


def neighbours_text(one: ArmSearch) -> str:
    """What light requests wait beside an arm's load."""
    waits = []
    if one.pulse is not None:
        waits.append(f"an async def neighbour waits {light_text(one.pulse, 'pulse')}")
    if one.canary is not None:
        waits.append(f"the light route {light_text(one.canary, 'canary')}")
    return ", ".join(waits)


def capacity_row(one: ArmSearch, found: Capacities) -> tuple[str, ...]:
    """A row of the table with CAPACITY_HEAD."""
    ratio = next((r for r in found.ratios if (r.scenario, r.arm) == (one.scenario, one.arm)), None)
    interval, between = one.interval, ratio.bounds if ratio is not None else (None, None)
    return (
        one.scenario,
        one.arm,
        carried_text(one),
        units.interval(*one.bounds),
        str(interval.n) if interval else units.NONE,
        units.ratio(ratio.ratio) if ratio is not None else units.NONE,
        units.interval(*between),
        one.limits[0].name if one.limits else units.NONE,
        units.NONE if one.pulse is None else light_text(one.pulse, "pulse"),
        units.NONE if one.canary is None else light_text(one.canary, "canary"),
    )


def carried_text(one: ArmSearch) -> str:
    """`1,450/s`, `> 700/s`, `about 1,450/s`, `failing, 1,450/s`."""
    low, high = one.bounds
    match one.word:
        case "beyond":
            said = f"> {units.rate(low)}"
        case "never":
            said = f"< {units.rate(high)}"
        case _:
            mark = "" if one.word == "found" or one.rate is None else "about "
            said = f"{mark}{units.rate(one.rate)}"
    return f"failing, {said}" if one.ended else said


def point_rows(found: Capacities) -> list[tuple[str, ...]]:
    """The rows of the table with POINTS_HEAD."""
    return [
        (
            one.scenario, one.arm, units.rate(point.rate), str(point.rounds), units.percent(point.share),
            units.duration(point.value),
        )
        for one in found.searches
        for point in one.points
    ]  # fmt: skip


def scouted_text(scenario: str, arm: str, rate: float, share: float, target: CapacityTarget) -> str:
    """While it is scouted: `scouting upstream: sync at 400/s: 0.2% miss p(99)<50`."""
    return f"scouting {scenario}: {arm} at {units.rate(rate)}: {units.percent(share)} miss {target}"


def bracket_text(scenario: str, searches: Sequence[ArmSearch], round: int, seconds_left: float) -> str:
    """After a round: what is known of each arm, as narrowly as it is."""
    left = f", at most about {units.span(seconds_left)} left" if seconds_left > 0.0 else ""
    return f"{scenario}, round {round}: {', '.join(map(standing_text, searches))}{left}"


def standing_text(one: ArmSearch) -> str:
    """`async 1,450/s [1,380–1,510]`, `async about 1,450/s`."""
    if one.crossing is None:
        return f"{one.arm} unknown"
    # One outside the slices has a bound, and no interval that means anything.
    rate, interval = units.rate(one.crossing.rate), one.interval
    return f"{one.arm} about {rate}" if interval is None else f"{one.arm} {rate} {interval_text(interval)}"


def method_text(run: Run, goal: CapacityGoal) -> str:
    """How the figures were found, in a sentence."""
    return (
        f"Target {goal.target}: {target_text(goal.target)}, counted from the moment when each was due, in an "
        f"open loop with {run.plan.cells[0].load.arrivals} arrivals. The figure is the rate at which a "
        "logistic curve through the slices near the crossing reaches that share; "
        f"{units.exact_percent(1 - run.plan.alpha)} repeated confidence intervals, by the jackknife over "
        "rounds of fresh processes."
    )
