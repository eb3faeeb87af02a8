"""Each arm as of the base, beside the arm as it is in the working tree."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from loadtests.errors import PlanError
from loadtests.plan.arms import MOST_ARMS, Arm
from loadtests.plan.base.commit import BaseCommit
from loadtests.plan.base.repository import git, submodules, untracked
from loadtests.plan.fields import validated

OUR_DIRECTORY = str(Path(__file__).resolve().parents[3])
"""Where the built-in arms' apps are imported from."""


def paired(
    arms: Sequence[Arm], base: BaseCommit, python: str | None
) -> tuple[tuple[Arm, ...], dict[str, str]]:
    """Each arm as of the base and as it is, and which is compared with which. `python`: an interpreter for
    the base; None: that of the arm, or one with the packages that the base locks. Raises PlanError."""
    if 2 * len(arms) > MOST_ARMS:
        raise PlanError(
            f"base and head of {len(arms)} arms are {2 * len(arms)} arms; at most {MOST_ARMS} are possible",
            hint="name fewer arms: --arm NAME=module:attribute",
        )
    for arm in arms:
        check_in_base(arm, base)
    before = [renamed(arm, "base", base.revision, python or arm.python) for arm in arms]
    after = [renamed(arm, "head", base.head, arm.python) for arm in arms]
    return (*before, *after), {head.name: old.name for old, head in zip(before, after, strict=True)}


def renamed(arm: Arm, side: str, revision: str, python: str | None) -> Arm:
    """One side of an arm, with the working tree's directories. Raises PlanError."""
    values = {
        **arm.model_dump(),
        "name": f"{arm.name}-{side}",
        "serving": arm.serving,  # as it is: a dump would claim that each of its settings was asked for
        "app_dir": arm.app_dir or OUR_DIRECTORY,
        "revision": revision,
        "python": python,
    }
    if arm.hybrid is not None:
        values["hybrid"] = {**arm.hybrid.model_dump(), "app_dir": arm.hybrid.app_dir or OUR_DIRECTORY}
    return validated(Arm, values, f"arm {arm.name!r}")


def check_in_base(arm: Arm, base: BaseCommit) -> None:
    """Raises PlanError unless the arm's directories are in the repository, and were at the base."""
    if arm.url is not None:
        raise PlanError(
            f"arm {arm.name!r} is an external server, which has no base",
            hint="name its app instead: --arm NAME=module:attribute",
        )
    for directory in (*(arm.app_dirs or (OUR_DIRECTORY,)), *([arm.cwd] if arm.cwd else [])):
        path = base.path_of(directory)
        if path is None:
            raise PlanError(
                f"arm {arm.name!r}: {directory} is not in the repository {base.repository}",
                hint="name an app of this repository: --arm NAME=module:attribute, with --app-dir",
            )
        if not in_base(path, base):
            raise PlanError(f"arm {arm.name!r}: there is no directory {path} at {base.revision}")
    here = None if arm.cwd else base.path_of(".")
    if here is not None and not in_base(here, base):
        # Served from ours, it would read the head's files.
        raise PlanError(
            f"arm {arm.name!r}: there is no working directory {here} at {base.revision}",
            hint="start duel in a directory that the base has, too, or name one: cwd=PATH",
        )


def in_base(path: Path, base: BaseCommit) -> bool:
    """Whether the base has a directory, relative to the repository."""
    tree = ("ls-tree", "-d", "--full-tree", base.commit, path.as_posix())
    return not path.parts or bool(git(Path(base.repository), *tree))


def left_behind(arms: Sequence[Arm], base: BaseCommit) -> tuple[str, ...]:
    """What git does not track where the apps are and work: the base lacks it. Raises PlanError."""
    paths = (
        base.path_of(directory)
        for arm in arms
        for directory in (*(arm.app_dirs or (OUR_DIRECTORY,)), arm.cwd or ".")
    )
    inside = sorted({PurePosixPath(path.as_posix()) for path in paths if path is not None})
    root = Path(base.repository)
    return tuple(sorted([*untracked(root, inside), *submodules(root, inside)])) if inside else ()
