"""The kinds of findings, as tools that collect them name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reports.advice.app_advice import (
    BlocksLoop,
    Computes,
    HoldsConnection,
    HoldsLoop,
    MayWedge,
    NeedlessHops,
    NothingWaits,
    Problem,
    ReadsFile,
    StreamsPieces,
    Wedges,
    Weight,
)


@dataclass(frozen=True)
class Rule:
    """A kind of finding."""

    id: str
    about: str
    help: str
    weight: Weight
    """Of most of its findings."""


BLOCKS_LOOP = Rule(
    "blocks-loop",
    "A call blocks the event loop.",
    "While it waits, no other request is answered. Await it, or run it in a thread.",
    "wrong",
)
COMPUTES = Rule(
    "computes-on-loop",
    "Code computes on the event loop for 5 ms or more.",
    "Meanwhile no other request is answered. Run it in a thread, or in a process if it takes long.",
    "mind",
)
READS_FILE = Rule(
    "reads-file",
    "A file is read or written on the event loop.",
    "A small cached file is read faster than in a thread; a large file or a slow disk blocks the event loop.",
    "mind",
)
DEADLOCK = Rule(
    "pool-deadlock",
    "Requests can deadlock over database connections and threads.",
    "Open and close the session where it is used, or allow as many connections as concurrent requests.",
    "wrong",
)
MAY_DEADLOCK = Rule(
    "pool-may-deadlock",
    "Requests may deadlock over database connections and threads: the pool's size is unknown.",
    DEADLOCK.help,
    "mind",
)
HOLDS_CONNECTION = Rule(
    "holds-connection",
    "A dependency keeps a database connection that the route does not use.",
    "The pool limits the number of concurrent requests. Close the session in the dependency.",
    "mind",
)
NEEDLESS_HOPS = Rule(
    "needless-hops",
    "Dependencies take worker threads although nothing in them waits.",
    "Each hop costs about as much as a light request. Make them async def.",
    "consider",
)
NOTHING_WAITS = Rule(
    "nothing-waits",
    "A def route takes a worker thread although nothing in it waits.",
    "Try async def, and measure it.",
    "consider",
)

STREAMS_PIECES = Rule(
    "streams-pieces",
    "A streaming response takes a worker thread for every piece.",
    "Nothing in its iterator waits. Yield larger pieces, stream from an async generator, or return it whole.",
    "consider",
)
COMPUTES_IN_THREAD = Rule(
    "computes-in-thread",
    "A def route computes in worker threads, and light requests wait for them.",
    "Leave it def. If its neighbours wait too long, compute in a process.",
    "consider",
)

RULES = (
    BLOCKS_LOOP, COMPUTES, READS_FILE, DEADLOCK, MAY_DEADLOCK, HOLDS_CONNECTION, NEEDLESS_HOPS, NOTHING_WAITS,
    STREAMS_PIECES, COMPUTES_IN_THREAD,
)  # fmt: skip

BY_KIND: Mapping[type, Rule] = {
    BlocksLoop: BLOCKS_LOOP, ReadsFile: READS_FILE, Wedges: DEADLOCK, MayWedge: MAY_DEADLOCK,
    HoldsConnection: HOLDS_CONNECTION, NeedlessHops: NEEDLESS_HOPS, NothingWaits: NOTHING_WAITS,
    StreamsPieces: STREAMS_PIECES, Computes: COMPUTES_IN_THREAD,
}  # fmt: skip


def rule_of(problem: Problem) -> Rule:
    """The kind of a problem. What was seen to wait is of the same kind whether it was read, too, or not."""
    if isinstance(problem, HoldsLoop):
        return COMPUTES if problem.line.computes else BLOCKS_LOOP
    return BY_KIND[type(problem)]
