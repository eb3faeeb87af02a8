"""Arms: an app and how it is served; the built-in ones, how one is written on the command line, and sweeps:
`--sweep threads=10,40,100` makes arms of the first one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_serializer, model_validator

from loadtests.errors import PlanError, did_you_mean
from loadtests.plan.fields import Frozen, Line, Name, validated
from loadtests.plan.interpreter import absolute, project_python
from loadtests.plan.values import parts, unquoted

HIDDEN = "(not recorded)"

PER_SERVER = ("DUEL_APP_DATA", "DUEL_APP_UPSTREAM", "DUEL_APP_DATABASE", "DUEL_APP_REDIS")
"""Variables that every server gets values of its own for, some of which are URLs with a password."""

MOST_ARMS = 6


class Serving(Frozen):
    """How an app is served. Equal for all arms unless an arm says otherwise."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that accept from the same socket."""
    threads: Annotated[int, Field(ge=1, le=10_000)] = 40
    """Tokens of AnyIO's thread limiter, in each worker."""
    server: Literal["uvicorn", "granian", "hypercorn"] = "uvicorn"
    loop: Literal["uvloop", "asyncio"] = "uvloop"
    http: Literal["httptools", "h11"] | None = "httptools"
    """uvicorn's parser; None: another server's own."""
    gc: Literal["freeze", "default"] = "freeze"
    """`freeze`: exclude objects built at start-up from garbage collection."""
    gc_threshold: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Objects made between two young collections; None: 10,000 with `freeze`, else Python's own."""
    backlog: Annotated[int, Field(ge=1, le=65_535)] = 2048
    """Connections that may wait to be accepted."""
    keep_alive: Annotated[int, Field(ge=1, le=86_400)] = 75
    """Seconds that an idle connection is kept."""
    middleware: Annotated[int, Field(ge=0, le=50)] = 0
    """Layers of BaseHTTPMiddleware that are put in front of the app and do nothing."""
    pure_middleware: Annotated[int, Field(ge=0, le=50)] = 0
    """The same in pure ASGI."""
    heartbeats: Literal["on", "off"] = "on"
    """Whether a heartbeat inside the server reports what it is doing; off only to measure its cost."""

    @model_validator(mode="before")
    @classmethod
    def own_parser(cls, values: Any) -> Any:
        """Only uvicorn has a choice of parsers."""
        if not isinstance(values, dict):
            return values
        given = {key: value for key, value in values.items() if (key, value) != ("http", None)}
        server = given.get("server", "uvicorn")
        if server == "uvicorn":
            return given
        if "http" in given:
            raise ValueError(f"http is a setting of uvicorn, and {server} has a parser of its own")
        return {**given, "http": None}

    def arguments(self) -> list[str]:
        """As flags of serve.py."""
        said = [(name, value) for name, value in self if value is not None]
        return [text for name, value in said for text in (f"--{name.replace('_', '-')}", str(value))]


Routes = tuple[Annotated[Line, Field(pattern=r"^([A-Z]+ )?/\S*$", max_length=500)], ...]
"""`/users/{id}`, or `GET /users/{id}` for one method."""


class Hybrid(Frozen):
    """A second app, served by the same process as an arm's own one: it answers some routes, and the arm's own
    app all others."""

    arms: tuple[Name, Name]
    """The arms that both apps come from, that of the arm's own app last."""
    app: Annotated[Line, Field(max_length=1_000)]
    """The second app: `module:attribute`."""
    app_dir: Line | None = None
    routes: Annotated[Routes, Field(min_length=1, max_length=1_000)]
    """Those that the second app answers."""
    rest: Annotated[Routes, Field(max_length=1_000)] = ()
    """Routes that the arm's own app must have and keeps: one without parameters even where one of `routes`
    matches its path, too."""


class Arm(Frozen):
    """One thing under test: an app and how it is served."""

    name: Name
    app: Annotated[Line, Field(max_length=1_000)]
    """`module:attribute` of an ASGI app or of a factory, or the http:// address of an external server."""
    app_dir: Line | None = None
    """Directory to import it from; None: where our own packages are."""
    cwd: Line | None = None
    """Directory that the server works in; None: ours."""
    copied: Line | None = None
    """File or directory of which every server gets a copy of its own, see `COPY`."""
    python: Line | None = None
    """Interpreter that serves it, which has its server and anyio; None: ours."""
    revision: Line | None = None
    """Commit that the app comes from, where that is known."""
    hybrid: Hybrid | None = None
    """What is served beside the app; None: nothing."""
    serving: Serving = Serving()
    env: Mapping[str, str] = {}
    """Environment of the server process, beside the one it inherits."""

    @property
    def url(self) -> str | None:
        """The address of an external server; None for an app that we serve."""
        return self.app.rstrip("/") if "://" in self.app else None

    @property
    def apps(self) -> tuple[str, ...]:
        """What it serves: its own app, and of a hybrid the second one."""
        return (self.app, *([self.hybrid.app] if self.hybrid is not None else []))

    @property
    def app_dirs(self) -> tuple[str, ...]:
        """Where these are imported from, as far as that is elsewhere than our own packages."""
        several = (self.app_dir, self.hybrid.app_dir if self.hybrid is not None else None)
        return tuple(dict.fromkeys(one for one in several if one is not None))

    @field_serializer("env", when_used="json")
    def keep_secrets(self, env: Mapping[str, str]) -> dict[str, str]:
        """Record values for our own apps' knobs only: others may hold a password."""
        return {
            key: value if key.startswith("DUEL_APP_") and key not in PER_SERVER else HIDDEN
            for key, value in env.items()
        }


BUILT_IN: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name="sync", app="sync_app.main:create_app"),
        Arm(name="async", app="async_app.main:create_app"),
        Arm(name="async-asyncpg", app="async_app.main:create_app", env={"DUEL_APP_DRIVER": "asyncpg"}),
        Arm(name="async-asyncmy", app="async_app.main:create_app", env={"DUEL_APP_DRIVER": "asyncmy"}),
    )
}
"""Arms that need no description, by name."""


def built_in_arms() -> tuple[Arm, ...]:
    """The two that are measured where none are named: one driver, or one database file, for both."""
    return BUILT_IN["sync"], BUILT_IN["async"]


COPY = "{copy}"
"""In a value of an arm's environment, the path of its server's copy, which is also in DUEL_COPY."""

PLACES = {"app-dir": "app_dir", "cwd": "cwd", "python": "python", "copy": "copied"}
"""Settings of an arm that are paths, and their fields."""

ARM = "write NAME=module:attribute[,threads=100][,env.KEY=VALUE]"

QUOTING = """quote a value that holds commas: --arm 'NAME=module:attribute,env.KEY="a,b"'"""


def parse_arm(text: str, app_dir: str, python: str | None = None) -> Arm:
    """An arm from `NAME=IMPORT[,key=value…]`; IMPORT may be the name of a built-in arm.

    Keys: those of Serving with hyphens, app-dir, cwd, copy, python, env.KEY, and those of the twins (SHORT).
    `app_dir` is the directory of arms that name none, relative to their cwd, since who names one means the
    code in it. A value that holds commas is quoted, see `values.parts`. An IMPORT with `://` is the address
    of an external server. An app that names no python is served by `python`; None: by that of its project.
    Raises PlanError.
    """
    name, _, rest = text.partition("=")
    target, *options = parts(rest, ",")
    if not rest and name in BUILT_IN:
        target = name
    values: dict[str, Any] = {"name": name}
    if target in BUILT_IN:
        values["app"] = BUILT_IN[target].app
    elif "://" in target:
        if options:
            raise PlanError(
                f"arm {name!r} is an external server, which takes no settings",
                hint="configure the server itself, or name its app: NAME=module:attribute",
            )
        values["app"] = target
    elif ":" in target:
        values["app"] = target
    else:
        raise PlanError(f"arm {name!r} names no app", hint=ARM)
    given = ArmSettings(name, options)
    env = {**(BUILT_IN[target].env if target in BUILT_IN else {}), **given.env}
    values |= given.places
    if target not in BUILT_IN and "://" not in target:
        directory = values.get("app_dir", app_dir)
        values = {**home_of(name, values.get("cwd", "."), directory, python), **values}
    arm = validated(Arm, {**values, "env": env, "serving": given.serving}, f"arm {name!r}")
    check_short(arm, given.short)
    return checked_client(arm)


class ArmSettings:
    """The settings of an arm as they are given, by the fields that they are about."""

    def __init__(self, name: str, options: Sequence[str]) -> None:
        """Raises PlanError."""
        self.places: dict[str, Any] = {}
        self.serving: dict[str, Any] = {}
        self.env: dict[str, str] = {}
        self.short: list[str] = []
        """Those of the twins."""
        for key, value in pairs(name, options):
            if key.startswith("env.") and len(key) > 4:
                self.env[key[4:]] = value
            elif key in SHORT:
                self.short.append(key)
                self.env[SHORT[key]] = value
            elif key in PLACES:
                # Not resolved: a virtual environment's interpreter is a link to the one that made it.
                self.places[PLACES[key]] = os.path.abspath(value)
            elif key in (knobs := {field.replace("_", "-"): field for field in Serving.model_fields}):
                self.serving[knobs[key]] = value
            else:
                hint = did_you_mean(key, [*knobs, *SHORT, *PLACES, "env.KEY"])
                hint += f"; {QUOTING}" if env_given(options) else ""
                raise PlanError(f"arm {name!r}: unknown setting {key!r}", hint=hint)


def of_one_environment(arms: Mapping[str, Arm]) -> dict[str, Arm]:
    """Arms, by the text of each. An app without an environment beside it, as in a worktree of the other arm's
    repository, is served by the environment found for the others: with our packages on one side, the
    difference would be theirs."""
    free = {text: arm for text, arm in arms.items() if ",python=" not in text and arm.app_dir is not None}
    found = {arm.python for arm in free.values() if arm.python is not None}
    if len(found) != 1:
        return dict(arms)
    (python,) = found
    return {**arms, **{text: arm.model_copy(update={"python": python}) for text, arm in free.items()}}


def home_of(name: str, cwd: str, app_dir: str, python: str | None) -> dict[str, str | None]:
    """The directory that an app is imported from, and the interpreter that serves it, where its arm names
    neither. Raises PlanError for a path that is none."""
    try:
        directory = Path(cwd, app_dir).resolve()
        named = absolute(python) if python else project_python(directory, os.environ)
        return {"app_dir": str(directory), "python": named}
    except (OSError, ValueError) as error:
        raise PlanError(f"arm {name!r}: no such directory: {error}", hint=ARM) from None


def pairs(name: str, options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Key and value of each setting of an arm. Raises PlanError."""
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            # Not repeated: a password with a comma in it would be shown.
            hint = f"{QUOTING}, or export it" if env_given(options) else ARM
            raise PlanError(f"arm {name!r}: a setting is not key=value", hint=hint)
        try:
            yield key, unquoted(value)
        except ValueError as error:
            raise PlanError(f"arm {name!r}: {key}: {error}", hint=QUOTING) from None


def env_given(options: Sequence[str]) -> bool:
    """Whether a variable is among an arm's settings, whose value may have been meant to hold commas."""
    return any(option.startswith("env.") for option in options)


SHORT = {"pool": "DUEL_APP_POOL_SIZE", "client": "DUEL_APP_CLIENT"}
"""Short names for knobs of the twin apps: the variables that they set."""

CLIENTS: Mapping[str, tuple[str, ...]] = {
    BUILT_IN["sync"].app: ("httpx", "httpx2"),
    BUILT_IN["async"].app: ("httpx-aiohttp", "httpx", "httpx2", "aiohttp"),
}
"""By twin app, the HTTP clients that it can call the slow service with, its usual one first."""

UNNAMEABLE = re.compile(r"[^A-Za-z0-9_.-]+")
"""Characters that a value may hold and a name may not."""

EXAMPLE = "write --sweep threads=10,40,100, or pool=5,20"


def swept(arms: Sequence[Arm], sweeps: Sequence[str]) -> tuple[Arm, ...]:
    """The first of `arms` in every combination of the swept values, then the other arms. A combination that
    changes nothing comes first. Raises PlanError."""
    if not sweeps:
        return tuple(arms)
    axes = [axis(text) for text in sweeps]
    names = [name for name, _ in axes]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise PlanError(f"duplicate sweep of {twice}", hint=EXAMPLE)
    first, others = arms[0], arms[1:]
    if first.url is not None:
        raise PlanError(
            f"arm {first.name!r} is an external server: its settings cannot be swept", hint=EXAMPLE
        )
    check_short(first, names)
    variants = [
        variant(first, dict(zip(names, values, strict=True))) for values in product(*(v for _, v in axes))
    ]
    if len(variants) + len(others) > MOST_ARMS:
        raise PlanError(
            f"this makes {len(variants) + len(others)} arms; at most {MOST_ARMS} are possible",
            hint=f"sweep fewer values, or name one arm alone: --arm {first.name}",
        )
    same = [arm for arm in variants if (arm.serving, arm.env) == (first.serving, first.env)]
    rest = [arm for arm in variants if arm not in same]
    return (*same, *rest, *others)


def check_short(arm: Arm, keys: Iterable[str]) -> None:
    """Raises PlanError where settings of the twins are given to an arm of another app."""
    for key in keys:
        if key in SHORT and not CLIENTS.keys() >= {*arm.apps}:
            raise PlanError(
                f"{key} is a setting of the built-in apps, and arm {arm.name!r} is another app",
                hint=f"name the variable that the app reads its {key} from: env.KEY=VALUE",
            )


def checked_client(arm: Arm) -> Arm:
    """The arm, if its apps have the HTTP client that it asks for. Raises PlanError."""
    client = arm.env.get(SHORT["client"])
    for app in arm.apps:
        known = CLIENTS.get(app, ())
        if client is None or not known or client in known:
            continue
        exists = any(client in clients for clients in CLIENTS.values())
        raise PlanError(
            f"arm {arm.name!r}: {app} has no HTTP client {client!r}",
            cause=f"{client} is asynchronous only" if exists else "",
            hint=f"it has {' and '.join(known)}; sweep an arm that has all of them: --arm async"
            if exists
            else did_you_mean(client, list(known)),
        )
    return arm


def axis(text: str) -> tuple[str, tuple[str, ...]]:
    """`threads=10,40,100` as a name and its values. Raises PlanError."""
    name, equals, rest = text.partition("=")
    name = name.strip()
    try:
        values = tuple(unquoted(value.strip()) for value in parts(rest, ",") if value.strip())
    except ValueError as error:
        raise PlanError(f"sweep of {name!r}: {error}", hint="""--sweep 'env.KEY="a,b",c'""") from None
    if not equals or not values:
        raise PlanError(f"{name!r} is swept over no values", hint=EXAMPLE)
    if len(set(values)) < len(values):
        raise PlanError(f"{name!r} is swept over the same value twice", hint=EXAMPLE)
    known = [field.replace("_", "-") for field in Serving.model_fields]
    if name not in (*known, *SHORT) and not name.startswith("env."):
        raise PlanError(f"{name!r} cannot be swept", hint=did_you_mean(name, [*known, *SHORT, "env.KEY"]))
    return name, values


def variant(arm: Arm, chosen: dict[str, str]) -> Arm:
    """`arm` with some of its knobs set, and a name that says so. Raises PlanError."""
    # Only what was asked for: the rest depends on what the interpreter has installed.
    serving, env = arm.serving.model_dump(exclude_unset=True), dict(arm.env)
    for name, value in chosen.items():
        if name in SHORT:
            env[SHORT[name]] = value
        elif name.startswith("env."):
            env[name.removeprefix("env.")] = value
        else:
            serving[name.replace("-", "_")] = value
    said = "-".join(f"{key.removeprefix('env.')}-{value}" for key, value in chosen.items())
    name = f"{arm.name}-{UNNAMEABLE.sub('-', said)}"[:64]
    values = {**arm.model_dump(), "name": name, "serving": serving, "env": env}
    return checked_client(validated(Arm, values, f"arm {name!r}"))
