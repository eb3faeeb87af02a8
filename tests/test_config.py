"""Settings: flag over environment over pyproject.toml over default."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.errors import PlanError
from loadtests.measure.planning import choice_checked
from loadtests.plan.arms import parse_arm
from loadtests.plan.building import build_plan
from loadtests.plan.database_url import checked
from loadtests.plan.plan import Plan
from loadtests.plan.profiles import ENDPOINTS, MIXES, PROFILES
from loadtests.plan.settings import DECLARED, DEFAULTS, from_file, settle
from reports.wording.plans import plan_text

NOWHERE = Path("/dev/null")


def test_a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "duel.toml"
    file.write_text('[tool.duel]\nmargin = 0.2\nwindow = "3s"\nusers = [1, 8]\n')
    settled = settle({"margin": 0.05}, {"DUEL_MARGIN": "0.3", "DUEL_WINDOW": "2s", "PATH": "/bin"}, file)
    settings, origins = settled.settings, settled.origins
    assert (settings.margin, origins["margin"]) == (0.05, "flag")
    assert (settings.window, origins["window"]) == (2.0, "environment")
    assert (settings.users, origins["users"]) == ((1, 8), str(file))
    assert (settings.seed, origins.get("seed")) == (None, None)


@pytest.mark.parametrize(
    ("flags", "environment", "file", "gone"),
    [
        ({"fixed_rounds": "12"}, {}, "rounds = 6", "rounds"),
        ({}, {"DUEL_ROUNDS": "6"}, "fixed-rounds = 12", "fixed-rounds"),
        ({"rate": "500"}, {}, "users = [8]", "users"),
        ({"users": "8"}, {"DUEL_ARRIVALS": "constant"}, "rate = [500]", "rate"),
        ({"redis_url": "redis://127.0.0.1"}, {"DUEL_REDIS": "yes"}, "", "redis"),
        ({"redis": True}, {}, 'redis-url = "redis://127.0.0.1"', "redis-url"),
    ],
)
def test_a_setting_takes_the_place_of_a_weaker_one_that_it_excludes(
    flags: dict[str, object], environment: dict[str, str], file: str, gone: str, tmp_path: Path
) -> None:
    path = tmp_path / "duel.toml"
    path.write_text(f"[tool.duel]\n{file}\n")
    settled = choice_checked(settle(flags, environment, path))
    assert gone not in settled.origins
    assert settled.given(gone) is None


@pytest.mark.parametrize(
    ("flags", "environment", "message", "hint"),
    [
        ({}, {"DUEL_WINDOWS": "1"}, "DUEL_WINDOWS: unknown setting", "window"),
        ({}, {"DUEL_USERS": "many"}, "DUEL_USERS = 'many': not an integer", ""),
        ({"window": "soon"}, {}, "--window = 'soon': not a time", ""),
        ({"window": "5m"}, {}, "--window = '5m': longer than 120s", ""),
        ({"users": "1,2.5"}, {}, "--users = '1,2.5': not an integer", ""),
        ({"arrivals": "even"}, {}, "--arrivals = 'even': .*'poisson' or 'constant'", ""),
        ({"before_trial": "sh -c 'drop"}, {}, "--before-trial = 'sh …': No closing quotation", ""),
        ({"database": 5}, {}, "--database = '\\(not a URL\\)': .*valid string", ""),
    ],
)
def test_an_unknown_or_unreadable_setting_is_one_clear_error(
    flags: dict[str, object], environment: dict[str, str], message: str, hint: str
) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        settle(flags, environment, NOWHERE)
    assert hint in caught.value.hint


def test_the_apps_own_settings_in_the_environment_are_accepted() -> None:
    settled = settle({}, {"DUEL_APP_POOL_SIZE": "5", "DUEL_APP_DIR": "src"}, NOWHERE)
    assert settled.origins == {"app-dir": "environment"}


def test_every_setting_has_one_name_in_all_layers_and_is_shown_with_its_default(tmp_path: Path) -> None:
    """A default that can be given on the command line is shown in a form that parses to that default."""
    file = tmp_path / "duel.toml"
    for key, declared in DECLARED.items():
        if declared.only_in_file:
            continue
        given = {
            "arrivals": "poisson",
            "answers": "differ",
            "base-point": "ref",
            "canary": "/8",
            "margin": "0.8",
            "no-prove": "true",
            "no-think": "true",
            "redis": "true",
        }
        value = given.get(key, "8")
        file.write_text(f'[tool.duel]\n{key} = "{value}"\n')
        name = "DUEL_" + key.replace("-", "_").upper()
        layers = [settle({key: value}, {}, NOWHERE), settle({}, {name: value}, NOWHERE), settle({}, {}, file)]
        found = [getattr(layer.settings, declared.field) for layer in layers]
        assert found[0] == found[1] == found[2] != getattr(DEFAULTS, declared.field)
        assert [layer.origins for layer in layers] == [
            {key: "flag"}, {key: "environment"}, {key: str(file)},
        ]  # fmt: skip
        (line,) = [line for line in layers[0].lines() if line.startswith(f"{key} = ")]
        assert line.endswith(f"(flag; default: {declared.shown(DEFAULTS)})")


def test_no_secret_is_shown() -> None:
    settled = settle(
        {
            "database": "postgresql://ada:hushed@127.0.0.1/shop?password=hushed",
            "arm": ["a=m:app,env.TOKEN=hushed,threads=8", "sync"],
            "before-trial": "reset --password hushed",
        },
        {}, NOWHERE,
    )  # fmt: skip
    shown = "\n".join(settled.lines())
    assert "hushed" not in shown
    assert "database = postgresql://127.0.0.1/shop  (flag" in shown
    assert "arm = a=m:app,env.TOKEN=…,threads=8, sync  (flag" in shown
    assert "before-trial = reset …  (flag" in shown


@pytest.mark.parametrize(
    "database",
    ["ada:hushed@127.0.0.1/shop", "host=127.0.0.1 password=hushed", "postgresql://ada:hushed@[bad/shop",
     "postgresql://ada:hus/hed@127.0.0.1/shop"],
)  # fmt: skip
def test_a_database_that_cannot_be_read_shows_nothing_of_its_password(database: str) -> None:
    settled = settle({"database": database}, {}, NOWHERE)
    assert "hed" not in "\n".join(settled.lines())
    with pytest.raises(PlanError) as caught:
        checked(database)
    assert "hed" not in str(caught.value) + caught.value.cause + caught.value.hint


@pytest.mark.parametrize(
    "arm", ["b=async,env.X=hushed,threads=0", "b=async,env.X=top,hushed", "b=hushed", "b=async,hushed"]
)
def test_an_arm_that_cannot_be_read_is_called_by_its_name_alone(arm: str) -> None:
    with pytest.raises(PlanError, match=r"^arm 'b'") as caught:
        parse_arm(arm, ".")
    assert "hushed" not in str(caught.value) + caught.value.cause + caught.value.hint


def test_the_password_in_the_address_of_an_arm_is_not_shown() -> None:
    shown = "\n".join(settle({"arm": ["b=http://ada:hushed@127.0.0.1:9"]}, {}, NOWHERE).lines())
    assert "hushed" not in shown
    assert "b=http://…@127.0.0.1:9" in shown


def test_an_invalid_or_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    broken = tmp_path / "pyproject.toml"
    broken.write_text("[tool.duel\n")
    with pytest.raises(PlanError, match="not TOML"):
        from_file(broken)
    with pytest.raises(PlanError, match="cannot read"):
        from_file(tmp_path / "none.toml")


def plan_of(**flags: object) -> Plan:
    return build_plan(settle(flags, {}, NOWHERE).settings)


def planned(**flags: object) -> list[tuple[str, int]]:
    made = plan_of(**flags)
    return [(cell.scenario, int(cell.load.level)) for cell in made.cells]


def test_the_quick_profile_has_the_seven_cells_of_a_demonstration() -> None:
    assert planned(profile="quick") == [
        ("upstream", 1), ("upstream", 64), ("ping", 64), ("posts.read", 64), ("posts.create", 8),
        ("python", 64), ("blocking", 8),
    ]  # fmt: skip


def test_the_default_profile_covers_every_endpoint_and_the_mixes_once() -> None:
    assert planned() == [(scenario, 64) for scenario in (*ENDPOINTS, *MIXES)]


def test_given_scenarios_and_levels_replace_the_profiles() -> None:
    assert planned(scenario="ping,sleep", users="1,8") == [
        ("ping", 1),
        ("ping", 8),
        ("sleep", 1),
        ("sleep", 8),
    ]
    assert planned(scenario="ping") == [("ping", 64)]
    assert planned(profile="quick", users="2") == [
        (scenario, 2) for scenario in ("upstream", "ping", "posts.read", "posts.create", "python", "blocking")
    ]


def test_explicit_rounds_disable_the_time_limit() -> None:
    made = plan_of(profile="quick", rounds=12)
    assert (made.min_rounds, made.max_rounds, made.max_time) == (4, 12, None)


def test_three_arms_are_first_judged_after_four_rounds_as_two_are() -> None:
    assert plan_of(arm=["sync", "async", "more=sync,threads=80"]).min_rounds == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"profile": "quik"}, "unknown profile"),
        ({"scenario": "posts.red"}, "unknown scenario"),
        ({"users": "0"}, "^--users = '0': not from 1 to 10,000$"),
        ({"users": "20000"}, "users"),
        ({"rounds": 21}, "^--rounds = '21': not from 1 to 20$"),
        ({"rounds": True}, "^--rounds = 'True': not an integer$"),
        ({"canary": "ping"}, "^--canary = 'ping': not the path of a URL"),
        ({"seed": -1}, "^--seed = '-1': not from 0 to"),
        ({"generators": 65}, "^--generators = '65': not from 1 to 64$"),
        ({"margin": "nan"}, "^--margin = 'nan': not between 0 and 1$"),
        ({"rate": "100,0"}, "^--rate = '100,0': not between 0 and 100,000$"),
        ({"base_python": "python3"}, "--base-python needs a base"),
        ({"arm": ["sync", "b=sync,cwd=/no/where"]}, "there is no directory /no/where"),
        ({"arm": ["sync", "b=shop:app"], "app_dir": "/no/where"}, "there is no directory /no/where"),
        ({"arm": ["sync", "b=sync,python=/no/python"]}, "/no/python cannot be run"),
        ({"rounds": 0}, "rounds"),
        ({"window": "0"}, "window"),
        ({"margin": 0}, "margin"),
        ({"arm": ["sync", "sync"]}, "duplicate arm"),
        ({"arm": ["own=shop.main:app"]}, "no users are named"),
    ],
)
def test_an_impossible_plan_is_one_clear_error(flags: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        plan_of(**flags)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"scenario": "posts.red"}, "unknown scenario"),
        ({"profile": "quik"}, "unknown profile"),
        ({"users": "8", "rate": "5"}, "cannot be mixed"),
        ({"rounds": "4", "fixed_rounds": "4"}, "exclude each other"),
    ],
)
def test_what_no_run_could_use_is_not_shown_as_its_settings(flags: dict[str, object], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        choice_checked(settle(flags, {}, NOWHERE))
    fit = settle({"scenario": "posts.read", "rate": "5"}, {}, NOWHERE)
    assert choice_checked(fit) == fit


def test_a_file_that_is_named_has_our_table(tmp_path: Path) -> None:
    file = tmp_path / "duel.toml"
    file.write_text("[tool.other]\nrounds = 4\n")
    with pytest.raises(PlanError, match=r"has no table \[tool.duel\]"):
        settle({}, {}, file)
    file.write_text("tool = 4\n")
    with pytest.raises(PlanError, match=r"has no table \[tool.duel\]"):
        settle({}, {}, file)
    # Which names none on purpose.
    assert settle({}, {}, NOWHERE).origins == {}


def test_every_profile_makes_a_plan() -> None:
    for name in PROFILES:
        made = plan_of(profile=name)
        least, most = made.expected_seconds()
        assert 0 < least <= most


def test_odd_rounds_are_announced_as_they_are_measured() -> None:
    """Rounds beyond the minimum come in pairs: of `--rounds 7` six are measured."""
    six, seven = (plan_of(scenario="ping", rounds=rounds) for rounds in (6, 7))
    assert seven.expected_seconds() == six.expected_seconds()
    assert "up to 6:" in plan_text(seven)


def test_an_option_of_the_database_url_that_a_driver_does_not_know_is_refused() -> None:
    """asyncpg's connections took no `connect_timeout`, and the arm did not start."""
    url = "postgresql://ada@127.0.0.1/shop?connect_timeout=5"
    assert len(plan_of(database=url).arms) == 2
    with pytest.raises(PlanError, match="asyncpg does not know the option connect_timeout"):
        plan_of(database=url, arm=["sync", "async-asyncpg"])
