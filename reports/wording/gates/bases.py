"""What a gate compares with what, in words: the base's commit, its packages, and what it lacks."""

from __future__ import annotations

from loadtests.records import Plan
from reports.wording.units import counted

MOST_NAMES = 5
"""Files that are named."""


def base_lines(plan: Plan) -> list[str]:
    """What a reader of a gate must know of its base; none for a base that is what it was asked for, with the
    head's packages and files."""
    base = plan.base
    if base is None:
        return []
    lines = []
    if base.lacks:
        lacks = f"{base.ref} has {counted(base.lacks, 'commit')} that the branch lacks"
        lines.append(
            f"the base is {base.revision}, where the branch left {base.ref}; {lacks}: they are not compared "
            f"(merge or rebase, or pass --base-point ref)"
            if base.point == "merge-base"
            else f"{lacks}: the head is compared without them, as if the change had undone them"
        )
    if base.unchanged:
        lines.append(f"base and head are the same commit, {base.revision}: there is no change to be found")
    locks = {lock: base.constraints.get(arm, ()) for arm, lock in base.packages.items()}
    for lock, limits in locks.items():
        files = f"{lock}, with {named(limits)}," if limits else lock
        lines.append(f"{files} differs in the base, which gets an environment installed from its own")
    if base.unlike:
        pythons = [arm.python for arm in plan.arms if arm.name in plan.against.values() and arm.python]
        served = f"by {pythons[0]}" if pythons else "with the packages of the head"
        them = "it" if len(base.unlike) == 1 else "they"
        differ = "differs" if len(base.unlike) == 1 else "differ"
        lines.append(
            f"{named(base.unlike)} {differ} in the base, where {them} "
            f"{'is' if them == 'it' else 'are'} not installed: it is served {served}"
        )
    if base.untracked:
        lines.append(
            f"git does not track {named(base.untracked)}, so the base is served without: if the app reads "
            "any of that, make it there with --before-trial"
        )
    return lines


def named(files: tuple[str, ...]) -> str:
    """The first files, and how many more."""
    shown, more = files[:MOST_NAMES], len(files) - MOST_NAMES
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
