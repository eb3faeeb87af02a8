"""Runs a plan: serve, load, record; saves after every trial.

What the records mean is not known here. Which cells are decided is asked of `decided`, a function
of the run so far that the caller brings.
"""

from __future__ import annotations

import hashlib
import math
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

from loadtests import machine
from loadtests.addresses import check_target
from loadtests.answers import check_equal, fixed_questions
from loadtests.bench import CALIBRATION_USERS, ORDINARY, SLACK, Bench, expect, most_users
from loadtests.circumstances import Circumstances
from loadtests.plan import Arm, Cell, Plan, PlanError, did_you_mean
from loadtests.records import (
    Beats,
    Calibration,
    Run,
    RunDirectory,
    Trial,
    Vitals,
    read_samples,
    write_beats,
    write_delays,
)
from loadtests.servers import Target, serve
from loadtests.turns import turn
from loadtests.validity import faults

MOST_WAITING = 2_000
"""Requests of an open loop that may wait at once; what comes beyond is dropped, and counts as failed."""
TURNS = 5
"""Requests that every user makes in a window at least."""
LONGEST_WINDOW = 10.0
"""Seconds to which the generator stretches a window for that."""
UNHINDERED = 0.5
"""Part of what users would get each by themselves, above which they do not hinder each other much."""
MOST_ATTEMPTS = 3
"""Tries at a trial whose measurement failed."""

Decided = Callable[[Run], set[Cell]]


class Watcher(Protocol):
    """Who looks on. All calls come from the measuring thread, between windows."""

    def waits(self, other: str) -> None: ...

    def prepares(self, arm: Arm) -> None: ...

    def trial_begins(self, run: Run, cell: Cell, arm: Arm, round: int) -> None: ...

    def trial_ends(self, run: Run, trial: Trial) -> None: ...

    def round_ends(self, run: Run, round: int, open_cells: list[Cell], seconds_left: float) -> None: ...


class Silent:
    """A watcher that shows nothing."""

    def waits(self, other: str) -> None: ...

    def prepares(self, arm: Arm) -> None: ...

    def trial_begins(self, run: Run, cell: Cell, arm: Arm, round: int) -> None: ...

    def trial_ends(self, run: Run, trial: Trial) -> None: ...

    def round_ends(self, run: Run, round: int, open_cells: list[Cell], seconds_left: float) -> None: ...


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


def resume(path: Path, deadline: float | None) -> tuple[Run, RunDirectory]:
    """The run at `path`, to be carried on for `deadline` seconds, or as long as it takes: it goes on with the
    first round that is not whole. Raises RecordError, PlanError where it was measured elsewhere."""
    directory = RunDirectory(path)
    run = directory.load()
    here = machine.fingerprint(machine.place(machine.cpus(), run.plan.generators))
    for name in ("cpu", "cores", "python", "packages", "placement"):
        then, now = getattr(run.machine, name), getattr(here, name)
        if then != now:
            raise PlanError(
                f"run {run.id} cannot be carried on here: its {name} was {then}, and is {now}",
                "rounds from two machines do not belong to one run: begin another one",
            )
    check_as_before(run)
    plan = run.plan.model_copy(update={"max_time": deadline, "deadline": deadline})
    return run.model_copy(update={"plan": plan, "complete": False}), directory


def check_as_before(run: Run) -> None:
    """Raises PlanError where what was measured is not there any more, or not the same."""
    hint = "rounds of two different things do not belong to one run: begin another one"
    for arm in run.plan.arms:
        if arm.app_dir is not None and not Path(arm.app_dir).is_dir():
            raise PlanError(f"run {run.id} cannot be carried on: {arm.app_dir} is gone", hint)
    own = run.plan.scenarios
    if own is not None:
        try:
            digest = hashlib.sha256(Path(own.file).read_bytes()).hexdigest()
        except OSError as error:
            raise PlanError(
                f"run {run.id} cannot be carried on: {own.file}: {error.strerror or error}", hint
            ) from None
        if digest != own.digest:
            raise PlanError(f"run {run.id} cannot be carried on: {own.file} has changed", hint)


def carry_out(
    run: Run,
    directory: RunDirectory,
    decided: Decided,
    watcher: Watcher | None = None,
    circumstances: Circumstances = ORDINARY,
) -> Run:
    """Measure the rounds of a run that `begin` made or `resume` found.

    Ends when all cells are decided, at the plan's most rounds, or when no further block of rounds
    fits its time. Interrupted, it leaves the run as it is, marked incomplete, and raises on. Raises
    PlanError, ChildFailed, ArmsDiffer, CannotWrite.
    """
    plan = run.plan
    watcher = watcher or Silent()
    for arm in plan.arms:
        if arm.url is not None:
            check_target(arm.url, circumstances.allow_remote)
    most = machine.allow_connections()
    users = max((cell.load.users or 0) for cell in plan.cells)
    if most is not None and users > most:
        raise PlanError(
            f"{users} users need as many connections, and a process here may hold about {most}",
            "use fewer users (-u), or raise the limit (ulimit -n)",
        )
    with turn(f"run {run.id}", circumstances.wait, watcher.waits), ExitStack() as opening:
        # From here on: what others took is not this run's time.
        began = time.perf_counter()
        bench = opening.enter_context(Bench(directory.logs, circumstances, plan))
        for cell in plan.cells:
            if cell.scenario not in bench.scenarios:
                hint = did_you_mean(cell.scenario, list(bench.scenarios))
                raise PlanError(f"there is no scenario {cell.scenario!r}", hint=hint)
        used = run.machine.model_copy(update={"database": bench.around.database_version})
        calibrations: list[Calibration] = []

        def calibrate(server: Target) -> None:
            watcher.prepares(server.arm)
            calibrations.extend(bench.calibrations(server, plan))

        # A change may answer otherwise than what it is compared with; that is not what a gate is about.
        questions = () if plan.gate else fixed_questions(plan.arms)
        if run.trials:
            # What was known before the first round stays what the rounds are judged by.
            check_equal(plan.arms, bench.around, questions)
        else:
            compared = check_equal(plan.arms, bench.around, questions, calibrate)
            facts = {
                "machine": used,
                "answers_compared": compared,
                "ceilings": bench.ceilings(most_users(plan), plan.seed % 2**31),
                "calibrations": tuple(calibrations),
                "refused": refusals(plan, calibrations),
            }
            run = run.model_copy(update=facts)
        if len(run.refused) == len(plan.cells):
            raise PlanError("; ".join(run.refused.values()))
        return Rounds(run, directory, bench, decided, watcher, began).carry_out()


def has_canary(plan: Plan, cell: Cell) -> bool:
    """Whether a canary sings beside a cell's load: not beside one user, whose throughput it would share,
    nor beside its own like."""
    return plan.canary is not None and cell.load.users != 1 and f"/{cell.scenario}" != plan.canary


def refusals(plan: Plan, calibrations: Sequence[Calibration]) -> dict[str, str]:
    """By their keys, the cells whose users cannot have their turns in the time there is, and why."""
    found = {}
    for cell in plan.cells:
        needs = [window_needed(cell, arm.name, calibrations) for arm in plan.arms]
        needed = max((need for need in needs if need is not None), default=0.0)
        most = max(LONGEST_WINDOW, plan.window)
        trials = plan.min_rounds * len(plan.arms)
        if needed > most:
            found[cell.key] = (
                f"{cell} would need windows of about {needed:.0f} s for {TURNS} requests a user, and "
                f"{most:.0f} s are the most: use fewer users (-u), or -t {math.ceil(needed)}"
            )
        elif needed > plan.window and plan.deadline is not None and needed * trials > plan.deadline:
            found[cell.key] = (
                f"{cell} would need {trials} windows of about {needed:.0f} s, more than the "
                f"{plan.deadline:.0f} s there are: use fewer users (-u), or a longer --max-time"
            )
    return found


def window_needed(cell: Cell, arm: str, calibrations: Sequence[Calibration]) -> float | None:
    """About how many seconds every user of a closed loop needs for its turns; None where that is unknown."""
    seen = {c.users: c for c in calibrations if (c.arm, c.scenario) == (arm, cell.scenario)}
    one, few = (seen.get(users) for users in CALIBRATION_USERS)
    users = cell.load.users
    if users is None or one is None or few is None or one.service_time is None or not few.throughput:
        return None
    # Where forty users do not get nearly forty times what one gets, more will not get more.
    waits = few.throughput * one.service_time > UNHINDERED * few.users
    rate = few.throughput * (max(users, few.users) / few.users if waits else 1.0)
    return TURNS * users / rate


class Rounds:
    """The rounds of one run."""

    def __init__(
        self,
        run: Run,
        directory: RunDirectory,
        bench: Bench,
        decided: Decided,
        watcher: Watcher,
        began: float,
    ) -> None:
        self.run = run
        self.plan = run.plan
        self.directory = directory
        self.bench = bench
        self.decided = decided
        self.watcher = watcher
        self.began = began
        self.preparation = self.elapsed
        """Seconds that went before the first trial."""
        self.before = run
        """What an earlier part of the run left."""

    @property
    def elapsed(self) -> float:
        """Seconds of this part of the run."""
        return time.perf_counter() - self.began

    def carry_out(self) -> Run:
        plan = self.plan
        open_cells = [cell for cell in plan.cells if cell.key not in self.run.refused]
        round = 0
        while open_cells and round < plan.max_rounds:
            # Later blocks are begun only when they can be finished: half a block has no balanced order.
            if round >= plan.min_rounds and round % plan.block == 0 and not self.fits(open_cells, round):
                break
            for cell in plan.shuffled(open_cells, round):
                if self.measured(cell, round):
                    continue
                if self.late and self.run.trials:
                    return self.finished()
                self.measure(cell, round)
            round += 1
            if round >= plan.min_rounds and round % plan.block == 0:
                settled = self.decided(self.run)
                open_cells = [cell for cell in open_cells if cell not in settled]
            if len(self.run.trials) > len(self.before.trials):
                self.watcher.round_ends(self.run, round, open_cells, self.seconds_left(open_cells, round))
        return self.finished()

    def measured(self, cell: Cell, round: int) -> bool:
        """Whether an earlier part of the run has this round of a cell, of all arms, or tried as often as it
        may."""
        for arm in self.plan.arms:
            tried = [trial for trial in self.before.of(cell, arm.name) if trial.round == round]
            if not tried or (tried[-1].invalid and tried[-1].attempt < MOST_ATTEMPTS):
                return False
        return True

    @property
    def late(self) -> bool:
        """Whether the time that was given is over."""
        return self.plan.deadline is not None and self.elapsed >= self.plan.deadline

    def finished(self) -> Run:
        """The run, marked as carried through as far as its plan goes."""
        spent = self.before.elapsed + self.elapsed
        self.run = self.run.model_copy(update={"complete": True, "elapsed": spent})
        self.directory.save(self.run)
        return self.run

    def round_seconds(self, cells: list[Cell]) -> float:
        """What a round of these cells is expected to take, from the trials so far."""
        trials = len(self.run.trials) - len(self.before.trials)
        spent = self.elapsed - self.preparation
        trial = spent / trials if trials else self.plan.trial_seconds()
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
                self.run = self.run.with_trial(trial, self.before.elapsed + self.elapsed)
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
        canary = self.directory.path / f"samples/{number:04d}.canary.npz"
        with serve(arm, bench.around, stream) as server:
            before = server.identity
            others = bench.clocks.census(server.pid)
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
                    "canary": str(canary) if has_canary(plan, cell) else None,
                }
            )
            patience = plan.warmup + plan.window + plan.drain + SLACK
            opened = expect(bench.generator, "opened", patience)["at"]
            start = bench.clocks.read(server.pid)
            expect(bench.generator, "closed", patience)
            use = bench.clocks.between(start, bench.clocks.read(server.pid))
            rss, threads = machine.resources(server.pid)
            foreign = [
                found for found in (use.host_foreign, bench.clocks.foreign_since(others)) if found is not None
            ]
            beats = Beats.of(server.heartbeats(opened), opened)
            facts = expect(bench.generator, "done", patience)
            restarted = server.identity != before
        if len(beats):
            write_beats(self.directory.path / f"samples/{number:04d}.vitals.npz", beats)
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
            restarted=restarted,
            thinks=facts["thinks"],
            client=facts["client"],
            vitals=vitals,
        )
        found = faults(trial, read_samples(samples), self.run.ceilings.get(cell.scenario))
        return trial.model_copy(update={"invalid": found})
