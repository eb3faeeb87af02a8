"""Asks an app in its own environment what it is made of; anatomy.py does the asking there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.plan import Arm
from loadtests.processes import LINES_SHOWN, ROOT, ChildFailed

ANATOMY = Path(__file__).with_name("anatomy.py")
EMPTY: Mapping[str, str] = {}
PATIENCE = 120.0
"""Seconds that importing an app may take."""


def inspect_app(arm: Arm, start: bool = False, environment: Mapping[str, str] = EMPTY) -> dict[str, Any]:
    """Its routes and database pools, as reports.advice.Anatomy reads them; `start` runs its lifespan, too.
    `environment` is added to the one that this process has. Raises ChildFailed."""
    words = [arm.app, "--app-dir", arm.app_dir or str(ROOT), *(["--start"] if start else [])]
    command = [arm.python or sys.executable, "-P", str(ANATOMY), *words]
    try:
        done = subprocess.run(
            command, cwd=arm.cwd, env={**os.environ, **environment, **arm.env}, capture_output=True,
            text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ChildFailed(f"{arm.app} was not imported within {PATIENCE:g} s") from None
    except OSError as error:
        raise ChildFailed(f"{command[0]} cannot be run", error.strerror or str(error)) from None
    if done.returncode:
        last = "\n".join(line.strip() for line in done.stderr.strip().splitlines()[-LINES_SHOWN:])
        raise ChildFailed(
            f"app {arm.app} cannot be looked at", last, "write module:attribute, with --app-dir where it lies"
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
