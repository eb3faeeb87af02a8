"""Time and memory that `duel report` takes to rebuild everything: `make bench-report`.

On scripted runs of a million requests. Targets: about three seconds, and 500 MB.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loadtests.plan.profiles import ENDPOINTS
from loadtests.records import Cell
from tests import scripted
from tests.scripted import Scripted

SHAPES = {
    "seven cells, eight rounds": ([(scenario, 64) for scenario in ENDPOINTS[:7]], 8),
    "thirty cells, eight rounds": ([(scenario, 64) for scenario in ENDPOINTS[:30]], 8),
    "five endpoints at six loads, eight rounds": (
        [(scenario, users) for scenario in ENDPOINTS[:5] for users in (1, 8, 40, 64, 128, 256)], 8,
    ),
}  # fmt: skip
SAMPLES = 1_000_000
TIMES = 3


def main() -> None:
    slow = False
    for name, (cells, rounds) in SHAPES.items():
        with tempfile.TemporaryDirectory() as parent:
            requests = SAMPLES // (len(cells) * rounds * 2)

            def script(arm: str, _: Cell, round: int, requests: int = requests) -> Scripted:
                return Scripted(
                    requests=requests + (arm == "async") * (requests // 5) + round, latency=0.002,
                    spread=40.0, canary=0.02, server_cpu=0.9,
                )  # fmt: skip

            scripted.run(Path(parent), scripted.plan(cells=cells, rounds=rounds), script)
            seen = [built(Path(parent) / "scripted") for _ in range(TIMES)]
        took, memory = [seconds for seconds, _ in seen], max(size for _, size in seen)
        slow = slow or statistics.median(took) > 3.0 or memory > 500e6
        print(
            f"{name}: {statistics.median(took):.2f} s ({min(took):.2f} to {max(took):.2f}), "
            f"{memory / 1e6:.0f} MB",
            flush=True,
        )
    sys.exit(1 if slow else 0)


def built(run: Path) -> tuple[float, int]:
    """Seconds and peak memory (bytes) of one `duel report`."""
    began = time.perf_counter()
    duel = Path(sys.executable).with_name("duel")
    child = subprocess.Popen([duel, "report", run], stdout=subprocess.DEVNULL)
    _, status, use = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"duel report ended with {child.returncode}")
    return time.perf_counter() - began, use.ru_maxrss * 1024


if __name__ == "__main__":
    main()
