"""The settings of a run, each declared once: flag > DUEL_* > [tool.duel] > default.

`cli.py` makes its flags from these declarations before it knows its verb, so this module imports nothing
heavy: a plain dataclass, which pydantic checks once settings are read.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from loadtests.errors import PlanError, did_you_mean
from loadtests.plan.profiles import BOOT_TIMEOUT, GENERATORS, LAST_LOOK, LONGEST_LOAD, MARGIN
from loadtests.plan.values import (
    arms_without_secrets,
    as_given,
    between,
    commas,
    database_without_secrets,
    each,
    each_words,
    keyed,
    lasting,
    lines,
    option_names,
    plain,
    program,
    seconds,
    span,
    switch,
    table,
    url_path,
    whole,
    words,
    yes_or_no,
)
from loadtests.plan.workers.access import VARIABLE as WORKER_SECRET

NOT_SET = "not set"


@dataclass(frozen=True)
class Declaration:
    """A setting as users meet it; its name, type and default are those of a field of `RunSettings`."""

    key: str
    """In `[tool.duel]`; the flag is `--key`, the variable DUEL_KEY."""
    help: str
    metavar: str
    """Empty: the flag takes no value."""
    read: Callable[[Any], Any]
    """What a flag, a variable or a file holds → a value. Raises ValueError."""
    short: str
    """The flag's short form; "" where it has none."""
    many: bool
    """Whether the flag may be given several times."""
    only_in_file: bool
    """Whether there is no flag, since its value has no readable form on one line."""
    renewable: bool
    """Whether a resumed run takes it again, since it is not recorded, or not as a whole."""
    unset: str
    """What `duel config` shows where nothing is set and the default is None or empty."""
    show: Callable[[Any], str]
    """A value, read or not, as it may be printed: without secrets."""

    @property
    def field(self) -> str:
        return self.key.replace("-", "_")

    @property
    def help_text(self) -> str:
        """The help with the default, where there is one to name."""
        default = self.shown(DEFAULTS)
        return self.help if default == NOT_SET else f"{self.help} (default: {default})"

    def shown(self, settings: RunSettings) -> str:
        """This setting's value, as it may be printed."""
        value = getattr(settings, self.field)
        return self.unset if value is None or value == () else self.show(value)


def setting(
    help: str,
    metavar: str,
    default: Any = None,
    *,
    read: Callable[[Any], Any] = as_given,
    short: str = "",
    many: bool = False,
    only_in_file: bool = False,
    renewable: bool = False,
    unset: str = NOT_SET,
    show: Callable[[Any], str] = plain,
) -> Any:
    """A field of `RunSettings` with its declaration; typed Any so that the field's own type stands."""
    declare = partial(
        Declaration, help=help, metavar=metavar, read=read, short=short, many=many,
        only_in_file=only_in_file, renewable=renewable, unset=unset, show=show,
    )  # fmt: skip
    return dataclasses.field(default=default, metadata={"declare": declare})


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Every setting, by the name of its key with underscores. Times are in seconds. None and () are "not
    set": the profile or the plan decides."""

    profile: str = setting("Cells and times to start from: quick, default or thorough", "NAME", "default")
    scenario: tuple[str, ...] = setting(
        "Scenarios to run", "NAME,…", (), read=commas, short="-s", many=True, unset="the profile's"
    )
    locustfile: str | None = setting(
        "Your own Locust users, instead of the built-in scenarios", "FILE", short="-f"
    )
    locust_arg: tuple[str, ...] = setting(
        "Words for the locustfile's own options, such as --locust-arg='--tenant acme'", "WORDS", (),
        read=each_words, many=True, show=option_names, renewable=True,
    )  # fmt: skip
    users: tuple[int, ...] = setting(
        "Concurrent users: a closed loop, which measures capacity", "N,…", (), read=each(whole(1, 10_000)),
        short="-u",
        unset="the profile's",
    )  # fmt: skip
    rate: tuple[float, ...] = setting(
        "Open-loop arrival rate per second, which measures latency", "N,…", (),
        read=each(between(0, 100_000)),
    )  # fmt: skip
    arrivals: Literal["poisson", "constant"] | None = setting(
        "Distribution of open-loop arrivals", "poisson|constant", unset="poisson"
    )
    no_think: bool = setting(
        "Users make their next request at once, whatever their wait_time: measures capacity",
        "", False, read=switch, show=yes_or_no,
    )  # fmt: skip
    generators: int = setting("Load generator processes", "N", GENERATORS, read=whole(1, 64))
    listen: str | None = setting(
        "Address where generators on other machines join (`duel worker`), instead of local ones",
        "HOST[:PORT]", unset="generators are local", renewable=True,
    )  # fmt: skip
    secret_file: str | None = setting(
        f"File with the secret that such workers share; else {WORKER_SECRET}", "FILE", renewable=True
    )
    arm: tuple[str, ...] = setting(
        "Arm to measure; the first one is the reference", "NAME=IMPORT[,key=value…]", (), read=lines,
        many=True, unset="sync, async", show=arms_without_secrets, renewable=True,
    )  # fmt: skip
    app_dir: str = setting("Directory that the arms' apps are imported from", "DIR", ".", renewable=True)
    python: str | None = setting(
        "Interpreter of your own apps", "PATH", unset="that of the app's project", renewable=True
    )
    sweep: tuple[str, ...] = setting(
        "Sweep a setting of the first arm: threads=10,40,100 or pool=5,20", "KNOB=VALUE,…", (), read=lines,
        many=True, renewable=True,
    )  # fmt: skip
    base_ref: str | None = setting(
        "Compare each arm with itself at this commit: a gate; ci: the base of this CI job", "REF"
    )
    base_point: Literal["merge-base", "ref"] = setting(
        "Where a branch that has diverged is compared with --base-ref: where it left that, or as that is now",
        "merge-base|ref", "merge-base",
    )  # fmt: skip
    base_python: str | None = setting("Interpreter for the base, if its packages differ", "PATH")
    answers: Literal["alike", "differ"] = setting(
        "Whether arms must answer alike to be compared; differ accepts their differences", "alike|differ",
        "alike", renewable=True,
    )  # fmt: skip
    database: str = setting(
        "sqlite, postgresql or mysql (temporary servers), or the URL of a server: postgresql://…, mysql://…",
        "URL", "sqlite",
        show=database_without_secrets, renewable=True,
    )  # fmt: skip
    redis: bool = setting(
        "Start a temporary Redis server, which the scenarios that need one are measured with", "", False,
        read=switch, show=yes_or_no, renewable=True,
    )  # fmt: skip
    redis_url: str | None = setting(
        "Use the empty databases of this Redis server on this machine instead: redis://…", "URL",
        show=database_without_secrets, renewable=True,
    )  # fmt: skip
    canary: str | None = setting(
        "Path of a light route, requested beside the load to see what neighbours wait", "PATH", read=url_path,
        unset="/ping with the built-in scenarios",
    )  # fmt: skip
    before_trial: tuple[str, ...] = setting(
        "Command to run before each server starts, such as a database reset", "COMMAND", (), read=words,
        show=program, renewable=True,
    )  # fmt: skip
    after_trial: tuple[str, ...] = setting(
        "Command to run after each server has stopped", "COMMAND", (), read=words, show=program,
        renewable=True,
    )  # fmt: skip
    window: float | None = setting(
        f"Minimum measurement window of a trial (≤ {span(LONGEST_LOAD)})", "TIME", read=lasting(LONGEST_LOAD),
        show=span, short="-t", unset="the profile's",
    )  # fmt: skip
    warmup: float | None = setting(
        f"Minimum warm-up of a trial (≤ {span(LONGEST_LOAD)})", "TIME", read=lasting(LONGEST_LOAD), show=span,
        unset="the profile's",
    )  # fmt: skip
    boot_timeout: float = setting(
        "Time that a server may take to start", "TIME", BOOT_TIMEOUT, read=seconds, show=span
    )
    rounds: int | None = setting(
        f"Maximum rounds (≤ {LAST_LOOK}); disables the profile's time limit", "N", unset=f"{LAST_LOOK}",
        read=whole(1, LAST_LOOK),
    )  # fmt: skip
    fixed_rounds: int | None = setting(
        f"Exact number of rounds (≤ {LAST_LOOK}), needed by `duel compare`", "N", read=whole(1, LAST_LOOK)
    )
    max_time: float | None = setting(
        "Time limit, such as 90s, 15m or 2h", "TIME", read=seconds, show=span, renewable=True,
        unset="the profile's",
    )  # fmt: skip
    margin: float = setting(
        "Relative difference below which arms are equivalent and a gate passes", "RATIO", MARGIN,
        read=between(0, 1),
    )  # fmt: skip
    no_prove: bool = setting(
        "End without following the advice: without what `duel prove` measures", "", False, read=switch,
        show=yes_or_no,
    )  # fmt: skip
    seed: int | None = setting(
        "Seed of orders, requests and delays", "N", unset="random", read=whole(0, 2**63 - 1)
    )
    out: str = setting("Parent of the run directories", "DIR", "runs", short="-o")
    thresholds: Mapping[str, tuple[str, ...]] | None = setting(
        "Limits in k6's grammar, by metric", "TABLE", read=table, only_in_file=True
    )
    capacity: Mapping[str, Any] | None = setting(
        "What `duel capacity` searches for: target, precision, highest", "TABLE",
        read=keyed("target", "precision", "highest"), only_in_file=True,
    )  # fmt: skip


DECLARED: Mapping[str, Declaration] = {
    (key := field.name.replace("_", "-")): field.metadata["declare"](key=key)
    for field in dataclasses.fields(RunSettings)
}
"""By key, in the order of the help page."""

DEFAULTS = RunSettings()


@dataclass(frozen=True)
class Settled:
    """RunSettings, and by key where each came from: `flag`, `environment` or a file; absent for a default."""

    settings: RunSettings
    origins: Mapping[str, str]

    def given(self, key: str) -> Any:
        """The value of a setting; None where none of the layers has it."""
        return getattr(self.settings, DECLARED[key].field) if key in self.origins else None

    def of_app(self, app: str | None) -> Settled:
        """The settings for one app by itself, named `app`; unchanged without one. Raises PlanError where arms
        are given as well."""
        if app is None:
            return self
        if self.origins.get("arm") == "flag":
            raise PlanError(
                f"{app} and --arm exclude each other", hint=f"name it as an arm as well: --arm app={app}"
            )
        return Settled(
            dataclasses.replace(self.settings, arm=(f"app={app}",)), {**self.origins, "arm": "flag"}
        )

    def lines(self) -> list[str]:
        """`key = value  (origin; default …)` for every setting, without secrets."""
        return [self.line(declared) for declared in DECLARED.values()]

    def line(self, declared: Declaration) -> str:
        origin = self.origins.get(declared.key)
        from_where = "default" if origin is None else f"{origin}; default: {declared.shown(DEFAULTS)}"
        return f"{declared.key} = {declared.shown(self.settings)}  ({from_where})"


FLAGGED = tuple(key for key, declared in DECLARED.items() if not declared.only_in_file)
"""Settings that have a flag."""

RENEWABLE = tuple(key for key in FLAGGED if DECLARED[key].renewable)
"""Settings that a resumed run takes again."""

SEARCHED = tuple(
    key
    for key in FLAGGED
    if key not in ("profile", "users", "rate", "window", "warmup", "rounds", "fixed-rounds", "no-prove")
)
"""Settings that `duel capacity` takes, which decides on loads, windows and rounds itself."""

SHORTHANDS = ("quick", "thorough")
"""Profiles that have a flag of their own."""

INSTEAD: Mapping[str, tuple[str, ...]] = {
    "users": ("rate", "arrivals"), "rate": ("users",), "redis": ("redis-url",), "redis-url": ("redis",),
    "rounds": ("fixed-rounds",), "fixed-rounds": ("rounds",),
}  # fmt: skip
"""By setting, those that it excludes: where it is set, what weaker layers say of them counts no longer."""


def settle(flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None) -> Settled:
    """The settings of all layers. `flags` holds None for one that was not given; its keys have hyphens or
    underscores. Raises PlanError for an unknown key and a value that cannot be read."""
    given = {name.replace("_", "-"): value for name, value in flags.items() if value is not None}
    profiles = [name for name in SHORTHANDS if given.pop(name, False)]
    if len(profiles) + ("profile" in given) > 1:
        raise PlanError("--quick, --thorough and --profile exclude each other")
    if profiles:
        given["profile"] = profiles[0]
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in (
        (str(file or "pyproject.toml"), from_file(file)),
        ("environment", from_environment(environment)),
        ("flag", given),
    ):
        chosen = read(layer, origin)
        set_here = [key for key in layer if chosen[DECLARED[key].field]]
        for key in {other for one in set_here for other in INSTEAD.get(one, ())} - layer.keys():
            values.pop(DECLARED[key].field, None)
            origins.pop(key, None)
        values |= chosen
        origins |= dict.fromkeys(layer, origin)
    return Settled(RunSettings(**values), origins)


def read(layer: Mapping[str, Any], origin: str) -> dict[str, Any]:
    """The values of one layer by field. Raises PlanError."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415  # heavy; see the module's docstring

    unread: dict[str, Any] = {}
    for key, value in layer.items():
        declared = DECLARED.get(key)
        if declared is None:
            raise PlanError(f"{place(key, origin)}: unknown setting", hint=did_you_mean(key, list(DECLARED)))
        try:
            unread[declared.field] = declared.read(value)
        except ValueError as error:
            raise PlanError(f"{place(key, origin)} = {declared.show(value)!r}: {error}") from None
    try:
        checked = TypeAdapter(RunSettings).validate_python(unread)
    except ValidationError as error:
        first = error.errors()[0]
        declared = DECLARED[str(first["loc"][0]).replace("_", "-")]
        value = declared.show(layer[declared.key])
        raise PlanError(f"{place(declared.key, origin)} = {value!r}: {first['msg']}") from None
    return {field: getattr(checked, field) for field in unread}


def variable(key: str) -> str:
    return "DUEL_" + key.replace("-", "_").upper()


def place(key: str, origin: str) -> str:
    """A setting's name in one layer, for messages."""
    names = {"flag": f"--{key}", "environment": variable(key)}
    return names.get(origin, f"{origin}: {key}")


def from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`DUEL_MAX_TIME=10m` sets max-time. Other names that start with DUEL_APP_ belong to the apps,
    and a secret is no setting."""
    ours = {variable(key) for key in DECLARED}
    return {
        name.removeprefix("DUEL_").lower().replace("_", "-"): value
        for name, value in environment.items()
        if name in ours or (name.startswith("DUEL_") and not name.startswith(("DUEL_APP_", WORKER_SECRET)))
    }


def from_file(path: Path | None) -> dict[str, Any]:
    """`[tool.duel]` of `path`, or of pyproject.toml in the current directory if there is one. Raises
    PlanError."""
    found = path or Path("pyproject.toml")
    if path is None and not found.is_file():
        return {}
    try:
        content = tomllib.loads(found.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"cannot read {found}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{found} is not TOML: {error}") from None
    tool = content.get("tool", {})
    section = tool.get("duel") if isinstance(tool, dict) else None
    if section is None:
        if path is not None and not found.samefile(os.devnull):
            raise PlanError(f"{found} has no table [tool.duel]", hint=f"--config {os.devnull} reads no file")
        return {}
    if not isinstance(section, dict):
        raise PlanError(f"{found}: [tool.duel] is not a table")
    return section
