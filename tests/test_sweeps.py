"""One app served in several ways."""

from __future__ import annotations

import pytest

from loadtests.errors import PlanError
from loadtests.plan.arms import built_in_arms, parse_arm, swept
from loadtests.plan.building import build_plan
from loadtests.plan.settings import RunSettings


def test_the_reference_is_served_in_every_way_and_the_others_stay() -> None:
    arms = swept(built_in_arms(), ["threads=10,40,100"])
    assert [arm.name for arm in arms] == ["sync-threads-40", "sync-threads-10", "sync-threads-100", "async"]
    assert [arm.serving.threads for arm in arms] == [40, 10, 100, 40]


def test_the_current_setting_comes_first_if_it_is_among_the_values() -> None:
    arms = swept([parse_arm("a=sync,threads=7", ".")], ["threads=3,7"])
    assert [arm.name for arm in arms] == ["a-threads-7", "a-threads-3"]


def test_two_sweeps_make_every_combination() -> None:
    arms = swept(built_in_arms()[:1], ["gc=freeze,default", "loop=uvloop,asyncio"])
    assert [arm.name for arm in arms] == [
        "sync-gc-freeze-loop-uvloop", "sync-gc-freeze-loop-asyncio", "sync-gc-default-loop-uvloop",
        "sync-gc-default-loop-asyncio",
    ]  # fmt: skip


def test_the_pool_and_other_knobs_of_the_apps_can_be_swept() -> None:
    arms = swept(built_in_arms()[:1], ["pool=5,20"])
    assert [arm.env for arm in arms] == [
        {"DUEL_APP_POOL_SIZE": "5"}, {"DUEL_APP_POOL_SIZE": "20"},
    ]  # fmt: skip
    assert [arm.name for arm in arms] == ["sync-pool-5", "sync-pool-20"]


def test_layers_of_middleware_can_be_swept_for_any_app() -> None:
    """No layer is what an arm has that names none."""
    own = parse_arm("shop=shop:app", ".")
    arms = swept([own], ["middleware=1,0,3"])
    assert [(arm.name, arm.serving.middleware) for arm in arms] == [
        ("shop-middleware-0", 0), ("shop-middleware-1", 1), ("shop-middleware-3", 3),
    ]  # fmt: skip
    assert [arm.serving.pure_middleware for arm in swept([own], ["pure-middleware=0,2"])] == [0, 2]


@pytest.mark.parametrize(
    ("sweeps", "said"),
    [
        (["threads"], "is swept over no values"),
        (["threads="], "is swept over no values"),
        (["thread=1,2"], "cannot be swept"),
        (["threads=1,1"], "the same value twice"),
        (["threads=0,1"], "greater than or equal to 1"),
        (["threads=ten"], "valid integer"),
        (["loop=trio,uvloop"], "uvloop"),
        (["middleware=-1,0"], "greater than or equal to 0"),
        (["threads=1,2,3,4,5,6"], "7 arms; at most 6"),
        (["gc=freeze", "threads=1,2", "threads=3,4"], "duplicate sweep of threads"),
    ],
)
def test_an_invalid_sweep_is_reported(sweeps: list[str], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        swept(built_in_arms(), sweeps)


def test_characters_not_allowed_in_names_are_replaced() -> None:
    arms = swept(built_in_arms()[:1], ["env.KEY=../a b,c"])
    assert [arm.name for arm in arms] == ["sync-KEY-..-a-b", "sync-KEY-c"]
    assert arms[0].env == {"KEY": "../a b"}


def test_a_single_arm_can_be_swept() -> None:
    """It is compared with its own variants."""
    plan = build_plan(RunSettings(arm=("async",), sweep=("workers=1,2",)))
    assert [arm.name for arm in plan.arms] == ["async-workers-1", "async-workers-2"]
