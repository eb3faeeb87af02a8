"""Findings that were read in an app's code and those that were seen while it ran, as one list."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from reports.advice.anatomy import Anatomy, Blocks
from reports.advice.app_advice import (
    BlocksLoop,
    Computes,
    Finding,
    HoldsLoop,
    NothingWaits,
    Problem,
    ReadsFile,
    advise,
    outcomes,
    sorted_by_weight,
)
from reports.advice.driven import Driven, SeenLine, routes_of, seen_lines


@dataclass(frozen=True)
class AppAdvice:
    """An app, and what to change in it."""

    anatomy: Anatomy
    found: Sequence[Finding]
    home: Path
    """The directory from which the app's files are named."""
    driven: Driven | None = None
    """None: it was not run."""

    @classmethod
    def of(
        cls, told: Mapping[str, Any], driven: Mapping[str, Any] | None, in_flight: int, home: Path
    ) -> Self:
        """From the facts about an app, as loadtests collects them; see `advise`."""
        anatomy = Anatomy.model_validate(told)
        found = advise(anatomy, in_flight)
        if driven is None:
            return cls(anatomy, found, home)
        ran = Driven.model_validate(driven)
        return cls(anatomy, with_seen(found, ran, home), home, ran)

    def outcomes(self) -> set[str]:
        """What decides the exit code."""
        return outcomes(self.anatomy, self.found)


BY_ITSELF = "without a request"
"""In place of a route: what an app does by itself."""


def with_seen(found: Sequence[Finding], driven: Driven, home: Path) -> list[Finding]:
    """The findings with what was seen: a line that was read as well is one finding. `home`: the directory
    from which the app's files are named."""
    left = seen_lines(driven)
    merged: list[Finding] = []
    for one in without(computing_routes(driven), found):
        mine = tuple(line for line in left if reads(one.problem, line, home))
        left = [line for line in left if line not in mine]
        routes = tuple(dict.fromkeys((*one.routes, *routes_of(mine))))
        merged.append(replace(one, routes=routes, evidence="both", seen=mine) if mine else one)
    merged += [
        Finding(line.routes or (BY_ITSELF,), HoldsLoop(line), evidence="seen", seen=(line,)) for line in left
    ]
    merged += [
        Finding((one.name,), Computes(one.cpu, one.beside), evidence="seen")
        for one in driven.asked
        if one.delays_others and one.beside is not None and one.cpu is not None
    ]
    return sorted_by_weight(merged)


def computing_routes(driven: Driven) -> set[str]:
    """The routes that were seen to compute in a thread, whether others wait for it or not."""
    return {one.name for one in driven.asked if one.beside is not None}


def without(computing: Container[str], found: Sequence[Finding]) -> Iterator[Finding]:
    """The findings but those that nothing waits in a route, where it was seen to compute: as `async def` it
    would hold the event loop."""
    for one in found:
        routes = tuple(route for route in one.routes if route not in computing)
        if not isinstance(one.problem, NothingWaits):
            yield one
        elif routes:
            yield replace(one, routes=routes)


def reads(problem: Problem, line: SeenLine, home: Path) -> bool:
    """Whether a problem that was read is at that line."""
    match problem:
        case BlocksLoop(_, calls) | ReadsFile(_, calls):
            return any(at_line(call, line, home) for call in calls)
    return False


def at_line(call: Blocks, line: SeenLine, home: Path) -> bool:
    """Whether a call is at a line that was seen."""
    return (
        call.file is not None and call.line in line.lines and str((home / call.file).resolve()) == line.file
    )
