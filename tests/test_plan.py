"""Plans: balanced, seeded orders, and arms from words."""

from __future__ import annotations

from collections import Counter

import pytest

from loadtests.plan import PlanError, Serving, parse_arm
from tests import scripted


def test_two_arms_take_turns_in_a_random_order_reversed_in_every_second_round() -> None:
    plan = scripted.plan()
    (cell,) = plan.cells
    orders = [tuple(arm.name for arm in plan.order(cell, round)) for round in range(20)]
    for first, second in zip(orders[::2], orders[1::2], strict=True):
        assert second == first[::-1]
    assert len(set(orders[::2])) == 2, "the first of a block must not always be the same"


def test_every_arm_stands_at_every_place_once_a_block() -> None:
    plan = scripted.plan(arms=("a", "b", "c", "d"))
    (cell,) = plan.cells
    for block in range(5):
        places = Counter(
            (place, arm.name)
            for round in range(4 * block, 4 * block + 4)
            for place, arm in enumerate(plan.order(cell, round))
        )
        assert set(places.values()) == {1}
        assert len(places) == 16


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


def test_an_arm_is_read_with_its_settings() -> None:
    arm = parse_arm("after=shop.main:app,threads=100,gc=default,env.MODE=fast=er,app-dir=/srv", "/here")
    assert (arm.name, arm.app, arm.app_dir) == ("after", "shop.main:app", "/srv")
    assert arm.serving == Serving(threads=100, gc="default")
    assert arm.env == {"MODE": "fast=er"}


def test_a_built_in_arm_can_be_named_and_renamed() -> None:
    assert parse_arm("sync", "/here").app == "sync_app.main:create_app"
    more = parse_arm("more=sync,threads=100", "/here")
    assert (more.name, more.app_dir, more.serving.threads) == ("more", None, 100)


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


def test_an_unknown_setting_of_an_arm_gets_the_nearest_known_one() -> None:
    with pytest.raises(PlanError) as caught:
        parse_arm("a=m:x,loops=4", "/here")
    assert caught.value.hint == "did you mean loop?"


def test_arms_and_cells_must_be_told_apart() -> None:
    with pytest.raises(ValueError, match="planned twice"):
        scripted.plan(arms=("a", "a"))
    with pytest.raises(ValueError, match="planned twice"):
        scripted.plan(cells=[("ping", 1), ("ping", 1)])
