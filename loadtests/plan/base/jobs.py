"""The base of a job in CI, by what its service tells the job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from loadtests.errors import PlanError
from loadtests.plan.base.repository import git

OF_THIS_JOB = "ci"
"""As --base-ref: the base of the job in which duel runs."""

NO_COMMIT = "0" * 40
"""What GitHub calls the commit before the first push of a branch."""

HINT = "name the base: --base-ref COMMIT"


def base_of_job(variables: Mapping[str, str], directory: Path) -> str:
    """The commit that this job's change is compared with; `directory` is in its repository. Raises PlanError
    outside of a job, and for an event that has no base."""
    # GitLab sets the first one where HEAD is a merge with the target as it is now, as in a merge train. What
    # others have merged there since the merge base is no part of the change.
    names = ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "CI_MERGE_REQUEST_DIFF_BASE_SHA", "CI_COMMIT_BEFORE_SHA")
    gitlab = next(filter(None, map(variables.get, names)), None)
    if gitlab and gitlab != NO_COMMIT:
        return gitlab
    name, path = variables.get("GITHUB_EVENT_NAME"), variables.get("GITHUB_EVENT_PATH")
    if not name or not path:
        raise PlanError("no CI job is known here", cause="GITHUB_EVENT_NAME is not set", hint=HINT)
    try:
        event = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PlanError(f"cannot read the event in {path}", cause=str(error), hint=HINT) from None
    parents = git(directory, "rev-parse", "HEAD^@").split()
    found = base_of_event(name, event, parents) if isinstance(event, dict) else None
    if found is None:
        raise PlanError(f"a job of the event {name!r} has no base", hint=HINT)
    return found


def base_of_event(name: str, event: Mapping[str, Any], parents: Sequence[str] = ()) -> str | None:
    """The base of a GitHub event: of a pull request its target, of a push the commit before it or, of a new
    or forced branch, the default branch, of a merge group what it is merged into. None where there is none.
    `parents`: of the commit that is checked out."""
    match name:
        case "pull_request" | "pull_request_target":
            # GitHub checks out a merge with the target as it is now. `base.sha` may be older, and what others
            # have merged since would be taken for a part of the change.
            merged = len(parents) == 2 and parents[1] == text(event, "pull_request", "head", "sha")
            return parents[0] if merged else text(event, "pull_request", "base", "sha")
        case "merge_group":
            return text(event, "merge_group", "base_sha")
        case "push":
            before, usual = text(event, "before"), text(event, "repository", "default_branch")
            if before and before != NO_COMMIT and event.get("forced") is not True:
                return before
            # A forced push has dropped the commit before it. The default branch itself leaves nothing then.
            return f"origin/{usual}" if usual and text(event, "ref") != f"refs/heads/{usual}" else None
    return None


def text(event: Mapping[str, Any], *keys: str) -> str | None:
    """A text in an event; None where it is missing, or something else."""
    found: Any = event
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) and found else None
