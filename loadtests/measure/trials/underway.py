"""A trial while it is measured: its slices, one after another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.measure.bench import Bench
from loadtests.measure.generator import SLACK, expect
from loadtests.measure.trials.slices import HEAD, HEAD_TURNS, SLICE_TURNS, Stint
from loadtests.measure.trials.turns import turns
from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell
from loadtests.plan.plan import Plan
from loadtests.plan.request import TrialRequest
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.trial import JobsLeft, Resources, SampledKind, TrialFiles
from loadtests.serving.server import Target
from loadtests.system import accounting
from loadtests.system.placement import Placement
from loadtests.system.settling import ENOUGH, clock_of, footprint, settle

MOST_WAITING = 2_000
"""Requests of an open loop that may wait at once; further ones are dropped, and count as failed."""


@dataclass(frozen=True)
class TrialTask:
    """One attempt at one arm's part in a round of a cell."""

    number: int
    """The trial's number in its run, from 1."""
    cell: Cell
    arm: Arm
    round: int
    """Counted from 0."""
    place: int
    """The arm's place in the round's order, from 0."""
    attempt: int
    """Counted from 1."""
    turn: float = 0.0
    """See `turns`."""
    enough: float = ENOUGH
    """CPU seconds of work after its last response for which its server is observed."""
    placement: Placement | None = None
    """Where the servers of its round run; None: where those of its environment do."""
    waiting: int = MOST_WAITING
    """Requests of an open loop that may wait at once."""

    @property
    def cpus(self) -> tuple[int, ...] | None:
        """Those of its server, as a trial's record has them."""
        if self.placement is None or self.arm.url is not None:
            return None
        return tuple(self.placement.get("server", ()))


@dataclass(frozen=True)
class LoadedSlice:
    """What was seen of one slice."""

    opened: float
    """When its window opened, on perf_counter's clock."""
    facts: Mapping[str, Any]
    """What the generator reports besides the samples: `arrays` are the files that it has written."""
    resources: Resources
    files: Mapping[str, str]
    """The paths of the array files, as `arrays` names them."""
    held: Sequence[Mapping[str, Any]]
    """What each worker's watchdog saw in the window."""


class TrialUnderway:
    """An arm's part in a round: its server, and the slices that are done."""

    def __init__(self, task: TrialTask, plan: Plan, bench: Bench, directory: Path, server: Target) -> None:
        """`directory`: the run's."""
        self.task, self.plan, self.bench, self.directory = task, plan, bench, directory
        self.server = server
        self.began = now()
        self.done: list[LoadedSlice] = []

    def load(self, stint: Stint) -> None:
        """One slice. Raises ChildFailed."""
        request = self.request(stint)
        self.done.append(load(self.server, request, self.bench, self.task.enough))

    @property
    def rests(self) -> bool:
        """Whether the server does nothing after its last slice, as far as that is known."""
        last = self.done[-1]
        settling = last.resources.settling
        return last.facts["drain"] < self.plan.drain and (settling is None or settling.rested)

    def heartbeats(self) -> Heartbeats:
        """What the server reports of all slices."""
        first = self.done[0].opened
        return Heartbeats.of(self.server.heartbeats(first), first)

    def request(self, stint: Stint) -> TrialRequest:
        """What the generator is asked to do for a slice."""
        cell, plan, bench, number = self.task.cell, self.plan, self.bench, len(self.done)
        users = cell.load.users or min(self.task.waiting, bench.connections or MOST_WAITING)
        paced = turns(self.task.turn, users, bench.pause(cell.scenario, self.task.turn))
        part = max(SLICE_TURNS, math.ceil(paced.window * stint.part))
        return TrialRequest(
            host=self.server.url,
            scenario=cell.scenario,
            users=users,
            turn=paced.seconds,
            rate=cell.load.rate,
            arrivals=cell.load.arrivals,
            warmup=plan.warmup if stint.first else min(plan.warmup, HEAD),
            warmup_turns=paced.warmup if stint.first else max(paced.warmup, HEAD_TURNS),
            window=plan.window * stint.part,
            window_turns=paced.window if stint.whole else part,
            longest=plan.longest,
            drain=plan.drain,
            seed=plan.trial_seed(cell, self.task.round) + number,
            names=f"{plan.seed}/{self.task.number}" + (f".{number}" if number else ""),
            samples=self.file("samples", stint),
            canary=self.file("canary", stint) if has_canary(plan, cell) else None,
            pauses=not plan.no_think,
            pulse=self.file("pulse", stint) if has_pulse(self.server, cell) else None,
            pulse_path=self.server.pulse,
            **bench.names.of(cell.scenario),
        )

    def file(self, kind: SampledKind, stint: Stint) -> str:
        """Where the generator writes: to the trial's own file, unless several slices will be joined in it."""
        if stint.whole:
            return str(self.directory / getattr(TrialFiles.of(self.task.number), kind))
        scratch = self.bench.environment.scratch
        return str(scratch / f"{self.task.number}-{len(self.done)}.{kind}.npz")


def now() -> str:
    """Wall clock, as records have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def has_canary(plan: Plan, cell: Cell) -> bool:
    """Whether a canary runs beside a cell's load: not beside one user, whose throughput it would share, nor
    beside requests for the same path."""
    return plan.canary is not None and cell.load.users != 1 and f"/{cell.scenario}" != plan.canary


def has_pulse(server: Target, cell: Cell) -> bool:
    """Whether the pulse of a server runs beside a cell's load: not beside one user, as the canary."""
    return server.pulse is not None and cell.load.users != 1


def load(server: Target, request: TrialRequest, bench: Bench, enough: float) -> LoadedSlice:
    """Have the generator load a server, and read clocks around the window; then wait for the server to come
    to rest, or to work for `enough` CPU seconds. Raises ChildFailed."""
    workers = server.workers
    clocks = bench.clocks.beside(workers.pids)
    before, watch = footprint(server.pid), accounting.Watch(clocks, server.pid)
    patience = request.warmup + request.window + request.drain + SLACK
    with workers.working():
        bench.generator.send(asdict(request))
        opened = expect(bench.generator, "opened", patience)["at"]
        watch.open()
        waiting = workers.unfinished()
        closed = expect(bench.generator, "closed", patience)["at"]
        use, end = watch.close(), footprint(server.pid)
        left = workers.unfinished()
        expect(bench.generator, "drained", patience)
        settling, after = settle(clock_of(server.pid), enough), footprint(server.pid)
    held = server.held(opened, closed)
    facts = expect(bench.generator, "done", patience)
    bench.names.note(request.scenario, facts)
    resources = Resources(
        server_cpu=use.server_cpu,
        server_rss=end.rss if end else None,
        server_threads=end.threads if end else None,
        server_children=end.children if end else None,
        worker_cpu=sum(use.ours[pid] for pid in workers.pids) if workers.pids else None,
        jobs=JobsLeft(opened=waiting, closed=left) if waiting is not None and left is not None else None,
        before=before,
        after=after,
        settling=settling,
        generator_cpu=facts["generator_cpu"],
        generator_lag=facts["generator_lag"],
        host_steal=use.host_steal,
        host_foreign=use.host_foreign,
    )
    files = {"samples": request.samples, "canary": request.canary or "", "pulse": request.pulse or ""}
    return LoadedSlice(opened, facts, resources, files, held)
