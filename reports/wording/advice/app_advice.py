"""What to change first in an app, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.advice.app_advice import (
    BlocksLoop,
    Finding,
    MayWedge,
    NeedlessHops,
    NothingWaits,
    Problem,
    ReadsFile,
    Wedges,
)
from reports.wording.units import counted


@dataclass(frozen=True)
class ProblemText:
    """A problem in words."""

    what: str
    why: str
    remedy: str


def problem_text(problem: Problem) -> ProblemText:
    """What is seen, why it matters, what to do."""
    match problem:
        case BlocksLoop(style, calls, dependency):
            return ProblemText(
                f"{style} calls {' and '.join(map(str, calls))}{place(dependency)}",
                "it blocks the event loop, and with it every other request",
                "use `def`, or await what waits (its asynchronous form, or anyio.to_thread.run_sync)",
            )
        case ReadsFile(style, calls, dependency):
            return ProblemText(
                f"{style} calls {' and '.join(map(str, calls))}{place(dependency)}",
                "reading a small cached file is faster than a thread hop, but a large file or a slow disk "
                "blocks the event loop",
                "leave it for small files, otherwise use `def`",
            )
        case Wedges(holder, in_flight, connections, threads):
            return ProblemText(
                f"deadlocks under {in_flight} concurrent requests on {connections} connections",
                wedge_reason(holder, threads),
                WEDGE_REMEDY,
            )
        case MayWedge(holder, threads):
            return ProblemText(
                "may deadlock if the pool is smaller than the number of concurrent requests",
                wedge_reason(holder, threads),
                f"{WEDGE_REMEDY} (no pool was seen: try --start)",
            )
        case NeedlessHops(hops, dependencies):
            names = ", ".join(f"{name} ({style})" for name, style in dependencies)
            some_class = any(style == "class" for _, style in dependencies)
            return ProblemText(
                f"takes {counted(hops, 'thread hop')} for {names}",
                "nothing in them seems to wait, and each hop costs about as much as a light request",
                "make them `async def`"
                + (" (a class: through a function that creates it)" if some_class else ""),
            )
        case NothingWaits(hops):
            return ProblemText(
                f"`def` takes {counted(hops, 'thread hop')}",
                "nothing in it seems to wait",
                "try `async def`, unless it computes for more than a millisecond: then every other request "
                "would wait for it",
            )


WEDGE_REMEDY = (
    "open the session in the route and close it before returning, or allow as many connections as concurrent "
    "requests"
)


def wedge_reason(holder: str, threads: int) -> str:
    return (
        f"{holder} keeps its connection until the response is validated, which needs another of the "
        f"{threads} threads, while the requests that hold all of them may be waiting for a connection"
    )


def place(dependency: str | None) -> str:
    return "" if dependency is None else f" in its dependency {dependency}"


def finding_text(found: Finding) -> str:
    """A finding in one line, with its routes."""
    text = problem_text(found.problem)
    return f"{', '.join(found.routes)}: {text.what}: {text.why}; {text.remedy}"


def closing(found: Sequence[Finding]) -> str:
    """What to do first."""
    if not found:
        return "nothing to change; to find out which style is faster, measure: duel run --arm … --arm …"
    first = found[0]
    untried = "" if first.weight == "wrong" else " and measure it (duel run --base-ref …): not tried here"
    return f"first: {', '.join(first.routes)}: {problem_text(first.problem).remedy}{untried}"
