"""Where in a repository the findings for an app are: one item for each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reports.advice.anatomy import Anatomy, ChainStep
from reports.advice.app_advice import BlocksLoop, Finding, HoldsLoop, ReadsFile
from reports.advice.seen import BY_ITSELF, AppAdvice, at_line
from reports.export.places import Place
from reports.wording.advice.app_advice import finding_text
from reports.wording.advice.rules import Rule, rule_of


@dataclass(frozen=True)
class Located:
    """A finding at a line."""

    rule: Rule
    finding: Finding
    """As far as it is about this line."""
    message: str
    about: str
    """What is called there, or else the routes: it stays when lines move."""
    place: Place | None
    """None: outside of the repository."""
    chain: tuple[tuple[str, Place], ...] = ()
    """The functions of the repository that lead there."""


def located(advice: AppAdvice, root: Path) -> list[Located]:
    """The findings, in their order; files are named from `root`."""
    return [one for finding in advice.found for one in lines_of(finding, advice, root)]


def lines_of(finding: Finding, advice: AppAdvice, root: Path) -> Iterator[Located]:
    problem, routes = finding.problem, ", ".join(finding.routes)
    match problem:
        case BlocksLoop(_, calls) | ReadsFile(_, calls):
            for call in calls:
                seen = tuple(line for line in finding.seen if at_line(call, line, advice.home))
                only = replace(
                    finding,
                    problem=replace(problem, calls=(call,)),
                    seen=seen,
                    evidence="both" if seen else "read",
                )
                place = place_of(call.file, call.line, advice.home, root)
                chain = tuple(steps(call.chain, advice.home, root))
                yield item(only, call.what, place or chain_end(chain), advice, root, chain)
        case HoldsLoop(line):
            place = place_of(line.file, line.line, advice.home, root)
            yield item(finding, line.what, place, advice, root)
        case _:
            yield item(finding, routes, None, advice, root)


def item(
    finding: Finding,
    about: str,
    place: Place | None,
    advice: AppAdvice,
    root: Path,
    chain: tuple[tuple[str, Place], ...] = (),
) -> Located:
    """A finding; where its own line is not in the repository, at its route's function, or at the one that
    starts what the app does by itself."""
    where = place or route_place(finding.routes, advice.anatomy, advice.home, root)
    if where is None and BY_ITSELF in finding.routes:
        where = start_place(advice.anatomy, advice.home, root)
    return Located(rule_of(finding.problem), finding, finding_text(finding), about, where, chain)


def chain_end(chain: Sequence[tuple[str, Place]]) -> Place | None:
    return chain[-1][1] if chain else None


def steps(chain: Sequence[ChainStep], home: Path, root: Path) -> Iterator[tuple[str, Place]]:
    for step in chain:
        place = place_of(step.file, step.line, home, root)
        if place is not None:
            yield step.name, place


def route_place(routes: Sequence[str], anatomy: Anatomy, home: Path, root: Path) -> Place | None:
    """The function of the first of these routes that is known."""
    for one in (*anatomy.routes, *anatomy.middleware, *anatomy.handlers):
        if str(one) in routes and (place := place_of(one.file, one.line, home, root)) is not None:
            return place
    return None


def start_place(anatomy: Anatomy, home: Path, root: Path) -> Place | None:
    """The function that runs while the app starts, and starts what it does by itself."""
    places = (place_of(one.file, one.line, home, root) for one in anatomy.lifespan)
    return next(filter(None, places), None)


def place_of(file: str | None, line: int | None, home: Path, root: Path) -> Place | None:
    """A line by its path from `root`; None outside of it, and in an environment inside."""
    if file is None or line is None:
        return None
    path = (home / file).resolve()
    if not path.is_relative_to(root) or {"site-packages", "dist-packages"} & set(path.parts):
        return None
    return Place(path.relative_to(root).as_posix(), line)


def repository(directory: Path) -> Path:
    """The root of the repository that a directory is in; itself outside of any."""
    here = directory.resolve()
    return next((one for one in (here, *here.parents) if (one / ".git").exists()), here)
