"""Plans: balanced, seeded orders, and arms parsed from text."""

from __future__ import annotations

from collections import Counter

import pytest

from loadtests.errors import PlanError
from loadtests.plan.arms import Serving, parse_arm
from loadtests.plan.profiles import FIRST_LOOK, LAST_LOOK
from reports.analysis import statistics
from tests import scripted


def test_two_arms_take_turns_in_a_random_order_reversed_in_every_second_round() -> None:
    plan = scripted.plan()
    (cell,) = plan.cells
    orders = [tuple(arm.name for arm in plan.order(cell, round)) for round in range(20)]
    for first, second in zip(orders[::2], orders[1::2], strict=True):
        assert second == first[::-1]
    assert len(set(orders[::2])) == 2, "the first of a block must not always be the same"


@pytest.mark.parametrize("arms", ["ab", "abc", "abcd", "abcdef"])
def test_any_two_arms_come_in_either_order_in_every_block_of_two_rounds(arms: str) -> None:
    """So that four rounds are four usable ones, and a drift cancels in each ratio."""
    plan = scripted.plan(arms=tuple(arms))
    (cell,) = plan.cells
    orders = ["".join(arm.name for arm in plan.order(cell, round)) for round in range(4 * len(arms))]
    for first, second in zip(orders[::2], orders[1::2], strict=True):
        assert second == first[::-1]
    for half in (orders[: 2 * len(arms)], orders[2 * len(arms) :]):
        places = Counter((place, name) for order in half for place, name in enumerate(order))
        assert set(places.values()) == {2}
        assert len(places) == len(arms) ** 2


def test_one_seed_gives_one_plan_and_another_seed_another() -> None:
    plan = scripted.plan(cells=[("ping", n) for n in range(1, 9)])
    again = plan.model_copy()
    other = plan.model_copy(update={"seed": 2})
    assert [plan.shuffled(plan.cells, r) for r in range(5)] == [
        again.shuffled(plan.cells, r) for r in range(5)
    ]
    assert [plan.shuffled(plan.cells, r) for r in range(5)] != [
        other.shuffled(plan.cells, r) for r in range(5)
    ]
    assert plan.trial_seed(plan.cells[0], 3) == again.trial_seed(plan.cells[0], 3)
    assert plan.trial_seed(plan.cells[0], 3) != plan.trial_seed(plan.cells[0], 4)


def test_a_plan_has_the_rounds_of_the_interim_looks() -> None:
    """Neither module may import the other."""
    assert (FIRST_LOOK, LAST_LOOK) == (statistics.FIRST_LOOK, statistics.LAST_LOOK)


def test_an_arm_is_read_with_its_settings() -> None:
    arm = parse_arm("after=shop.main:app,threads=100,gc=default,env.MODE=fast=er,app-dir=/srv", "/here")
    assert (arm.name, arm.app, arm.app_dir) == ("after", "shop.main:app", "/srv")
    assert arm.serving == Serving(threads=100, gc="default")
    assert arm.env == {"MODE": "fast=er"}


def test_a_built_in_arm_can_be_named_and_renamed() -> None:
    assert parse_arm("sync", "/here").app == "sync_app.main:create_app"
    more = parse_arm("more=sync,threads=100", "/here")
    assert (more.name, more.app_dir, more.serving.threads) == ("more", None, 100)


@pytest.mark.parametrize("name", ["DUEL_APP_DATABASE", "DUEL_APP_REDIS", "DUEL_APP_UPSTREAM"])
def test_an_address_that_may_hold_a_password_is_no_part_of_an_arms_record(name: str) -> None:
    arm = parse_arm(f"a=sync,pool=7,env.{name}=redis://:hushed@127.0.0.1:6379", "/here")
    assert arm.env[name].endswith(":6379")
    assert "hushed" not in arm.model_dump_json()
    assert '"DUEL_APP_POOL_SIZE":"7"' in arm.model_dump_json()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "names no app"),
        ("a=", "names no app"),
        ("a=shop.main", "names no app"),
        ("a=m:x,threads", "not key=value"),
        ("a=m:x,threads=0", "threads"),
        ("a=m:x,threads=many", "threads"),
        ("a=m:x,loop=fast", "loop"),
        ("a b=m:x", "name"),
        ("../a=m:x", "name"),
    ],
)
def test_a_wrong_arm_is_one_clear_error(text: str, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        parse_arm(text, "/here")


def test_an_unknown_setting_of_an_arm_suggests_the_nearest_known_one() -> None:
    with pytest.raises(PlanError) as caught:
        parse_arm("a=m:x,loops=4", "/here")
    assert caught.value.hint == "did you mean loop?"


def test_arms_and_cells_must_be_distinct() -> None:
    with pytest.raises(ValueError, match="duplicate"):
        scripted.plan(arms=("a", "a"))
    with pytest.raises(ValueError, match="duplicate"):
        scripted.plan(cells=[("ping", 1), ("ping", 1)])
