"""Runs with scripted instead of measured numbers: scripted trials in, verdicts out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from loadtests.measure.validity import faults
from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import Plan
from loadtests.records.arrays import write_heartbeats, write_samples
from loadtests.records.directory import RunDirectory
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.run import Machine, Run
from loadtests.records.samples import Samples
from loadtests.records.trial import ArrayFile, Resources, ServerEnd, Trial, TrialArrays, TrialFiles

MACHINE = Machine(
    system="Linux",
    cpu="A processor",
    cores=2,
    memory=2**34,
    python="CPython 3.11",
    packages={"fastapi": "0.165.0"},
    placement={"server": (0,), "generator": (1,), "others": (1,)},
)


NO_ARRAYS = TrialArrays(samples=ArrayFile(rows=0, digest="0" * 64))
"""Of a trial without files."""


@dataclass(frozen=True)
class Scripted:
    """One trial: `requests` in the window, each of `latency` seconds; the first `failures` fail."""

    requests: int = 400
    latency: float = 0.01
    failures: int = 0
    generator_cpu: float = 0.1
    endpoints: tuple[str, ...] = ("ping",)
    growth: float = 1.0
    """Requests served in the second half of the window ÷ those in the first half."""
    canary: float | None = None
    """Median response time of the canary over 50 requests; None: no canary."""
    pulse: float | None = None
    """The same of the pulse."""
    server_cpu: float | None = None
    spread: float = 1.0
    """The longest latency ÷ the shortest; the shortest is `latency`."""
    ended: ServerEnd | None = None
    resent: int | None = None
    canary_failures: int = 0
    """The first ones of the canary's requests, answered with an error."""
    sizes: tuple[int, ...] = (17,)
    """Bytes of the answers, in turn."""
    statuses: tuple[int, ...] = (200,)
    """Of the successful answers, in turn."""
    weights: tuple[int, ...] = ()
    """How often each of the endpoints is requested; empty: equally often."""
    slower: tuple[float, ...] = ()
    """Latency of each endpoint in units of `latency`; empty: all take equally long."""
    thinks: bool = False
    """Whether the users wait between requests."""


Script = Callable[[str, Cell, int], Scripted]


def plan(
    arms: Sequence[str] = ("sync", "async"),
    cells: Sequence[tuple[str, int]] = (("ping", 64),),
    rounds: int = 4,
) -> Plan:
    return Plan(
        profile="scripted",
        seed=1,
        arms=tuple(Arm(name=name, app=f"{name}_app.main:create_app") for name in arms),
        cells=tuple(Cell(scenario=scenario, load=Load(users=users)) for scenario, users in cells),
        warmup=0.5,
        window=1.0,
        min_rounds=rounds,
        max_rounds=20,
    )


def run(
    parent: Path, plan: Plan, script: Script, rounds: int | None = None, id: str = "scripted"
) -> tuple[Run, RunDirectory]:
    """A run directory as if the trials of `script` had been measured."""
    directory = RunDirectory.create(parent, "scripted")
    made = Run.model_validate(
        {
            "schema": "duel-run/2",
            "version": "0",
            "id": id,
            "began": "2026-01-01T00:00:00+00:00",
            "plan": plan,
            "machine": MACHINE,
        }
    )
    return measured(made, directory, script, rounds), directory


def measured(made: Run, directory: RunDirectory, script: Script, rounds: int | None = None) -> Run:
    """A run in its directory, as if its plan had been carried out."""
    plan = made.plan
    for round in range(plan.min_rounds if rounds is None else rounds):
        for cell in plan.cells:
            for place, arm in enumerate(plan.order(cell, round)):
                told = script(arm.name, cell, round)
                number = len(made.trials) + 1
                one = trial(told, number, round, place, cell, arm.name)
                made = made.with_trial(with_arrays(one, directory.path, told), 1.0)
    made = made.model_copy(update={"complete": True})
    directory.save(made)
    return made


def with_arrays(measured: Trial, directory: Path, told: Scripted) -> Trial:
    """The trial with its files in a run's directory."""
    files = TrialFiles.of(measured.number)
    canary = pulse = None
    if told.canary is not None:
        canary = written(directory / files.canary, light, told.canary, told.canary_failures)
    if told.pulse is not None:
        pulse = written(directory / files.pulse, light, told.pulse)
    load = written(directory / files.samples, same_samples, told)
    arrays = TrialArrays(samples=load, canary=canary, pulse=pulse)
    return measured.model_copy(update={"arrays": arrays})


WRITTEN: dict[tuple[Callable[..., Samples | Heartbeats], *tuple[Hashable, ...]], tuple[bytes, ArrayFile]] = {}
"""Files by what they were made from, and what the trial's record says of them."""


def written(path: Path, make: Callable[..., Samples | Heartbeats], *of: Hashable) -> ArrayFile:
    """The file of `make(*of)`; a copy of the last one that was made from the same, since most trials of a
    scripted run have the same numbers, and to compute, pack and sync them takes most of its time."""
    if (make, *of) not in WRITTEN:
        made = make(*of)
        file = write_samples(path, made) if isinstance(made, Samples) else write_heartbeats(path, made)
        if len(WRITTEN) >= 400:
            WRITTEN.clear()
        WRITTEN[make, *of] = path.read_bytes(), file
        return file
    content, file = WRITTEN[make, *of]
    path.write_bytes(content)
    return file


def with_files(run: Run, directory: RunDirectory, files: Mapping[int, Mapping[str, ArrayFile]]) -> Run:
    """The run, saved, with files that a test has written itself, by the number of their trial."""
    trials = tuple(
        trial.model_copy(update={"arrays": trial.arrays.model_copy(update=files.get(trial.number, {}))})
        for trial in run.trials
    )
    changed = run.model_copy(update={"trials": trials})
    directory.save(changed)
    return changed


def samples(told: Scripted) -> Samples:
    """Evenly spread starts, so that exactly `requests` of them start, and end, in the window."""
    n = told.requests
    longest = told.latency * max(told.slower, default=1.0)
    start = np.linspace(0.0, 1.0 - longest, n, endpoint=False) if n else np.zeros(0)
    if told.growth != 1.0:
        sooner = round(n / (1.0 + told.growth))
        first = np.linspace(0.0, 0.49 - told.latency, sooner)
        start = np.concatenate((first, np.linspace(0.5, 0.99 - told.latency, n - sooner)))
    error = np.zeros(n, dtype=np.uint16)
    error[: told.failures] = 1
    # A step coprime to n spreads them over the whole window.
    slower = np.geomspace(1.0, told.spread, n)[np.arange(n) * 7919 % n] if n else np.ones(0)
    endpoint = np.resize(np.repeat(np.arange(len(told.endpoints)), told.weights or 1), n)
    if told.slower:
        slower *= np.asarray(told.slower)[endpoint]
    return Samples(
        endpoint=endpoint.astype(np.uint16),
        due=start,
        start=start,
        end=start + told.latency * slower,
        status=np.where(error == 0, np.resize(told.statuses, n), 500).astype(np.uint16),
        size=np.resize(told.sizes, n).astype(np.uint32),
        error=error,
    )


@lru_cache(maxsize=100)
def same_samples(told: Scripted) -> Samples:
    """The same to read only: most trials of a run have the same numbers."""
    return samples(told)


def light(median: float, failures: int = 0) -> Samples:
    """Fifty requests at even gaps, with response times spread evenly around the median; the first `failures`
    fail."""
    due = np.arange(0.0, 1.0, 0.02)
    n = len(due)
    error = (np.arange(n) < failures).astype(np.uint16)
    return Samples(
        endpoint=np.zeros(n, dtype=np.uint16),
        due=due,
        start=due,
        end=due + median * np.linspace(0.9, 1.1, n),
        status=np.where(error == 0, 200, 503).astype(np.uint16),
        size=np.full(n, 17, dtype=np.uint32),
        error=error,
    )


def trial(told: Scripted, number: int, round: int, place: int, cell: Cell, arm: str) -> Trial:
    made = Trial(
        number=number,
        round=round,
        place=place,
        cell=cell,
        arm=arm,
        began="2026-01-01T00:00:00+00:00",
        boot=0.5,
        warmup=0.5,
        window=1.0,
        drain=0.1,
        endpoints=told.endpoints,
        errors=("RequestFailed: 500",) if told.failures else (),
        ended=told.ended,
        resent=told.resent,
        thinks=told.thinks,
        resources=Resources(generator_cpu=told.generator_cpu, server_cpu=told.server_cpu),
        arrays=NO_ARRAYS,
    )
    # Treated as open-loop arrivals that were on time: the scripted requests fill no closed loop.
    open_cell = Cell(scenario=cell.scenario, load=Load(rate=100.0, arrivals="poisson"))
    as_arrivals = made.model_copy(update={"cell": open_cell, "arrivals": told.requests, "dropped": 0})
    return made.model_copy(update={"faults": faults(as_arrivals, same_samples(told))})
