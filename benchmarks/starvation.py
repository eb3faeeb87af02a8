"""A generator starved to a tenth of its core must make every trial invalid: `make bars-long`, 20 of 20.

Nine busy processes share its CPU; four rounds of two arms, each tried three times, are 24 trials. Which
rules saw it is told beside.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.planted import starving
from loadtests import machine
from loadtests.processes import ROOT
from loadtests.records import RunDirectory

OUT = Path("runs") / "starvation.json"
ATTEMPTS = 20


def main() -> None:
    placement = machine.place(machine.cpus())
    if not placement:
        sys.exit("error: processes cannot be bound to CPUs here")
    duel = str(Path(sys.executable).with_name("duel"))
    # A server fast enough that its users need more than the tenth that is left to them.
    arms = ["--app-dir", str(ROOT / "tests" / "apps"), "--arm", "a=odd:counting", "--arm", "b=odd:counting"]
    command = [duel, "run", "-s", "ping", "-u", "64", "-t", "1", "--warmup", "0.3", *arms]
    with starving(), tempfile.TemporaryDirectory() as directory:
        subprocess.run([*command, "--rounds", "4", "-o", directory, "-q"], check=False, timeout=900)
        (where,) = Path(directory).iterdir()
        run = RunDirectory(where).load()
    caught = sum(bool(trial.invalid) for trial in run.trials)
    faults = [kind(fault) for trial in run.trials for fault in trial.invalid]
    for fault, times in Counter(faults).most_common():
        print(f"{times:4} × {fault}")
    met = caught == len(run.trials) >= ATTEMPTS
    print(f"{caught} of {len(run.trials)} trials do not count ({'met' if met else 'MISSED'})")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"caught": caught, "trials": len(run.trials)}) + "\n", encoding="utf-8")
    sys.exit(0 if met else 1)


def kind(fault: str) -> str:
    """A fault without its figures."""
    return " ".join(word for word in fault.split() if not any(sign.isdigit() for sign in word))


if __name__ == "__main__":
    main()
