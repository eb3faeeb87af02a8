"""Values that hold commas, as other people's environments do."""

from __future__ import annotations

import pytest

from loadtests.errors import PlanError
from loadtests.plan.arms import built_in_arms, parse_arm, swept
from loadtests.plan.values import arms_without_secrets, lines


@pytest.mark.parametrize(
    ("text", "env"),
    [
        ('env.ORIGINS="http://localhost,http://127.0.0.1:5173",threads=3', "http://localhost,http://127.0.0.1:5173"),
        ("""env.ORIGINS='{"a": 1, "b": "x=y,z"}',threads=3""", '{"a": 1, "b": "x=y,z"}'),
        ("threads=3,env.ORIGINS=it's", "it's"),
        ('threads=3,env.ORIGINS=""', ""),
    ],
)  # fmt: skip
def test_a_value_that_holds_commas_is_quoted(text: str, env: str) -> None:
    arm = parse_arm(f"one=app:app,{text}", ".")
    assert arm.env == {"ORIGINS": env}
    assert arm.serving.threads == 3


@pytest.mark.parametrize(
    "text",
    [
        "env.ORIGINS=http://localhost,http://127.0.0.1:5173",
        'env.ORIGINS="http://localhost,http://127.0.0.1:5173',
        "env.OPTIONS=a=1,b=2",
        'env.OPTIONS="a"b',
    ],
)
def test_commas_without_quotes_are_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        parse_arm(f"one=app:app,{text}", ".")
    assert """env.KEY="a,b\"""" in caught.value.hint
    assert "5173" not in str(caught.value)


def test_quoted_values_can_be_swept_and_set_by_a_variable() -> None:
    arms = swept(built_in_arms()[:1], ['env.KEY="a,b",c'])
    assert [arm.env["KEY"] for arm in arms] == ["a,b", "c"]
    with pytest.raises(PlanError, match="not closed"):
        swept(built_in_arms()[:1], ['env.KEY="a,b'])
    assert lines('a=x:y,env.KEY="p;q";b=sync') == ('a=x:y,env.KEY="p;q"', "b=sync")


@pytest.mark.parametrize("value", ['"secret,more"', "'secret,\"more'", '"secret,more', '"secret"more'])
def test_no_part_of_a_quoted_value_is_shown(value: str) -> None:
    shown = arms_without_secrets((f"one=app:app,env.KEY={value}",))
    assert shown == "one=app:app,env.KEY=…"


def test_the_pool_is_swept_in_the_built_in_apps_only() -> None:
    """Other apps do not read our variable: all arms would be the same."""
    with pytest.raises(PlanError, match="a setting of the built-in apps") as caught:
        swept([parse_arm("one=app:app", ".")], ["pool=5,20"])
    assert "env.KEY" in caught.value.hint
