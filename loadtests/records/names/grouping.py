"""The names of requests, few enough to be read: where they are many, those of one route become one.

Locust names a request by its path unless it is given a name, so that `/items/17` and `/items/18` are two
endpoints. The app's routes say which paths belong together; where they are not known, the places of the paths
do that have many different segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.records.names.learned import learn
from loadtests.records.names.routes import PARAMETER, is_path, matcher, without_query

MOST_PATHS = 50
"""Names that are paths, from which on they are grouped."""

MOST_CHOSEN = 500
"""Other names, which people have chosen, from which on they are grouped."""


@dataclass(frozen=True)
class Grouping:
    """The names under which requests are recorded."""

    names: tuple[str, ...]
    numbers: NDArray[np.intp]
    """By the place of each original name, that of its group in `names`."""
    learned: tuple[str, ...] = ()
    """Routes that were not known before."""
    original: int | None = None
    """How many names were grouped; None where they were few, and kept."""


def grouped(names: Sequence[str], routes: Sequence[str] = (), always: bool = False) -> Grouping:
    """Different names, grouped if they are many. `routes`: those known, the first that matches counts;
    `always`: even if there are few names, since other loads of this run had many."""
    known = dict(zip(names, names, strict=True))
    learned: list[str] = []
    match = matcher(routes)
    for mine, most in (
        (list(filter(is_path, known)), MOST_PATHS),
        (list(filter(is_chosen, known)), MOST_CHOSEN),
    ):
        if len(mine) <= most and not always:
            continue
        plain = {name: without_query(name) for name in mine}
        found = {path: match(path) for path in dict.fromkeys(plain.values())}
        strange = [path for path, route in found.items() if route is None]
        new = learn(strange, most) if len(strange) > most else {path: path for path in strange}
        learned += [route for route in dict.fromkeys(new.values()) if PARAMETER.search(route)]
        known |= {name: found[path] or new[path] for name, path in plain.items()}
    groups = {name: number for number, name in enumerate(dict.fromkeys(known.values()))}
    few = all(name == group for name, group in known.items())
    return Grouping(
        names=tuple(groups),
        numbers=np.array([groups[group] for group in known.values()], dtype=np.intp),
        learned=tuple(learned),
        original=None if few else len(names),
    )


def is_chosen(name: str) -> bool:
    return not is_path(name)
