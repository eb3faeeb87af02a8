"""The packages that the arms' interpreters have installed, by their versions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

from loadtests.plan.arms import Arm

LIST = (
    "import importlib.metadata, json\n"
    "print(json.dumps([[one.metadata['Name'], one.version] for one in importlib.metadata.distributions()]))"
)

PATIENCE = 30.0

Versions = Mapping[str, str]
"""By a package's normalized name, its version."""


def installed_packages(arms: Sequence[Arm]) -> dict[str, Versions]:
    """By arm; without external servers, and interpreters that cannot tell."""
    known: dict[str | None, Versions] = {}
    for python in {arm.python for arm in arms if arm.url is None}:
        known[python] = of_interpreter(python)
    return {arm.name: found for arm in arms if arm.url is None and (found := known[arm.python])}


def of_interpreter(python: str | None) -> Versions:
    """What an interpreter has; None: ours."""
    if python is None:
        return first_of((one.metadata["Name"], one.version) for one in metadata.distributions())
    try:
        done = subprocess.run(
            [python, "-P", "-c", LIST], capture_output=True, text=True, timeout=PATIENCE, check=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        return first_of(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError):
        return {}


def first_of(found: Iterable[tuple[str, str]]) -> Versions:
    """Of a name that occurs twice, what is imported: the first one on the path."""
    versions: dict[str, str] = {}
    for name, version in found:
        if name:
            versions.setdefault(str(name).lower().replace("_", "-"), str(version))
    return dict(sorted(versions.items()))


def differing(then: Versions, now: Versions) -> list[str]:
    """Each package that is another one, with both versions."""
    names = sorted({*then, *now})
    return [
        f"{name} was {then.get(name, 'not installed')}, and is now {now.get(name, 'not installed')}"
        for name in names
        if then.get(name) != now.get(name)
    ]
