"""`duel` that interrupts itself at a named moment, for several moments: `python -P tests/interrupting.py`.

Reads a JSON list from stdin, one object per process: `moment` (see `MOMENTS`), `signals` (names; the second
is sent while the run ends its children), `arguments` of `duel`, and the `directory` where it runs and leaves
its `stdout` and `stderr`. Prints a list of the same length: the exit `code`, as Popen has it, how many
`children` it had at that moment, and which of them are `left` `PATIENCE` seconds after its end.

The processes are forked, so that the imports are made once for all of them.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import count
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import psutil

sys.path.append(str(Path(__file__).resolve().parents[1]))

import cli
from loadtests.measure import opening
from loadtests.system import lock
from loadtests.system.processes import Child
from tests.brisk import Put, count_every_trial, hurry, leave_charts_out, leave_data_out, put

PATIENCE = 10.0
AT_ONCE = 3
"""Processes at the same time; they wait most of the time."""
LATER = ("reports.render.report_directory", "reports.render.terminal")
"""What a run imports at its end."""

Condition = Callable[..., bool]


def before(
    owner: Any, name: str, condition: Condition, then: Callable[[], None], call: int = 1, put: Put = put
) -> None:
    """Run a hook before the n-th call of a function whose arguments meet a condition."""
    function, calls = getattr(owner, name), count(1)

    def watched(*arguments: Any, **named: Any) -> Any:
        if condition(*arguments) and next(calls) == call:
            then()
        return function(*arguments, **named)

    put(owner, name, watched)


def always(*_: object) -> bool:
    return True


def in_report(file: int, *_: object) -> bool:
    """Whether an open file belongs to the report."""
    return "/report/" in os.readlink(f"/proc/self/fd/{file}")


MOMENTS: dict[str, tuple[str, str, Condition, int]] = {
    "boot": (
        "loadtests.system.processes:Child", "receive", lambda child, *_: child.name == "arm 'fast'", 1,
    ),
    "calibration": ("loadtests.measure.bench", "expect", lambda _, event, *__: event == "closed", 1),
    "warm-up": ("loadtests.measure.trials.underway", "expect", lambda _, event, *__: event == "opened", 2),
    "window": ("loadtests.measure.trials.underway", "expect", lambda _, event, *__: event == "closed", 2),
    "between rounds": ("loadtests.measure.rounds:Rounds", "seconds_left", always, 1),
    "report": ("os", "fsync", in_report, 1),
    "drawing": ("matplotlib.figure:Figure", "savefig", always, 1),
}  # fmt: skip
"""By name of the moment: the function called then, a condition that identifies the call, and its number;
warm-up and window are those of the second slice."""
IN_ROUNDS = {"warm-up", "window", "between rounds", "report"}
"""Moments before which the preparation is left out: boot and calibration are interrupted in it."""


def interrupt_at(moment: str, signals: Sequence[int]) -> None:
    first, *second = signals

    def strike() -> None:
        children = [child.pid for child in psutil.Process().children(recursive=True)]
        Path("children").write_text(json.dumps(children))
        if second:
            before(Child, "stop", always, lambda: os.kill(os.getpid(), second[0]))
        os.kill(os.getpid(), first)

    owner, name, condition, call = MOMENTS[moment]
    before(resolve_name(owner), name, condition, strike, call)


def carry_out(case: Mapping[str, Any]) -> None:
    """Be `duel` in the case's directory, with a queue of its own; ends this process."""
    os.chdir(case["directory"])
    for stream, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), stream)
    os.environ[lock.VARIABLE] = str(Path("queue").resolve())
    if case["moment"] in IN_ROUNDS:
        put(opening, "prepared", lambda run, *_: run)
    interrupt_at(case["moment"], [signal.Signals[name] for name in case["signals"]])
    sys.argv[1:] = case["arguments"]
    cli.main()


def main() -> None:
    # Tests may run under nohup, which runs of theirs would respect.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    hurry()
    count_every_trial()
    leave_charts_out()
    leave_data_out()
    for module in LATER:
        import_module(module)
    cases = json.load(sys.stdin)
    results: list[dict[str, Any]] = [{} for _ in cases]
    running: dict[int, int] = {}
    for number, case in enumerate(cases):
        if len(running) == AT_ONCE:
            end_of_one(running, cases, results)
        pid = os.fork()
        if pid == 0:
            carry_out(case)
        running[pid] = number
    while running:
        end_of_one(running, cases, results)
    print(json.dumps(results))


def end_of_one(
    running: dict[int, int], cases: Sequence[Mapping[str, Any]], results: list[dict[str, Any]]
) -> None:
    """Wait until one of the processes and its children end, and keep its result; `running`: the numbers of
    their cases by pid."""
    pid, status = os.wait()
    number = running.pop(pid)
    pids = json.loads(Path(cases[number]["directory"], "children").read_text())
    children = [psutil.Process(child) for child in pids if psutil.pid_exists(child)]
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    left = [child.name() for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    results[number] = {"code": os.waitstatus_to_exitcode(status), "children": len(pids), "left": left}


if __name__ == "__main__":
    main()
