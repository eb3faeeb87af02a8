"""What a stack of the event loop's thread says: the line of the app's own code, what it calls, and for which
route.

Loaded by serve.py from its own directory: only the standard library, none of our packages. It looks at frames
of another thread and runs no code of the app: no attribute of an object that the app made is looked up.

Walked step by step in Python, a stack of a running thread is not safe in CPython 3.11: between two steps the
thread may run on, and a frame's way back then leads nowhere. Profilers that did so have ended their programs
by SIGSEGV (python/cpython#99110, getsentry/sentry-python#6119, DataDog/dd-trace-py#13567), and a garbage
collection within `sys._current_frames` may lock all threads for ever (python/cpython#106883). So a stack is
taken in one call into C, during which no other thread runs, and without garbage collection: see `taken`.
"""

from __future__ import annotations

import ast
import dis
import gc
import inspect
import linecache
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import accumulate, chain, islice, repeat, takewhile
from operator import truth
from types import CodeType, FrameType
from typing import Any, Literal, NamedTuple

Kind = Literal["own", "library", "standard", "ours"]

MOST = 2_000
"""Different places that are kept."""

INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]")

NUMBERED = re.compile(r"\d|^[0-9a-f-]{16,}$")
"""What makes a part of a path one of many."""

HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class Stacked(NamedTuple):
    """A place in a stack: an instruction, what it calls, and for which route."""

    code: CodeType
    instruction: int
    own: bool
    """Whether the code is the app's."""
    called: CodeType | None
    """None for what has no frame: a function in C, or nothing."""
    module: str
    """Of the called code."""
    route: str | None


Stack = tuple[FrameType, ...]
"""Frames of one thread, the deepest first; empty where it has none."""


def taken(thread: int) -> Stack:
    """The stack of a thread. One call into C takes it: every part below is an iterator in C, so that the GIL
    is not given up from the moment when the deepest frame is found until the outermost one is."""
    deepest = map(dict.get, islice(iter(sys._current_frames, None), 1), (thread,))
    steps: Iterable[Any] = chain(deepest, repeat("f_back"))
    frames = takewhile(truth, accumulate(steps, getattr))
    collects = gc.isenabled()
    gc.disable()
    try:
        return tuple(frames)
    finally:
        if collects:
            gc.enable()


class Stacks:
    """Reads stacks, and keeps each different place once. `own`: the app's package or module, whose code is
    the app's own wherever it is installed. `endpoints`: methods, path, function and its code of each route
    that is known."""

    def __init__(
        self, own: tuple[str, ...], endpoints: Iterable[tuple[list[str], str, Any, CodeType]]
    ) -> None:
        self.own = own
        self.standard = tuple(
            {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib")}
        )
        self.kinds: dict[int, tuple[CodeType, Kind]] = {}
        """By the code's id; hashing the code itself takes longer."""
        self.outer: dict[int, CodeType] = {}
        self.places: list[Stacked] = []
        self.known: dict[tuple[int, int, int, str | None], int] = {}
        self.words: dict[tuple[int, int, int, str | None], dict[str, Any]] = {}
        self.methods: dict[str, str] = {}
        self.endpoints: dict[int, tuple[str, Any]] = {}
        for methods, path, function, code in endpoints:
            self.methods.setdefault(path, methods[0] if methods else "")
            for one in (function, code):
                # One function of several routes does not say which.
                known = self.endpoints.get(id(one))
                self.endpoints[id(one)] = (path if known is None or known[0] == path else "", one)

    def leave_out(self, frame: FrameType | None) -> None:
        """From the event loop's thread, in a coroutine: the frames that it has whatever it runs."""
        while frame is not None and not frame.f_code.co_flags & inspect.CO_COROUTINE:
            frame = frame.f_back
        while frame is not None and frame.f_code.co_flags & inspect.CO_COROUTINE:
            frame = frame.f_back
        while frame is not None:
            self.outer[id(frame.f_code)] = frame.f_code
            frame = frame.f_back

    def of(self, thread: int) -> Stack:
        """The stack of a thread."""
        return taken(thread)

    def idle(self, stack: Stack) -> bool:
        """Whether the loop runs no callback."""
        if not stack:
            return True
        code = stack[0].f_code
        return id(code) in self.outer or (code.co_name == "select" and self.kind(code) == "standard")

    def transfers(self, stack: Stack) -> bool:
        """Whether asyncio sends or receives just now, without the GIL."""
        code = stack[0].f_code
        return code.co_filename.endswith("selector_events.py") and self.kind(code) == "standard"

    def callback(self, stack: Stack) -> Stack:
        """The frames of the callback that runs: those within what the loop has whatever it runs."""
        return tuple(takewhile(lambda frame: id(frame.f_code) not in self.outer, stack))

    def kind(self, code: CodeType) -> Kind:
        """Whose code it is."""
        found = self.kinds.get(id(code))
        if found is None:
            found = (code, self.kind_of(code.co_filename))
            if len(self.kinds) < 10 * MOST:
                self.kinds[id(code)] = found
        return found[1]

    def kind_of(self, file: str) -> Kind:
        """Whose file it is."""
        if file.startswith(HERE):
            return "ours"
        if file.startswith(self.own):
            return "own"
        if file.startswith("<frozen"):
            return "standard"
        if file.startswith("<") or INSTALLED.search(file):
            return "library"
        return "standard" if file.startswith(self.standard) else "own"

    def place(self, stack: Stack) -> int | None:
        """The number of the place of a stack: the deepest line of the app's own code, or else of a library's,
        or else of Python's. None where the callback is ours, or too many are kept already."""
        found: dict[Kind, tuple[CodeType, int, CodeType | None, str]] = {}
        route: str | None = None
        scope: Any = None
        below: CodeType | None = None
        module, kind = "", "ours"
        for one in self.callback(stack):
            code = one.f_code
            kind = self.kind(code)
            if kind != "ours":
                if kind not in found:
                    found[kind] = (code, one.f_lasti, below, module)
                if route is None and id(code) in self.endpoints:
                    route = self.endpoints[id(code)][0] or None
                if scope is None and kind != "own" and "scope" in code.co_varnames[: code.co_argcount]:
                    scope = one.f_locals.get("scope")
                below, module = code, str(one.f_globals.get("__name__", ""))
        where = found.get("own") or found.get("library") or found.get("standard")
        if kind == "ours" or where is None:
            return None
        code, instruction, called, module = where
        named = self.route(route, scope)
        key = (id(code), instruction, id(called), named)
        number = self.known.get(key)
        if number is None and len(self.places) < MOST:
            number = self.known[key] = len(self.places)
            self.places.append(Stacked(code, instruction, "own" in found, called, module, named))
        return number

    def route(self, path: str | None, scope: Any) -> str | None:
        """`GET /items/{item_id}`, by the endpoint in the stack and by what the request's scope has."""
        if type(scope) is not dict:
            return None if path is None else f"{self.methods[path]} {path}".strip()
        method = scope.get("method") if scope.get("type") == "http" else "WEBSOCKET"
        if path is None:
            path = self.endpoints.get(id(scope.get("endpoint")), ("",))[0] or None
        if path is None:
            path = templated(scope) or generalised(scope.get("path"))
        return None if path is None or type(method) is not str else f"{method} {path}"

    def told(self, place: Stacked) -> dict[str, Any]:
        """A place with names instead of code. Reads the source: it is for after the load."""
        key = (id(place.code), place.instruction, id(place.called), place.route)
        if key not in self.words:
            self.words[key] = told(place)
        return self.words[key]


def templated(scope: dict[str, Any]) -> str | None:
    """The path of the route that a request has found, with that of the apps which it is mounted in."""
    route = getattr(scope.get("route"), "__dict__", {})
    # A mount is found where a route would be, and has no endpoint.
    path = route.get("path") if "endpoint" in route else scope.get("path_template")
    if type(path) is not str:
        return None
    root, above = scope.get("root_path"), scope.get("app_root_path")
    return path if type(root) is not str or type(above) is not str else root.removeprefix(above) + path


def generalised(path: Any) -> str | None:
    """A path whose parts that look like one of many are dots: `/items/…`."""
    if type(path) is not str:
        return None
    return "/".join("…" if NUMBERED.search(part) else part for part in path.split("/"))[:200]


def told(place: Stacked) -> dict[str, Any]:
    """A place with names instead of code."""
    code = place.code
    position = next(islice(code.co_positions(), place.instruction // 2, None), (None,) * 4)
    file = os.path.realpath(code.co_filename) if os.path.exists(code.co_filename) else code.co_filename
    return {
        "file": file,
        "shown": shown(code.co_filename),
        "line": position[0] or code.co_firstlineno,
        "function": code.co_qualname,
        "call": written(code, place.instruction, position) if place.called is None else named(place),
        "own": place.own,
        "route": place.route,
    }


def shown(file: str) -> str:
    """A file from the directory that it is imported from: `notes/main.py`."""
    above = [path for path in (*sys.path, os.getcwd()) if path and file.startswith(os.path.join(path, ""))]
    return os.path.relpath(file, max(above, key=len)) if above else file


def named(place: Stacked) -> str | None:
    """The name of the called code as it is imported: `requests.get`, of `requests.api`."""
    if place.called is None:
        return None
    if place.module.startswith("importlib."):
        return "import"
    qualified = place.called.co_qualname.replace("<locals>.", "")
    first = qualified.partition(".")[0]
    modules: Mapping[str, Any] = sys.modules
    parts = place.module.split(".")
    meant = vars(modules[place.module]).get(first) if place.module in modules else None
    for length in range(1, len(parts)):
        package = modules.get(".".join(parts[:length]))
        if meant is not None and package is not None and vars(package).get(first) is meant:
            return f"{'.'.join(parts[:length])}.{qualified}"
    return f"{place.module}.{qualified}"


def written(code: CodeType, instruction: int, position: tuple[int | None, ...]) -> str | None:
    """The name of a function in C, as the source has it: `time.sleep`. None where the instruction calls
    nothing, or there is no source."""
    opcode = dis.opname[code.co_code[instruction]] if 0 <= instruction < len(code.co_code) else ""
    line, last, begin, end = position
    if (
        not opcode.startswith(("CALL", "PRECALL"))
        or line is None
        or last is None
        or begin is None
        or end is None
    ):
        return None
    text = [source.encode() for source in linecache.getlines(code.co_filename)[line - 1 : last]]
    if not text:
        return None
    text[-1] = text[-1][:end]
    text[0] = text[0][begin:]
    with suppress(SyntaxError, ValueError):
        expression = ast.parse(b"".join(text).decode().strip(), mode="eval").body
        if isinstance(expression, ast.Call):
            name = ast.unparse(expression.func)
            return name if len(name) <= 80 else None
    return None
