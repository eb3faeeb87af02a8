"""Asks every arm what its scenarios request, and compares the answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Self

from loadtests.errors import ChildFailed
from loadtests.measure.answers.answering import answering
from loadtests.measure.answers.differences import (
    ALWAYS,
    BY_CHANCE,
    AnswerSeen,
    common,
    differences,
    shown_again,
)
from loadtests.measure.bench import Bench
from loadtests.measure.calibration import max_users
from loadtests.measure.generator import expect
from loadtests.plan.arms import Arm
from loadtests.plan.plan import Plan
from loadtests.plan.request import Inquiry
from loadtests.records.answers import AnswerCheck, AnswerDifference, AnsweringRoute, DifferenceKind
from loadtests.serving.server import Target, serve

BUDGET = 0.3
"""Seconds in which an arm is asked, all scenarios together; slow requests take longer, twice each."""

LONGEST, SHORTEST = 6.0, 2.0
"""Seconds that the requests of one visit may take, all scenarios together, and in any case."""

SLACK = 30.0
"""Seconds beyond its longest time after which a generator without a response is given up."""

MOST_DIFFERENCES = 20
"""Of an arm in a scenario that are recorded: more explain no more."""

VISITS, VISITS_AGAIN = 2, 5
"""How often an arm is asked at least, and an arm that seems to differ: an optional field may be in all of two
answers, or in none, by chance."""

LEAST_BY_ORDER = 4
"""Answers of each arm's first server from which on one that the second servers contradict is no chance."""

MOST_USERS, LONGEST_CROWD, SHORTEST_CROWD = 64, 3.0, 1.0
"""Users who ask at once at most, and the seconds that they may take, all scenarios together and each."""

VALUES: tuple[DifferenceKind, ...] = ("value", "body")
"""Differences that a process may make, not only an app."""

Answers = dict[str, dict[str, list[AnswerSeen]]]
"""By arm and scenario, the answers."""


@dataclass(frozen=True)
class Asked:
    """The answers to a user alone, and to a crowd: an app may answer `busy` with status 200."""

    alone: Answers = field(default_factory=dict)
    crowd: Answers = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    """Scenarios whose user alone was cut off before all was answered."""
    routes: list[AnsweringRoute] = field(default_factory=list)
    """What answered a user alone, of the arms that are no base's."""

    @classmethod
    def of(cls, *several: Self) -> Self:
        """Several together."""
        whole = cls()
        for one in several:
            for mine, theirs in ((whole.alone, one.alone), (whole.crowd, one.crowd)):
                for arm, scenarios in theirs.items():
                    for scenario, answers in scenarios.items():
                        mine.setdefault(arm, {}).setdefault(scenario, []).extend(answers)
            whole.cut.update(one.cut)
        return whole


def compare_answers(plan: Plan, bench: Bench, then: Callable[[Target], None] = lambda _: None) -> AnswerCheck:
    """Ask every arm in turn on a server of its own; `then` gets each server before a crowd asks it.

    Arms that differ are asked again, on new servers, since a difference must outlast the process: a process
    number or the time of a start is always the same in one arm and never in the other. Raises ChildFailed.
    """
    first, again = Asked(), Asked()

    def ask(arm: Arm, stream: str, visits: int, asked: Asked, between: Callable[[Target], None]) -> None:
        with serve(arm, bench.environment, stream) as server:
            asked.cut.update(ask_alone(server, plan, bench, visits, asked.alone))
            if arm.name not in plan.against.values():
                asked.routes.extend(answering(server, asked.alone[arm.name]))
            between(server)
            ask_as_crowd(server, plan, bench, asked.crowd)

    for arm in plan.arms:
        ask(arm, f"asked.{arm.name}", VISITS, first, then)
    suspected = {name for one in found(plan, first, ALWAYS) for name in (one.reference, one.arm)}
    # The other way round: of arms that share state, the first to ask for something gets another answer.
    for arm in reversed(plan.arms):
        if arm.name in suspected:
            ask(arm, f"asked.{arm.name}.again", VISITS_AGAIN, again, lambda _: None)
    return check(plan, first, again)


def of_both(first: Asked, again: Asked) -> Asked:
    """What both servers of each arm answered, of the endpoints that both have answered: on one server alone,
    a value may be one of its process, such as its number or the time of its start. A crowd may get too few
    answers from an app that sheds load, or on a slow machine."""
    return Asked(
        shared(first.alone, again.alone),
        shared(*({arm: successes(of) for arm, of in one.crowd.items()} for one in (first, again))),
    )


def shared(first: Answers, again: Answers) -> Answers:
    return {
        arm: {scenario: common_to(first[arm][scenario], answers) for scenario, answers in of.items()}
        for arm, of in again.items()
    }


def common_to(first: Sequence[AnswerSeen], again: Sequence[AnswerSeen]) -> list[AnswerSeen]:
    """All of both, of the endpoints that are in both, each with its server."""
    both = {one.endpoint for one in first} & {one.endpoint for one in again}
    every = (replace(one, server=number) for number, several in enumerate((first, again)) for one in several)
    return [one for one in every if one.endpoint in both]


def successes(scenarios: Mapping[str, Sequence[AnswerSeen]]) -> dict[str, list[AnswerSeen]]:
    return {scenario: successful(answers) for scenario, answers in scenarios.items()}


def ask_alone(server: Target, plan: Plan, bench: Bench, visits: int, answers: Answers) -> list[str]:
    """Add the answers to one user of each scenario, who visits at least `visits` times; the scenarios whose
    user was cut off. Raises ChildFailed."""
    scenarios, cut = scenarios_of(plan), []
    longest = bench.limit.visit(max(SHORTEST, LONGEST / len(scenarios)), len(scenarios))
    for scenario in scenarios:
        inquiry = Inquiry(
            host=server.url, scenario=scenario, seed=seed_of(plan), budget=BUDGET / len(scenarios),
            answers=str(bench.environment.scratch / "answers.json"), longest=longest, least=visits,
        )  # fmt: skip
        if not add(server, inquiry, bench, answers):
            cut.append(scenario)
    return cut


def ask_as_crowd(server: Target, plan: Plan, bench: Bench, answers: Answers) -> None:
    """Add the answers to as many users of each scenario as it is planned with. Raises ChildFailed."""
    planned = max_users(plan)
    for scenario, users in planned.items():
        inquiry = Inquiry(
            host=server.url, scenario=scenario, seed=seed_of(plan) + 100, budget=0.0, visits=1,
            users=min(users, MOST_USERS), answers=str(bench.environment.scratch / "answers.json"),
            longest=bench.limit.visit(max(SHORTEST_CROWD, LONGEST_CROWD / len(planned)), len(planned)),
        )  # fmt: skip
        add(server, inquiry, bench, answers)


def seed_of(plan: Plan) -> int:
    """Not the plan's own: what was signed up here would be taken when the calibration signs it up."""
    return Random(f"{plan.seed}/answers").randrange(2**30)


def add(server: Target, inquiry: Inquiry, bench: Bench, answers: Answers) -> bool:
    """Add an inquiry's answers to those of its arm; False where a visit was cut off. Raises ChildFailed."""
    bench.generator.send(asdict(inquiry))
    facts = expect(bench.generator, "done", inquiry.longest * inquiry.visits + SLACK)
    try:
        seen = [AnswerSeen(**one) for one in json.loads(Path(inquiry.answers).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise ChildFailed("lost the answers of an arm", cause=str(error)) from None
    answers.setdefault(server.arm.name, {}).setdefault(inquiry.scenario, []).extend(seen)
    return bool(facts["whole"])


def scenarios_of(plan: Plan) -> Sequence[str]:
    return list(dict.fromkeys(cell.scenario for cell in plan.cells))


def found(plan: Plan, asked: Asked, certain: float) -> list[AnswerDifference]:
    """The differences of every arm from the one that it is compared with. `certain`: see `differences`."""
    return [
        difference
        for rival in plan.rivals
        for scenario in scenarios_of(plan)
        if {plan.opponent(rival.name).name, rival.name} <= asked.alone.keys()
        for difference in of_pair(plan, asked, scenario, plan.opponent(rival.name).name, rival.name, certain)
    ]


def of_pair(
    plan: Plan, asked: Asked, scenario: str, reference: str, arm: str, certain: float
) -> list[AnswerDifference]:
    """What an arm answers differently to one user, and what only to a crowd."""
    ours, theirs = (asked.alone[name][scenario] for name in (reference, arm))
    alone = differences(scenario, reference, arm, ours, theirs, certain)
    known = {one.endpoint for one in alone}
    ours, theirs = (successful(asked.crowd[name][scenario]) for name in (reference, arm))
    users = min(max_users(plan)[scenario], MOST_USERS)
    more = [
        one.model_copy(update={"users": users})
        for one in differences(scenario, reference, arm, ours, theirs, certain)
        if one.endpoint not in known
    ]
    return [*alone, *more][:MOST_DIFFERENCES]


def successful(answers: Sequence[AnswerSeen]) -> list[AnswerSeen]:
    """Without errors: whether an arm fails under load is seen under load."""
    return [one for one in answers if 0 < one.status < HTTPStatus.BAD_REQUEST]


def check(plan: Plan, first: Asked, again: Asked) -> AnswerCheck:
    """What was compared, and what differs: values and bodies by the answers of both servers only, and
    everything else unless the answers of the second ones contradict it."""
    asked, both_servers = Asked.of(first, again), of_both(first, again)
    compared, missed = set[str](), set[str]()
    for rival in plan.rivals:
        for scenario in scenarios_of(plan):
            sides = [asked.alone[name][scenario] for name in (plan.opponent(rival.name).name, rival.name)]
            named = {f"{scenario}: {one.endpoint}" for side in sides for one in side}
            both = {f"{scenario}: {endpoint}" for endpoint in common(*sides)}
            compared |= both
            missed |= named - both
            missed |= {scenario} if not named else set()
    by_order = answered_by_order(plan, first, again)
    unknown = unconfirmed(plan, asked, both_servers) | by_order
    compared, missed = compared - unknown, missed | unknown
    return AnswerCheck(
        requests=min(requests_of(answers) for answers in asked.alone.values()),
        endpoints=tuple(sorted(compared)),
        not_compared=tuple(sorted(missed - compared)),
        by_order=tuple(sorted(by_order)),
        cut=tuple(sorted(asked.cut)),
        routes=tuple(first.routes),
        differences=(
            *(
                one
                for one in found(plan, asked, BY_CHANCE)
                if one.kind not in VALUES and outlasts(one, again)
            ),
            *(one for one in found(plan, both_servers, BY_CHANCE) if one.kind in VALUES),
        ),
    )


def answered_by_order(plan: Plan, first: Asked, again: Asked) -> set[str]:
    """`scenario: endpoint` of those in which the first servers of two arms differ beyond chance, and the
    second ones, of which the other arm was asked first, do not."""
    return {
        f"{one.scenario}: {one.endpoint}"
        for one in found(plan, first, BY_CHANCE)
        if one.kind not in VALUES and one.users == 1 and not outlasts(one, again)
        if min(
            sum(seen.endpoint == one.endpoint for seen in first.alone[arm][one.scenario])
            for arm in (one.reference, one.arm)
        )
        >= LEAST_BY_ORDER
    }


def outlasts(one: AnswerDifference, again: Asked) -> bool:
    """Whether the second servers show a difference, too: see `shown_again`."""
    if one.users > 1:
        ours, theirs = (
            successful(again.crowd.get(arm, {}).get(one.scenario, ())) for arm in (one.reference, one.arm)
        )
    else:
        ours, theirs = (
            list(again.alone.get(arm, {}).get(one.scenario, ())) for arm in (one.reference, one.arm)
        )
    return shown_again(one, ours, theirs)


def unconfirmed(plan: Plan, asked: Asked, of_both: Asked) -> set[str]:
    """`scenario: endpoint` of those with another value in each arm that one of the two servers never
    answered: a value of the app, or of the process."""
    return {
        f"{one.scenario}: {one.endpoint}"
        for one in found(plan, asked, BY_CHANCE)
        if one.kind in VALUES and one.users == 1
        for arm in (one.reference, one.arm)
        if one.endpoint not in {seen.endpoint for seen in of_both.alone.get(arm, {}).get(one.scenario, ())}
    }


def requests_of(answers: Mapping[str, Sequence[AnswerSeen]]) -> int:
    return sum(map(len, answers.values()))
