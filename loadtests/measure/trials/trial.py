"""The trials of one attempt at a round: serve the arms, load them in turn, read the clocks, record."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.measure.bench import Bench
from loadtests.measure.trials.joining import Whole, whole
from loadtests.measure.trials.servers import MustBeApart, RoundServers
from loadtests.measure.trials.slices import stints, sweeps
from loadtests.measure.trials.underway import TrialTask, TrialUnderway, now
from loadtests.measure.validity import faults
from loadtests.plan.plan import Plan
from loadtests.records.arrays import read_samples, write_delays, write_heartbeats, write_samples
from loadtests.records.files import writing
from loadtests.records.heartbeats import Heartbeats
from loadtests.records.samples import Samples
from loadtests.records.trial import (
    Apart,
    ArrayFile,
    Resources,
    ServerEnd,
    Trial,
    TrialArrays,
    TrialFiles,
)
from loadtests.serving.external import DidNotStart


def measure_round(
    tasks: Sequence[TrialTask],
    plan: Plan,
    bench: Bench,
    directory: Path,
    ceiling: float | None = None,
    apart: Apart | None = None,
) -> Generator[Trial]:
    """The trials of a round's arms, in the order of their `tasks`, which is that of the arms' first slices;
    their arrays are in the run's `directory`. `ceiling`: the generator's best rate on this scenario, see
    `faults`. `apart`: why the arms are measured one after another, each with its server alone.

    A server that does not start, or ends under load, is a result of its arm: each arm was served before the
    rounds. Raises ChildFailed, CannotWrite, and MustBeApart. To be closed: then the servers stop.
    """
    arms = {task.arm.name: task for task in tasks}
    streams = {task.arm.name: stream(plan, task) for task in tasks}
    turn = max(task.turn for task in tasks)
    order = [task.arm for task in tasks]
    found: dict[str, Trial] = {}
    underway: dict[str, TrialUnderway] = {}
    every, placement = [(arm, streams[arm.name]) for arm in order], tasks[0].placement
    with RoundServers(bench.environment, every, apart, placement) as servers:
        for stint in stints(order, sweeps(plan, tasks[0].cell, turn, apart)):
            name, task = stint.arm.name, arms[stint.arm.name]
            if stint.first:
                try:
                    server = servers.take(stint.arm)
                except DidNotStart as failure:
                    found[name] = unserved(task, plan, directory, failure.end, apart)
                else:
                    if plan.hands_over(task.cell.scenario):
                        server.start_workers()
                    underway[name] = TrialUnderway(task, plan, bench, directory, server)
            if name not in found:
                trial = underway[name]
                trial.load(stint)
                ended = trial.server.ended()
                if stint.last or ended:
                    beats = trial.heartbeats()
                    delays = bench.environment.delays_given(streams[name])
                    found[name] = judged(trial, beats, delays, ended, ceiling, apart)
                    if apart or not trial.rests:
                        # Nothing of it may disturb the next arm.
                        servers.release([name])
                elif not trial.rests:
                    raise MustBeApart("restless")
            while apart and arms and next(iter(arms)) in found:
                yield found[next(iter(arms))]
                del arms[next(iter(arms))]
        servers.release(list(servers.known))
    yield from (found[name] for name in arms)


def stream(plan: Plan, task: TrialTask) -> str:
    """The name of a trial's requests to the slow service. The part before the dot seeds its delays: the same
    for all arms of a round."""
    return f"{plan.trial_seed(task.cell, task.round)}.{task.number}"


def judged(
    trial: TrialUnderway,
    beats: Heartbeats,
    delays: Sequence[float],
    ended: ServerEnd | None,
    ceiling: float | None,
    apart: Apart | None,
) -> Trial:
    """A trial whose server has stopped, recorded and judged. Raises CannotWrite."""
    directory, files = trial.directory, TrialFiles.of(trial.task.number)
    one = whole(trial.done, directory, files)
    kept = keep(directory, files, beats, delays)
    arrays = {**one.facts["arrays"], **kept}
    found = recorded(trial.task, trial.began, trial.server.boot, one, arrays, ended, apart)
    samples = found.requests(read_samples(directory / files.samples, found.arrays.samples))
    return found.model_copy(update={"faults": faults(found, samples, ceiling)})


def unserved(task: TrialTask, plan: Plan, directory: Path, end: ServerEnd, apart: Apart | None) -> Trial:
    """The trial of a server that did not start, without requests. Raises CannotWrite."""
    with writing(directory / TrialFiles.of(task.number).samples) as path:
        samples = write_samples(path, Samples.none())
    nothing: dict[str, Any] = {
        "warmup": 0.0, "window": plan.window, "drain": 0.0, "endpoints": (), "errors": (), "thinks": False,
        "client": None, "left": 0, "parallel": False, "covering": (), "untimed": {}, "names": None,
    }  # fmt: skip
    if task.cell.load.rate is not None:
        nothing |= {"arrivals": 0, "dropped": 0}
    one = Whole(nothing, Resources(generator_cpu=0.0), ())
    return recorded(task, now(), 0.0, one, {"samples": samples}, end, apart)


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


def recorded(
    task: TrialTask, began: str, boot: float, one: Whole, arrays: Mapping[str, Any], ended: ServerEnd | None,
    apart: Apart | None,
) -> Trial:  # fmt: skip
    """The trial as it is recorded, not judged yet. `arrays`: its files, as TrialArrays has them."""
    facts = one.facts
    return Trial(
        number=task.number,
        round=task.round,
        place=task.place,
        attempt=task.attempt,
        apart=apart,
        cell=task.cell,
        arm=task.arm.name,
        cpus=task.cpus,
        began=began,
        boot=boot,
        warmup=facts["warmup"],
        window=facts["window"],
        drain=facts["drain"],
        slices=one.slices,
        tail=facts.get("tail"),
        endpoints=tuple(facts["endpoints"]),
        names=facts["names"],
        errors=tuple(facts["errors"]),
        arrivals=facts.get("arrivals"),
        dropped=facts.get("dropped"),
        lost=facts.get("lost", 0),
        ended=ended,
        resent=facts.get("resent"),
        thinks=facts["thinks"],
        left=facts["left"],
        parallel=facts["parallel"],
        covering=tuple(facts["covering"]),
        untimed=facts["untimed"],
        client=facts["client"],
        held=one.held,
        resources=one.resources,
        arrays=TrialArrays.model_validate(arrays),
    )
