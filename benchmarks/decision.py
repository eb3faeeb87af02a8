"""Time until a cell is decided, from the command to its exit: `make bars`.

Targets, each the median of five runs: a factor of two in 20 s, 10% in 40 s, and an app against itself found
equivalent within ±5% in 90 s.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from loadtests.system.fingerprint import fingerprint
from loadtests.system.placement import cpus, place
from loadtests.system.processes import ROOT

OUT = Path("runs") / "decision.json"
TIMES = 5
KNOWN = "loadtests.measure.known_answers.apps"


@dataclass(frozen=True)
class TimedDuel:
    what: str
    arms: tuple[str, str]
    options: tuple[str, ...]
    word: str
    """The verdict that is right."""
    bar: float
    """Seconds."""


CASES = (
    TimedDuel("a factor of two", ("short", "double"), ("-t", "0.5s"), "slower", 20.0),
    TimedDuel("10%", ("short", "tenth_longer"), (), "slower", 40.0),
    TimedDuel("an app against itself", ("short", "short"), ("--margin", "0.05"), "equivalent", 90.0),
)


def main() -> None:
    duel = str(Path(sys.executable).with_name("duel"))
    figures, met = [], True
    for case in CASES:
        seconds, words = [], []
        for seed in range(TIMES):
            with tempfile.TemporaryDirectory() as directory:
                command = [duel, "run", "--quick", "-s", "ping", "-u", "16", "-o", directory, *case.options]
                command += ["--seed", str(seed), "--app-dir", str(ROOT), "--json", "-", "-q"]
                for name, app in zip(("one", "other"), case.arms, strict=True):
                    command += ["--arm", f"{name}={KNOWN}:{app}"]
                began = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
                seconds.append(time.perf_counter() - began)
            found = next(v for v in json.loads(done.stdout)["verdicts"] if v["primary"])
            words.append(f"{found['verdict']} ×{found['ratio']:.2f} [{found['low']:.2f}–{found['high']:.2f}]")
            print(f"{case.what}: {seconds[-1]:.0f} s, n = {found['n']}, {words[-1]}", flush=True)
        middle = statistics.median(seconds)
        good = middle <= case.bar and all(word.startswith(case.word) for word in words)
        met = met and good
        told = f"{middle:.0f} s in the median ({min(seconds):.0f} to {max(seconds):.0f})"
        print(f"{case.what}: {told}, bar {case.bar:.0f} s ({'met' if good else 'MISSED'})", flush=True)
        figures.append(
            {"what": case.what, "seconds": seconds, "verdicts": words, "bar": case.bar, "met": good}
        )
    OUT.parent.mkdir(exist_ok=True)
    used = fingerprint(place(cpus())).model_dump(mode="json")
    OUT.write_text(json.dumps({"machine": used, "figures": figures}, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
