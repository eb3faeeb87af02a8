"""The quick profile, ten times in a row: how long it takes, and which of its cells it decides: `make
bench-quick`.

Bars: each run within three minutes; six of the seven cells decided in at least eight of ten runs; no cell
decided once for one arm and once for the other.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.duels import write_figures
from loadtests.system.fingerprint import fingerprint
from loadtests.system.placement import cpus, place
from loadtests.system.processes import ROOT

TIMES = 10
LONGEST = 180.0
CELLS, RUNS = 6, 8
"""Cells that must be decided, and in how many of the runs."""

OPEN = ("inconclusive", "invalid")
OPPOSED = {"faster", "slower"}


@dataclass(frozen=True)
class Demonstration:
    seconds: float
    """From the command to its exit."""
    found: dict[str, dict[str, Any]]
    """The verdict of each cell, as `--json` prints it."""

    @property
    def decided(self) -> list[str]:
        return [name for name, one in self.found.items() if one["verdict"] not in OPEN]


def demonstration(seed: int) -> Demonstration:
    duel = str(Path(sys.executable).with_name("duel"))
    with tempfile.TemporaryDirectory() as directory:
        command = [duel, "run", "--quick", "-o", directory, "--seed", str(seed), "--json", "-", "-q"]
        began = time.perf_counter()
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=900)
        seconds = time.perf_counter() - began
    primary = [one for one in json.loads(done.stdout)["verdicts"] if one["primary"]]
    return Demonstration(seconds, {f"{one['scenario']}@{one['load']['users']}": one for one in primary})


def main() -> None:
    runs = []
    for seed in range(1, TIMES + 1):
        runs.append(demonstration(seed))
        last = runs[-1]
        print(
            f"run {seed}: {last.seconds:.0f} s, {len(last.decided)} of {len(last.found)} decided", flush=True
        )
    settled, opposed = 0, False
    for name in runs[0].found:
        words = Counter(str(run.found[name]["verdict"]) for run in runs)
        settled += sum(name in run.decided for run in runs) >= RUNS
        opposed |= words.keys() >= OPPOSED
        ratios = [run.found[name]["ratio"] for run in runs if run.found[name]["ratio"] is not None]
        told = ", ".join(f"{word} in {count}" for word, count in words.most_common())
        print(f"{name}: {told}; ratios ×{min(ratios, default=0):.2f} to ×{max(ratios, default=0):.2f}")
    met = settled >= CELLS and not opposed and max(run.seconds for run in runs) <= LONGEST
    result = "met" if met else "MISSED"
    print(f"decided in {RUNS} of {TIMES} runs or more: {settled} cells, bar {CELLS}; {result}")
    write_figures("demonstration", fingerprint(place(cpus())), {"runs": list(map(asdict, runs)), "met": met})
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
