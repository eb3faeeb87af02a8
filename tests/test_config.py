"""Settings: flag over environment over pyproject.toml over default."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.config import ENDPOINTS, MIXES, PROFILES, from_file, plan, settle
from loadtests.plan import PlanError


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "duel.toml"
    file.write_text('[tool.duel]\nmargin = 0.2\nwindow = "3s"\nusers = [1, 8]\n')
    settings = settle({"margin": 0.05}, {"DUEL_MARGIN": "0.3", "DUEL_WINDOW": "2s", "PATH": "/bin"}, file)
    assert (settings["margin"].value, settings["margin"].origin) == (0.05, "flag")
    assert (settings["window"].value, settings["window"].origin) == (2.0, "environment")
    assert (settings["users"].value, settings["users"].origin) == ((1, 8), str(file))
    assert "seed" not in settings


@pytest.mark.parametrize(
    ("flags", "environment", "message", "hint"),
    [
        ({}, {"DUEL_WINDOWS": "1"}, "no setting 'windows'", "window"),
        ({}, {"DUEL_USERS": "many"}, "users = 'many'", ""),
        ({"window": "soon"}, {}, "not a time", ""),
        ({"users": "1,2.5"}, {}, "whole number", ""),
    ],
)
def test_a_setting_nobody_knows_or_can_read_is_one_clear_error(
    flags: dict[str, object], environment: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        settle(flags, environment, Path("/dev/null"))
    assert hint in caught.value.hint


def test_the_apps_own_knobs_in_the_environment_are_not_ours() -> None:
    assert settle({}, {"DUEL_APP_POOL_SIZE": "5"}, Path("/dev/null")) == {}


def test_a_file_that_is_not_toml_or_not_there_is_one_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "pyproject.toml"
    broken.write_text("[tool.duel\n")
    with pytest.raises(PlanError, match="not TOML"):
        from_file(broken)
    with pytest.raises(PlanError, match="cannot read"):
        from_file(tmp_path / "none.toml")


def planned(**flags: object) -> list[tuple[str, int]]:
    made = plan(settle(flags, {}, Path("/dev/null")))
    return [(cell.scenario, int(cell.load.level)) for cell in made.cells]


def test_the_quick_profile_has_the_seven_cells_of_a_demonstration() -> None:
    assert planned(profile="quick") == [
        ("ping", 64), ("posts.read", 64), ("upstream", 1), ("upstream", 8), ("upstream", 64), ("python", 64),
        ("mixed", 64),
    ]  # fmt: skip


def test_the_default_profile_covers_every_endpoint_and_the_mixes_once() -> None:
    assert planned() == [(scenario, 64) for scenario in (*ENDPOINTS, *MIXES)]


def test_scenarios_and_levels_asked_for_replace_the_profiles() -> None:
    assert planned(scenarios="ping,sleep", users="1,8") == [
        ("ping", 1),
        ("ping", 8),
        ("sleep", 1),
        ("sleep", 8),
    ]
    assert planned(scenarios="ping") == [("ping", 64)]
    assert planned(profile="quick", users="2") == [
        (scenario, 2) for scenario in ("ping", "posts.read", "upstream", "python", "mixed")
    ]


def test_asking_for_rounds_lifts_the_limit_of_time() -> None:
    settings = settle({"profile": "quick", "rounds": 12}, {}, Path("/dev/null"))
    made = plan(settings)
    assert (made.min_rounds, made.max_rounds, made.max_time) == (4, 12, None)


def test_three_arms_are_first_judged_after_six_rounds() -> None:
    """Whole blocks of three, and four rounds at least."""
    settings = settle({"arms": ["sync", "async", "more=sync,threads=80"]}, {}, Path("/dev/null"))
    assert plan(settings).min_rounds == 6


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"profile": "quik"}, "no profile"),
        ({"scenarios": "posts.red"}, "no scenario"),
        ({"users": "0"}, "users"),
        ({"users": "20000"}, "users"),
        ({"rounds": 21}, "max_rounds"),
        ({"rounds": 0}, "rounds"),
        ({"window": "0"}, "window"),
        ({"margin": 0}, "margin"),
        ({"arms": ["sync", "sync"]}, "planned twice"),
        ({"arms": ["sync"]}, "one arm alone"),
    ],
)
def test_an_impossible_plan_is_one_clear_error(flags: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan(settle(flags, {}, Path("/dev/null")))


def test_every_profile_makes_a_plan() -> None:
    for name in PROFILES:
        made = plan(settle({"profile": name}, {}, Path("/dev/null")))
        least, most = made.expected_seconds()
        assert 0 < least <= most
