"""Whether the generator measures latencies and rates correctly: `make bars`.

Targets: p50 and p99 within max(0.3 ms, 2%) of the delays that the server logged, at 10, 100 and 500 users,
and p50 within 5% of wrk's; a rate limiter of 200 requests per second measured as 200 ±1%; a server that
stalls for one second in twenty, at 100 arrivals per second: p99 of the response time within 5% of what
follows from the schedule, while a closed loop does not show the stall; at 1,000 arrivals per second, 99% at
most 2 ms late.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from loadtests.measure.generator import expect, generator, samples_written
from loadtests.plan.arms import Arm
from loadtests.plan.request import LONGEST, WARMUP_TURNS, WINDOW_TURNS, TrialRequest
from loadtests.records.samples import Samples
from loadtests.serving.environment import DIRECT, ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system.fingerprint import fingerprint
from loadtests.system.placement import Placement, cpus, place
from loadtests.system.processes import OWN_BOOT, ROOT, Child

OUT = Path("runs") / "accuracy.json"
LEVELS = ((10, "at_20_ms"), (100, "at_20_ms"), (500, "at_200_ms"))
ROUNDS = 3
WINDOW = 5.0
LIMITER_WINDOW = 20.0
FREEZE_WINDOW = 20.0


@dataclass(frozen=True)
class Figure:
    """One comparison; times in seconds."""

    what: str
    read: float
    truth: float
    tolerance: float

    @property
    def met(self) -> bool:
        return abs(self.read - self.truth) <= self.tolerance

    def __str__(self) -> str:
        word = "met" if self.met else "MISSED"
        return f"{self.what:34}{self.read:12.5f}{self.truth:12.5f}  ± {self.tolerance:.5f}  {word}"


class Bars:
    """The generator, and servers whose true latencies and rates are known, each on its own CPU."""

    def __init__(self, child: Child, around: ServingEnvironment, scratch: Path) -> None:
        self.child = child
        self.around = around
        self.samples = scratch / "samples.npz"

    def load(self, url: str, users: int, window: float, **changes: Any) -> tuple[dict[str, Any], Samples]:
        self.begin(url, users, window, **changes)
        return self.finish()

    def begin(self, url: str, users: int, window: float, **changes: Any) -> None:
        """Load a server until the window opens."""
        request = TrialRequest(
            host=url, scenario="ping", users=users, turn=0.0, rate=None, arrivals=None, warmup=1.0,
            warmup_turns=WARMUP_TURNS, window=window, window_turns=WINDOW_TURNS, longest=LONGEST,
            drain=5.0, seed=1, samples=str(self.samples), canary=None, names="", pauses=True,
            pulse=None, pulse_path=None,
        )  # fmt: skip
        self.child.send(asdict(replace(request, **changes)))
        expect(self.child, "opened", 120)

    def finish(self) -> tuple[dict[str, Any], Samples]:
        for event in ("closed", "drained"):
            expect(self.child, event, 120)
        facts = expect(self.child, "done", 120)
        return facts, samples_written(self.samples, facts)

    def latencies(self, users: int, app: str) -> list[Figure]:
        """Medians over ROUNDS: measured by the generator, logged by the server, measured by wrk."""
        rows = []
        for number in range(ROUNDS):
            arm = Arm(name="delays", app=f"benchmarks.delays:{app}", app_dir=str(ROOT))
            with Server(arm, self.around, "unused") as server:
                facts, samples = self.load(f"{server.url}/{number}.lean", users, WINDOW)
                logged = np.array(fetch(f"{server.url}/{number}.lean/log"))
                theirs = wrk(f"{server.url}/{number}.wrk/ping", users, self.around.placement)
            busy = facts["generator_cpu"] / facts["window"]
            if busy > 0.5:
                print(f"  the generator was at {busy:.0%} of its core: no result at this level")
            mine = samples.service_time[samples.ok]
            rows.append([*np.quantile(mine, [0.5, 0.99]), *np.quantile(logged, [0.5, 0.99]), theirs])
        p50, p99, true_p50, true_p99, wrk_p50 = (float(value) for value in np.median(rows, axis=0))
        figures = [
            Figure(f"p50 at {users} users, s", p50, true_p50, max(0.0003, 0.02 * true_p50)),
            Figure(f"p99 at {users} users, s", p99, true_p99, max(0.0003, 0.02 * true_p99)),
        ]
        if wrk_p50 > 0:
            figures.append(Figure(f"p50 at {users} users beside wrk, s", p50, wrk_p50, 0.05 * wrk_p50))
        return figures

    def limiter(self) -> Figure:
        """A server that lets one request through every 5 ms."""
        arm = Arm(name="limiter", app="limiter:even", app_dir=str(ROOT / "tests" / "apps"))
        with Server(arm, self.around, "unused") as server:
            facts, samples = self.load(server.url, 16, LIMITER_WINDOW)
        inside = (samples.end >= 0) & (samples.end < facts["window"]) & samples.ok
        return Figure("rate limiter of 200/s, 1/s", float(inside.sum()) / facts["window"], 200.0, 2.0)

    def freeze(self) -> list[Figure]:
        """A server of 5 ms that stalls for a second, in an open and in a closed loop."""
        arm = Arm(name="delays", app="benchmarks.delays:at_5_ms", app_dir=str(ROOT))
        found = {}
        for name, users, changes in (
            ("open", 2_000, {"rate": 100.0, "arrivals": "constant"}),
            ("closed", 1, {}),
        ):
            with Server(arm, self.around, "unused") as server:
                self.begin(f"{server.url}/1.freeze", users, FREEZE_WINDOW, **changes)
                opened = perf_counter()
                time.sleep(FREEZE_WINDOW / 2)
                os.kill(server.child.pid, signal.SIGSTOP)
                stopped = perf_counter() - opened
                time.sleep(1.0)
                os.kill(server.child.pid, signal.SIGCONT)
                resumed = perf_counter() - opened
                facts, samples = self.finish()
            inside = samples.ok & (samples.due >= 0) & (samples.due < facts["window"])
            due = samples.due[inside]
            truth = np.where((due >= stopped) & (due < resumed), resumed - due, 0.0) + 0.005
            response, service = samples.response_time[inside], samples.service_time[inside]
            found[name] = [float(np.quantile(what, 0.99)) for what in (response, truth, service)]
        response_p99, truth_p99, service_p99 = found["open"]
        print(
            f"  one connection per arrival: service time p99 {service_p99:.3f} s, as the response time; "
            f"a closed loop of one user: {found['closed'][2]:.4f} s"
        )
        return [
            Figure("freeze: p99 of response time, s", response_p99, truth_p99, 0.05 * truth_p99),
            Figure("freeze: p99 in a closed loop, s", found["closed"][2], 0.005, 0.002),
        ]

    def punctuality(self) -> Figure:
        """Lateness of arrivals at 1,000 per second, p99."""
        arm = Arm(name="delays", app="benchmarks.delays:at_5_ms", app_dir=str(ROOT))
        with Server(arm, self.around, "unused") as server:
            facts, samples = self.load(f"{server.url}/1.late", 2_000, WINDOW, rate=1000.0, arrivals="poisson")
        inside = (samples.due >= 0) & (samples.due < facts["window"])
        late = np.quantile((samples.start - samples.due)[inside], [0.5, 0.99])
        busy = facts["generator_cpu"] / facts["window"]
        print(
            f"  at 1,000 arrivals per second: median lateness {late[0] * 1e6:.0f} µs, generator at {busy:.0%}"
        )
        return Figure("p99 of lateness at 1,000/s, s", float(late[1]), 0.0, 0.002)


def fetch(url: str) -> Any:
    with DIRECT.open(url, timeout=10) as answer:
        return json.load(answer)


def wrk(url: str, users: int, placement: Placement) -> float:
    """wrk's p50 in seconds; 0 where wrk is not installed."""
    if shutil.which("wrk") is None:
        return 0.0
    pinned = (
        ["taskset", "-c", str(placement["generator"][0])] if placement and shutil.which("taskset") else []
    )
    command = [*pinned, "wrk", "-t1", f"-c{users}", f"-d{WINDOW:.0f}s", "--latency", url]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"50%\s+([\d.]+)(us|ms|s)", text)
    if found is None:
        return 0.0
    return float(found[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[found[2]]


def main() -> None:
    placement = place(cpus())
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        with ServingEnvironment(scratch, placement) as around, generator(scratch, placement) as child:
            child.receive(OWN_BOOT)
            bars = Bars(child, around, scratch)
            print(f"{'':34}{'measured':>12}{'true':>12}")
            figures = []
            for users, app in LEVELS:
                for figure in bars.latencies(users, app):
                    figures.append(figure)
                    print(figure)
            for figure in (bars.limiter(), *bars.freeze(), bars.punctuality()):
                figures.append(figure)
                print(figure)
    OUT.parent.mkdir(exist_ok=True)
    result = {
        "machine": fingerprint(placement).model_dump(mode="json"),
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
    }
    OUT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {OUT}")
    sys.exit(0 if all(figure.met for figure in figures) else 1)


if __name__ == "__main__":
    main()
