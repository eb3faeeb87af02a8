"""What a reader must know of a whole run besides its verdicts, each with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from urllib.parse import urlsplit

from loadtests.records import Run
from reports.catalogue import DATABASE, is_twin
from reports.verdicts import Verdict

WHICH_DATABASE = {
    "sqlite": (
        "the database was SQLite, whose asynchronous driver is a thread per connection: verdicts on database "
        "endpoints do not carry over to PostgreSQL (see --database)"
    ),
    "postgresql": (
        "PostgreSQL ran on this machine beside the load generator: a server of its own, farther away, would "
        "make the waiting longer for both styles"
    ),
}

LEAN = "LeanUser"
SHARE = 0.20
"""Part of the generator's core from which on the work of Locust's own clients shows in what they measure:
FastHttpUser adds milliseconds to a p99 at 22 %."""


def caveats(run: Run, found: Sequence[Verdict]) -> list[str]:
    """Sentences, the gravest first."""
    lines = []
    if not run.complete:
        lines.append("this run was interrupted: what is shown rests on its finished rounds")
    lines += [*elsewhere(run), *heavy_clients(run, found)]
    twins = any(map(is_twin, run.plan.arms)) and run.plan.scenarios is None
    if twins and any(DATABASE.match(cell.scenario) for cell in run.plan.cells):
        lines.append(WHICH_DATABASE[run.plan.database])
    if run.trials and all(trial.vitals.host_steal is None for trial in run.trials):
        lines.append(
            "this platform does not show its processes (/proc, on Linux): the servers' CPU time and memory "
            "are not known, fewer bottlenecks can be told, and nobody saw whether the machine was quiet"
        )
    if not run.machine.placement:
        lines.append(
            "server and generator shared their CPUs, since processes cannot be bound to CPUs here: "
            "use a Linux machine with two cores or more"
        )
    return lines


def elsewhere(run: Run) -> list[str]:
    """What is not known of servers that somebody else runs."""
    arms = [arm for arm in run.plan.arms if arm.url is not None]
    if not arms:
        return []
    names = " and ".join(f"{arm.name} ({urlsplit(arm.url or '').netloc})" for arm in arms)
    return [
        f"{names}: servers that ran already, the same process in every round, on CPUs of their own choice: "
        "what differs from one start to the next is not in the intervals, and two equal servers may be told "
        "apart; name the app (NAME=module:attribute) to have it started anew for every trial"
    ]


def heavy_clients(run: Run, found: Sequence[Verdict]) -> list[str]:
    """Scenarios whose client costs enough to show, the dearest figure of each."""
    dearest: dict[str, tuple[float, float, str]] = {}
    for verdict in found:
        if not verdict.primary or verdict.metric != "throughput":
            continue
        for arm, throughput in verdict.values.items():
            trials = [trial for trial in run.of(verdict.cell, arm) if not trial.invalid]
            if not trials or not throughput:
                continue
            share = median(trial.vitals.generator_cpu / trial.window for trial in trials)
            client = trials[-1].client
            if share >= SHARE and client is not None and client != LEAN:
                known = dearest.get(verdict.cell.scenario, (0.0, 0.0, client))
                dearest[verdict.cell.scenario] = max(known, (share / throughput, share, client))
    return [
        f"{scenario}: its {client} takes {cost * 1e6:.0f} µs a request, {share:.0%} of the generator's core, "
        "which makes latencies longer than they are and arms more alike: use LeanUser of loadtests.client"
        for scenario, (cost, share, client) in dearest.items()
    ]
