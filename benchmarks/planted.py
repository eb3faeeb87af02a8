"""Whether each planted bottleneck is named first, five times out of five: `make bars-long`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.duels import RUNS, write
from loadtests.measure.rounds import carry_out
from loadtests.measure.runs import begin
from loadtests.plan.arms import BUILT_IN, Arm, Serving
from loadtests.plan.cells import Cell, Load
from loadtests.plan.plan import CalibrationTimes, Plan
from loadtests.records.run import Run
from loadtests.system.placement import cpus, place
from loadtests.system.processes import ROOT
from reports.advice.explanations import Explanations
from reports.analysis.readings import Readings
from reports.wording.bottlenecks import evidence_text

TIMES = 5
CALIBRATION = CalibrationTimes()
APPS = str(ROOT / "tests" / "apps")
SPIN = """
import os, subprocess, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
work = "import time\\nuntil = time.monotonic() + 300\\nwhile time.monotonic() < until: pass"
words = [sys.executable, "-c", work]
busy = [subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL) for _ in range(9)]
print(*[process.pid for process in busy], flush=True)
os._exit(0)
"""


@dataclass(frozen=True)
class Planted:
    """A planted bottleneck."""

    what: str
    arm: Arm
    scenario: str
    users: int
    names: Sequence[str]
    starved: bool = False


def planted() -> list[Planted]:
    def app(name: str, module: str = "planted") -> Arm:
        return Arm(name=name, app=f"{module}:{name}", app_dir=APPS)

    five = Arm(name="five", app=BUILT_IN["sync"].app, serving=Serving(threads=5))
    return [
        Planted("5 thread tokens instead of 40", five, "sleep", 64, ["thread-tokens"]),
        Planted("a handler that computes, async def", app("spinning_loop"), "ping", 16, ["event-loop"]),
        Planted("a handler that computes, def", app("spinning_threads"), "ping", 16, ["cpu", "gil"]),
        Planted("a handler that blocks its loop", app("blocked_loop"), "ping", 16, ["event-loop"]),
        Planted("SQLite held exclusively", app("locked"), "ping", 64, ["db-lock"]),
        Planted("a pool of one connection", app("one_connection"), "ping", 64, ["db-pool"]),
        Planted("the plain HTTP client", BUILT_IN["async"], "plain-client", 256, ["http-client"]),
        Planted("thread hops that keep users together", app("hopping"), "ping", 32, ["convoys"]),
        Planted("a starved generator", app("counting", "odd"), "ping", 64, ["generator"], starved=True),
    ]


def main() -> None:
    chosen = sys.argv[1:]
    figures, met, run = [], True, None
    for one in planted():
        if chosen and not any(word in one.what for word in chosen):
            continue
        right, said = 0, ""
        for seed in range(TIMES):
            run, found = named(one, seed)
            right += bool(found) and found[0][0] in one.names
            said = "; ".join(f"{name} ({evidence})" for name, evidence in found) or "nothing"
            if not found or found[0][0] not in one.names:
                print(f"  {one.what}: {said}", flush=True)
        met = met and right == TIMES
        print(f"{one.what}: {right} of {TIMES}, last: {said}", flush=True)
        figures.append({"planted": one.what, "named": right, "of": TIMES, "evidence": said})
    if run is not None:
        write("planted", run, {"figures": figures})
    sys.exit(0 if met else 1)


def named(
    one: Planted, seed: int, parent: Path = RUNS, calibration: CalibrationTimes = CALIBRATION
) -> tuple[Run, list[tuple[str, str]]]:
    """The bottlenecks found in one trial, the leading one first."""
    plan = Plan(
        profile="benchmark", seed=seed, arms=(one.arm,),
        cells=(Cell(scenario=one.scenario, load=Load(users=one.users)),), canary="/ping", warmup=0.7,
        window=1.5, min_rounds=1, max_rounds=1, calibration=calibration,
    )  # fmt: skip
    run, directory = begin(plan, parent)
    with starving() if one.starved else nullcontext():
        run = carry_out(run, directory, lambda _: set())
    _, limits = Explanations(run, Readings(directory)).of(plan.cells[0], one.arm.name)
    return run, [(limit.name, evidence_text(limit.evidence)) for limit in limits]


@contextmanager
def starving() -> Iterator[None]:
    """Nine busy processes on the generator's CPU, in their own sessions, since the scheduler divides the CPU
    among sessions first. They are orphans: children of a run are no foreign work."""
    cpu = place(cpus())["generator"][0]
    words = [sys.executable, "-c", SPIN, str(cpu)]
    busy = list(map(int, subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout.split()))
    try:
        yield
    finally:
        for pid in busy:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
