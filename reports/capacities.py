"""All that follows from a run that searched for the highest rates, computed once. All report formats show
it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from loadtests.records import Aim, CapacityGoal, MissedShares, RecordError, Run, RunDirectory
from reports.analysis.capacity.searches import ArmSearch, CapacityRatio, aims, ratio_of, searched
from reports.analysis.readings import Readings
from reports.analysis.thresholds import Judgement, Seen, check, parse, place, subjects
from reports.analysis.verdicts import Outcome
from reports.gate.findings import worst


@dataclass(frozen=True)
class Capacities:
    """A run and what its searches have found."""

    run: Run
    readings: Readings
    goal: CapacityGoal
    searches: tuple[ArmSearch, ...]
    """In the plan's order of scenarios and arms."""
    ratios: tuple[CapacityRatio, ...]
    """In the same order, of arms that are compared with another one."""
    judgements: tuple[Judgement, ...]
    """The results of the plan's thresholds on capacities."""

    @property
    def scenarios(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.scenario for cell in self.run.plan.cells))

    def of(self, scenario: str) -> tuple[ArmSearch, ...]:
        """The arms of a scenario."""
        return tuple(one for one in self.searches if one.scenario == scenario)

    def outcome(self, ratio: CapacityRatio) -> Outcome | None:
        """In a gate, the worse of two findings: whether an arm carries less than its base by more than the
        margin, and whether its server ended where that of its base did not; None in a run that is no gate."""
        if not self.run.plan.gate:
            return None
        return worst([carries(ratio, self.run.plan.margin), lives(ratio)])


def carries(ratio: CapacityRatio, margin: float) -> Outcome:
    """Whether an arm carries less than its base by more than the margin: non-inferiority on the repeated
    interval, or on the side that is known of an arm that meets the target at every rate, or at none."""
    (low, high), bound = ratio.bounds, 1.0 / (1.0 + margin)
    if low is not None and low > bound:
        return "pass"
    return "regression" if high is not None and high < bound else "inconclusive"


def lives(ratio: CapacityRatio) -> Outcome:
    """Whether an arm's server ended where that of its base did not. One that ended as well leaves open which
    of the two fails more."""
    if ratio.arm not in ratio.failing:
        return "pass"
    return "inconclusive" if ratio.reference in ratio.failing else "regression"


def goal_of(run: Run) -> CapacityGoal:
    """What a run has searched for. Raises RecordError where it has not."""
    if run.plan.capacity is None:
        raise RecordError(
            f"run {run.id} has not searched for a highest rate", hint="`duel capacity` makes such a run"
        )
    return run.plan.capacity


def find(run: Run, readings: Readings) -> Capacities:
    """What the searches of a run have found. Raises RecordError."""
    goal = goal_of(run)
    shares = MissedShares(goal, readings.directory)
    found: list[ArmSearch] = []
    ratios: list[CapacityRatio] = []
    for cell in run.plan.cells:
        mine = {arm.name: searched(run, readings, shares, cell.scenario, arm.name) for arm in run.plan.arms}
        found += mine.values()
        ratios += [ratio_of(run, cell.scenario, mine, rival.name) for rival in run.plan.rivals]
    return Capacities(run, readings, goal, tuple(found), tuple(ratios), tuple(judged(run, found)))


def judged(run: Run, searches: Sequence[ArmSearch]) -> Iterator[Judgement]:
    """The plan's thresholds on capacities. Raises ThresholdError."""
    thresholds = parse(run.plan.thresholds)
    check(thresholds, run.plan)
    found = {(one.scenario, one.arm): one for one in searches}
    for threshold in thresholds:
        for cell, arm in subjects(threshold, run.plan):
            search = found[cell.scenario, arm]
            seen = bounds(search)
            yield Judgement(
                threshold, cell, arm, place(threshold, seen), *(seen or (None,) * 3),
                disturbed=search.word == "invalid",
            )  # fmt: skip


def bounds(one: ArmSearch) -> Seen | None:
    """An arm's rate and its interval; None on a side that no rate shows, and below where its server ended: it
    carries no rate for certain. None where the search is open."""
    if one.rate is None or one.word in ("open", "invalid"):
        return None
    low, high = one.bounds
    if one.ended is not None:
        return one.rate, None, high
    return one.rate, 0.0 if one.word == "never" else low, high


def outcomes_of_searches(found: Capacities) -> set[str]:
    """What decides the exit code: thresholds, a gate's outcomes, unlike arms, open searches."""
    outcomes: set[str] = {one.word for one in found.judgements}
    outcomes |= {outcome for one in found.ratios if (outcome := found.outcome(one)) is not None}
    outcomes |= {"different" for one in found.ratios if one.different}
    words = {"open": "inconclusive", "invalid": "invalid"}
    return outcomes | {words[one.word] for one in found.searches if one.word in words}


def locating(run: Run, directory: RunDirectory) -> Callable[[Run, str], Mapping[str, Aim]]:
    """What a search asks after every round: where the next slices of a scenario's arms are taken. Raises
    RecordError."""
    return partial(_located, MissedShares(goal_of(run), directory))


def _located(shares: MissedShares, run: Run, scenario: str) -> Mapping[str, Aim]:
    return aims(run, shares, scenario)
