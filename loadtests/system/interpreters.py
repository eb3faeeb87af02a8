"""What the interpreters that serve the arms have installed."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Collection, Sequence
from functools import cache
from importlib.util import find_spec

from loadtests.errors import PlanError
from loadtests.plan.arms import SHORT, Arm

SERVERS = ("uvicorn", "granian", "hypercorn")

OURS = {**dict.fromkeys(SERVERS, "servers"), "httpx2": "clients"}
"""By package, the extra of ours that has it."""

FASTER = {"loop": ("uvloop", "asyncio"), "http": ("httptools", "h11")}
"""By setting, the package that serves an app by default, and what takes its place where it is missing."""

FIND = (
    "import importlib.util, json, sys\n"
    "print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))"
)

ANOTHER = "name another interpreter: --python PATH, or python=PATH in an arm"

PATIENCE = 30.0


def with_servers(arms: Sequence[Arm]) -> tuple[Arm, ...]:
    """Arms that their interpreters can serve. Where one has no uvloop or httptools, no arm uses that unless
    it asks for it, since arms are served alike. Raises PlanError where its server, anyio, or the HTTP client
    of a twin is missing."""
    for arm in arms:
        if arm.python is None and arm.url is None:
            check_ours(arm)
        if arm.serving.server == "granian" and arm.serving.workers > 1 and platform.system() != "Linux":
            raise PlanError(
                f"arm {arm.name!r}: several workers cannot share Granian's address on {platform.system()}",
                hint="measure it with workers=1, or on Linux",
            )
    lacking = {package for arm in arms if arm.python is not None for package in absent(arm)}
    instead = {key: other for key, (package, other) in FASTER.items() if package in lacking}
    return tuple(served(arm, instead) for arm in arms) if instead else tuple(arms)


def served(arm: Arm, instead: dict[str, str]) -> Arm:
    """An arm with other packages, where it names none itself."""
    open_still = {key: value for key, value in instead.items() if key not in arm.serving.model_fields_set}
    return arm.model_copy(update={"serving": arm.serving.model_copy(update=open_still)})


def check_ours(arm: Arm) -> None:
    """Raises PlanError where our own environment lacks the server or the HTTP client of an arm."""
    for package in (arm.serving.server, arm.env.get(SHORT["client"])):
        if package in OURS and find_spec(package) is None:
            raise PlanError(
                f"arm {arm.name!r} needs {package}, which is not installed",
                hint=f"pip install 'fastapi-duel[{OURS[package]}]'",
            )


def absent(arm: Arm) -> Collection[str]:
    """What the interpreter of an arm has not installed. Raises PlanError where the arm needs it."""
    if arm.python is not None and shutil.which(arm.python) is None:
        raise PlanError(
            f"arm {arm.name!r} cannot be served by {arm.python}",
            cause="there is no such program",
            hint=ANOTHER,
        )
    found = missing_in(arm.python or sys.executable)
    needed = [name for name in (arm.serving.server, "anyio") if name in found]
    needed += [
        package
        for key, (package, _) in FASTER.items()
        if package in found and key in arm.serving.model_fields_set and getattr(arm.serving, key) == package
    ]
    if needed:
        raise PlanError(
            f"arm {arm.name!r} cannot be served by {arm.python}",
            cause=f"not installed there: {', '.join(needed)}",
            hint=f"{arm.python} -m pip install {' '.join(needed)}; or {ANOTHER}",
        )
    return found


@cache
def missing_in(python: str) -> tuple[str, ...]:
    """What an interpreter has not installed of what serves apps; nothing where it cannot tell, since its
    server will. It is asked in a child process."""
    names = [*SERVERS, "anyio", *(package for package, _ in FASTER.values())]
    try:
        done = subprocess.run(
            [python, "-P", "-c", FIND, *names], capture_output=True, text=True, timeout=PATIENCE, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return tuple(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return ()
