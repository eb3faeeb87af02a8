"""Cards → which of two arms should answer each route."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.errors import PlanError
from loadtests.records import Run
from reports.advice.cards import Card
from reports.analysis.catalogue import ROUTES, style


@dataclass(frozen=True)
class RouteTable:
    """The routes of an app that follows the cards of a run."""

    arms: tuple[str, str]
    """The two that it is made of; the last one answers what no card decides."""
    routes: tuple[tuple[str, ...], tuple[str, ...]]
    """By arm, as `GET /users/{user_id}`, the routes for which cards prefer it."""
    contested: tuple[str, ...]
    """Routes for which the cards of several scenarios prefer different arms."""


def route_table(run: Run, cards: Sequence[Card]) -> RouteTable:
    """The table that the cards of a run make. Raises PlanError where there is nothing to follow."""
    one, default = compared(run)
    wanted: dict[str, set[str]] = {}
    for card in cards:
        arm = preferred(run, card, (one, default)) if card.arm == default else None
        for route in routes_of(run, card.scenario, arm) if arm is not None else ():
            wanted.setdefault(route, set()).add(arm or "")
    mine = tuple(tuple(route for route, arms in wanted.items() if arms == {name}) for name in (one, default))
    if not mine[0]:
        raise PlanError(
            f"run {run.id} advises {one} for no route: there is no mixture of {one} and {default} to measure",
            hint=f"measure more scenarios, so that cards are decided for routes of {one}",
        )
    contested = tuple(route for route, arms in wanted.items() if len(arms) > 1)
    return RouteTable((one, default), (mine[0], mine[1]), contested)


def compared(run: Run) -> tuple[str, str]:
    """The reference and the first arm that is compared with it. Raises PlanError."""
    plain = [arm for arm in run.plan.arms if arm.hybrid is None and arm.url is None]
    if run.plan.gate or len(plain) < 2:
        raise PlanError(
            f"run {run.id} does not compare two apps that duel serves: its cards advise no style",
            hint="measure two arms, such as: duel run, or duel run --arm before=… --arm after=…",
        )
    return plain[0].name, plain[1].name


def preferred(run: Run, card: Card, arms: tuple[str, str]) -> str | None:
    """The one of two arms that a card prefers; None where it prefers neither."""
    pair = {arm.name: arm for arm in run.plan.arms if arm.name in arms}
    if card.advice.kind == "style":
        found = [name for name, arm in pair.items() if style(arm) == card.advice.name]
    elif card.advice.kind == "offload":
        # To threads, as the arm does in which the event loop does not wait.
        stalled = {name for name in pair for limit in card.limits.get(name, ()) if limit.name == "event-loop"}
        found = [name for name in pair if name not in stalled]
    else:
        found = [name for name in pair if card.advice.kind == "arm" and name == card.advice.name]
    return found[0] if len(found) == 1 else None


def routes_of(run: Run, scenario: str, arm: str) -> list[str]:
    """The routes of an arm that a scenario requests; none of the built-in mixtures, whose cards are about all
    of their routes together."""
    if run.plan.locustfile is None:
        return [ROUTES[scenario]] if scenario in ROUTES else []
    known = run.answers.routes if run.answers is not None else ()
    mine = (one for one in known if (one.arm, one.scenario) == (arm, scenario))
    return list(dict.fromkeys(f"{one.method} {one.path}".strip() for one in mine))
