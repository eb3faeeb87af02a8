"""Time until a cell is decided, from the command to its exit: `make bars`.

Targets: a factor of two in 60 s, 10 % in about three minutes, each the median of three runs.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loadtests.system.fingerprint import fingerprint
from loadtests.system.placement import cpus, place
from loadtests.system.processes import ROOT

OUT = Path("runs") / "decision.json"
TIMES = 3
KNOWN = "loadtests.measure.known_answers"
CASES = (
    ("a factor of two", [f"short={KNOWN}:short", f"long={KNOWN}:double"], 60.0),
    ("10 %", [f"short={KNOWN}:short", f"long={KNOWN}:tenth_longer"], 200.0),
)


def main() -> None:
    duel = str(Path(sys.executable).with_name("duel"))
    figures, met = [], True
    for what, arms, bar in CASES:
        seconds, words = [], []
        for seed in range(TIMES):
            with tempfile.TemporaryDirectory() as directory:
                command = [duel, "run", "-s", "ping", "-u", "16", "-o", directory, "--seed", str(seed)]
                command += ["--app-dir", str(ROOT), "--json", "-", "-q"]
                for arm in arms:
                    command += ["--arm", arm]
                began = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
                seconds.append(time.perf_counter() - began)
            found = next(v for v in json.loads(done.stdout)["verdicts"] if v["primary"])
            words.append(f"{found['verdict']} ×{found['ratio']:.2f} [{found['low']:.2f}–{found['high']:.2f}]")
            print(f"{what}: {seconds[-1]:.0f} s, n = {found['n']}, {words[-1]}", flush=True)
        middle = statistics.median(seconds)
        good = middle <= bar and all(word.startswith("slower") for word in words)
        met = met and good
        print(f"{what}: {middle:.0f} s in the median, bar {bar:.0f} s ({'met' if good else 'MISSED'})")
        figures.append({"what": what, "seconds": seconds, "verdicts": words, "bar": bar, "met": good})
    OUT.parent.mkdir(exist_ok=True)
    used = fingerprint(place(cpus())).model_dump(mode="json")
    OUT.write_text(json.dumps({"machine": used, "figures": figures}, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
