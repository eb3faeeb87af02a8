"""The commit that a GitHub event compares with, for `--base-ref github:event`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.errors import PlanError
from loadtests.plan.base.repository import git

EVENT = "github:event"
"""What to ask for; no branch can have this name, since git allows no colon in one."""

NAME_IT = "name the commit to compare with: base-ref"


def base_of_job(variables: Mapping[str, str], root: Path) -> str:
    """What the event compares with that started this job. Raises PlanError."""
    name, file = variables.get("GITHUB_EVENT_NAME"), variables.get("GITHUB_EVENT_PATH")
    if not name or not file:
        raise PlanError(
            f"--base-ref {EVENT} needs a job of GitHub Actions, with GITHUB_EVENT_NAME and GITHUB_EVENT_PATH",
            hint="name a branch, a tag or a commit",
        )
    try:
        event = json.loads(Path(file).read_text())
    except (OSError, ValueError) as error:
        raise PlanError("cannot read the event of this job", cause=str(error), hint=NAME_IT) from None
    return base_of_event(name, event, git(root, "rev-parse", "HEAD^@").split())


def base_of_event(name: str, event: Mapping[str, Any], parents: Sequence[str]) -> str:
    """A commit or a branch. `event`: the payload as GitHub writes it; `parents`: those of the commit that is
    checked out. Raises PlanError."""
    match name, event:
        case (("pull_request" | "pull_request_target"), {"pull_request": {"base": base, "head": head}}):
            # GitHub checks out a merge with the base as it is now; `base.sha` may be older, and the gate
            # would blame the change for what others have merged since.
            merged = len(parents) == 2 and parents[1] == head["sha"]
            return str(parents[0] if merged else base["sha"])
        case "merge_group", {"merge_group": {"base_sha": sha}}:
            return str(sha)
        case "push", {"before": before, "ref": ref, "repository": {"default_branch": default}}:
            # A new branch has no earlier commit (zeros), and a forced push has dropped it.
            if before.strip("0") and not event.get("forced"):
                return str(before)
            if ref != f"refs/heads/{default}":
                return f"origin/{default}"
            raise PlanError(f"this push to {default} does not continue an earlier one", hint=NAME_IT)
        case _:
            raise PlanError(f"the event {name} has no base", hint=NAME_IT)
