"""Runs a plan: serve, load, record; saves after every trial.

What the records mean is not known here. Which cells are decided is asked of `decided`, a function
of the run so far that the caller brings.
"""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from loadtests import machine
from loadtests.answers import check_equal, fixed_questions
from loadtests.plan import Arm, Cell, Plan, PlanError, did_you_mean
from loadtests.processes import OUR_PACKAGES, Child, ChildFailed
from loadtests.records import Run, RunDirectory, Trial, Vitals, read_samples, write_delays
from loadtests.servers import BOOT_TIMEOUT, Server, Surroundings
from loadtests.validity import faults

MOST_WAITING = 2_000
"""Requests of an open loop that may wait at once; what comes beyond is dropped, and counts as failed."""
CEILING_USERS = 64
CEILING_WINDOW = 0.3
"""Seconds for which the generator shows its best rate, once for every scenario."""
MOST_ATTEMPTS = 3
"""Tries at a trial whose measurement failed."""
SLACK = 90.0
"""Seconds beyond its planned time after which a silent generator is given up."""

Decided = Callable[[Run], set[Cell]]


class Watcher(Protocol):
    """Who looks on. All calls come from the measuring thread, between windows."""

    def trial_begins(self, run: Run, cell: Cell, arm: Arm, round: int) -> None: ...

    def trial_ends(self, run: Run, trial: Trial) -> None: ...

    def round_ends(self, run: Run, round: int, open_cells: list[Cell], seconds_left: float) -> None: ...


class Silent:
    """A watcher that shows nothing."""

    def trial_begins(self, run: Run, cell: Cell, arm: Arm, round: int) -> None: ...

    def trial_ends(self, run: Run, trial: Trial) -> None: ...

    def round_ends(self, run: Run, round: int, open_cells: list[Cell], seconds_left: float) -> None: ...


class Bench:
    """What a run keeps open: the surroundings of its servers, and the generator."""

    def __init__(self, logs: Path, database: str | None = None, generators: int = 1) -> None:
        self.generators = generators
        self.connections = machine.allow_connections()
        self.around = Surroundings(logs, machine.place(machine.cpus(), generators), database)
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self.around)
            self.generator = opening.enter_context(
                generator(self.around.logs, self.around.placement, self.generators)
            )
            self.scenarios: Mapping[str, Any] = self.generator.receive(BOOT_TIMEOUT)["scenarios"]
            self.clocks = machine.Clocks([self.generator.pid, *self.around.pids], self.around.all_known)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def ceilings(self, plan: Plan) -> dict[str, float]:
        """For each scenario of a plan, the requests a second that the generator makes of a server that
        does nothing, with the most users it is planned with."""
        users: dict[str, int] = {}
        for cell in plan.cells:
            users[cell.scenario] = max(users.get(cell.scenario, 0), cell.load.users or CEILING_USERS)
        arguments = ["-m", "loadtests.null_server"]
        if self.around.placement:
            arguments.append(",".join(map(str, self.around.placement["server"])))
        log = self.around.logs / "null-server.log"
        found = {}
        with Child("the null server", arguments, log, env=OUR_PACKAGES) as child:
            host = f"http://127.0.0.1:{child.receive(BOOT_TIMEOUT)['ready']}"
            for scenario, most in users.items():
                samples = self.around.scratch / "ceiling.npz"
                self.generator.send(
                    {
                        "host": host, "scenario": scenario, "users": most, "warmup": 0.2,
                        "window": CEILING_WINDOW, "drain": 1.0, "seed": plan.seed % 2**31,
                        "samples": str(samples), "warmup_turns": 0, "window_turns": 0,
                    }
                )  # fmt: skip
                for event in ("opened", "closed"):
                    expect(self.generator, event, SLACK)
                window = expect(self.generator, "done", SLACK)["window"]
                end = read_samples(samples).end
                found[scenario] = float(((end >= 0.0) & (end < window)).sum()) / window
        return found


def generator(logs: Path, placement: machine.Placement, generators: int = 1) -> Child:
    """The load generator's process, alone or with workers; its first message names its scenarios."""
    alone = generators == 1
    arguments = ["-m", "loadtests.generator"] if alone else ["-m", "loadtests.fleet", str(generators)]
    if placement:
        arguments.append(",".join(map(str, placement["generator"])))
    return Child("the load generator", arguments, logs / "generator.log", env=OUR_PACKAGES)


def known_scenarios() -> Mapping[str, Any]:
    """What the generator can run, by name: whether it writes, and its endpoints with their weights."""
    with tempfile.TemporaryDirectory(prefix="duel-logs-") as logs, generator(Path(logs), {}) as child:
        scenarios: Mapping[str, Any] = child.receive(BOOT_TIMEOUT)["scenarios"]
    return scenarios


def new_run(plan: Plan, placement: machine.Placement) -> Run:
    now = datetime.now(UTC)
    try:
        release = version("fastapi-duel")
    except PackageNotFoundError:
        release = "unknown"
    return Run.model_validate(
        {
            "schema": "duel-run/1",
            "version": release,
            "id": f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            "began": now.isoformat(timespec="seconds"),
            "plan": plan,
            "machine": machine.fingerprint(placement),
        }
    )


def begin(plan: Plan, parent: Path) -> tuple[Run, RunDirectory]:
    """A run of `plan` without trials, in a new directory under `parent`. Raises CannotWrite."""
    run = new_run(plan, machine.place(machine.cpus(), plan.generators))
    directory = RunDirectory.create(parent, run.id)
    directory.save(run)
    return run, directory


def carry_out(
    run: Run,
    directory: RunDirectory,
    decided: Decided,
    watcher: Watcher | None = None,
    database: str | None = None,
) -> Run:
    """Measure the rounds of a run that `begin` made; `database` as Surroundings takes it.

    Ends when all cells are decided, at the plan's most rounds, or when no further block of rounds
    fits its time. Interrupted, it leaves the run as it is, marked incomplete, and raises on. Raises
    PlanError, ChildFailed, ArmsDiffer, CannotWrite.
    """
    plan = run.plan
    most = machine.allow_connections()
    users = max((cell.load.users or 0) for cell in plan.cells)
    if most is not None and users > most:
        raise PlanError(
            f"{users} users need as many connections, and a process here may hold about {most}",
            "use fewer users (-u), or raise the limit (ulimit -n)",
        )
    with Bench(directory.logs, database, plan.generators) as bench:
        for cell in plan.cells:
            if cell.scenario not in bench.scenarios:
                hint = did_you_mean(cell.scenario, list(bench.scenarios))
                raise PlanError(f"there is no scenario {cell.scenario!r}", hint=hint)
        used = run.machine.model_copy(update={"database": bench.around.database_version})
        compared = check_equal(plan.arms, bench.around, fixed_questions(plan.arms))
        facts = {"machine": used, "answers_compared": compared, "ceilings": bench.ceilings(plan)}
        run = run.model_copy(update=facts)
        return Rounds(run, directory, bench, decided, watcher or Silent()).carry_out()


class Rounds:
    """The rounds of one run."""

    def __init__(
        self, run: Run, directory: RunDirectory, bench: Bench, decided: Decided, watcher: Watcher
    ) -> None:
        self.run = run
        self.plan = run.plan
        self.directory = directory
        self.bench = bench
        self.decided = decided
        self.watcher = watcher
        self.began = time.perf_counter()

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self.began

    def carry_out(self) -> Run:
        plan = self.plan
        open_cells = list(plan.cells)
        round = 0
        while open_cells and round < plan.max_rounds:
            # Later blocks are begun only when they can be finished: half a block has no balanced order.
            if round >= plan.min_rounds and round % plan.block == 0 and not self.fits(open_cells, round):
                break
            for cell in plan.shuffled(open_cells, round):
                if self.late:
                    return self.finished()
                self.measure(cell, round)
            round += 1
            if round >= plan.min_rounds and round % plan.block == 0:
                settled = self.decided(self.run)
                open_cells = [cell for cell in open_cells if cell not in settled]
            self.watcher.round_ends(self.run, round, open_cells, self.seconds_left(open_cells, round))
        return self.finished()

    @property
    def late(self) -> bool:
        """Whether the time that was given is over."""
        return self.plan.deadline is not None and self.elapsed >= self.plan.deadline

    def finished(self) -> Run:
        """The run, marked as carried through as far as its plan goes."""
        self.run = self.run.model_copy(update={"complete": True, "elapsed": self.elapsed})
        self.directory.save(self.run)
        return self.run

    def round_seconds(self, cells: list[Cell]) -> float:
        """What a round of these cells is expected to take, from the trials so far."""
        trials = self.run.trials
        trial = self.elapsed / len(trials) if trials else self.plan.trial_seconds()
        return trial * len(cells) * len(self.plan.arms)

    def fits(self, cells: list[Cell], round: int) -> bool:
        """Whether one more block of rounds fits the plan's rounds and time."""
        if round + self.plan.block > self.plan.max_rounds:
            return False
        if self.plan.max_time is None:
            return True
        return self.elapsed + self.round_seconds(cells) * self.plan.block <= self.plan.max_time

    def seconds_left(self, cells: list[Cell], round: int) -> float:
        """An upper estimate of the time still to go."""
        left = self.round_seconds(cells) * max(0, self.plan.max_rounds - round)
        if self.plan.max_time is not None:
            least = self.round_seconds(cells) * max(0, self.plan.min_rounds - round)
            left = max(least, min(left, self.plan.max_time - self.elapsed))
        return max(0.0, left)

    def measure(self, cell: Cell, round: int) -> None:
        """All arms of a cell, back to back; again, in the same order, for those whose measurement failed."""
        for place, arm in enumerate(self.plan.order(cell, round)):
            for attempt in range(1, MOST_ATTEMPTS + 1):
                self.watcher.trial_begins(self.run, cell, arm, round)
                trial = self.attempt(cell, arm, round, place, attempt)
                self.run = self.run.with_trial(trial, self.elapsed)
                # Now, not at the end: whatever happens next, this trial is on disk.
                self.directory.save(self.run)
                self.watcher.trial_ends(self.run, trial)
                if not trial.invalid:
                    break

    def attempt(self, cell: Cell, arm: Arm, round: int, place: int, attempt: int) -> Trial:
        plan, bench = self.plan, self.bench
        number = len(self.run.trials) + 1
        seed = plan.trial_seed(cell, round)
        began = datetime.now(UTC).isoformat(timespec="milliseconds")
        stream = f"{seed}.{number}"
        with Server(arm, bench.around, stream) as server:
            others = bench.clocks.census()
            bench.generator.send(
                {
                    "host": server.url,
                    "scenario": cell.scenario,
                    "users": cell.load.users or min(MOST_WAITING, bench.connections or MOST_WAITING),
                    "rate": cell.load.rate,
                    "arrivals": cell.load.arrivals,
                    "warmup": plan.warmup,
                    "window": plan.window,
                    "drain": plan.drain,
                    "seed": seed,
                    "samples": str(self.directory.path / f"samples/{number:04d}.npz"),
                }
            )
            patience = plan.warmup + plan.window + plan.drain + SLACK
            expect(bench.generator, "opened", patience)
            start = bench.clocks.read(server.child.pid)
            expect(bench.generator, "closed", patience)
            use = bench.clocks.between(start, bench.clocks.read(server.child.pid))
            rss, threads = machine.resources(server.child.pid)
            foreign = [
                found for found in (use.host_foreign, bench.clocks.foreign_since(others)) if found is not None
            ]
            facts = expect(bench.generator, "done", patience)
        write_delays(self.directory.path, number, bench.around.delays_given(stream))
        samples = self.directory.path / f"samples/{number:04d}.npz"
        vitals = Vitals(
            server_cpu=use.server_cpu,
            server_rss=rss,
            server_threads=threads,
            generator_cpu=facts["generator_cpu"],
            generator_lag=facts["generator_lag"],
            host_steal=use.host_steal,
            host_foreign=max(foreign, default=None),
        )
        trial = Trial(
            number=number,
            round=round,
            place=place,
            attempt=attempt,
            cell=cell,
            arm=arm.name,
            began=began,
            boot=server.boot,
            warmup=facts["warmup"],
            window=facts["window"],
            drain=facts["drain"],
            endpoints=tuple(facts["endpoints"]),
            errors=tuple(facts["errors"]),
            arrivals=facts.get("arrivals"),
            dropped=facts.get("dropped"),
            lost=facts.get("lost", 0),
            vitals=vitals,
        )
        found = faults(trial, read_samples(samples), self.run.ceilings.get(cell.scenario))
        return trial.model_copy(update={"invalid": found})


def expect(child: Child, event: str, timeout: float) -> dict[str, Any]:
    """The child's next message, which must be `event`."""
    message = child.receive(timeout)
    if message.get("event") != event:
        raise ChildFailed(
            f"{child.name} said {message.get('event')!r} instead of {event!r}", child.last_words()
        )
    return message
