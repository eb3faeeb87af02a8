"""What to change first in an app, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from reports.advice.anatomy import Blocks, Pieces, UnreadCall
from reports.advice.app_advice import (
    BlocksLoop,
    Caller,
    Computes,
    Coverage,
    Finding,
    HoldsConnection,
    HoldsLoop,
    MayWedge,
    NeedlessHops,
    NothingWaits,
    Problem,
    ReadsFile,
    StreamsPieces,
    Wedges,
)
from reports.advice.driven import PulseWaits
from reports.wording.advice.driven import SEEN_WHY, seen_remedy, seen_text
from reports.wording.units import counted, duration

LISTED = 8
"""Calls that were not read, named in the terminal."""


@dataclass(frozen=True)
class ProblemText:
    """A problem in words."""

    what: str
    why: str
    remedy: str


def problem_text(problem: Problem) -> ProblemText:
    """What is seen, why it matters, what to do."""
    match problem:
        case BlocksLoop(caller, calls):
            return ProblemText(
                said(caller, calls),
                "it blocks the event loop, and with it every other request",
                remedy(caller),
            )
        case ReadsFile(caller, calls):
            return ProblemText(
                said(caller, calls),
                "reading a small cached file is faster than a thread hop, but a large file or a slow disk "
                "blocks the event loop",
                "leave it for small files, otherwise "
                + ("use `def`" if caller.may_be_def else "read it in a thread (anyio.to_thread.run_sync)"),
            )
        case Wedges(holder, taker, in_flight, connections, threads):
            return ProblemText(
                f"deadlocks under {in_flight} concurrent requests on {counted(connections, 'connection')} "
                f"(possible from {problem.bound} on)",
                wedge_reason(holder, taker, threads),
                wedge_remedy(taker),
            )
        case MayWedge(holder, taker, threads):
            return ProblemText(
                f"may deadlock once concurrent requests outnumber the pool by {threads}",
                wedge_reason(holder, taker, threads),
                f"{wedge_remedy(taker)} (no pool was seen: try --start)",
            )
        case HoldsConnection(holder, taker, in_flight, connections):
            user = "what uses it" if taker == holder else taker
            return ProblemText(
                f"serves at most {connections} of {in_flight} concurrent requests at a time",
                f"{holder} keeps {taken_by(taker, holder)} until the response is sent, though the "
                "route has no use for it",
                f"open and close the session in {user}, or allow as many connections as concurrent requests",
            )
        case NeedlessHops(hops, dependencies):
            names = ", ".join(f"{name} ({style})" for name, style in dependencies)
            return ProblemText(
                f"takes {counted(hops, 'thread hop')} for {names}",
                "nothing in them seems to wait, and each hop costs about as much as a light request",
                "make them `async def`" + exceptions(dependencies),
            )
        case NothingWaits(hops):
            return ProblemText(
                f"`def` takes {counted(hops, 'thread hop')}",
                "nothing in it seems to wait",
                "try `async def`, unless it computes for more than a millisecond: then every other request "
                "would wait for it (--drive shows whether it does)",
            )
        case StreamsPieces(pieces):
            return streams_text(pieces)
        case Computes(cpu, beside):
            return computes_text(cpu, beside)
        case HoldsLoop(line):
            return ProblemText(f"{line.shown}:{line.line} {seen_text(line)}", SEEN_WHY, seen_remedy(line))


def streams_text(pieces: Pieces) -> ProblemText:
    """A response that is streamed from a plain iterator."""
    place = "" if pieces.file is None else f" ({pieces.file}:{pieces.line})"
    lines = pieces.what.startswith("io.")
    return ProblemText(
        f"streams {pieces.what} with a thread hop for every {'line' if lines else 'piece'}{place}",
        "a plain iterator is iterated in worker threads, and nothing in this one seems to wait",
        "return it whole as a Response: it is in memory already"
        if lines
        else "yield larger pieces, or stream from an `async def` generator, unless a piece takes more than a "
        "millisecond to compute",
    )


def computes_text(cpu: float, beside: PulseWaits) -> ProblemText:
    """A route that computes in worker threads, and what a light request waits beside it."""
    waits = f"waits {duration(beside.waits)} instead of {duration(beside.alone)} (median)"
    return ProblemText(
        f"computes for {duration(cpu)} in a worker thread: beside {beside.users} such requests, a light "
        f"`async def` request {waits}",
        "threads that compute take turns with the event loop at the GIL, or at a CPU",
        "leave it `def`, since as `async def` every other request would wait for all of it; if its "
        "neighbours wait too long, compute in a process (ProcessPoolExecutor)",
    )


def said(caller: Caller, calls: Sequence[Blocks]) -> str:
    """Who calls what."""
    what = " and ".join(call_text(call) for call in calls)
    match caller.role:
        case "middleware" | "handler":
            return f"{caller.role} {caller.name} ({caller.style}) calls {what}"
        case "task":
            return f"a task that {caller.name} starts calls {what}"
        case "dependency":
            return f"{caller.style} calls {what} in its dependency {caller.name}"
        case "route" | "socket" | "event" | "app":
            return f"{caller.style} calls {what}"


def call_text(call: Blocks) -> str:
    """A call with its place, and how it is reached."""
    through = ", ".join(step.name for step in call.chain)
    place = "" if call.file is None else f" ({call.file}:{call.line})"
    return call.what + place + (f", reached through {through}" if through else "")


def remedy(caller: Caller) -> str:
    """What can be done where it is called."""
    waits = "await what waits (its asynchronous form, or anyio.to_thread.run_sync)"
    if caller.style == "def" and caller.role in ("route", "dependency"):
        return "run it in a thread (sync_to_thread=True)"
    if caller.style == "def" and caller.role == "handler":
        return "keep what waits out of it"
    if caller.role == "task":
        return waits
    if caller.style == "def":
        return "make it `async def`, and " + waits
    return f"use `def`, or {waits}" if caller.may_be_def else waits


def exceptions(dependencies: Sequence[tuple[str, str]]) -> str:
    """What cannot simply become an `async def`."""
    ways = []
    if any(style == "class" for _, style in dependencies):
        ways.append("a class: through a function that creates it")
    if any(name == "<lambda>" for name, _ in dependencies):
        ways.append("a lambda: through a function with a name")
    return f" ({'; '.join(ways)})" if ways else ""


def wedge_reason(holder: str, taker: str | None, threads: int) -> str:
    """Who holds what, and waits for what."""
    if taker is None:
        held = f"{holder} keeps its connection until the response is validated, which needs"
    else:
        held = f"{holder} keeps {taken_by(taker, holder)} while the rest of the request needs"
    return (
        f"{held} another of the {threads} threads, while the requests that hold all of them may be waiting "
        "for a connection"
    )


def taken_by(taker: str, holder: str) -> str:
    return "its connection" if taker == holder else f"the connection that {taker} takes"


def wedge_remedy(taker: str | None) -> str:
    where = (
        "open the session in the route and close it before returning"
        if taker is None
        else f"open and close the session in {taker}, before the route runs"
    )
    return f"{where}, or allow as many connections as concurrent requests"


WHY_UNREAD = {
    "library": "of a library",
    "framework": "its framework is not known",
    "run-time": "made at run time",
    "no-source": "no source",
    "decorated": "the decorator of a library may run it in a thread",
}


def unread_text(one: UnreadCall) -> str:
    """A call that was not read, and why."""
    reason = WHY_UNREAD.get(one.why, one.why)
    place = f"{one.file}:{one.line}" if one.file else ""
    told = ", ".join(filter(None, (reason, place)))
    return f"{one.name} ({told})" if told else one.name


def coverage_text(covered: Coverage) -> str:
    """What was read of what runs on the event loop; "" where that is everything."""
    if not covered.unread:
        return ""
    names = unread_texts(covered.unread)
    more = len(names) - LISTED
    said = ", ".join([*names[:LISTED], *([f"{more} more (--json lists them)"] if more > 0 else [])])
    return f"looked into {covered.looked_into} of {counted(covered.calls, 'call')}; not into: {said}"


def unread_texts(unread: Sequence[UnreadCall]) -> list[str]:
    """Calls that were not read; several of one library as one."""
    packages = Counter(one.name.partition(".")[0] for one in unread if one.why == "library")
    texts = []
    for one in unread:
        package = one.name.partition(".")[0]
        number = packages[package] if one.why == "library" else 1
        texts.append(unread_text(one) if number == 1 else f"{package} ({number} functions of a library)")
    return list(dict.fromkeys(texts))


def finding_text(found: Finding) -> str:
    """A finding in one line, with its routes."""
    text = problem_text(found.problem)
    alone = isinstance(found.problem, BlocksLoop | ReadsFile) and len(found.problem.calls) == 1
    seen = "".join(f", {seen_text(line, alone)}" for line in found.seen) if found.evidence == "both" else ""
    return f"{', '.join(found.routes)}: {text.what}{seen}: {text.why}; {text.remedy}"


def place_text(found: Finding) -> str:
    """The routes of a finding, with the function in front of or behind them where it is in one."""
    where = ", ".join(found.routes)
    match found.problem:
        case BlocksLoop(caller, _) | ReadsFile(caller, _) if caller.role in ("middleware", "handler"):
            return f"{where} ({caller.role} {caller.name})"
        case BlocksLoop(caller, _) | ReadsFile(caller, _) if caller.role == "task":
            return f"{where} (a task of {caller.name})"
    return where


def closing(found: Sequence[Finding], covered: Coverage) -> str:
    """What to do first."""
    if not found and covered.unread:
        return "nothing to change in what was read; the rest may block the event loop"
    if not found:
        return "nothing to change; to find out which style is faster, measure: duel run --arm … --arm …"
    first = found[0]
    untried = "" if first.weight == "wrong" else " and measure it (duel run --base-ref …): not tried here"
    return f"first: {place_text(first)}: {problem_text(first.problem).remedy}{untried}"
