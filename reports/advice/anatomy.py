"""An app as loadtests/serving/inside/frameworks describes it: what its framework calls, and where it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from loadtests.records import Frozen

Style = Literal["def", "async def", "generator", "async generator", "class"]

Role = Literal["route", "socket", "event", "app", "dependency", "middleware", "handler", "task"]

HOPS: Mapping[Style, int] = {"def": 1, "class": 1, "generator": 2, "async def": 0, "async generator": 0}
"""Calls handed to a worker thread: FastAPI runs everything but coroutines in one, classes included; a
generator takes two, one to enter and one to exit."""

THREADS = 40
"""Tokens of AnyIO's limiter, unless an app changes them."""

FILES = frozenset({"open", "read_text", "read_bytes", "write_text", "write_bytes"})
"""Calls that read or write a file: for a small one, faster on the loop than a hop to a thread and back."""


class ChainStep(Frozen):
    """A function on the way from what the framework calls to a blocking call."""

    name: str
    file: str | None = None
    line: int | None = None
    coroutine: bool = False
    """It runs on the loop, whatever calls it."""


class Blocks(Frozen):
    """A call that blocks its thread while it waits."""

    what: str
    file: str | None
    line: int | None
    kind: Literal["waits", "file", "computes"] = "waits"
    chain: tuple[ChainStep, ...] = ()
    """The functions that lead to it, the first below what the framework calls."""

    task: bool = False
    """It is reached in a task, or another call of the event loop, that the function starts."""

    @property
    def reads_file(self) -> bool:
        return self.kind == "file" or self.what in FILES


class UnreadCall(Frozen):
    """Something that is reached and was not read."""

    name: str
    file: str | None = None
    line: int | None = None
    why: str = ""
    task: bool = False
    """It is reached in a task, or another call of the event loop, that the function starts."""


class Pieces(Frozen):
    """A response that is streamed from a plain iterator in which nothing seems to wait."""

    what: str
    """The generator's name, or a class such as io.BytesIO, which is iterated by lines."""
    file: str | None
    line: int | None


class Called(Frozen):
    """A function that a framework calls."""

    name: str
    style: Style
    runs: Literal["loop", "thread"]
    file: str | None
    line: int | None
    awaits: bool = False
    may_be_def: bool = True
    """Its framework would run a plain function in a thread."""
    library: bool = False
    """It is a library's, and not the app's."""
    session: bool = False
    """It keeps a database session until the response is sent."""
    connects: bool = False
    """It takes a connection as soon as it is entered; a session does with its first statement."""
    needs: tuple[str, ...] = ()
    """Names of what it depends on itself."""
    blocks: tuple[Blocks, ...] = ()
    unread: tuple[UnreadCall, ...] = ()
    pieces: tuple[Pieces, ...] = ()
    looked_into: int = 0

    @property
    def role(self) -> Role:
        return "dependency"

    @property
    def own_hops(self) -> int:
        """Calls handed to worker threads to run it."""
        return HOPS[self.style] if self.runs == "thread" else 0

    @property
    def idle(self) -> bool:
        """Whether it is the app's and takes a thread though nothing in it seems to wait."""
        return bool(self.own_hops) and not self.blocks and not self.unread and not self.library

    @property
    def identity(self) -> tuple[str, str | None, int | None]:
        return self.name, self.file, self.line


class Route(Called):
    """A route and its dependencies."""

    path: str
    methods: tuple[str, ...]
    response_model: str | None = None
    dependencies: tuple[Called, ...] = ()

    def __str__(self) -> str:
        return f"{','.join(self.methods) or 'ANY'} {self.path}"

    @property
    def role(self) -> Role:
        words: Mapping[tuple[str, ...], Role] = {
            ("WEBSOCKET",): "socket", ("EVENT",): "event", ("ASGI",): "app", ("WSGI",): "app",
        }  # fmt: skip
        return words.get(self.methods, "route")

    @property
    def hops(self) -> int:
        """Calls handed to worker threads per request; a `def` route also validates its response in one."""
        validation = int(self.runs == "thread" and self.style == "def" and self.response_model is not None)
        return self.own_hops + validation + sum(one.own_hops for one in self.dependencies)


class InFront(Called):
    """Middleware."""

    before: str
    """The paths of the routes that it is in front of, such as `/v1/*`; "" for all of them."""

    def __str__(self) -> str:
        return self.before or "every route"

    @property
    def role(self) -> Role:
        return "middleware"


class ErrorHandler(Called):
    """A handler of an exception or a status."""

    catches: str
    before: str

    def __str__(self) -> str:
        return f"on {self.catches}" + (f" in {self.before}" if self.before else "")

    @property
    def role(self) -> Role:
        return "handler"


class Startup(Called):
    """What runs while the app starts and stops; the tasks that it starts run beside the requests."""

    def __str__(self) -> str:
        return "every route"

    @property
    def role(self) -> Role:
        return "task"


class Pool(Frozen):
    """A pool of database connections."""

    kind: str
    size: int | None
    overflow: int | None
    """None: unlimited."""

    @property
    def most(self) -> int | None:
        """Maximum number of connections; None: unlimited or unknown."""
        return None if self.size is None or self.overflow is None else self.size + self.overflow


class Anatomy(Frozen):
    """An app's parts."""

    routes: tuple[Route, ...]
    pools: tuple[Pool, ...] = ()
    middleware: tuple[InFront, ...] = ()
    handlers: tuple[ErrorHandler, ...] = ()
    lifespan: tuple[Startup, ...] = ()
    """What runs while the app starts and stops, when no request waits, and the tasks that it starts."""
    unread: tuple[UnreadCall, ...] = ()
    """What was not looked into at all: frameworks that are not known, libraries in front of the routes."""
    frameworks: tuple[str, ...] = ()
    threads: int = THREADS
    """Tokens of AnyIO's limiter: AnyIO's default where the app was not started."""

    def called(self) -> Iterator[Called]:
        """Everything that is called for requests."""
        yield from (*self.middleware, *self.handlers)
        for route in self.routes:
            yield from (*route.dependencies, route)
