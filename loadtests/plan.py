"""What will be measured, and in which order: plain frozen data and pure, seeded functions."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from random import Random
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_serializer,
    model_validator,
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
BREAKING = (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)
"""Characters that would break a line."""
COMMANDING = (0x1B, 0x9B, *range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000))
"""Characters that command a terminal, or turn the direction of writing."""
CONTROLS = dict.fromkeys(BREAKING, " ") | dict.fromkeys(COMMANDING, "\ufffd")


def one_line(text: str) -> str:
    """A text as it may be shown anywhere: no control character in it, and no longer than a paragraph."""
    return text.translate(CONTROLS)[:2_000]


Line = Annotated[str, AfterValidator(one_line)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

HIDDEN = "(not recorded)"
MOST_ARMS = 6


Metric = Literal["throughput", "p50", "p95", "p99", "service_p50", "service_p99"]
"""Percentiles are of the response time: from the moment a request was due, in a closed loop its start."""
ENOUGH_FOR_P99 = 2_000
"""Requests in a window from which on its 99th percentile decides."""


class PlanError(ValueError):
    """The plan asks for something impossible; the message says what, `cause` why, `hint` what to do."""

    def __init__(self, message: str, hint: str = "", cause: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.cause = cause


class ArmsDiffer(Exception):
    """Two arms answered the same request differently."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.hint = "make the arms do the same work; what differs cannot be compared"


class Frozen(BaseModel):
    """Plain data that does not change and knows all its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Serving(Frozen):
    """How an app is served. Equal for all arms unless an arm says otherwise."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that accept from the same socket."""
    threads: Annotated[int, Field(ge=1, le=10_000)] = 40
    """Tokens of AnyIO's thread limiter, in each worker."""
    loop: Literal["uvloop", "asyncio"] = "uvloop"
    http: Literal["httptools", "h11"] = "httptools"
    gc: Literal["freeze", "default"] = "freeze"
    """`freeze`: what start-up built is taken out of the garbage collector's sight."""
    gc_threshold: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Objects made between two young collections; None: 10,000 with `freeze`, else Python's own."""
    backlog: Annotated[int, Field(ge=1, le=65_535)] = 2048
    """Connections that may wait to be accepted."""
    keep_alive: Annotated[int, Field(ge=1, le=86_400)] = 75
    """Seconds that an idle connection is kept."""
    vitals: Literal["on", "off"] = "on"
    """Whether a heartbeat inside the server tells what it is doing; off only to see what that costs."""

    def arguments(self) -> list[str]:
        """As flags of serve.py."""
        said = [(name, value) for name, value in self if value is not None]
        return [text for name, value in said for text in (f"--{name.replace('_', '-')}", str(value))]


class Arm(Frozen):
    """One thing under test: an app and how it is served."""

    name: Name
    app: Annotated[Line, Field(max_length=1_000)]
    """`module:attribute` of an ASGI app or of a factory, or the http:// address of a server that runs."""
    app_dir: Line | None = None
    """Directory to import it from; None: where our own packages are."""
    cwd: Line | None = None
    """Directory that the server works in; None: ours."""
    python: Line | None = None
    """Interpreter that serves it, which knows uvicorn and anyio; None: ours."""
    revision: Line | None = None
    """Commit that the app comes from, where that is known."""
    serving: Serving = Serving()
    env: dict[str, str] = {}
    """Environment of the server process, beside the one it inherits."""

    @property
    def url(self) -> str | None:
        """The address of a server that somebody else runs; None for an app that we serve."""
        return self.app.rstrip("/") if "://" in self.app else None

    @field_serializer("env", when_used="json")
    def keep_secrets(self, env: dict[str, str]) -> dict[str, str]:
        """Only our own apps' knobs are recorded with their values; a database's URL holds a password."""
        return {
            key: value if key.startswith("DUEL_APP_") and key != "DUEL_APP_DATABASE" else HIDDEN
            for key, value in env.items()
        }


class Load(Frozen):
    """Closed: `users` who ask again as soon as they are answered, which asks for capacity. Open: `rate`
    arrivals a second, whoever still waits, which asks for latency. One of the two."""

    users: Annotated[int, Field(ge=1, le=10_000)] | None = None
    rate: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    arrivals: Literal["poisson", "constant"] | None = None
    """How arrivals are spread: as independent people come, or at even gaps."""

    @model_validator(mode="after")
    def one_of_two(self) -> Self:
        if (self.users is None) == (self.rate is None):
            raise ValueError("a load is either users or a rate")
        if (self.rate is None) != (self.arrivals is None):
            raise ValueError("arrivals are spread in an open load, and only there")
        return self

    def __str__(self) -> str:
        if self.rate is not None:
            return f"{self.rate:g}/s" + (" at even gaps" if self.arrivals == "constant" else "")
        return f"{self.users} users" if self.users != 1 else "1 user"

    @property
    def level(self) -> float:
        """Users, or arrivals per second."""
        return float(self.users if self.rate is None else self.rate)  # type: ignore[arg-type]  # one is set

    @property
    def key(self) -> str:
        """A short name for files and seeds."""
        if self.rate is None:
            return str(self.users)
        return f"{self.rate:g}ps" + ("-even" if self.arrivals == "constant" else "")


class Cell(Frozen):
    """A scenario under a load."""

    scenario: Name
    load: Load

    def __str__(self) -> str:
        return f"{self.scenario} at {self.load}"

    @property
    def key(self) -> str:
        """A short name for files and seeds."""
        return f"{self.scenario}@{self.load.key}"


class Scenarios(Frozen):
    """A file of Locust users."""

    file: Line
    digest: Line
    """SHA-256 of its bytes: another file makes another load."""


class Plan(Frozen):
    """Everything that a run will do, but for what the noise decides."""

    profile: Line
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    arms: Annotated[tuple[Arm, ...], Field(min_length=1, max_length=MOST_ARMS)]
    """The first one is the reference that the others are compared with."""
    cells: Annotated[tuple[Cell, ...], Field(min_length=1)]
    against: Mapping[Name, Name] = {}
    """By arm, the one that it is compared with; empty: all with the reference."""
    gate: bool = False
    """Whether the question is if an arm is worse than the one it is against by more than the margin, and not
    which is ahead: a cell is measured until that is decided."""
    scenarios: Scenarios | None = None
    """Somebody's own scenarios; None: ours."""
    canary: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1_000)] | None = None
    """What is asked for now and then beside the load, to see what the load does to others."""
    generators: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that make the load."""
    database: Literal["sqlite", "postgresql"] = "sqlite"
    """What the twin apps keep their data in; where it is, is no part of the plan, since it may be secret."""
    warmup: Positive
    """Least warm-up of a trial in seconds."""
    window: Positive
    """Least window of a trial in seconds."""
    boot_timeout: Positive = 30.0
    """Seconds that a server may take until it answers."""
    drain: Positive = 5.0
    """Most seconds that requests in flight get after the window."""
    min_rounds: Annotated[int, Field(ge=1)] = 4
    max_rounds: Annotated[int, Field(ge=1, le=20)] = 20
    """Twenty at most: the intervals are made for looks at 4, 6, …, 20 rounds."""
    max_time: Positive | None = None
    """Seconds after which no rounds beyond the least are begun."""
    deadline: Positive | None = None
    """Seconds after which no further cell is begun, whatever is still missing."""
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.10
    """Arms closer than this are equivalent."""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Error rate of each cell's primary verdict."""
    thresholds: Mapping[Line, tuple[Line, ...]] = {}
    """What the figures must keep, in k6's grammar: the report judges it, and needs no more than the run."""

    @model_validator(mode="after")
    def names_are_unique(self) -> Self:
        for what, names in (
            ("arm", [arm.name for arm in self.arms]),
            ("cell", [cell.key for cell in self.cells]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]!r} is planned twice")
        named = {arm.name for arm in self.arms}
        unknown = sorted({*self.against, *self.against.values()} - named)
        if unknown:
            raise ValueError(f"there is no arm {unknown[0]!r} to compare")
        if any(self.against.get(base) is not None for base in self.against.values()):
            raise ValueError("an arm that others are compared with is compared with none itself")
        if len({cell.load.rate is None for cell in self.cells}) > 1:
            raise ValueError("users and rates cannot be mixed in one plan")
        fewest = min((cell.load.users for cell in self.cells if cell.load.users is not None), default=None)
        if fewest is not None and fewest < self.generators:
            raise ValueError(f"{self.generators} generators cannot share {fewest} user(s)")
        if self.max_rounds < self.min_rounds:
            raise ValueError("max_rounds is less than min_rounds")
        return self

    @property
    def reference(self) -> Arm:
        return self.arms[0]

    @property
    def rivals(self) -> tuple[Arm, ...]:
        """The arms that are compared with another one."""
        return tuple(arm for arm in self.arms if arm.name in self.against) if self.against else self.arms[1:]

    def opponent(self, rival: str) -> Arm:
        """The arm that `rival` is compared with."""
        name = self.against.get(rival, self.arms[0].name)
        return next(arm for arm in self.arms if arm.name == name)

    @property
    def yardstick(self) -> str:
        """What the arms are compared with, in a word: the reference, or its base for each."""
        bases = {self.opponent(arm.name).name for arm in self.rivals}
        return bases.pop() if len(bases) == 1 else "base" if bases else self.arms[0].name

    @property
    def fixed(self) -> bool:
        """Whether every cell gets the same number of rounds, whatever they show: only such runs can be
        compared with one another, since a run that stops when it is decided tends to stop at extremes."""
        return self.min_rounds == self.max_rounds

    @property
    def open(self) -> bool:
        """Whether the loads are open ones; a plan does not mix the two."""
        return self.cells[0].load.rate is not None

    def primary(self, cell: Cell) -> Metric:
        """The metric that decides a cell: throughput in a closed loop; in an open one response time, the
        99th percentile where the window is expected to hold enough requests."""
        rate = cell.load.rate
        if rate is None:
            return "throughput"
        return "p99" if rate * self.window >= ENOUGH_FOR_P99 else "p50"

    @property
    def block(self) -> int:
        """Rounds after which every arm has stood at every place equally often."""
        return len(self.arms)

    def orders(self, cell: Cell) -> Iterator[tuple[Arm, ...]]:
        """The arms' order in each round: a seeded Latin square per block (ABBA or BAAB for two).

        A fixed order turns drift and periodic noise into false verdicts.
        """
        random = Random(f"{self.seed}/order/{cell.key}")
        arms = list(self.arms)
        while True:
            random.shuffle(arms)
            turns = list(range(len(arms)))
            random.shuffle(turns)
            for turn in turns:
                yield tuple(arms[turn:] + arms[:turn])

    def order(self, cell: Cell, round: int) -> tuple[Arm, ...]:
        """The arms' order in round `round`, counted from 0."""
        orders = self.orders(cell)
        for _ in range(round):
            next(orders)
        return next(orders)

    def shuffled(self, cells: Sequence[Cell], round: int) -> list[Cell]:
        """The cells' order in round `round`."""
        shuffled = list(cells)
        Random(f"{self.seed}/cells/{round}").shuffle(shuffled)
        return shuffled

    def trial_seed(self, cell: Cell, round: int) -> int:
        """The seed of what the users do and the slow service gives: the same for a round's arms."""
        return Random(f"{self.seed}/trial/{cell.key}/{round}").randrange(2**31)

    def trial_seconds(self) -> float:
        """What one trial is expected to take, booting and stopping its server included."""
        return self.warmup + self.window + TRIAL_OVERHEAD

    def expected_seconds(self) -> tuple[float, float]:
        """Least and most time that the run is expected to take."""
        one_round = len(self.cells) * len(self.arms) * self.trial_seconds()
        scenarios = len({cell.scenario for cell in self.cells}) + 1
        before = PREPARATION + len(self.arms) * scenarios * CALIBRATION
        most = before + one_round * self.max_rounds
        least = before + one_round * self.min_rounds
        if self.max_time is not None:
            most = max(least, min(most, self.max_time))
        if self.deadline is not None:
            least, most = min(least, self.deadline), min(most, self.deadline)
        return least, most


TRIAL_OVERHEAD = 1.6
"""Seconds to boot and stop a server and to save its samples, as seen on two cores."""

PREPARATION = 6.0
"""Seconds until the arms are compared and calibrated, besides the calibration of each."""
CALIBRATION = 1.5
"""Seconds that an arm's calibration on one scenario takes."""

BUILT_IN: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name="sync", app="sync_app.main:create_app"),
        Arm(name="async", app="async_app.main:create_app"),
        Arm(name="async-asyncpg", app="async_app.main:create_app", env={"DUEL_APP_DRIVER": "asyncpg"}),
    )
}
"""The arms everybody has, by name."""


def built_in_arms() -> tuple[Arm, ...]:
    """The two that are measured where none are named: one driver, or one database file, for both."""
    return BUILT_IN["sync"], BUILT_IN["async"]


PLACES = {"app-dir": "app_dir", "cwd": "cwd", "python": "python"}
"""Settings of an arm that are paths, and their fields."""


def parse_arm(text: str, app_dir: str) -> Arm:
    """An arm from `NAME=IMPORT[,key=value…]`; IMPORT may be the name of a built-in arm.

    Keys: those of Serving with hyphens, app-dir, cwd, python and env.KEY. An IMPORT with `://` is the
    address of a server that runs. Raises PlanError.
    """
    example = "write NAME=module:attribute[,threads=100][,env.KEY=VALUE]"
    name, _, rest = text.partition("=")
    target, *options = rest.split(",")
    if not rest and name in BUILT_IN:
        target = name
    values: dict[str, Any] = {"name": name}
    if target in BUILT_IN:
        values["app"] = BUILT_IN[target].app
    elif "://" in target:
        if options:
            raise PlanError(
                f"arm {name!r} is a server that runs: it is served as it is, without settings",
                "give the settings to who serves it, or name the app: NAME=module:attribute",
            )
        values["app"] = target
    elif ":" in target:
        values |= {"app": target, "app_dir": app_dir}
    else:
        raise PlanError(f"arm {text!r} names no app", hint=example)
    env = dict(BUILT_IN[target].env) if target in BUILT_IN else {}
    serving: dict[str, str] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals:
            raise PlanError(f"arm {name!r}: {option!r} is not key=value", hint=example)
        if key.startswith("env.") and len(key) > 4:
            env[key[4:]] = value
        elif key in PLACES:
            # Not resolved: a virtual environment's interpreter is a link to the one that made it.
            values[PLACES[key]] = os.path.abspath(value)
        elif key in (knobs := {field.replace("_", "-"): field for field in Serving.model_fields}):
            serving[knobs[key]] = value
        else:
            known = [*knobs, *PLACES, "env.KEY"]
            raise PlanError(f"arm {name!r} has no setting {key!r}", hint=did_you_mean(key, known))
    return validated(Arm, {**values, "env": env, "serving": serving}, f"arm {text!r}")


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Mapping[str, Any], what: str) -> Model:
    """`model` from `values`; raises PlanError that names the first field that is wrong."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise PlanError(f"{what}: {place + ': ' if place else ''}{message}") from None


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint that names the nearest known words, or all of them."""
    near = get_close_matches(word, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
