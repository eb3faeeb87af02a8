"""From an app to the files with which `duel run` measures it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loadtests.measure.answers.login import PASSWORD, USERNAME
from loadtests.measure.starter.exploration import canary_of, explore
from loadtests.measure.starter.files import added, locustfile, table, taken, write_new
from loadtests.plan.arms import Arm
from loadtests.plan.settings import RunSettings

USERS = "duel_users.py"
"""The locustfile, where no other is named."""


@dataclass(frozen=True)
class Started:
    """What was written."""

    loaded: int
    """Operations whose users are loaded as they are."""
    left: int
    """Operations that need an eye on them first."""
    account: tuple[str, ...]
    """Variables that name an account to log in with, where some of them may need no more than that."""
    settings: str
    """The table of settings."""
    project: Path | None
    """The file to which the table was added; None where it was not, since it has one, or is none."""


def start(arm: Arm, app: str, settings: RunSettings, file: Path, project: Path) -> Started:
    """Write a locustfile for an app, and its settings into the table `tool.duel` of `project`. `app`: as
    `--arm` takes it. Raises PlanError for an app without OpenAPI document and a file that exists,
    CannotWrite."""
    if file.exists():
        raise taken(file)
    found = explore(arm)
    write_new(file, locustfile(arm.app, found))
    canary = canary_of(found.operations)
    text = table(
        {
            **({} if settings.app_dir == "." else {"app-dir": settings.app_dir}),
            **({} if settings.python is None else {"python": settings.python}),
            "arm": [f"app={app}"],
            "locustfile": str(file),
            **({} if canary is None else {"canary": canary}),
        }
    )
    loaded = sum(one.usable for one in found.operations)
    return Started(
        loaded=loaded,
        left=len(found.operations) - loaded,
        account=(USERNAME, PASSWORD) if any(one.locked for one in found.operations) else (),
        settings=text,
        project=project if added(project, text) else None,
    )
