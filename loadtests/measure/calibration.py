"""What is measured of every arm before the rounds, and which cells cannot fit the time."""

from __future__ import annotations

import math
from collections.abc import Sequence

from loadtests.plan.cells import CANARY, Cell
from loadtests.plan.plan import Plan
from loadtests.plan.request import LONGEST, WINDOW_TURNS
from loadtests.records.refusals import MUCH_SLOWER, Refusal
from loadtests.records.run import Calibration
from loadtests.system.settling import ENOUGH

SPARE = 2.5
"""Requests per user whose CPU time a server may need after its last response, and be observed."""

UNHINDERED = 0.5
"""Fraction of a lone user's throughput above which users hardly slow each other down."""


def refusals(plan: Plan, calibrations: Sequence[Calibration]) -> dict[str, Refusal]:
    """The cells, by key, whose users cannot get their requests in the available time, and why. Disturbed
    calibrations refuse none: the rounds will show.

    In a gate, a head may need up to MUCH_SLOWER times that: it is measured with the windows that fit, so that
    an interval says how much slower it is.
    """
    found = {}
    sound = [one for one in calibrations if not one.faults]
    for cell in plan.cells:
        every = {arm.name: window_needed(cell, arm.name, sound) for arm in plan.arms}
        needs = {name: need for name, need in every.items() if need is not None}
        excused = {name: need / (MUCH_SLOWER if is_head(plan, name) else 1.0) for name, need in needs.items()}
        counted, needed = (max(of.values(), default=0.0) for of in (excused, needs))
        most = max(LONGEST, plan.window)
        trials = plan.min_rounds * len(plan.arms)
        if counted > most:
            found[cell.key] = Refusal(
                kind="window-too-long", needed=needed, limit=most, trials=trials, turns=WINDOW_TURNS,
                needs=needs,
            )  # fmt: skip
        elif counted > plan.window and plan.deadline is not None and counted * trials > plan.deadline:
            found[cell.key] = Refusal(
                kind="trials-too-long", needed=needed, limit=plan.deadline, trials=trials, turns=WINDOW_TURNS,
                needs=needs,
            )  # fmt: skip
    return found


def lost_by_head(plan: Plan, refusal: Refusal) -> bool:
    """Whether a gate's bases fit, so that a refused cell is the heads' result."""
    own = plan.gate and refusal.kind != "too-few-requests"
    return own and all(refusal.needs.get(base, 0.0) <= refusal.window for base in plan.against.values())


def is_head(plan: Plan, arm: str) -> bool:
    """Whether an arm is judged by a gate."""
    return plan.gate and arm in plan.against


def window_needed(cell: Cell, arm: str, calibrations: Sequence[Calibration]) -> float | None:
    """The window in seconds that every user of a closed loop needs for its turns; None where not known."""
    one, few = alone_and_few(cell, arm, calibrations)
    users = cell.load.users
    if users is None or one is None or few is None or not few.throughput:
        return None
    # Where 40 users reach far less than 40 times one user's throughput, more users do not add any; nor where
    # one user got no answer at all.
    waits = few.throughput * (one.service_time or 0.0) > UNHINDERED * few.users
    rate = few.throughput * (max(users, few.users) / few.users if waits else 1.0)
    return WINDOW_TURNS * users / rate


def expected_turn(cell: Cell, arm: str, calibrations: Sequence[Calibration]) -> float | None:
    """Seconds from one request of a user to its next in a closed loop without think time, at least those of a
    request alone, and of the CPU time that all users' requests need; None where not known.

    Of scenarios that were calibrated with one user only, these two are all that is known.
    """
    one, _ = alone_and_few(cell, arm, calibrations)
    if cell.load.users is None or one is None or one.service_time is None:
        return None
    needed = window_needed(cell, arm, calibrations)
    if needed is None:
        return max(one.service_time, cell.load.users * (one.cpu or 0.0))
    return max(one.service_time, needed / WINDOW_TURNS)


def work_to_watch(cell: Cell, arm: str, calibrations: Sequence[Calibration]) -> float:
    """CPU seconds of work after its last response for which a server is observed: more than two requests of
    every user need, so that the rest of the last requests is done by then."""
    one, _ = alone_and_few(cell, arm, calibrations)
    if one is None or one.work is None:
        return ENOUGH
    rate = cell.load.rate
    in_flight = cell.load.users if rate is None else rate * (one.service_time or 0.0)
    return max(ENOUGH, SPARE * (in_flight or 0.0) * one.work)


def alone_and_few(
    cell: Cell, arm: str, calibrations: Sequence[Calibration]
) -> tuple[Calibration | None, Calibration | None]:
    """An arm's calibrations on a cell's scenario, with one user and with several."""
    seen = {c.users: c for c in calibrations if (c.arm, c.scenario) == (arm, cell.scenario)}
    few = max((users for users in seen if users > 1), default=0)
    return seen.get(1), seen.get(few)


CEILING_USERS = 64
"""Users for measuring the generator's best rate, where the plan has an open loop."""


CALIBRATION_USERS = (1, 40)
"""1 shows how long a request takes alone; 40, the number of thread tokens, its cost under concurrency."""


LIGHT = 0.25
"""Fraction of a core that a generator may be expected to need, so that its best rate need not be known: it is
limited to three times that, and a calibration is not wrong by as much."""


def calibration_users(plan: Plan) -> tuple[int, ...]:
    """The numbers of users of the calibrations. No more of a locustfile's own than the plan has: it may hold
    accounts for that many."""
    loads = [cell.load.users for cell in plan.cells if cell.load.users is not None]
    if plan.locustfile is None or not loads:
        return CALIBRATION_USERS
    return tuple(dict.fromkeys(min(users, max(loads)) for users in CALIBRATION_USERS))


def calibrated(plan: Plan) -> list[str]:
    """The scenarios with which the arms are calibrated: those of the plan, and the canary, if none of ours
    asks for the same path."""
    planned = list(dict.fromkeys(cell.scenario for cell in plan.cells))
    same = plan.locustfile is None and plan.canary in [f"/{scenario}" for scenario in planned]
    return planned if plan.canary is None or same else [CANARY, *planned]


def crowd(plan: Plan, scenario: str, one: Calibration, thinks: bool) -> tuple[int, ...]:
    """The numbers of users, besides one, with whom an arm is calibrated on a scenario, after `one` user was.

    Not where users `think`: a crowd of them that does not shows nothing of the load to come. In a short run
    only what must be known: whether every user gets enough requests in the longest window, where their
    requests might be served one after another; and what limits a curve of several loads.
    """
    several = tuple(users for users in calibration_users(plan) if users > 1)
    if scenario == CANARY:
        return ()
    if plan.open:
        return several
    loads = {cell.load.users for cell in plan.cells if cell.scenario == scenario}
    most = max(users or 0 for users in loads)
    fits = one.service_time is not None and WINDOW_TURNS * most * one.service_time <= plan.longest
    return () if thinks or (plan.short and fits and len(loads) == 1) else several


def ceilings_needed(plan: Plan, calibrations: Sequence[Calibration]) -> dict[str, int]:
    """By scenario, the users with whom the generator's best rate is measured: where it may be near it, by
    what one request costs it and how many all users may make."""
    every = max_users(plan)
    if plan.open:
        return every
    return {
        scenario: users
        for scenario, users in every.items()
        if generator_share(plan, scenario, calibrations) > LIGHT
    }


def generator_share(plan: Plan, scenario: str, calibrations: Sequence[Calibration]) -> float:
    """The fraction of a core that the generator is expected to need at most in the cells of a scenario;
    infinite where that is not known."""
    shares = []
    for cell in [cell for cell in plan.cells if cell.scenario == scenario]:
        for arm in plan.arms:
            one, _ = alone_and_few(cell, arm.name, calibrations)
            turn = expected_turn(cell, arm.name, calibrations)
            if one is None or one.generator is None or turn is None or cell.load.users is None:
                return math.inf
            shares.append(cell.load.users / turn * one.generator)
    return max(shares)


CALIBRATION_WARMUP_TURNS = 2
"""Minimum warm-up of a calibration, in requests per user."""


def max_users(plan: Plan) -> dict[str, int]:
    """The maximum number of users that each scenario is planned with."""
    users: dict[str, int] = {}
    for cell in plan.cells:
        users[cell.scenario] = max(users.get(cell.scenario, 0), cell.load.users or CEILING_USERS)
    return users
