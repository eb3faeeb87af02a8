"""Measures one trial: serve an arm, load it, read the clocks, record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loadtests.measure.bench import Bench
from loadtests.measure.generator import SLACK, expect
from loadtests.measure.turns import turns
from loadtests.measure.validity import faults
from loadtests.plan.arms import Arm
from loadtests.plan.cells import Cell
from loadtests.plan.plan import Plan
from loadtests.plan.request import LONGEST, TrialRequest
from loadtests.records.arrays import read_samples, write_delays, write_heartbeats, write_samples
from loadtests.records.files import writing
from loadtests.records.heartbeats import Heartbeats, LoopHolds
from loadtests.records.samples import Samples
from loadtests.records.trial import (
    ArrayFile,
    Resources,
    ServerEnd,
    Trial,
    TrialArrays,
    TrialFiles,
)
from loadtests.serving.external import DidNotStart
from loadtests.serving.server import Target, serve
from loadtests.system import accounting
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


@dataclass(frozen=True)
class Observed:
    """What was seen of a trial while its server was up."""

    boot: float
    """Seconds until the server answered."""
    facts: Mapping[str, Any]
    """What the generator reports besides the samples: `arrays` are the files that it has written."""
    resources: Resources
    beats: Heartbeats
    ended: ServerEnd | None
    """How the server ended, if it did."""
    held: LoopHolds | None = None
    """What held its event loops; None where that is not known."""


def measure_trial(
    task: TrialTask,
    plan: Plan,
    bench: Bench,
    directory: Path,
    ceiling: float | None,
    turn: float,
    enough: float = ENOUGH,
) -> Trial:
    """Measure one trial, leave its arrays in the run's `directory`, and judge whether it counts. `ceiling`:
    the generator's best rate on this scenario, see `faults`; `turn`: see `turns`; `enough`: CPU
    seconds of work after its last response for which a server is observed.

    A server that does not start, or ends under load, is a result of its arm: each arm was served before the
    rounds. Raises ChildFailed, CannotWrite."""
    files = TrialFiles.of(task.number)
    began = datetime.now(UTC).isoformat(timespec="milliseconds")
    # The part before the dot seeds the slow service's delays: the same for all arms of a round.
    stream = f"{plan.trial_seed(task.cell, task.round)}.{task.number}"
    try:
        server = serve(task.arm, bench.environment, stream)
    except DidNotStart as failure:
        return unserved(task, plan, began, directory, failure.end)
    with server:
        request = trial_request(task, plan, bench, server.url, directory, turn)
        observed = load(server, request, bench, enough)
    kept = keep(directory, files, observed.beats, bench.environment.delays_given(stream))
    trial = recorded(task, began, observed, {**observed.facts["arrays"], **kept})
    samples = trial.requests(read_samples(directory / files.samples, trial.arrays.samples))
    found = faults(trial, samples, ceiling)
    return trial.model_copy(update={"faults": found})


def unserved(task: TrialTask, plan: Plan, began: str, directory: Path, end: ServerEnd) -> Trial:
    """The trial of a server that did not start, without requests. Raises CannotWrite."""
    with writing(directory / TrialFiles.of(task.number).samples) as path:
        samples = write_samples(path, Samples.none())
    nothing: dict[str, Any] = {
        "warmup": 0.0, "window": plan.window, "drain": 0.0, "endpoints": (), "errors": (), "thinks": False,
        "client": None, "left": 0, "parallel": False, "covering": (), "untimed": {}, "names": None,
    }  # fmt: skip
    if task.cell.load.rate is not None:
        nothing |= {"arrivals": 0, "dropped": 0}
    observed = Observed(0.0, nothing, Resources(generator_cpu=0.0), Heartbeats.of([], 0.0), end)
    return recorded(task, began, observed, {"samples": samples})


def trial_request(
    task: TrialTask, plan: Plan, bench: Bench, host: str, directory: Path, turn: float
) -> TrialRequest:
    """What the generator is asked to do for a trial."""
    cell, files = task.cell, TrialFiles.of(task.number)
    users = cell.load.users or min(MOST_WAITING, bench.connections or MOST_WAITING)
    paced = turns(turn, users, bench.pause(cell.scenario))
    return TrialRequest(
        host=host,
        scenario=cell.scenario,
        users=users,
        turn=paced.seconds,
        rate=cell.load.rate,
        arrivals=cell.load.arrivals,
        warmup=plan.warmup,
        warmup_turns=paced.warmup,
        window=plan.window,
        window_turns=paced.window,
        longest=LONGEST,
        drain=plan.drain,
        seed=plan.trial_seed(cell, task.round),
        names=f"{plan.seed}/{task.number}",
        samples=str(directory / files.samples),
        canary=str(directory / files.canary) if has_canary(plan, cell) else None,
        pauses=not plan.no_think,
        **bench.names.of(cell.scenario),
    )


def has_canary(plan: Plan, cell: Cell) -> bool:
    """Whether a canary runs beside a cell's load: not beside one user, whose throughput it would share, nor
    beside requests for the same path."""
    return plan.canary is not None and cell.load.users != 1 and f"/{cell.scenario}" != plan.canary


def load(server: Target, request: TrialRequest, bench: Bench, enough: float) -> Observed:
    """Have the generator load a server, and read clocks and heartbeats around the window; then wait for the
    server to come to rest, or to work for `enough` CPU seconds. Raises ChildFailed."""
    before, watch = footprint(server.pid), accounting.Watch(bench.clocks, server.pid)
    bench.generator.send(asdict(request))
    patience = request.warmup + request.window + request.drain + SLACK
    opened = expect(bench.generator, "opened", patience)["at"]
    watch.open()
    closed = expect(bench.generator, "closed", patience)["at"]
    use, end = watch.close(), footprint(server.pid)
    expect(bench.generator, "drained", patience)
    settling, after = settle(clock_of(server.pid), enough), footprint(server.pid)
    beats = Heartbeats.of(server.heartbeats(opened), opened)
    held = LoopHolds.of(server.held(opened, closed))
    facts = expect(bench.generator, "done", patience)
    bench.names.note(request.scenario, facts)
    resources = Resources(
        server_cpu=use.server_cpu,
        server_rss=end.rss if end else None,
        server_threads=end.threads if end else None,
        server_children=end.children if end else None,
        before=before,
        after=after,
        settling=settling,
        generator_cpu=facts["generator_cpu"],
        generator_lag=facts["generator_lag"],
        host_steal=use.host_steal,
        host_foreign=use.host_foreign,
    )
    return Observed(server.boot, facts, resources, beats, server.ended(), held)


def keep(
    directory: Path, files: TrialFiles, beats: Heartbeats, delays: Sequence[float]
) -> dict[str, ArrayFile]:
    """Save what the server and the slow service reported, if anything. Raises CannotWrite."""
    kept = {}
    if len(beats):
        kept["heartbeats"] = write_heartbeats(directory / files.heartbeats, beats)
    if delays:
        kept["delays"] = write_delays(directory / files.delays, delays)
    return kept


def recorded(task: TrialTask, began: str, observed: Observed, arrays: Mapping[str, Any]) -> Trial:
    """The trial as it is recorded, not judged yet. `arrays`: its files, as TrialArrays has them."""
    facts = observed.facts
    return Trial(
        number=task.number,
        round=task.round,
        place=task.place,
        attempt=task.attempt,
        cell=task.cell,
        arm=task.arm.name,
        began=began,
        boot=observed.boot,
        warmup=facts["warmup"],
        window=facts["window"],
        drain=facts["drain"],
        tail=facts.get("tail"),
        endpoints=tuple(facts["endpoints"]),
        names=facts["names"],
        errors=tuple(facts["errors"]),
        arrivals=facts.get("arrivals"),
        dropped=facts.get("dropped"),
        lost=facts.get("lost", 0),
        ended=observed.ended,
        resent=facts.get("resent"),
        thinks=facts["thinks"],
        left=facts["left"],
        parallel=facts["parallel"],
        covering=tuple(facts["covering"]),
        untimed=facts["untimed"],
        client=facts["client"],
        held=observed.held,
        resources=observed.resources,
        arrays=TrialArrays.model_validate(arrays),
    )
