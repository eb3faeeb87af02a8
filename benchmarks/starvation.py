"""A generator starved to a tenth of its core must make every trial invalid: `make bars-long`, 20 of 20.

Nine busy processes share its CPU; four rounds of two arms, with three attempts each, are 24 trials. Prints
how often each rule detected it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.planted import starving
from loadtests.records.directory import RunDirectory
from loadtests.system.placement import cpus, place
from loadtests.system.processes import ROOT

OUT = Path("runs") / "starvation.json"
ATTEMPTS = 20


def main() -> None:
    placement = place(cpus())
    if not placement:
        sys.exit("error: processes cannot be bound to CPUs here")
    duel = str(Path(sys.executable).with_name("duel"))
    # A server so fast that its users need more than the tenth of a core that is left to them.
    arms = ["--app-dir", str(ROOT / "tests" / "apps"), "--arm", "a=odd:counting", "--arm", "b=odd:counting"]
    command = [duel, "run", "-s", "ping", "-u", "64", "-t", "1", "--warmup", "0.3", *arms]
    with starving(), tempfile.TemporaryDirectory() as directory:
        subprocess.run([*command, "--rounds", "4", "-o", directory, "-q"], check=False, timeout=900)
        (where,) = Path(directory).iterdir()
        run = RunDirectory(where).load()
    caught = sum(not trial.valid for trial in run.trials)
    faults = [fault.kind for trial in run.trials for fault in trial.faults]
    for fault, times in Counter(faults).most_common():
        print(f"{times:4} × {fault}")
    met = caught == len(run.trials) >= ATTEMPTS
    print(f"{caught} of {len(run.trials)} trials do not count ({'met' if met else 'MISSED'})")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"caught": caught, "trials": len(run.trials)}) + "\n", encoding="utf-8")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
