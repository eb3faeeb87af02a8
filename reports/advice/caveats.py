# Long: every caveat of a run beside how it is found.
"""Warnings about a whole run, as data: `reports/wording` makes the sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

from loadtests.plan.database_url import Backend
from loadtests.records import Apart, Calibration, Ceiling, Cell, Fault, Ignored, Plan, Run, Trial
from reports.analysis.catalogue import DATABASE, is_twin
from reports.analysis.rounds.launches import ENOUGH, unseen
from reports.analysis.thresholds import skipped
from reports.analysis.verdicts import Verdict

LEAN = "LeanUser"
"""The class of users whose requests cost the generator least."""

SHARE = 0.20
"""Fraction of one core above which the overhead of Locust's own clients distorts what they measure:
FastHttpUser adds milliseconds to a p99 at 22%."""


FAR = 2.0
"""Ratio above which an arm that was not observed may be ahead because its work piles up."""


@dataclass(frozen=True)
class RunInterrupted:
    """The run ended before its plan was complete."""


@dataclass(frozen=True)
class ExternalServers:
    """Arms whose servers were started by others; the run does not restart them."""

    hosts: tuple[tuple[str, str], ...]
    """Name and network address of each."""


@dataclass(frozen=True)
class LoadFromElsewhere:
    """Generators on other machines made the load."""

    workers: tuple[tuple[str, int], ...]
    """Name of each host, and how many ran there."""


@dataclass(frozen=True)
class HeavyClient:
    """A scenario whose client is expensive enough to distort the measurement."""

    scenario: str
    client: str
    cost: float
    """CPU seconds of one request."""
    share: float
    """Of the generator's core, 0 to 1."""


@dataclass(frozen=True)
class ManyNames:
    """A scenario whose requests had many different names, and were grouped."""

    scenario: str
    names: int
    """In the trial with the most."""
    endpoints: tuple[str, ...]
    """The groups, and names that are in none."""


@dataclass(frozen=True)
class DatabaseUsed:
    """The database behind the verdicts on database endpoints."""

    database: Backend


@dataclass(frozen=True)
class OneByOne:
    """Cells whose arms were measured one after another, each with its server alone: what changes on the host
    in between does not cancel in their ratios."""

    why: Apart
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class FewRounds:
    """Verdicts stand on so few rounds that launches which differ may be missing from all of them."""

    rounds: int
    """Of the verdict with the fewest."""
    unseen: float
    """Probability that an arm which differs in one launch of five did in none of them."""
    enough: int
    """Rounds from which on the spread is tested."""


@dataclass(frozen=True)
class HandsWorkOn:
    """Arms that hand work to processes which were not observed."""

    packages: tuple[tuple[str, str], ...]
    """Name of each, and the package by which it does so."""


@dataclass(frozen=True)
class WorkersBeside:
    """Arms whose jobs were done by workers beside their servers."""

    cpus: tuple[tuple[str, float], ...]
    """Name of each, and how many CPUs its workers kept busy in the cell where they did most, the median over
    rounds."""


@dataclass(frozen=True)
class AheadUnobserved:
    """An external server is far ahead, and its processes were not observed."""

    arm: str
    factor: float


@dataclass(frozen=True)
class LoadsNotHeeded:
    """A locustfile decides loads or times, which the plan decides instead."""

    ignored: tuple[Ignored, ...]


@dataclass(frozen=True)
class RowsApart:
    """Rows of Locust's table that are no requests of their own."""

    scenario: str
    covering: tuple[str, ...]
    """Names of those that cover several requests each."""
    untimed: tuple[tuple[str, int], ...]
    """Name of those without a response time, and how many all windows had."""


@dataclass(frozen=True)
class NoProcessFigures:
    """The platform does not report the resource use of processes."""


@dataclass(frozen=True)
class PreparationDisturbed:
    """Measurements before the rounds that were disturbed in every attempt."""

    calibrations: int
    """Of an arm, a scenario and a number of users."""
    ceilings: tuple[str, ...]
    """Scenarios in which the generator's maximum rate is not known for sure."""
    faults: tuple[Fault, ...]
    """Of the last attempts, one per kind."""


@dataclass(frozen=True)
class ThreadsOverruled:
    """Arms whose app sets the thread limit itself."""

    arms: tuple[tuple[str, int | None, int], ...]
    """Name, threads in force (None: without a limit), threads asked for."""


@dataclass(frozen=True)
class AnswersCutOff:
    """Scenarios whose answers could be compared in part only, before load."""

    scenarios: tuple[str, ...]


@dataclass(frozen=True)
class AnswersByOrder:
    """Arms answer by what other arms were asked before: they share state."""

    endpoints: tuple[str, ...]
    """Of scenarios, as `scenario: endpoint`."""


@dataclass(frozen=True)
class SharedCpus:
    """Server and generator could not be bound to CPUs of their own."""


@dataclass(frozen=True)
class GeneratorHeldUp:
    """Cells in which servers with every CPU held the generator up, and were measured again with their own."""

    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class ThresholdsSkipped:
    """Thresholds of arms or scenarios that exist, and are not in this run."""

    keys: tuple[str, ...]


Caveat = (
    RunInterrupted
    | ExternalServers
    | LoadFromElsewhere
    | HandsWorkOn
    | WorkersBeside
    | AheadUnobserved
    | HeavyClient
    | ManyNames
    | FewRounds
    | OneByOne
    | LoadsNotHeeded
    | RowsApart
    | DatabaseUsed
    | NoProcessFigures
    | PreparationDisturbed
    | ThreadsOverruled
    | AnswersCutOff
    | AnswersByOrder
    | ThresholdsSkipped
    | SharedCpus
    | GeneratorHeldUp
)


def caveats(run: Run, found: Sequence[Verdict]) -> list[Caveat]:
    """The most severe first."""
    seen: list[Caveat] = []
    if not run.complete:
        seen.append(RunInterrupted())
    if run.workers:
        seen.append(LoadFromElsewhere(tuple(Counter(one.host for one in run.workers).items())))
    seen += [*external_servers(run), *unobserved_work(run, found), *heavy_clients(run, found)]
    seen += [
        *few_rounds(found),
        *one_by_one(run),
        *many_names(run),
        *loads_not_heeded(run.plan),
        *rows_apart(run),
    ]
    twins = any(map(is_twin, run.plan.arms)) and run.plan.locustfile is None
    if twins and any(DATABASE.match(cell.scenario) for cell in run.plan.cells):
        seen.append(DatabaseUsed(run.plan.database))
    if run.trials and all(trial.resources.host_steal is None for trial in run.trials):
        seen.append(NoProcessFigures())
    seen += preparation_disturbed(run)
    seen += threads_overruled(run)
    if run.answers is not None and run.answers.cut:
        seen.append(AnswersCutOff(run.answers.cut))
    if run.answers is not None and run.answers.by_order:
        seen.append(AnswersByOrder(run.answers.by_order))
    elsewhere = tuple(skipped(run.plan))
    if elsewhere:
        seen.append(ThresholdsSkipped(elsewhere))
    if not run.machine.placement:
        seen.append(SharedCpus())
    return [*seen, *generator_held_up(run)]


def generator_held_up(run: Run) -> list[Caveat]:
    """The cells whose servers no longer have the CPUs that they had first."""
    cells = dict.fromkeys(
        trial.cell
        for trial in run.trials
        if run.cpus_of(trial).shared and not run.server_cpus(trial.cell).shared
    )
    return [GeneratorHeldUp(tuple(cells))] if cells else []


def threads_overruled(run: Run) -> list[Caveat]:
    """Arms that run with another number of threads than they ask for."""
    arms = tuple(
        (arm.name, run.in_force[arm.name].threads, arm.serving.threads)
        for arm in run.plan.arms
        if arm.name in run.in_force and run.threads(arm.name) != arm.serving.threads
    )
    return [ThreadsOverruled(arms)] if arms else []


def loads_not_heeded(plan: Plan) -> list[LoadsNotHeeded]:
    """What a locustfile asks for and did not get."""
    ignored = plan.locustfile.ignored if plan.locustfile is not None else ()
    return [LoadsNotHeeded(ignored)] if ignored else []


def rows_apart(run: Run) -> list[Caveat]:
    """By scenario, the rows that are no requests."""
    covering: dict[str, set[str]] = {}
    untimed: dict[str, Counter[str]] = {}
    for trial in run.trials:
        if trial.covering or trial.untimed:
            covering.setdefault(trial.cell.scenario, set()).update(trial.covering)
            untimed.setdefault(trial.cell.scenario, Counter()).update(trial.untimed)
    return [
        RowsApart(scenario, tuple(sorted(names)), tuple(sorted(untimed[scenario].items())))
        for scenario, names in covering.items()
    ]


def preparation_disturbed(run: Run) -> list[Caveat]:
    """Calibrations and ceilings of which no attempt was undisturbed."""
    last = {(one.arm, one.scenario, one.users): one for one in run.calibrations}
    calibrations = [one for one in last.values() if one.faults]
    by_scenario: dict[str, list[Ceiling]] = {}
    for one in run.ceilings:
        by_scenario.setdefault(one.scenario, []).append(one)
    ceilings = [of[-1] for of in by_scenario.values() if all(one.faults for one in of)]
    disturbed: list[Calibration | Ceiling] = [*calibrations, *ceilings]
    faults = {fault.kind: fault for one in disturbed for fault in one.faults}
    if not faults:
        return []
    scenarios = tuple(one.scenario for one in ceilings)
    return [PreparationDisturbed(len(calibrations), scenarios, tuple(faults.values()))]


def few_rounds(found: Sequence[Verdict]) -> list[Caveat]:
    """Verdicts on fewer than six rounds."""
    settled = ("faster", "slower", "equivalent")
    rounds = [one.n for one in found if one.primary and one.verdict in settled and one.n < ENOUGH]
    return [FewRounds(min(rounds), unseen(min(rounds)), ENOUGH)] if rounds else []


def one_by_one(run: Run) -> list[Caveat]:
    """By reason, the cells whose arms were not measured beside one another."""
    cells: dict[Apart, dict[Cell, None]] = {}
    for trial in run.trials:
        if trial.apart is not None and trial.apart != "earlier":
            cells.setdefault(trial.apart, {})[trial.cell] = None
    return [OneByOne(why, tuple(found)) for why, found in cells.items()] if not run.plan.alone else []


def many_names(run: Run) -> list[Caveat]:
    """Scenarios whose requests were grouped."""
    most: dict[str, Trial] = {}
    for trial in run.trials:
        scenario = trial.cell.scenario
        if (trial.names or 0) > (most[scenario].names or 0 if scenario in most else 0):
            most[scenario] = trial
    return [ManyNames(name, one.names or 0, one.endpoints) for name, one in most.items()]


def workers_beside(run: Run) -> tuple[tuple[str, float], ...]:
    """The arms that have workers, and how many CPUs these kept busy, see `WorkersBeside`."""
    used: dict[tuple[str, Cell], list[float]] = {}
    for trial in run.trials:
        if trial.resources.worker_cpu is not None:
            used.setdefault((trial.arm, trial.cell), []).append(trial.resources.worker_cpu / trial.window)
    each = {
        arm.name: [median(several) for (mine, _), several in used.items() if mine == arm.name]
        for arm in run.plan.arms
    }
    return tuple((arm, max(cells)) for arm, cells in each.items() if cells)


def external_servers(run: Run) -> list[Caveat]:
    """Arms given by their address."""
    hosts = tuple((arm.name, urlsplit(arm.url).netloc) for arm in run.plan.arms if arm.url is not None)
    return [ExternalServers(hosts)] if hosts else []


def unobserved_work(run: Run, found: Sequence[Verdict]) -> list[Caveat]:
    """Where there is a reason to suspect that work piles up and was not observed."""
    beside = workers_beside(run)
    # The jobs of the twins are counted.
    counted = {arm.name for arm in run.plan.arms if run.plan.redis and is_twin(arm)}
    packages = tuple(
        (arm, package)
        for arm, several in run.task_queues.items()
        for package in several
        if arm not in counted
    )
    seen: list[Caveat] = [HandsWorkOn(packages)] if packages else []
    seen += [WorkersBeside(beside)] if beside else []
    external = {arm.name for arm in run.plan.arms if arm.url is not None}
    factors: dict[str, float] = {}
    for verdict in found:
        if not verdict.primary or verdict.verdict not in ("faster", "slower") or verdict.ratio is None:
            continue
        arm = verdict.arm if verdict.verdict == "faster" else verdict.reference
        trials = run.of(verdict.cell, arm)
        if arm in external and all(trial.resources.settling is None for trial in trials):
            factor = max(verdict.ratio, 1.0 / verdict.ratio)
            factors[arm] = max(factor, factors.get(arm, FAR))
    return [*seen, *(AheadUnobserved(arm, factor) for arm, factor in factors.items() if factor > FAR)]


def heavy_clients(run: Run, found: Sequence[Verdict]) -> list[Caveat]:
    """Scenarios whose client is expensive enough to matter, each with its highest cost."""
    highest: dict[str, tuple[float, float, str]] = {}
    for verdict in found:
        if not verdict.primary or verdict.metric != "throughput":
            continue
        for arm, throughput in verdict.values.items():
            trials = [trial for trial in run.of(verdict.cell, arm) if trial.valid]
            if not trials or not throughput:
                continue
            share = median(trial.resources.generator_cpu / trial.window for trial in trials)
            client = trials[-1].client
            if share >= SHARE and client is not None and client != LEAN:
                known = highest.get(verdict.cell.scenario, (0.0, 0.0, client))
                highest[verdict.cell.scenario] = max(known, (share / throughput, share, client))
    return [HeavyClient(scenario, client, cost, share) for scenario, (cost, share, client) in highest.items()]
