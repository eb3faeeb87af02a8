"""Searches for the highest rates, in words: before, while and after they are carried out."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.records import CapacityGoal, CapacityTarget, Plan, Run
from reports.analysis.capacity.searches import ArmSearch, CapacityRatio
from reports.analysis.statistics import Interval
from reports.analysis.verdicts import Outcome
from reports.capacities import Capacities
from reports.wording import units
from reports.wording.bottlenecks import light_text, limit_text
from reports.wording.faults import faults_text
from reports.wording.plans import served_lines
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
        f"interval is within ±{goal.precision:.0%}.",
        *served_lines(plan),
    ]
    return "\n".join(lines)


def rate_text(one: ArmSearch) -> str:
    """`carries 1,450/s [1,380–1,510]`: what an arm's search has found."""
    match one.word:
        case "found":
            return f"carries {units.rate(one.rate)} {interval_text(one.interval)}"
        case "beyond":
            return f"carries more than {units.rate(one.rate)}, beyond what the generator reaches"
        case "never":
            return f"misses the target at every rate, {units.rate(one.rate)} included"
        case "invalid":
            return "was not measured: too many slices were disturbed"
        case "open":
            about = f", about {units.rate(one.rate)}" if one.rate is not None else ""
            return f"is not decided{about}: too few rounds near the crossing"


def interval_text(interval: Interval | None) -> str:
    """`[1,380–1,510]`."""
    return "" if interval is None else f"[{units.interval(interval.low, interval.high)}]"


def ratio_text(one: CapacityRatio) -> str:
    """`×2.01 [1.91–2.20]`."""
    return f"{units.ratio(one.ratio)} {interval_text(one.interval)}".rstrip()


def search_headline(found: Capacities, scenario: str) -> str:
    """`upstream: async carries 1,450/s [1,380–1,510], sync 720/s [690–760]: ×2.0 [1.9–2.2]`."""
    plan = found.run.plan
    # The reference comes last, as what the others are divided by.
    arms = sorted(found.of(scenario), key=lambda one: one.arm == plan.reference.name)
    said = ", ".join(f"{one.arm} {rate_text(one)}" for one in arms)
    ratios = [one for one in found.ratios if one.scenario == scenario and one.ratio is not None]
    if not ratios:
        return f"{scenario}: {said}"
    several = len(plan.rivals) > 1
    parts = [f"{one.arm} {ratio_text(one)}" if several else ratio_text(one) for one in ratios]
    return f"{scenario}: {said}: {', '.join(parts)}"


def search_lines(found: Capacities, scenario: str) -> list[str]:
    """What limits each arm of a scenario there, what its neighbours wait, and what a gate decides."""
    arms = [line for one in found.of(scenario) if (line := arm_line(one))]
    gates = [
        gate_line(one, outcome)
        for one in found.ratios
        if one.scenario == scenario and (outcome := found.outcome(one)) is not None
    ]
    return [*arms, *gates]


def arm_line(one: ArmSearch) -> str:
    """What limits an arm, and what its neighbours wait; or what disturbed it. "" where nothing is known."""
    if one.word in ("open", "invalid") and one.disturbed is not None:
        lost = one.disturbed
        return f"{one.arm}: {lost.lost} of {lost.of} slices do not count: {faults_text(lost.faults)}"
    if one.rate is None:
        return ""
    if one.limits:
        said = f"limited by {limit_text(one.limits[0])}, at {units.rate(one.limited_at)}"
    else:
        said = "" if one.word == "beyond" else "no bottleneck identified"
    parts = "; ".join(filter(None, (said, neighbours_text(one))))
    return f"{one.arm} at {units.rate(one.rate)}: {parts}" if parts else ""


def gate_line(one: CapacityRatio, outcome: Outcome) -> str:
    """What a gate decides of one arm."""
    return f"gate: {one.arm} against {one.reference}: {OUTCOMES[outcome]}"


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
    mark = (
        {"beyond": "> ", "never": "< ", "open": "about ", "invalid": "about "}.get(one.word, "")
        if one.rate is not None
        else ""
    )
    interval, between = one.interval, ratio.interval if ratio is not None else None
    return (
        one.scenario,
        one.arm,
        f"{mark}{units.rate(one.rate)}",
        units.interval(interval.low, interval.high) if interval else units.NONE,
        str(interval.n) if interval else units.NONE,
        units.ratio(ratio.ratio) if ratio is not None else units.NONE,
        units.interval(between.low, between.high) if between else units.NONE,
        one.limits[0].name if one.limits else units.NONE,
        units.NONE if one.pulse is None else light_text(one.pulse, "pulse"),
        units.NONE if one.canary is None else light_text(one.canary, "canary"),
    )


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
    rate, interval = units.rate(one.crossing.rate), one.crossing.interval
    return f"{one.arm} about {rate}" if interval is None else f"{one.arm} {rate} {interval_text(interval)}"


def method_text(run: Run, goal: CapacityGoal) -> str:
    """How the figures were found, in a sentence."""
    return (
        f"Target {goal.target}: {target_text(goal.target)}, counted from the moment when each was due, in an "
        f"open loop with {run.plan.cells[0].load.arrivals} arrivals. The figure is the rate at which a "
        "logistic curve through the slices near the crossing reaches that share; "
        f"{1 - run.plan.alpha:.0%} repeated confidence intervals, by the jackknife over rounds of fresh "
        "processes."
    )
