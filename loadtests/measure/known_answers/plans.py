"""What `duel selftest` measures, part by part: figures that are known in advance, and advice that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from loadtests.errors import PlanError, did_you_mean
from loadtests.measure.known_answers.apps import THREADS
from loadtests.plan.arms import BUILT_IN, Arm, Serving, built_in_arms
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import Plan

APPS, STYLES = (f"loadtests.measure.known_answers.{module}" for module in ("apps", "styles"))

USERS = 48

CROWD = 96
"""Users for whom THREADS are too few, and MORE are enough."""

MORE = 128

STYLED = (("ping", 64), ("python", 48), ("hash", 48), ("blocking", 16), ("sleep", 128))
"""Scenarios whose route is planted in both styles, and their users: as many as show what neighbours wait, and
no more, since a window is long enough for each of them to be served several times."""

LIMIT = 120.0
"""Seconds after which a part measures nothing beyond its minimum of rounds."""


def plans(seed: int, parts: Sequence[str] = ()) -> Mapping[str, Plan]:
    """What `duel selftest` measures, by part; of all parts those that are named, if any are. Raises
    PlanError."""
    for name in parts:
        if name not in PARTS:
            raise PlanError(f"unknown part {name!r}", hint=did_you_mean(name, list(PARTS)))
    return {name: make(seed) for name, make in PARTS.items() if name in parts or not parts}


def ceilings(seed: int) -> Plan:
    """Forty threads, and a loop that is blocked."""
    return plan(seed, planted("threads", "blocked"), [("ping", USERS)], rounds=1, window=2.0)


def same(seed: int) -> Plan:
    """An app against itself."""
    twins = [Arm(name=name, app=BUILT_IN["async"].app) for name in ("one", "other")]
    return plan(seed, twins, [("posts.read", 16)], canary="/ping", most=8)


def longer(seed: int) -> Plan:
    """An app that computes 30% longer."""
    return plan(seed, planted("short", "long"), [("ping", 16)], most=8)


def styles(seed: int) -> Plan:
    """Routes of which it is known whether they should be `def` or `async def`."""
    arms = [Arm(name=name, app=f"{STYLES}:{name}_routes") for name in ("def", "async")]
    return plan(seed, arms, STYLED, window=0.8, canary="/light")


def limit(seed: int) -> Plan:
    """An app whose threads are taken, and the same with more of them."""
    named = {"few": THREADS, "more": MORE}
    app = f"{APPS}:threads"
    arms = [Arm(name=name, app=app, serving=Serving(threads=threads)) for name, threads in named.items()]
    return plan(seed, arms, [("ping", CROWD)], window=0.8, canary="/light")


def database(seed: int) -> Plan:
    """A driver that is a thread in both styles: nothing is known in advance but that the advice follows the
    figures."""
    return plan(seed, built_in_arms(), [("posts.read", 64)], window=0.8, canary="/ping")


PARTS: Mapping[str, Callable[[int], Plan]] = {
    "ceilings": ceilings,
    "same": same,
    "planted": longer,
    "styles": styles,
    "threads": limit,
    "database": database,
}


def planted(*names: str) -> list[Arm]:
    return [Arm(name=name, app=f"{APPS}:{name}") for name in names]


def plan(
    seed: int,
    arms: Sequence[Arm],
    cells: Sequence[tuple[str, int]],
    rounds: int = 4,
    window: float = 1.2,
    most: int = 0,
    canary: str | None = None,
) -> Plan:
    """A plan of `duel selftest`."""
    return Plan(
        profile="selftest",
        seed=seed,
        arms=tuple(arms),
        cells=tuple(Cell(scenario=scenario, load=Load(users=users)) for scenario, users in cells),
        canary=canary,
        warmup=0.5,
        window=window,
        min_rounds=rounds,
        max_rounds=max(rounds, most),
        max_time=LIMIT,
    )
