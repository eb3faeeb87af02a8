"""Runs the worker of an app's queue in the arm's own Python:
`worker_process.py MODULE --app-dir DIR [--cpus CPUS]`.

Started by path; imports only one file of ours, and what it runs is the app's. It ends when stdin does.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import runpy
import signal
import sys
import threading
from pathlib import Path

SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def go_with_parent() -> None:
    """End when the parent does: also while this process is stopped, where the kernel can see to it (Linux
    only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
    threading.Thread(target=end_with_stdin, daemon=True).start()


def end_with_stdin() -> None:
    # The descriptor: a thread that blocks in sys.stdin aborts the interpreter's end.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("--app-dir", required=True, help="directory to import the module from")
    parser.add_argument("--cpus", help="comma-separated CPUs to run on")
    chosen = parser.parse_args()
    if chosen.cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [int(cpu) for cpu in chosen.cpus.split(",")])
    os.nice(19)  # the load generator, on the same CPUs, must not wait for it
    go_with_parent()
    importing = Path(__file__).parents[1] / "inside" / "importing.py"
    runpy.run_path(str(importing))["import_from"](chosen.app_dir)
    sys.argv[1:] = []
    runpy.run_module(chosen.module, run_name="__main__", alter_sys=True)
