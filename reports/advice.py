"""What an app's anatomy comes to, without any load: what to change first, and why.

Everything here follows from how FastAPI calls a function, and says so; what a change would bring is not known
before it is measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from loadtests.records import Frozen
from reports.terminal import counted, say

Weight = Literal["wrong", "mind", "consider"]
HOPS = {"def": 1, "class": 1, "generator": 2, "async def": 0, "async generator": 0}
"""Calls handed to a worker thread: FastAPI runs in one whatever is not a coroutine, a class as well, and
enters and leaves a generator in one each."""
MARKS: Mapping[Weight, str] = {"wrong": "✗", "mind": "!", "consider": "·"}
THREADS = 40
"""Tokens of AnyIO's limiter, unless an app sets others."""
FILES = frozenset({"open", "read_text", "read_bytes", "write_text", "write_bytes"})
"""What reading a small file is called: that is quicker on the loop than the way to a thread and back."""


class Blocks(Frozen):
    """A call that keeps its thread while it waits."""

    what: str
    file: str | None
    line: int | None

    def __str__(self) -> str:
        return f"{self.what} ({self.file}:{self.line})"


class Called(Frozen):
    """A route's function, or one of its dependencies."""

    name: str
    style: Literal["def", "async def", "generator", "async generator", "class"]
    file: str | None
    line: int | None
    session: bool
    blocks: tuple[Blocks, ...]


class Route(Called):
    """A route and what is called before it."""

    path: str
    methods: tuple[str, ...]
    response_model: str | None
    dependencies: tuple[Called, ...]

    def __str__(self) -> str:
        return f"{','.join(self.methods) or 'ANY'} {self.path}"

    @property
    def sync(self) -> bool:
        return self.style == "def"

    @property
    def hops(self) -> int:
        """Calls handed to worker threads for one request; a `def` route's answer is validated in one, too."""
        own = 1 + (self.response_model is not None) if self.sync else 0
        return own + sum(HOPS[one.style] for one in self.dependencies)


class Pool(Frozen):
    """A pool of database connections."""

    kind: str
    size: int | None
    overflow: int | None
    """None for any number."""

    @property
    def most(self) -> int | None:
        """Connections that it may hold; None for any number, or where that is not known."""
        return None if self.size is None or self.overflow is None else self.size + self.overflow


class Anatomy(Frozen):
    """An app, as loadtests/anatomy.py tells it."""

    routes: tuple[Route, ...]
    pools: tuple[Pool, ...]


@dataclass(frozen=True)
class Finding:
    """Something to change, to look at, or to try."""

    weight: Weight
    where: str
    what: str
    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}: {self.why}; {self.remedy}"


def advise(anatomy: Anatomy, in_flight: int) -> list[Finding]:
    """What to do about an app of which `in_flight` requests are served at once, the gravest first."""
    found = [one for route in anatomy.routes for one in (*blocked(route), *wedged(route, anatomy, in_flight))]
    found += [one for route in anatomy.routes for one in (*hopping(route), *idle(route))]
    order: Sequence[Weight] = ("wrong", "mind", "consider")
    return together(sorted(found, key=lambda one: order.index(one.weight)))


def blocked(route: Route) -> list[Finding]:
    """What keeps the event loop itself."""
    found = []
    for one in (route, *route.dependencies):
        if one.style not in ("async def", "async generator"):
            continue
        for weight, blocks in (
            ("wrong", [block for block in one.blocks if block.what not in FILES]),
            ("mind", [block for block in one.blocks if block.what in FILES]),
        ):
            if not blocks:
                continue
            said = " and ".join(map(str, blocks))
            whose = "" if one is route else f" in its dependency {one.name}"
            if weight == "wrong":
                found.append(
                    Finding(
                        "wrong", str(route), f"{one.style} calls {said}{whose}",
                        "the event loop stands still meanwhile, for every other request as well",
                        "write `def`, or await what waits (its asynchronous form, or "
                        "anyio.to_thread.run_sync)",
                    )
                )  # fmt: skip
            else:
                found.append(
                    Finding(
                        "mind", str(route), f"{one.style} calls {said}{whose}",
                        "a small file from memory is read quicker than a thread is reached, a large one or a "
                        "slow disk holds the loop",
                        "leave it for small files, else use `def`",
                    )
                )  # fmt: skip
    return found


def wedged(route: Route, anatomy: Anatomy, in_flight: int) -> list[Finding]:
    """Finished requests that hold a connection and wait for a thread, while the others hold every thread and
    wait for a connection."""
    holders = [one.name for one in route.dependencies if one.session]
    if not route.sync or route.response_model is None or not holders:
        return []
    sizes = [pool.most for pool in anatomy.pools if pool.most is not None]
    why = (
        f"{holders[0]} keeps its connection until the answer is validated, which needs another of the "
        f"{THREADS} threads, while the requests that hold them all may wait for a connection"
    )
    remedy = (
        "open the session in the route and leave it before returning, or allow as many connections as there "
        "are requests in flight"
    )
    if not sizes:
        what = "may stand still where the pool is smaller than the requests in flight"
        return [Finding("mind", str(route), what, why, f"{remedy} (no pool was seen: try --start)")]
    if min(sizes) >= in_flight:
        return []
    what = f"stands still under {in_flight} requests at once on {min(sizes)} connections"
    return [Finding("wrong", str(route), what, why, remedy)]


def hopping(route: Route) -> list[Finding]:
    """Dependencies of an asynchronous route that take a thread for nothing that is seen to wait."""
    if route.sync:
        return []
    needless = [one for one in route.dependencies if HOPS[one.style] and not one.blocks and not one.session]
    if not needless:
        return []
    hops = sum(HOPS[one.style] for one in needless)
    names = ", ".join(f"{one.name} ({one.style})" for one in needless)
    return [
        Finding(
            "consider", str(route), f"takes {counted(hops, 'thread hop')} for {names}",
            "nothing in them is seen to wait, and each hop costs about as much as a light request",
            "write them `async def`" + (" (a class: by a function that makes one)"
            if any(one.style == "class" for one in needless) else ""),
        )
    ]  # fmt: skip


def idle(route: Route) -> list[Finding]:
    """`def` routes in which nothing is seen to wait."""
    if not route.sync or route.blocks or route.dependencies:
        return []
    return [
        Finding(
            "consider", str(route), f"`def` takes {counted(route.hops, 'thread hop')}",
            "nothing in it is seen to wait",
            "try `async def`, unless it computes for longer than a millisecond: then everybody would wait "
            "for it",
        )
    ]  # fmt: skip


def together(found: Sequence[Finding]) -> list[Finding]:
    """What is the same of several routes, said once."""
    routes: dict[Finding, list[str]] = {}
    for one in found:
        routes.setdefault(replace(one, where=""), []).append(one.where)
    return [replace(one, where=", ".join(dict.fromkeys(where))) for one, where in routes.items()]


def data(anatomy: Anatomy, found: Sequence[Finding]) -> dict[str, Any]:
    """As plain data, schema `duel-advice/1`."""
    return {
        "schema": "duel-advice/1",
        "routes": [{**route.model_dump(mode="json"), "hops": route.hops} for route in anatomy.routes],
        "pools": [pool.model_dump(mode="json") for pool in anatomy.pools],
        "findings": [asdict(one) for one in found],
    }


def show(console: Console, anatomy: Anatomy, found: Sequence[Finding]) -> None:
    """Every route, then what to do, the gravest first."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("route", "style", "hops", "dependencies", "answer"):
        table.add_column(name, justify="right" if name == "hops" else "left", overflow="fold")
    for route in anatomy.routes:
        said = ", ".join(f"{one.name} ({one.style})" for one in route.dependencies)
        table.add_row(
            escape(str(route)), route.style, str(route.hops), escape(said) or "–",
            escape(route.response_model or "–"),
        )  # fmt: skip
    console.print(table, highlight=False)
    console.print()
    for pool in anatomy.pools:
        limit = "any number of connections" if pool.most is None else counted(pool.most, "connection")
        say(console, f"database pool {pool.kind}: {limit}")
    for one in found:
        say(console, f"{MARKS[one.weight]} {one}")
    if found:
        console.print()
    say(console, closing(found))


def closing(found: Sequence[Finding]) -> str:
    """What to do first."""
    if not found:
        return "nothing to change is seen; which style is faster, a run tells: duel run --arm … --arm …"
    first = found[0]
    tried = (
        "" if first.weight == "wrong" else " and measure it (duel run --base-ref …): nothing was tried here"
    )
    return f"first: {first.where}: {first.remedy}{tried}"
