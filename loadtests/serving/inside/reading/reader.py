"""From a function that a framework calls on the event loop to the blocking calls that it reaches."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import count
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

from .attributes import injected
from .calls import Calls
from .hints import annotated, own_signature
from .program import Memory
from .scope import Scope, definition, parameters
from .values import (
    PLAIN,
    Instance,
    Iterated,
    Local,
    Plain,
    Thing,
    Unknown,
    Value,
    full,
    function_below,
    hinted,
    made,
    marked,
    one_of,
    own_code,
)
from .walk import Walk

DEEPEST = 60
"""Functions that may be on the way to a call. Recursion ends long before."""

MOST = 20_000
"""Functions that are read for one entry: a program that calls everything from everywhere ends there."""


NAMED = {"request": "starlette.requests.Request", "websocket": "starlette.websockets.WebSocket"}
"""Parameters that people leave without an annotation, and what frameworks give them."""


MEMORY = Memory()


class Reader:
    """What is found from one entry on."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.blocks: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.unread: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.too_deep: dict[tuple[Any, ...], dict[str, Any]] = {}
        """What was cut off, also where nothing else is noted."""
        self.pieces: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.judged: set[tuple[str, int, int]] = set()
        self.way: list[tuple[Any, ...]] = []
        """The functions that are being read, the entry first, by what identifies them."""
        self.resolving: set[tuple[Any, str]] = set()
        self.chain: list[dict[str, Any]] = []
        self.done: dict[tuple[Any, ...], tuple[Value, Scope]] = {}
        """What functions return that have been read, by what tells their calls apart; with the scopes, whose
        objects must stay as long as they are known by their identity."""
        self.memory = MEMORY
        self.quiet = False
        """Whether nothing of it is noted, so that what others have read need not be read again."""
        self.entered: Iterator[int] = count()
        """How many bodies have been read for this entry."""
        self.tasks = 0
        """How many calls around what is being read have the event loop call it later."""
        self.calls = Calls(self)

    def as_dict(self) -> dict[str, Any]:
        return {
            "blocks": list(self.blocks.values()),
            "unread": [*self.unread.values(), *self.too_deep.values()],
            "pieces": list(self.pieces.values()),
            "looked_into": max(1, len(self.judged)),
        }

    def aside(self) -> Reader:
        """The same program, of which nothing is noted but where it was cut off."""
        other = Reader(self.home)
        other.way, other.resolving, other.memory = list(self.way), self.resolving, self.memory
        other.too_deep, other.entered, other.tasks = self.too_deep, self.entered, self.tasks
        other.quiet, other.done = True, self.done if self.quiet else {}
        return other

    def waits(self, generator: Iterated) -> bool:
        """Whether something blocks when a generator runs, or is not known to do no such thing."""
        alone, cut_off = self.aside(), len(self.too_deep)
        # What has been read before would not be noted again.
        alone.quiet, alone.done = False, {}
        alone.calls.start(generator)
        return bool(alone.blocks or alone.unread) or len(self.too_deep) > cut_off

    def value(self, node: ast.AST, scope: Scope) -> Value:
        """The value of an expression."""
        return Walk(self.calls, scope).value(node)

    def where(self, file: str) -> str:
        """A file, relative to the app's directory if it is inside."""
        path = Path(file).resolve()
        return str(path.relative_to(self.home)) if path.is_relative_to(self.home) else str(path)

    def block(self, what: str, kind: str, node: ast.AST, scope: Scope) -> None:
        """Note a call that blocks, once for each place: as a task's where a task reaches it, too, since only
        that counts where the app starts."""
        line, task = line_of(node), self.tasks > 0
        place = {"what": what, "file": self.where(scope.file), "line": line, "kind": kind}
        known = self.blocks.get((what, scope.file, line))
        if known is None or (task and not known["task"]):
            way = {"task": task, "chain": list(self.chain[1:])}
            self.blocks[what, scope.file, line] = {**place, **way}

    def miss(self, text: str, why: str, node: ast.AST, scope: Scope) -> None:
        """Note a call that could not be followed."""
        self.note(self.unread, text, why, scope.file, line_of(node))

    def miss_function(self, function: FunctionType, why: str) -> None:
        """Note a function that was not read."""
        line = None if definition(function) is None else function.__code__.co_firstlineno
        self.note(self.unread, function.__qualname__, why, function.__code__.co_filename, line)

    def note(
        self, noted: dict[tuple[Any, ...], dict[str, Any]], name: str, why: str, file: str, line: int | None
    ) -> None:
        task = self.tasks > 0
        found = {"name": name, "file": self.where(file), "line": line, "why": why, "task": task}
        if task or (name, file, line) not in noted:
            noted[name, file, line] = found

    def piece(self, what: str, node: ast.AST, scope: Scope) -> None:
        """Note a response that is streamed piece by piece from threads."""
        line = line_of(node)
        found = {"what": what, "file": self.where(scope.file), "line": line}
        self.pieces.setdefault((what, scope.file, line), found)

    def judge(self, node: ast.AST, scope: Scope) -> None:
        """Count a call that was looked at."""
        self.judged.add((scope.file, getattr(node, "lineno", 0), getattr(node, "col_offset", 0)))

    def begin(self, function: FunctionType, owner: Value | None) -> None:
        """Read an entry, with the object that it is a method of."""
        if not own_code(function.__code__):
            # A library's decorator around a function of the app: what it calls is in its closure.
            self.calls.wrapped(function, owner)
            return
        if owner is None and function.__qualname__.endswith(".__init__"):
            owner = PLAIN
        self.run(function, {} if owner is None else self.calls.with_self(function, owner, {}))

    def run(self, function: FunctionType, arguments: dict[str, Value]) -> Value:
        """Read a function of the app as if it were called with these arguments; what it returns or yields."""
        node = definition(function)
        if node is None:
            self.miss_function(function, "no-source")
            return PLAIN
        return self.enter(Scope(node, function, None, self.filled(function, arguments)))

    def run_local(self, local: Local, arguments: dict[str, Value]) -> Value:
        """The same for a function that a function defines."""
        rest = local.node.args.vararg
        more = {rest.arg: arguments[rest.arg]} if rest is not None and rest.arg in arguments else {}
        given = {one.arg: arguments.get(one.arg, PLAIN) for one in parameters(local.node)}
        return self.enter(Scope(local.node, local.scope.function, local.scope, {**given, **more}))

    def enter(self, scope: Scope) -> Value:
        """Read a body, once for the same values; what it returns or yields."""
        node = scope.node
        # What a task runs beside the requests is read, and told, by itself.
        identity = (scope.file, node.lineno, node.col_offset, self.tasks > 0, *told_apart(scope))
        for known in (self.done, self.memory.done if self.quiet else {}):
            if identity in known:
                return known[identity][0]
        name = getattr(node, "name", "<lambda>")
        recursion = identity in self.way
        too_deep = not recursion and (len(self.way) >= DEEPEST or next(self.entered) > MOST)
        if recursion or too_deep:
            self.memory.cuts += 1
            if too_deep:
                # Never a false all-clear.
                self.note(self.too_deep, shown(scope, name), "too deep", scope.file, node.lineno)
            return PLAIN
        cuts = self.memory.cuts
        self.way.append(identity)
        step = {"name": shown(scope, name), "file": self.where(scope.file), "line": node.lineno}
        self.chain.append({**step, "coroutine": isinstance(node, ast.AsyncFunctionDef)})
        try:
            found = Walk(self.calls, scope).body()
        finally:
            self.way.pop()
            self.chain.pop()
        self.done[identity] = found, scope
        # What a cut made incomplete is no answer for another way to it.
        if self.quiet and self.memory.cuts == cuts:
            self.memory.done[identity] = found, scope
        return found

    def filled(self, function: FunctionType, arguments: dict[str, Value]) -> dict[str, Value]:
        """The values of all parameters: given, injected by the framework, or as annotated."""
        node = definition(function)
        if node is None:
            return arguments
        hints, found = annotated(function), dict(arguments)
        defaults = signed(function)
        for one in parameters(node):
            if one.arg in found:
                continue
            hint = hints.get(one.arg)
            default = defaults[one.arg].default if one.arg in defaults else inspect.Parameter.empty
            injected = self.injected(hint, default)
            if injected is not None:
                found[one.arg] = injected
            elif hint is not None:
                found[one.arg] = as_annotated(hint, default)
            else:
                found[one.arg] = self.unnamed(one.arg, default)
        return found

    @staticmethod
    def unnamed(name: str, default: Any) -> Value:
        """A parameter without an annotation."""
        if name in NAMED and default is inspect.Parameter.empty:
            return made(NAMED[name])
        simple = default is not inspect.Parameter.empty and (default is None or callable(default) is False)
        return PLAIN if simple else Unknown(name)

    def injected(self, hint: Any, default: Any) -> Value | None:
        """What FastAPI's `Depends` gives a parameter: what its function yields or returns; None without."""
        for one in (default, *getattr(hint, "__metadata__", ())):
            if not injected(one):
                continue
            told, function = hinted(hint), getattr(one, "dependency", None)
            given = told if function is None else self.calls.result_alone(Thing(function))
            return told if isinstance(given, Plain | Unknown) and told is not PLAIN else given
        return None


@cache
def signed(function: FunctionType) -> Mapping[str, inspect.Parameter]:
    """A function's own parameters."""
    return own_signature(function).parameters


def as_annotated(hint: Any, default: Any) -> Value:
    """A parameter as its annotation describes it; a function that is called unless another is given."""
    told = hinted(hint)
    own = isinstance(told, Unknown) and default is not inspect.Parameter.empty and callable(default)
    return Thing(default) if own else told


def line_of(node: ast.AST) -> int | None:
    """Where the interpreter reports a call: in a chain over several lines, at the name of the method."""
    method = node.func if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None
    line: int | None = getattr(node, "lineno", None) if method is None else method.end_lineno
    return line


def told_apart(scope: Scope) -> tuple[Any, ...]:
    """What tells two calls of a function apart: what it is given and what it closes over."""
    closed = id(scope.function) if scope.function.__closure__ else None
    outer = () if scope.outer is None else told_apart(scope.outer)
    given = sorted(scope.values.items())
    return (closed, *(marked(one_of(values)) for _, values in given), *outer)


def shown(scope: Scope, name: str) -> str:
    """A function's name with that of its class."""
    full_name = str(scope.function.__qualname__).rpartition("<locals>.")[2]
    return full_name if full_name.rpartition(".")[2] == name else name


def read(
    function: Any, home: Path, kind: type | None = None, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a function does that blocks its thread, what it calls that could not be read, what it streams in
    pieces, and how many calls were looked at. `kind`: the class whose method it is, made with `given`.
    Nothing is called but imports that the function would make itself."""
    reader, limit = Reader(home), sys.getrecursionlimit()
    owner: Value | None = None
    plain: Any = function_below(function)
    if isinstance(plain, MethodType):
        plain, owner = plain.__func__, Thing(plain.__self__)
    elif kind is not None:
        owner = Instance(kind, {name: Thing(one) for name, one in (given or {}).items()})
    if not isinstance(plain, FunctionType):
        return {"blocks": [], "unread": [], "pieces": [], "looked_into": 0}
    sys.setrecursionlimit(max(limit, 10_000))
    try:
        reader.begin(plain, owner)
    except RecursionError:
        reader.unread[("recursion",)] = {
            "name": full(plain), "file": None, "line": None, "why": "too deep",
        }  # fmt: skip
    finally:
        sys.setrecursionlimit(limit)
    return reader.as_dict()
