"""Asks an app in its own environment what it is made of; inside/describe_app.py answers there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loadtests.errors import ChildFailed, PlanError
from loadtests.plan.arms import BUILT_IN, Arm, parse_arm
from loadtests.system.processes import ROOT
from loadtests.system.tracebacks import why

ANATOMY = Path(__file__).with_name("inside") / "describe_app.py"

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
        raise ChildFailed(f"{command[0]} cannot be run", cause=error.strerror or str(error)) from None
    if done.returncode:
        cause, hint = why(done.stderr, arm.app_dir)
        raise ChildFailed(
            f"app {arm.app} cannot be inspected",
            cause=cause,
            hint=hint or ("write module:attribute" if "UnusableApp" in cause else ""),
        )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def inspect_alone(target: str, app_dir: str, python: str | None, start: bool = False) -> dict[str, Any]:
    """`inspect_app` for `module:attribute`, or a built-in arm, which needs a place for its data. Raises
    PlanError."""
    name = target if target in BUILT_IN else f"app={target}"
    arm = parse_arm(name, str(Path(app_dir).resolve()), python)
    with tempfile.TemporaryDirectory(prefix="duel-data-") as data:
        own = {} if "DUEL_APP_DATA" in os.environ else {"DUEL_APP_DATA": data}
        try:
            return inspect_app(arm, start, own)
        except ChildFailed as failure:
            # Nothing was measured: what cannot be inspected is the argument.
            raise PlanError(str(failure), cause=failure.cause, hint=failure.hint) from None
