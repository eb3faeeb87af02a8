"""The command line of serve.py for an arm."""

from __future__ import annotations

from pathlib import Path

from loadtests.cpus import cpus_flag
from loadtests.plan.arms import Arm
from loadtests.system.processes import ROOT

SERVE = Path(__file__).with_name("inside") / "serve.py"


def serve_arguments(arm: Arm, cpus: tuple[int, ...] = (), port: int = 0) -> list[str]:
    """The command line of serve.py for an arm."""
    arguments = [str(SERVE), arm.app, "--app-dir", arm.app_dir or str(ROOT), "--port", str(port)]
    arguments += arm.serving.arguments()
    return [*arguments, *cpus_flag(cpus)]
