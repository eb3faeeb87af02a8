"""Routes that are not known, learned from the names: what varies in them is a parameter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from loadtests.records.names.routes import is_path

SIBLINGS = (20, 5, 0)
"""Different segments in one place of a path above which the place is a parameter: the first of these that
makes few enough names."""

DEEPEST = 8
"""Segments of a path that are told apart; what follows is one."""

ANY, REST = "{}", "{:path}"
"""A parameter of a learned route: a segment, and all that follows."""


def learn(names: Sequence[str], most: int) -> dict[str, str]:
    """By name, the route to which it seems to belong: at most `most` different ones."""
    found: dict[str, str] = {}
    for siblings in SIBLINGS:
        found = collapsed(names, siblings)
        if len(set(found.values())) <= most:
            break
    return found


def collapsed(names: Sequence[str], siblings: int) -> dict[str, str]:
    """The names with a parameter in every place where more than `siblings` different segments follow the same
    beginning."""
    separators = {name: "/" if is_path(name) else " " for name in names}
    segments = {name: name.removeprefix("/").split(separators[name], DEEPEST) for name in names}
    so_far: dict[str, tuple[str, ...]] = {name: ("/" if is_path(name) else "",) for name in names}
    for depth in range(DEEPEST + 1):
        here = {name: own[depth] for name, own in segments.items() if depth < len(own)}
        followers: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for name, segment in here.items():
            followers[so_far[name]].add(segment)
        parameter = ANY if depth < DEEPEST else REST
        # All names that start alike are decided before the next place.
        so_far |= {
            name: (*so_far[name], parameter if len(followers[so_far[name]]) > siblings else segment)
            for name, segment in here.items()
        }
    return {name: so_far[name][0] + separators[name].join(so_far[name][1:]) for name in names}
