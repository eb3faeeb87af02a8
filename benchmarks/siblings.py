"""What an idle sibling costs the arm under load, and whether short slices tell what long windows do.

`python -m benchmarks.siblings idle`: one arm is loaded without a pause, while the server of the other one
stands idle and is stopped and continued (SIGSTOP, SIGCONT) every fifth of a second, in random order within a
pair. Target: the throughput beside an idle sibling is less than 1% lower, by a one-sided 95% bound.

`python -m benchmarks.siblings bias [ROUNDS]`: eight cells, each measured both ways: paired in slices, and
one arm after another in long windows. Targets: each ratio known to ±3%, and the two within 4%; of the
eight differences, no sign beyond chance.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from random import Random
from threading import Thread
from time import perf_counter, sleep
from typing import Any

import numpy as np
from scipy.special import stdtrit
from scipy.stats import binomtest

from benchmarks.duels import RUNS, write_figures
from loadtests.measure.bench import Bench
from loadtests.measure.rounds import carry_out
from loadtests.measure.runs import begin
from loadtests.plan.arms import BUILT_IN
from loadtests.plan.cells import Cell, Load
from loadtests.plan.options import Hooks, RunOptions
from loadtests.plan.plan import Plan
from loadtests.serving.server import serve
from loadtests.system.fingerprint import fingerprint
from reports.analysis.readings import Readings
from reports.analysis.verdicts import verdicts

ARMS = ("sync", "async")
USERS = 64
TURN = 0.2
"""Seconds for which the sibling lives, or is stopped."""
SECONDS = 120.0
COST = 0.01
CELLS = ("ping", "posts.read", "posts.create", "upstream", "fan-out", "python", "background", "blocking")
KNOWN, APART = 0.03, 0.04
ROUNDS = 12
LONG_WINDOW = 5.0


def plan(scenarios: Sequence[str], window: float, rounds: int = ROUNDS) -> Plan:
    return Plan(
        profile="benchmark", seed=1, arms=(BUILT_IN["sync"], BUILT_IN["async"]),
        cells=tuple(Cell(scenario=scenario, load=Load(users=USERS)) for scenario in scenarios),
        canary="/ping", warmup=0.4, window=window, min_rounds=rounds, max_rounds=rounds,
    )  # fmt: skip


def toggle(pid: int, until: float, moments: list[tuple[float, bool]]) -> None:
    """Stop and continue a process, and note when; it lives in the end."""
    random = Random(1)
    while perf_counter() < until:
        for lives in random.sample((False, True), 2):
            os.kill(pid, signal.SIGCONT if lives else signal.SIGSTOP)
            moments.append((perf_counter(), lives))
            sleep(TURN)
    os.kill(pid, signal.SIGCONT)


def lost(scenario: str, loaded: str, idle: str) -> tuple[float, float, int]:
    """The fraction of throughput that is lost beside an idle sibling, its bound, and from how many pairs."""
    with tempfile.TemporaryDirectory() as logs, Bench(Path(logs), plan=plan([scenario], 1.0)) as bench:
        environment, moments = bench.environment, list[tuple[float, bool]]()
        with (
            serve(BUILT_IN[loaded], environment, "1.1") as server,
            serve(BUILT_IN[idle], environment, "1.2") as sibling,
        ):
            if sibling.pid is None:
                raise RuntimeError("the sibling's process is not known")
            until = perf_counter() + SECONDS
            thread = Thread(target=partial(toggle, sibling.pid, until, moments))
            request = bench.request(
                server.url, server.pulse, scenario, USERS, 1, warmup=1.0, warmup_turns=3,
                window=SECONDS - 2.0, window_turns=5, longest=0.0, drain=5.0,
            )  # fmt: skip
            thread.start()
            try:
                probe = bench.probe(request, server.pid)
            finally:
                thread.join()
    ends = np.sort(probe.opened + probe.samples.end[probe.samples.ok])
    rates: dict[bool, list[float]] = {False: [], True: []}
    for (began, lives), (ended, _) in pairwise(moments):
        if began > probe.opened and ended < probe.opened + probe.window:
            found = np.searchsorted(ends, ended) - np.searchsorted(ends, began)
            rates[lives].append(float(found) / (ended - began))
    pairs = min(map(len, rates.values()))
    logs_of = [np.log(rates[lives][:pairs]) for lives in (False, True)]
    differences = logs_of[0] - logs_of[1]
    error = float(np.std(differences, ddof=1)) / math.sqrt(pairs)
    mean = float(np.mean(differences))
    return 1.0 - math.exp(-mean), 1.0 - math.exp(-mean - float(stdtrit(pairs - 1, 0.95)) * error), pairs


def idle() -> bool:
    met, figures = True, []
    for scenario, loaded, other in product(("ping", "posts.read"), ARMS, ARMS):
        if loaded == other:
            continue
        cost, bound, pairs = lost(scenario, loaded, other)
        met = met and bound < COST
        print(
            f"{scenario}, {loaded} beside idle {other}: {cost:.2%} lost, at most {bound:.2%}, {pairs} pairs"
        )
        figures.append({"scenario": scenario, "loaded": loaded, "lost": cost, "bound": bound, "pairs": pairs})
    write_figures("siblings", fingerprint({}), {"figures": figures})
    return met


def ratios(scenarios: Sequence[str], window: float, rounds: int, options: RunOptions) -> dict[str, Any]:
    """By scenario, the ratio of throughputs and the relative half-width of its interval."""
    run, directory = begin(plan(scenarios, window, rounds), RUNS)
    run = carry_out(run, directory, lambda _: set(), options=options)
    found = {}
    for verdict in verdicts(run, Readings(directory)):
        if verdict.primary and verdict.ratio and verdict.low and verdict.high:
            found[verdict.cell.scenario] = (verdict.ratio, math.sqrt(verdict.high / verdict.low) - 1.0)
    return found


def bias(rounds: int) -> bool:
    # A command before each trial has its server started alone, and measured in one window.
    apart = RunOptions(hooks=Hooks(before_trial=("true",)))
    paired = ratios(CELLS, 1.0, rounds, RunOptions())
    alone = ratios(CELLS, LONG_WINDOW, rounds, apart)
    figures, met, lower = [], True, 0
    for scenario in CELLS:
        if scenario not in paired or scenario not in alone:
            print(f"{scenario}: not measured")
            met = False
            continue
        (short, about), (long, around) = paired[scenario], alone[scenario]
        off = short / long - 1.0
        lower += off < 0.0
        met = met and max(about, around) <= KNOWN and abs(off) <= APART
        print(
            f"{scenario:12} paired ×{short:.3f} ± {about:.1%}, apart ×{long:.3f} ± {around:.1%}: {off:+.1%}"
        )
        figures.append({"scenario": scenario, "paired": short, "apart": long, "off": off})
    chance = binomtest(lower, max(1, len(figures))).pvalue
    print(f"lower in {lower} of {len(figures)}: p = {chance:.2f}")
    write_figures("bias", fingerprint({}), {"figures": figures})
    return met and chance > 0.05


def main() -> None:
    what, *numbers = sys.argv[1:] or ["idle"]
    met = idle() if what == "idle" else bias(int(numbers[0]) if numbers else ROUNDS)
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
