"""From flags, environment and pyproject.toml to a Plan: flag > DUEL_* > [tool.duel] > default."""

from __future__ import annotations

import hashlib
import re
import secrets
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.addresses import check_target
from loadtests.circumstances import Circumstances
from loadtests.hooks import Hooks
from loadtests.plan import (
    ENOUGH_FOR_P99,
    Arm,
    Cell,
    Load,
    Plan,
    PlanError,
    built_in_arms,
    did_you_mean,
    parse_arm,
    validated,
)
from loadtests.postgresql import checked, without_secrets
from loadtests.sweeps import swept
from loadtests.worktree import Worktree

MIXES = ("io_bound", "cpu_bound", "mixed")
ENDPOINTS = (
    "users.read",
    "users.list",
    "users.create",
    "users.update",
    "posts.read",
    "posts.list",
    "posts.create",
    "posts.replace",
    "posts.update",
    "pages.home",
    "pages.post",
    "ping",
    "sleep",
    "upstream",
    "fan-out",
    "file",
    "report",
    "background",
    "python",
    "hash",
    "crunch",
    "image",
    "checkout",
    "blocking",
    "offloaded",
    "process",
    "file-inline",
    "plain-client",
    "session-dependency",
)
"""What scenarios.py holds, in the catalogue's order; a test keeps the two equal. Known here without
importing Locust, which patches sockets."""

USERS = 64
LONGEST_WINDOW = 10.0
"""Seconds to which a window is stretched unasked."""


@dataclass(frozen=True)
class Profile:
    """A named choice of cells and times, in place of fifteen flags. Seconds."""

    about: str
    cells: tuple[tuple[str, int], ...]
    warmup: float
    window: float
    max_time: float | None

    def levels(self, every: bool) -> tuple[int, ...]:
        """Users of scenarios that the profile does not know: `every` level it has, or the usual one."""
        return tuple(sorted({users for _, users in self.cells})) if every else (USERS,)


def everything(*levels: int) -> tuple[tuple[str, int], ...]:
    return tuple((scenario, users) for scenario in (*ENDPOINTS, *MIXES) for users in levels)


PROFILES: Mapping[str, Profile] = {
    "quick": Profile(
        about="a demonstration in three minutes: seven cells, large effects only",
        cells=(
            ("ping", USERS), ("posts.read", USERS), ("upstream", 1), ("upstream", 8), ("upstream", USERS),
            ("python", USERS), ("mixed", USERS),
        ),
        warmup=0.6,
        window=1.0,
        max_time=180.0,
    ),
    "default": Profile(
        about="every endpoint and the three mixes at 64 users, in about 20 minutes",
        cells=everything(USERS),
        warmup=1.0,
        window=2.0,
        max_time=1200.0,
    ),
    "thorough": Profile(
        about="the same at 1, 8, 40, 64, 128 and 256 users, for hours",
        cells=everything(1, 8, 40, USERS, 128, 256),
        warmup=2.0,
        window=5.0,
        max_time=None,
    ),
}  # fmt: skip


def text(value: Any) -> str:
    return str(value)


def number(value: Any) -> float:
    return float(value)


def whole(value: Any) -> int:
    found = float(value)
    if found != int(found):
        raise ValueError("not a whole number")
    return int(found)


def seconds(value: Any) -> float:
    """`90`, `90s`, `15m` or `2h`."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|m|min|h)?\s*", str(value))
    if not found:
        raise ValueError("not a time such as 90s, 15m or 2h")
    return float(found[1]) * {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600}[found[2]]


def texts(value: Any) -> tuple[str, ...]:
    """A list, or words with commas between them."""
    words = value.split(",") if isinstance(value, str) else value
    return tuple(str(word).strip() for word in words if str(word).strip())


def lines(value: Any) -> tuple[str, ...]:
    """A list whose members may hold commas: in the environment, separated by semicolons."""
    return tuple(value.split(";")) if isinstance(value, str) else tuple(map(str, value))


def wholes(value: Any) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,)
    return tuple(whole(word) for word in (texts(value) if isinstance(value, str) else value))


def numbers(value: Any) -> tuple[float, ...]:
    if isinstance(value, int | float):
        return (float(value),)
    return tuple(number(word) for word in (texts(value) if isinstance(value, str) else value))


def table(value: Any) -> dict[str, tuple[str, ...]]:
    """Expressions by key, one or several each."""
    if not isinstance(value, Mapping):
        raise ValueError('not a table such as "http_req_failed" = ["rate<0.01"]')
    return {str(key): (one,) if isinstance(one, str) else texts(one) for key, one in value.items()}


def words(value: Any) -> tuple[str, ...]:
    """A command as a shell would split it, or a list of its words."""
    found = tuple(shlex.split(value)) if isinstance(value, str) else tuple(map(str, value))
    if not found:
        raise ValueError("no command")
    return found


READERS: Mapping[str, Callable[[Any], Any]] = {
    "profile": text,
    "arms": lines,
    "sweep": lines,
    "app-dir": text,
    "database": text,
    "scenarios": texts,
    "scenarios-file": text,
    "base-ref": text,
    "base-python": text,
    "canary": text,
    "before-trial": words,
    "after-trial": words,
    "users": wholes,
    "rate": numbers,
    "arrivals": text,
    "generators": whole,
    "fixed-rounds": whole,
    "thresholds": table,
    "window": seconds,
    "warmup": seconds,
    "boot-timeout": seconds,
    "rounds": whole,
    "max-time": seconds,
    "margin": number,
    "seed": whole,
    "out": text,
}
"""Every key of the configuration and how its value is read."""


@dataclass(frozen=True)
class Setting:
    """A value and where it came from."""

    value: Any
    origin: str


Settings = Mapping[str, Setting]


def settle(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> dict[str, Setting]:
    """The settings that somebody made; raises PlanError for keys nobody knows and values that are none.

    `flags` holds None for a flag that was not given.
    """
    layers = [
        ("flag", {key: value for key, value in flags.items() if value is not None}),
        ("environment", from_environment(environment)),
        (str(file or "pyproject.toml"), from_file(file)),
    ]
    settled: dict[str, Setting] = {}
    for origin, layer in reversed(layers):
        for key, value in layer.items():
            if key not in READERS:
                raise PlanError(f"{origin}: there is no setting {key!r}", did_you_mean(key, list(READERS)))
            try:
                settled[key] = Setting(READERS[key](value), origin)
            except (ValueError, TypeError, OverflowError) as error:
                raise PlanError(f"{origin}: {key} = {value!r}: {error}") from None
    return settled


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`DUEL_MAX_TIME=10m` sets max-time. DUEL_APP_* belongs to the apps."""
    prefix = "DUEL_"
    return {
        key.removeprefix(prefix).lower().replace("_", "-"): value
        for key, value in environment.items()
        if key.startswith(prefix) and not key.startswith("DUEL_APP_")
    }


def from_file(path: Path | None) -> dict[str, Any]:
    """`[tool.duel]` of `path`, or of pyproject.toml in the current directory if there is one."""
    found = path or Path("pyproject.toml")
    if path is None and not found.is_file():
        return {}
    try:
        content = tomllib.loads(found.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"cannot read {found}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{found} is not TOML: {error}") from None
    section = content.get("tool", {}).get("duel", {})
    if not isinstance(section, dict):
        raise PlanError(f"{found}: [tool.duel] is not a table")
    return section


def plan(
    settings: Settings,
    own: Mapping[str, Any] | None = None,
    allow_remote: bool = False,
    base: Worktree | None = None,
) -> Plan:
    """The plan that the settings ask for. `own`: what somebody's own file of scenarios holds, as
    `bench.known_scenarios` tells it; None: ours. `base`: what the arms are compared with as they were.
    Raises PlanError."""
    given = {key: setting.value for key, setting in settings.items()}
    name = given.get("profile", "default")
    if name not in PROFILES:
        raise PlanError(f"there is no profile {name!r}", did_you_mean(name, list(PROFILES)))
    profile = PROFILES[name]
    rounds, fixed = given.get("rounds"), given.get("fixed-rounds")
    if rounds is not None and fixed is not None:
        raise PlanError("--rounds and --fixed-rounds exclude each other")
    # Who asks for a number of rounds wants them, however long they take.
    max_time = given.get("max-time", profile.max_time if rounds is None and fixed is None else None)
    asked = fixed if rounds is None else rounds
    most = 20 if asked is None else asked
    named = arms(given.get("arms", ()), given.get("app-dir", "."), database(settings), allow_remote)
    chosen = swept(named, given.get("sweep", ()))
    against: Mapping[str, str] = {}
    if base is not None:
        chosen, against = base.doubled(chosen)
    if len(chosen) < 2:
        raise PlanError(
            f"one arm alone, {chosen[0].name!r}, cannot be compared",
            "give a second --arm, such as --arm sync, a --sweep of two values, or a --base-ref",
        )
    planned = cells(profile, given.get("scenarios"), loads(given), own)
    values = {
        "profile": name,
        "seed": given.get("seed", secrets.randbelow(2**31)),
        "arms": chosen,
        "against": against,
        "gate": base is not None,
        "cells": planned,
        "scenarios": scenario_file(given.get("scenarios-file")),
        "canary": given.get("canary", "/ping" if own is None else None),
        "generators": given.get("generators", 1),
        "database": "postgresql" if database(settings) else "sqlite",
        "warmup": given.get("warmup", profile.warmup),
        "window": given.get("window", window_for(planned, profile.window)),
        "boot_timeout": given.get("boot-timeout", 30.0),
        "min_rounds": min(first_look(len(chosen)), most) if fixed is None else fixed,
        "max_rounds": most,
        "max_time": max_time,
        # The profile's limit keeps extra rounds down; one that somebody sets holds for all.
        "deadline": given.get("max-time"),
        "margin": given.get("margin", 0.10),
        "thresholds": given.get("thresholds", {}),
    }
    return validated(Plan, values, "the plan")


def scenario_file(file: str | None) -> dict[str, str] | None:
    """Somebody's own scenarios as a plan holds them. Raises PlanError."""
    if file is None:
        return None
    path = Path(file).resolve()
    try:
        return {"file": str(path), "digest": hashlib.sha256(path.read_bytes()).hexdigest()}
    except OSError as error:
        raise PlanError(
            f"cannot read {file}: {error.strerror or error}",
            "--scenarios takes a file of Locust users; -s picks some of them by their names",
        ) from None


def circumstances(settings: Settings, allow_remote: bool = False, wait: bool = False) -> Circumstances:
    """What a run needs besides its plan. Raises PlanError."""
    commands = {key: settings[key].value for key in ("before-trial", "after-trial") if key in settings}
    return Circumstances(
        database(settings),
        Hooks(commands.get("before-trial", ()), commands.get("after-trial", ())),
        allow_remote,
        wait,
    )


def database(settings: Settings) -> str | None:
    """Where the twin apps' data goes: None for SQLite, else as Surroundings takes it. Raises PlanError."""
    given = settings["database"].value if "database" in settings else "sqlite"
    return None if given == "sqlite" else checked(given)


def shown(key: str, setting: Setting) -> str:
    """A setting as it may be printed: no password, and where it came from."""
    value = without_secrets(setting.value) if key == "database" else setting.value
    return f"{value}  ({setting.origin})"


def first_look(block: int) -> int:
    """The rounds before the first verdict: four at least, and whole blocks."""
    return -(-4 // block) * block


def arms(
    texts: Sequence[str], app_dir: str, database: str | None, allow_remote: bool = False
) -> tuple[Arm, ...]:
    """The arms asked for, or the built-in ones. Raises PlanError, also where `database` cannot serve one, or
    one is a server on another machine and `allow_remote` does not say that it may be."""
    directory = str(Path(app_dir).resolve())
    chosen = tuple(parse_arm(text, directory) for text in texts) or built_in_arms()
    for arm in chosen:
        if arm.url is not None:
            check_target(arm.url, allow_remote)
        if database is None and "DUEL_APP_DRIVER" in arm.env:
            raise PlanError(
                f"arm {arm.name!r} speaks to PostgreSQL through {arm.env['DUEL_APP_DRIVER']}",
                "add --database postgresql, or leave this arm out",
            )
    return chosen


def window_for(cells: Sequence[Cell], least: float) -> float:
    """Seconds: the profile's window, in an open loop long enough for a 99th percentile, within reason."""
    rates = [cell.load.rate for cell in cells if cell.load.rate is not None]
    return max(least, min(ENOUGH_FOR_P99 / min(rates), LONGEST_WINDOW)) if rates else least


def loads(given: Mapping[str, Any]) -> tuple[Load, ...]:
    """The levels asked for: of users, or of arrivals a second; nothing where none are. Raises PlanError."""
    if "users" in given and "rate" in given:
        raise PlanError(
            "users and a rate exclude each other",
            "users (-u) make a closed loop and ask for capacity, a rate (--rate) an open one and asks for "
            "latency: run twice",
        )
    if "rate" in given:
        spread = given.get("arrivals", "poisson")
        return tuple(
            validated(Load, {"rate": rate, "arrivals": spread}, f"rate {rate:g}") for rate in given["rate"]
        )
    if "arrivals" in given:
        raise PlanError("arrivals are spread in an open loop only", "add a rate, such as --rate 500")
    return tuple(validated(Load, {"users": level}, f"users {level}") for level in given.get("users", ()))


def cells(
    profile: Profile,
    scenarios: Sequence[str] | None,
    loads: Sequence[Load],
    own: Mapping[str, Any] | None = None,
) -> tuple[Cell, ...]:
    """The profile's cells, or the scenarios and levels asked for in its place; of somebody's `own` scenarios
    all of them, at the profile's levels, where none are asked for. Raises PlanError."""
    known: Sequence[str] = [*MIXES, *ENDPOINTS] if own is None else list(own)
    if own is None and not scenarios and not loads:
        pairs = [(name, Load(users=users)) for name, users in profile.cells]
    else:
        ours = dict.fromkeys(name for name, _ in profile.cells)
        levels = loads or tuple(Load(users=users) for users in profile.levels(own is not None))
        pairs = [(name, load) for name in scenarios or (ours if own is None else own) for load in levels]
    for name in dict.fromkeys(name for name, _ in pairs):
        if name not in known:
            raise PlanError(f"there is no scenario {name!r}", did_you_mean(name, known))
    for name, load in pairs:
        if own is not None and load.rate is not None and not own[name]["plain"]:
            raise PlanError(
                f"scenario {name!r} has task sets, which cannot arrive at a rate",
                "use users (-u), or write its tasks as plain functions",
            )
    return tuple(Cell(scenario=name, load=load) for name, load in dict.fromkeys(pairs))
