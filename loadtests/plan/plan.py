"""Everything that a run will do, except what noise decides: frozen data and pure, seeded functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from loadtests.plan.arms import MOST_ARMS, Arm
from loadtests.plan.base.commit import BaseCommit
from loadtests.plan.capacity.target import CapacityGoal
from loadtests.plan.cells import ENOUGH_FOR_P99, Cell, Metric
from loadtests.plan.database_url import EMBEDDED, Backend
from loadtests.plan.fields import Frozen, Line, Name, Positive
from loadtests.plan.profiles import BOOT_TIMEOUT, FIRST_LOOK, GENERATORS, LAST_LOOK, MARGIN, MIXES, QUEUED
from loadtests.plan.request import LONGEST
from loadtests.plan.workers.access import users_digest

BLOCK = 2
"""Rounds after which the order of the arms is balanced; see `Plan.orders`."""


class Ignored(Frozen):
    """A part of a locustfile that a run cannot heed: it decides loads and times itself."""

    kind: Literal["shape", "weight", "fixed-count", "option"]
    name: Line
    """Of a LoadTestShape, a user class, or an option of Locust's."""


class LocustFile(Frozen):
    """A file of Locust users."""

    file: Line
    digest: Line
    """SHA-256 of its bytes: another file makes another load."""
    scenarios: Annotated[tuple[Line, ...], Field(max_length=1_000)] = ()
    """The names of all of its scenarios, of which a plan may have a few."""
    helpers: Mapping[Line, Line] = {}
    """By path, the digest of every file of Python code that it imports, without installed packages."""
    pauses: Mapping[Line, Positive] = {}
    """By scenario, the mean seconds that its users wait between two tasks; without scenarios whose users do
    not wait, or wait for a time that is not known."""
    ignored: Annotated[tuple[Ignored, ...], Field(max_length=1_000)] = ()

    @property
    def whole_digest(self) -> str:
        """One of the file and what it imports, wherever that lies; its own where it imports nothing."""
        return users_digest(self.digest, self.helpers.values()) if self.helpers else self.digest


class CalibrationTimes(Frozen):
    """How long the arms and the generator are loaded before the rounds. Seconds."""

    warmup: Positive = 0.05
    window: Positive = 0.25
    """At least, and as long as every user needs for `turns` requests."""
    turns: Annotated[int, Field(ge=1, le=100)] = 4
    ceiling: Positive = 0.25
    """For which the generator shows its best rate of a scenario, against a server that does nothing."""


class Plan(Frozen):
    """Everything that a run will do, except what noise decides."""

    profile: Line
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    arms: Annotated[tuple[Arm, ...], Field(min_length=1, max_length=MOST_ARMS)]
    """The first one is the reference that the others are compared with."""
    cells: Annotated[tuple[Cell, ...], Field(min_length=1)]
    against: Mapping[Name, Name] = {}
    """By arm, the one that it is compared with; empty: all are compared with the reference."""
    gate: bool = False
    """Whether the question is if an arm is worse than the one it is compared with by more than the margin,
    instead of which one is ahead: a cell is measured until that is decided."""
    base: BaseCommit | None = None
    """The commit from which the arms in `against.values()` are served; None: all are served as they are."""
    locustfile: LocustFile | None = None
    """The user's own Locust users, one scenario each; None: ours."""
    no_think: bool = False
    """Whether users make their next request at once, whatever their `wait_time` says."""
    answers: Literal["alike", "differ"] = "alike"
    """Whether arms that answer differently may be compared: `differ` accepts what they do differently."""
    canary: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1_000)] | None = None
    """Path that is requested at intervals beside the load, to see what the load does to others."""
    generators: Annotated[int, Field(ge=1, le=64)] = GENERATORS
    """Load generator processes."""
    database: Backend = EMBEDDED
    """What the twin apps keep their data in. Its URL is not part of the plan, since it may be secret."""
    redis: bool = False
    """Whether the twin apps have a Redis database."""
    warmup: Positive
    """Minimum warm-up of a trial in seconds."""
    window: Positive
    """Minimum measurement window of a trial in seconds."""
    boot_timeout: Positive = BOOT_TIMEOUT
    """Seconds that a server may take until it answers."""
    drain: Positive = 5.0
    """Maximum seconds for requests in flight after the window."""
    calibration: CalibrationTimes = CalibrationTimes()
    """Tests shorten these; nothing else should."""
    min_rounds: Annotated[int, Field(ge=1)] = FIRST_LOOK
    max_rounds: Annotated[int, Field(ge=1, le=LAST_LOOK)] = LAST_LOOK
    max_time: Positive | None = None
    """Seconds after which no rounds beyond the minimum are started."""
    deadline: Positive | None = None
    """Seconds after which no further cell is started, even if rounds are missing."""
    margin: Annotated[float, Field(gt=0, lt=1)] = MARGIN
    """Arms closer than this are equivalent."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Error rate of each cell's primary verdict."""
    thresholds: Mapping[Line, tuple[Line, ...]] = {}
    """Limits in k6's grammar, which the report judges."""
    capacity: CapacityGoal | None = None
    """What the highest rate of every scenario is searched for; its cells are at the rate that no search goes
    beyond. None: the cells are measured as they are."""
    proof_time: Positive | None = None
    """Seconds for the proof after the rounds, which measures an app that follows the cards beside the arms:
    no rounds beyond the minimum are started later. None: there is no proof."""

    @model_validator(mode="after")
    def names_are_unique(self) -> Self:
        for what, names in (
            ("arm", [arm.name for arm in self.arms]),
            ("cell", [cell.key for cell in self.cells]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"duplicate {what} {twice[0]!r}")
        named = {arm.name for arm in self.arms}
        unknown = sorted({*self.against, *self.against.values()} - named)
        if unknown:
            raise ValueError(f"unknown arm {unknown[0]!r} in a comparison")
        if any(self.against.get(base) is not None for base in self.against.values()):
            raise ValueError("an arm that others are compared with cannot be compared with another one")
        if len({cell.load.rate is None for cell in self.cells}) > 1:
            raise ValueError("users and rates cannot be mixed in one plan")
        fewest = min((cell.load.users for cell in self.cells if cell.load.users is not None), default=None)
        if fewest is not None and fewest < self.generators:
            raise ValueError(f"more generators ({self.generators}) than users ({fewest})")
        if self.max_rounds < self.min_rounds:
            raise ValueError("max_rounds is less than min_rounds")
        if self.capacity is not None and any(cell.load.rate is None for cell in self.cells):
            raise ValueError("the highest rate is searched for in an open loop")
        return self

    @property
    def reference(self) -> Arm:
        return self.arms[0]

    @property
    def rivals(self) -> tuple[Arm, ...]:
        """The arms that are compared with another one."""
        return tuple(arm for arm in self.arms if arm.name in self.against) if self.against else self.arms[1:]

    @property
    def alone(self) -> bool:
        """Whether there is one arm, which is compared with nothing."""
        return len(self.arms) == 1

    def external(self, *arms: str) -> bool:
        """Whether any of these arms is a server that others started, whose CPUs and processes are not ours to
        choose."""
        return any(one.url is not None for one in self.arms if one.name in arms)

    def opponent(self, rival: str) -> Arm:
        """The arm that `rival` is compared with."""
        name = self.against.get(rival, self.arms[0].name)
        return next(arm for arm in self.arms if arm.name == name)

    def names_of(self, arm: str) -> tuple[str, ...]:
        """What users call an arm: its name, and of the head of an arm that is compared with its base, the
        name of that arm."""
        return (arm, arm.removesuffix("-head")) if arm in self.against else (arm,)

    @property
    def yardstick(self) -> str:
        """What the arms are compared with, in a word: the reference, or its base for each."""
        bases = {self.opponent(arm.name).name for arm in self.rivals}
        return bases.pop() if len(bases) == 1 else "base" if bases else self.arms[0].name

    def measures(self, cell: Cell) -> bool:
        """Whether a trial of this plan may have this cell: one of its own, or any lower rate of a search."""
        if self.capacity is None:
            return cell in self.cells
        rates = [one.load.level for one in self.cells if one.scenario == cell.scenario]
        return cell.load.rate is not None and any(cell.load.rate <= rate for rate in rates)

    def hands_over(self, scenario: str) -> bool:
        """Whether its requests may hand jobs to a queue, which workers do."""
        return self.redis and (self.locustfile is not None or scenario in QUEUED)

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
    def most_rounds(self) -> int:
        """The maximum number of rounds, in complete blocks beyond the minimum."""
        return max(self.min_rounds, self.max_rounds // BLOCK * BLOCK)

    @property
    def longest(self) -> float:
        """Maximum seconds to which a trial's warm-up or window is stretched for its users' requests: as long
        as the minimum of rounds of one cell fits the time limit with such windows."""
        if self.deadline is None:
            return LONGEST
        return min(LONGEST, self.deadline / (self.min_rounds * len(self.arms)))

    def orders(self, cell: Cell) -> Iterator[tuple[Arm, ...]]:
        """The arms' order in each round: a random one, then its reverse (ABBA or BAAB for two).

        A fixed order turns drift and periodic noise into false verdicts. In a block of two such rounds, any
        two arms come in either order and have the same place on average, however many arms there are: a
        drift cancels in every ratio. The random orders are the rows of a seeded Latin square, so that each
        arm has each place twice in `2 * len(arms)` rounds.
        """
        random = Random(f"{self.seed}/order/{cell.key}")
        arms = list(self.arms)
        while True:
            random.shuffle(arms)
            shifts = list(range(len(arms)))
            random.shuffle(shifts)
            for shift in shifts:
                order = (*arms[shift:], *arms[:shift])
                yield from (order, order[::-1])

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

    def round_seconds(self) -> float:
        """What a round of a cell is expected to take, booting and stopping the servers included."""
        return ROUND_OVERHEAD + len(self.arms) * (self.warmup + self.window + TRIAL_OVERHEAD)

    @property
    def preparation_seconds(self) -> float:
        """What is expected to pass before the first round."""
        scenarios = len({cell.scenario for cell in self.cells}) + 1
        each = CALIBRATION if self.short else CALIBRATION + CROWD
        return PREPARATION + len(self.arms) * (ARM + scenarios * each)

    @property
    def short(self) -> bool:
        """Whether the run is to end so soon that nothing is calibrated which need not be."""
        return self.max_time is not None and self.max_time < LONG

    @property
    def proof_seconds(self) -> tuple[float, float]:
        """Shortest and longest time that the proof after the rounds is expected to take."""
        if self.proof_time is None:
            return 0.0, 0.0
        mixes = len(MIXES) if self.locustfile is None else len({cell.scenario for cell in self.cells})
        prepared = PREPARATION + PROVED * (ARM + (mixes + 1) * CALIBRATION)
        one_round = ROUND_OVERHEAD + PROVED * (self.warmup + self.window + TRIAL_OVERHEAD)
        least = prepared + self.min_rounds * mixes * one_round
        return least, max(least, self.proof_time)

    def expected_seconds(self) -> tuple[float, float]:
        """Shortest and longest time that the run is expected to take, its proof included, in seconds."""
        one_round = len(self.cells) * self.round_seconds()
        return self.limited(self.preparation_seconds, one_round)

    def limited(self, before: float, one_round: float) -> tuple[float, float]:
        """Shortest and longest time in seconds, where `before` pass until the rounds and each takes
        `one_round`, with the proof after them."""
        least, most = before + one_round * self.min_rounds, before + one_round * self.most_rounds
        if self.max_time is not None:
            most = max(least, min(most, self.max_time))
        if self.deadline is not None:
            least, most = min(least, self.deadline), min(most, self.deadline)
        soonest, latest = self.proof_seconds
        return least + soonest, most + latest


PROVED = 3
"""Arms of a proof: two, and the one that follows the advice."""

ROUND_OVERHEAD = 1.2
"""Seconds until the servers of a round are ready, as seen on two cores."""

TRIAL_OVERHEAD = 0.67
"""Seconds for an arm's users to connect before each slice and to finish after it, to stop its server and to
save its samples."""

LONG = 600.0
"""Seconds of a run from which on all its scenarios are calibrated with several users: it takes seconds, and
then every throughput is predicted."""

PREPARATION = 2.5
"""Seconds to seed the data, start the generator and measure its best rate."""

ARM = 1.5
"""Seconds to start an arm, ask it what all must answer alike, and stop it."""

CALIBRATION, CROWD = 0.5, 0.7
"""Seconds that an arm's calibration on one scenario takes with one user, and with several."""
