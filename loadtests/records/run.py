"""A run: its plan, its machine, its calibrations, its trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from loadtests.plan.cells import ENOUGH_FOR_P99, Cell, Metric
from loadtests.plan.fields import Amount, Frozen, Line
from loadtests.plan.options import Inputs, Sealed
from loadtests.plan.plan import Plan
from loadtests.records.answers import AnswerCheck
from loadtests.records.faults import Fault
from loadtests.records.in_force import InForce
from loadtests.records.refusals import Refusal
from loadtests.records.trial import Settling, Trial

MOST_ROWS = 250_000
"""Rows per second of load that one generator's trials can leave, in all their files together: five times the
requests of the fastest client against a server that does nothing."""

AROUND = 60.0
"""Seconds before and after the load in which rows may still be added."""


class Calibration(Frozen):
    """One arm under a few users of one scenario, for a moment before the rounds."""

    arm: Line
    scenario: Line
    users: int
    throughput: Amount
    """Successful requests per second."""
    service_time: Amount | None = None
    """Mean seconds of a successful request; None where none was answered."""
    cpu: Amount | None = None
    """CPU seconds of the server per request, without its children."""
    hops: Amount | None = None
    """Calls handed to worker threads per request."""
    generator: Amount | None = None
    """CPU seconds of the load generator per request; None in runs of earlier versions, and without any."""
    services: Amount | None = None
    """CPU seconds of the slow service and the database's server per request; None where not known, and in
    runs of earlier versions."""
    lag: Amount | None = None
    """90th percentile of the heartbeats' lateness in seconds."""
    work: Amount | None = None
    """CPU seconds of the server and its children per request, what they did after the last response
    included."""
    before: Settling | None = None
    """What the server did before this load."""
    after: Settling | None = None
    """What it did after the last response."""
    faults: tuple[Fault, ...] = ()
    """What disturbed it; empty where nothing did. Each attempt is recorded, the last one is used."""


class Ceiling(Frozen):
    """One measurement of what the generator can make in a scenario: its rate against a server that does
    nothing."""

    scenario: Line
    users: int
    rate: Amount
    """Requests per second."""
    faults: tuple[Fault, ...] = ()
    """What disturbed it: a generator that was disturbed makes less than it can."""


def highest(ceilings: Sequence[Ceiling]) -> float | None:
    """The largest rate that was measured undisturbed; where every measurement was disturbed, the largest of
    all, which is too low if anything. None without any."""
    sound = [one for one in ceilings if not one.faults]
    return max((one.rate for one in sound or ceilings), default=None)


class Machine(Frozen):
    """What was measured on, as far as it can matter."""

    system: Line
    cpu: Line
    cores: Annotated[int, Field(ge=1, le=100_000)]
    memory: int | None
    python: Line
    packages: Mapping[Line, Line]
    database: Line | None = None
    """Name and version of the database that the twin apps used; None before the first trial."""
    placement: Mapping[str, tuple[int, ...]]
    """CPUs of `server`, `generator` and `others`; empty where processes cannot be bound to CPUs. In some
    cells the server has all of them: see `Run.server_cpus`."""


class AppFiles(Frozen):
    """The files beside the arms' code when the run began, whether git tracks them or not, without those that
    it ignores: by path, the digest of each. Those of a base are a commit's, and not here."""

    program: Mapping[Line, Line]
    """Templates and settings: with others, it is not the same app."""
    data: Mapping[Line, Line]
    """Files that apps write, and any others."""
    cut: tuple[Line, ...] = ()
    """Directories that hold more than is digested."""


class ServerCpus(NamedTuple):
    """The CPUs that the servers of a cell ran on."""

    numbers: tuple[int, ...]
    """Empty where they were not bound to any."""
    shared: bool = False
    """Whether the load generator ran on one of them as well."""


TrialsByArm = Mapping[tuple[Cell, str], tuple[Trial, ...]]


class Attempts(NamedTuple):
    """Trials; by cell and arm all of them, and those that the verdicts rest on; and the CPUs of each cell's
    servers."""

    trials: tuple[Trial, ...]
    every: TrialsByArm
    on_last_cpus: TrialsByArm
    cpus: Mapping[Cell, ServerCpus]


class WorkerHost(Frozen):
    """A load generator on another machine, as it joined."""

    host: Line
    cpus: Annotated[int, Field(ge=1)]
    """That it may use; it needs one."""
    offset: float
    """Seconds that its clock is ahead of the clock of the run; 0.0 exactly where they share one."""
    error: Amount
    """Bound of what `offset` may be off by, in seconds."""


class Run(Frozen):
    """All rounds of a plan, with the machine's fingerprint."""

    format: Annotated[Literal["duel-run/2"], Field(alias="schema")] = "duel-run/2"
    version: Line
    id: Line
    began: Line
    plan: Plan
    machine: Machine
    sealed: Sealed | None = None
    """Digests of the values that are not recorded; None where they were not kept."""
    inputs: Inputs | None = None
    """What it read besides, of apps other than the twins; None where that was not recorded."""
    files: AppFiles | None = None
    """None where they were not recorded: in runs of earlier versions."""
    sources: Mapping[Line, Line] | None = None
    """By path, the digest of every file of Python code that the arms imported, without installed packages;
    None where that was not recorded."""
    origins: Mapping[Line, Line] = {}
    """By arm, the file that its own module was imported from; absent where that is not known."""
    task_queues: Mapping[Line, tuple[Line, ...]] = {}
    """By arm, the packages it imports that hand work to processes which are not its children."""
    answers_compared: int | None = None
    """Requests of the twins' fixed set that all arms answered alike before any load; None for other apps."""
    answers: AnswerCheck | None = None
    """How the arms' answers to what the scenarios request were compared; None where the fixed set was, and in
    runs of earlier versions."""
    workers: tuple[WorkerHost, ...] = ()
    """Those that made the load, as they joined this run or its last part; empty: this machine did."""
    in_force: Mapping[Line, InForce] = {}
    """By arm, what its server reported of itself before the rounds; absent where it reported nothing."""
    calibrations: tuple[Calibration, ...] = ()
    refused: Mapping[Line, Refusal] = {}
    """By the key of a cell, why it was not measured: it does not fit the available time."""
    ceilings: tuple[Ceiling, ...] = ()
    """Every measurement of them, in the order of time; see `ceiling`."""
    complete: bool = False
    """Whether the plan was carried out to its end; False for an interrupted run."""
    elapsed: Amount = 0.0
    """Seconds of measuring so far."""
    trials: tuple[Trial, ...] = ()

    @model_validator(mode="after")
    def trials_belong_to_the_plan(self) -> Self:
        """Each trial once, in the order of their numbers, which name their files: of two attempts the later
        one counts."""
        arms = {arm.name for arm in self.plan.arms}
        before = 0
        for trial in self.trials:
            if trial.number <= before:
                raise ValueError(f"trial {trial.number} follows trial {before}")
            before = trial.number
            if not self.plan.measures(trial.cell) or trial.arm not in arms:
                raise ValueError(f"trial {trial.number}: {trial.arm} in {trial.cell} is not in the plan")
            if trial.arrays.rows > MOST_ROWS * self.plan.generators * (trial.seconds + AROUND):
                raise ValueError(
                    f"trial {trial.number} cannot have {trial.arrays.rows:,} rows in {trial.seconds:.3g} s"
                )
        return self

    @cached_property
    def attempts(self) -> Attempts:
        """The trials by cell and arm: a report asks for them thousands of times."""
        last = {trial.cell: self.cpus_of(trial) for trial in self.trials}
        every: dict[tuple[Cell, str], list[Trial]] = {}
        for trial in self.trials:
            every.setdefault((trial.cell, trial.arm), []).append(trial)
        on_last = {
            key: tuple(trial for trial in mine if self.cpus_of(trial) == last[trial.cell])
            for key, mine in every.items()
        }
        return Attempts(self.trials, {key: tuple(mine) for key, mine in every.items()}, on_last, last)

    @property
    def known_attempts(self) -> Attempts:
        """The same, of the trials that the run has now."""
        # `model_copy` with other trials has copied the cached ones.
        if self.attempts.trials is not self.trials:
            del self.attempts
        return self.attempts

    def of(self, cell: Cell, arm: str) -> tuple[Trial, ...]:
        """Every attempt of an arm in a cell, in the order of rounds: of those with the CPUs that its servers
        had last. A style may be ahead on one CPU and behind on two: such rounds are never pooled."""
        return self.known_attempts.on_last_cpus.get((cell, arm), ())

    def every(self, cell: Cell, arm: str) -> tuple[Trial, ...]:
        """Every attempt of an arm in a cell, those with other CPUs included: for what is certain wherever its
        server ran, such as that it ended."""
        return self.known_attempts.every.get((cell, arm), ())

    def cpus_of(self, trial: Trial) -> ServerCpus:
        """The CPUs of a trial's server."""
        placed = self.machine.placement
        numbers = placed.get("server", ()) if trial.cpus is None else trial.cpus
        return ServerCpus(numbers, bool({*numbers} & {*placed.get("generator", ())}))

    def server_cpus(self, cell: Cell) -> ServerCpus:
        """The CPUs of the servers in a cell, external ones apart (`Plan.external`); before its first trial
        those of the machine's placement."""
        known = self.known_attempts.cpus.get(cell)
        return ServerCpus(self.machine.placement.get("server", ())) if known is None else known

    def calibration(self, arm: str, scenario: str, users: int) -> Calibration | None:
        """What this number of users saw before the rounds, by the last attempt: earlier ones were disturbed.
        None where that was not measured."""
        found = (
            one for one in reversed(self.calibrations)
            if (one.arm, one.scenario, one.users) == (arm, scenario, users)
        )  # fmt: skip
        return next(found, None)

    def ceiling(self, scenario: str) -> float | None:
        """The requests per second that the generator can make, at least what it made in any trial; None where
        that was not measured."""
        found = highest([one for one in self.ceilings if one.scenario == scenario])
        if found is None:
            return None
        near = [fault.value for trial in self.trials if trial.cell.scenario == scenario
                for fault in trial.faults if fault.kind == "near-ceiling"]  # fmt: skip
        return max(found, *near) if near else found

    def primary(self, cell: Cell) -> Metric:
        """The metric that decides a cell: the plan's, but in a closed loop whose users think, response time,
        since the throughput is theirs. Its 99th percentile, where the windows of the first round hold enough
        requests, by the trials that count of servers that lived: others hold fewer than the users make."""
        trials = [trial for arm in self.plan.arms for trial in self.of(cell, arm.name)]
        if cell.load.rate is not None or not any(trial.thinks for trial in trials):
            return self.plan.primary(cell)
        whole = [trial for trial in trials if trial.valid and trial.ended is None] or trials
        first = min(trial.round for trial in whole)
        fewest = min(trial.requests_expected for trial in whole if trial.round == first)
        return "p99" if fewest >= ENOUGH_FOR_P99 else "p50"

    def threads(self, arm: str) -> float:
        """Thread tokens of one worker of an arm: those in force, which may be infinite, or those that it asks
        for where the former are not known."""
        known = self.in_force.get(arm)
        if known is not None:
            return math.inf if known.threads is None else known.threads
        return next(one.serving.threads for one in self.plan.arms if one.name == arm)

    def accepting(self, answers: Literal["alike", "differ"] | None) -> Self:
        """The same run, judged with another setting of `--answers`; None: with that of its plan."""
        if answers is None:
            return self
        return self.model_copy(update={"plan": self.plan.model_copy(update={"answers": answers})})

    def with_trial(self, trial: Trial, elapsed: float, **known: Any) -> Self:
        """`known`: other fields, as they are by now."""
        return self.model_copy(update={"trials": (*self.trials, trial), "elapsed": elapsed, **known})
