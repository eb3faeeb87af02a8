"""The commit that a change is compared with.

Base and head, interleaved in one run, show what a change does on any machine; a stored baseline shows only
what differs between the arms. Here the repository is only read: `serving.checkout` makes the files when the
run is carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from loadtests.errors import PlanError
from loadtests.plan.base.repository import SHOWN, git, head_of, lacking, merge_base
from loadtests.plan.fields import Frozen, Line, Name

BasePoint = Literal["merge-base", "ref"]
"""Where a branch is compared with another that has moved on: where it left that, or the last commit there."""


class BaseCommit(Frozen):
    """A commit of the repository that holds the arms' apps, resolved when the plan was made."""

    commit: Line
    """The full hash."""
    repository: Line
    """The root of its working tree."""
    head: Line
    """The working tree's commit, with `+changes` and a digest of them where it has any."""
    ref: Line | None = None
    """What was asked for: a branch, a tag or a commit; None in runs of earlier versions."""
    point: BasePoint = "ref"
    """Whether `commit` is that of `ref`, or the merge base with it."""
    lacks: Annotated[int, Field(ge=0)] | None = None
    """Commits of `ref` that the working tree's branch lacks; None in runs of earlier versions."""
    packages: Mapping[Name, Line] = {}
    """By arm of the base, the lock that its packages are installed from, relative to the repository; without
    arms that get the packages of the head, or an interpreter of their own."""
    constraints: Mapping[Name, tuple[Line, ...]] = {}
    """By arm of the base, the files that limit the versions of its packages; empty in earlier versions."""
    unlike: tuple[Line, ...] = ()
    """Locks that differ between base and head, and that nothing is installed from."""
    untracked: tuple[Line, ...] = ()
    """What git does not track in the apps' directories, relative to the repository: the base lacks it."""

    @property
    def revision(self) -> str:
        return self.commit[:SHOWN]

    @property
    def unchanged(self) -> bool:
        """Whether base and head are the same files."""
        return self.head == self.revision

    def path_of(self, directory: str) -> Path | None:
        """A directory of the working tree, relative to the repository; None for one outside of it."""
        root, path = Path(self.repository), Path(directory).resolve()
        return path.relative_to(root) if path.is_relative_to(root) else None


def resolve(ref: str, directory: Path, point: BasePoint = "merge-base") -> BaseCommit:
    """The base of the repository that holds `directory`. Raises PlanError where there is none."""
    root = git(directory, "rev-parse", "--show-toplevel")
    try:
        # --end-of-options: a ref that looks like an option is not one.
        tip = git(directory, "rev-parse", "--verify", "--end-of-options", f"{ref}^{{commit}}")
    except PlanError as failure:
        raise PlanError(f"{ref!r} is no commit of {root}", cause=failure.cause, hint=failure.hint) from None
    return BaseCommit(
        commit=merge_base(Path(root), ref, tip) if point == "merge-base" else tip,
        repository=root,
        head=head_of(Path(root)),
        ref=ref,
        point=point,
        lacks=lacking(Path(root), tip),
    )
