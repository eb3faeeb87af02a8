"""What a call does: it blocks, it leads into the app's own code, or it does neither."""

from __future__ import annotations

import ast
import functools
import inspect
from itertools import takewhile
from types import FunctionType, MethodType, ModuleType
from typing import Any, Self

from .ancestry import above, by_super, left_out, overrides, unwritten
from .hints import annotated
from .kinds import apps_own, awaited, called_by, is_coroutine, never_awaitable, remembered
from .program import Body
from .running import Running
from .scope import Scope, bound, returned
from .streams import in_pieces, streams
from .values import (
    HARMLESS,
    PLAIN,
    BoundTo,
    Deep,
    Held,
    Instance,
    Local,
    Plain,
    Thing,
    Unknown,
    Value,
    each,
    flattened,
    full,
    function_below,
    hinted,
    listed,
    made,
    names,
    one_held,
    one_of,
    own_code,
)
from .what_blocks import (
    AFTER_RESPONSE,
    CALLED_AT_ONCE,
    CONSTRUCTORS,
    FILE_METHODS,
    FUNCTIONS,
    ITERATING,
    LATER_ON_LOOP,
    MAKING,
    METHODS,
    RETURNS,
    SESSION_CALLS,
    SESSION_NAMES,
    TAKING_COROUTINES,
)

HANDED_IN = ("call_next", "send", "receive")
"""What servers and frameworks give a function: what they call is read by itself."""


class Calls(Running):
    """Decides on calls."""

    def call(self, node: ast.Call, walk: Body) -> Value:
        """Judge a call, with those in its arguments."""
        scope, base = walk.scope, None
        if isinstance(node.func, ast.Attribute):
            base = walk.value(node.func.value)
            function = self.attribute(base, node.func, scope)
        else:
            function = walk.value(node.func)
        name, several = called_by(node), list(each(function))
        positional, keywords = self.given(node, walk, name in TAKING_COROUTINES)
        self.reader.judge(node, scope)
        if name in ITERATING:
            for one in (*positional, *keywords.values()):
                walk.iterate(one, node)
        if base is not None and self.by_name(node, walk, base):
            return PLAIN
        if len(several) > 1 and awaited(node, walk):
            # Of a synchronous and an asynchronous client, the one whose calls can be awaited.
            several = [one for one in several if not never_awaitable(one)] or several
        # A worker's own `start` is called here and now, and says itself what it leaves to the loop.
        later = name in LATER_ON_LOOP and not any(map(apps_own, several))
        self.reader.tasks += later
        found = [self.call_one(one, node, positional, keywords, walk) for one in several]
        self.callbacks(name, several, [*positional, *keywords.values()])
        self.reader.tasks -= later
        return one_of(found)

    def given(self, node: ast.Call, walk: Body, later: bool) -> tuple[list[Value], dict[str, Value]]:
        """The arguments of a call: by position as far as it is known, and by keyword, `*` and `**` for those
        of which it is not. `later`: they are coroutines that the event loop will run."""
        self.reader.tasks += later
        written = [(one, walk.value(one)) for one in node.args]
        keywords = {one.arg or "**": walk.value(one.value) for one in node.keywords}
        self.reader.tasks -= later
        known = list(takewhile(placed, written))
        stars = [isinstance(one, ast.Starred) for one, _ in known]
        positional = flattened([value for _, value in known], stars)
        rest = [value for _, value in written[len(known) :]]
        return positional, {**keywords, **({"*": one_of(rest)} if rest else {})}

    def call_one(
        self, function: Value, node: ast.Call, positional: list[Value], keywords: dict[str, Value], walk: Body
    ) -> Value:
        scope = walk.scope
        match function:
            case Thing(thing):
                return self.call_known(thing, node, positional, keywords, walk)
            case BoundTo(method, owner):
                return self.call_method(method, owner, node, positional, keywords, scope)
            case Local(written):
                return self.call_local(function, bound(written, positional, keywords))
            case Instance():
                return self.call_known_method(function, "__call__", node, positional, keywords, scope)
            case Deep() if called_by(node) in MAKING:
                return function
            case Deep(client) if not awaited(node, walk):
                self.reader.block(f"{client} client", "waits", node, scope)
            case Unknown():
                self.unknown(function, node, scope)
        return PLAIN

    def unknown(self, function: Unknown, node: ast.Call, scope: Scope) -> None:
        """Note the call of something that is made while the app runs, unless any object may have it."""
        harmless = function.text.rpartition(".")[2] in HARMLESS and not function.filled
        # What middleware hands a request to is read by itself. So is what a server gives a function to call.
        handed_in = isinstance(node.func, ast.Name) and node.func.id in HANDED_IN
        handed_in = handed_in or called_by(node) == "call_next"
        if not harmless and not hands_on(node) and not handed_in:
            self.reader.miss(ast.unparse(node.func)[:80], "run-time", node, scope)

    def by_name(self, node: ast.Call, walk: Body, base: Value) -> bool:
        """Whether a method blocks whose object is not known, by its name: it reads a file, or belongs to a
        session whose type is not said."""
        func = node.func
        if not isinstance(func, ast.Attribute) or not all(
            isinstance(one, Unknown | Plain) for one in each(base)
        ):
            return False
        named = isinstance(func.value, ast.Name) and func.value.id in SESSION_NAMES
        asks = named and func.attr in SESSION_CALLS
        if not (asks or func.attr in FILE_METHODS) or awaited(node, walk):
            return False
        what, kind = (ast.unparse(func), "waits") if asks else (func.attr, "file")
        self.reader.block(what, kind, node, walk.scope)
        return True

    def callbacks(self, name: str, several: list[Value], given: list[Value]) -> None:
        """Functions of the app that are called by what they are given to: at once, or by the event loop."""
        if name not in LATER_ON_LOOP | CALLED_AT_ONCE | AFTER_RESPONSE or any(map(apps_own, several)):
            return
        for value in given:
            for one in each(value):
                coroutine = isinstance(one, Thing | BoundTo | Local) and is_coroutine(one)
                if coroutine or (name not in AFTER_RESPONSE and isinstance(one, Thing | BoundTo | Local)):
                    self.follow(one)

    def call_known(
        self, thing: Any, node: ast.Call, positional: list[Value], keywords: dict[str, Value], walk: Body
    ) -> Value:
        scope, below = walk.scope, function_below(thing)
        if isinstance(below, functools.partial):
            return self.call_known(
                below.func, node, [*map(Thing, below.args), *positional],
                {**{key: Thing(value) for key, value in below.keywords.items()}, **keywords}, walk,
            )  # fmt: skip
        if isinstance(below, MethodType):
            return self.call_method(below.__func__, Thing(below.__self__), node, positional, keywords, scope)
        if inspect.isclass(below):
            return self.construct(below, node, positional, keywords, scope)
        if isinstance(below, FunctionType) and own_code(below.__code__):
            given = self.arguments(below, positional, keywords)
            again = positional or keywords or not remembered(thing)
            return self.own(below, given) if again else self.result_of_known(thing)
        if inspect.isroutine(below):
            return self.foreign(below, node, positional, scope)
        return self.call_known_method(Thing(below), "__call__", node, positional, keywords, scope)

    def foreign(self, function: Any, node: ast.Call, positional: list[Value], scope: Scope) -> Value:
        """A library's function: it blocks, makes something, or wraps a function of the app."""
        name = full(function)
        listed_there = self.looked_up(name, node, scope)
        if listed_there is not None:
            return listed_there
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType) and not inspect.isclass(owner):
            return self.library_method(Thing(owner), function.__name__, node, scope)
        if name == "builtins.getattr":
            return Unknown("getattr") if len(positional) > 1 else PLAIN
        if name == "typing.cast" and len(positional) > 1:
            told = hinted(positional[0].thing) if isinstance(positional[0], Thing) else PLAIN
            return positional[1] if told is PLAIN else told
        self.stripe(function, node, scope)
        found = self.wrapped(function)
        return returned(function) if found is None or found is PLAIN else found

    def looked_up(self, name: str, node: ast.Call, scope: Scope) -> Value | None:
        """What a function returns whose name is in the tables, and whether it blocks; None of any other."""
        if name in FUNCTIONS:
            self.reader.block(*FUNCTIONS[name], node, scope)
        return made(RETURNS[name]) if name in RETURNS else None

    def stripe(self, function: Any, node: ast.Call, scope: Scope) -> None:
        """Class methods of stripe's resources ask its server."""
        asks = function.__name__ in ("create", "retrieve", "list", "modify")
        if asks and full(function).startswith("stripe."):
            self.reader.block(f"stripe.{function.__name__}", "waits", node, scope)

    def construct(
        self, kind: type, node: ast.Call, positional: list[Value], keywords: dict[str, Value], scope: Scope
    ) -> Value:
        """A class is called: its constructor runs."""
        name = full(kind)
        if kind is super:
            return above(positional, scope)
        if name in CONSTRUCTORS:
            self.reader.block(CONSTRUCTORS[name], "waits", node, scope)
        if name == "functools.partial" and positional:
            return positional[0]
        if issubclass(kind, BaseException):
            return Instance(kind)
        if streams(kind):
            for what in in_pieces(self.reader, node, positional, keywords):
                self.reader.piece(what, node, scope)
        maker = inspect.getattr_static(kind, "__init__", None)
        if isinstance(maker, FunctionType) and own_code(maker.__code__):
            arguments = self.arguments(maker, [Instance(kind), *positional], keywords)
            given = {key: value for key, value in arguments.items() if key != "self"}
            thing = Instance(kind, given)
            self.reader.run(maker, self.reader.filled(maker, {**given, "self": thing}))
            return thing
        thing = Instance(kind, keywords)
        self.special(thing, "__post_init__")
        return thing

    def call_method(
        self, function: Any, owner: Value, node: ast.Call, positional: list[Value],
        keywords: dict[str, Value], scope: Scope,
    ) -> Value:  # fmt: skip
        if isinstance(function, FunctionType) and own_code(function.__code__):
            return self.own_method(function, owner, node, positional, keywords, scope)
        found = self.wrapped(function, owner)
        if found is not None:
            return found if found is not PLAIN else returned(function)
        name = getattr(function, "__name__", "")
        if isinstance(owner, Held) or (isinstance(owner, Thing) and type(owner.thing) is dict):
            return taken(owner, name, node, positional)
        if isinstance(owner, Thing | Instance):
            return self.library_method(owner, name, node, scope, function)
        return PLAIN

    def own_method(
        self, function: FunctionType, owner: Value, node: ast.Call, positional: list[Value],
        keywords: dict[str, Value], scope: Scope,
    ) -> Value:  # fmt: skip
        """A method of the app's, and of the classes below where its own leaves that to them."""
        found: Value = PLAIN
        if isinstance(owner, Instance) and not by_super(node) and left_out(function):
            found = self.call_overrides(function, owner, node, positional, keywords, scope)
        if unwritten(function):
            return found
        arguments = self.arguments(function, [owner, *positional], keywords)
        return one_of([self.own(function, arguments), found])

    def call_overrides(
        self, function: FunctionType, owner: Instance, node: ast.Call, positional: list[Value],
        keywords: dict[str, Value], scope: Scope,
    ) -> Value:  # fmt: skip
        """An abstract method is called: those of the classes that are there may run."""
        written = list(overrides(owner.kind, function.__name__))
        if not written and unwritten(function):
            self.reader.miss(ast.unparse(node.func)[:80], "run-time", node, scope)
        return one_of([
            self.own(one, self.arguments(one, [Instance(kind), *positional], keywords))
            for kind, one in written
        ])  # fmt: skip

    def call_known_method(
        self, owner: Thing | Instance, name: str, node: ast.Call, positional: list[Value],
        keywords: dict[str, Value], scope: Scope,
    ) -> Value:  # fmt: skip
        kind = type(owner.thing) if isinstance(owner, Thing) else owner.kind
        found = inspect.getattr_static(kind, name, None) if isinstance(kind, type) else None
        below = function_below(found)
        if isinstance(below, FunctionType):
            return self.call_method(below, owner, node, positional, keywords, scope)
        return self.library_method(owner, name, node, scope)

    def library_method(
        self, owner: Thing | Instance, name: str, node: ast.Call, scope: Scope, function: Any = None
    ) -> Value:
        """A method of a library's object, or of its class."""
        if isinstance(owner, Thing) and inspect.isclass(owner.thing):
            return self.class_method(owner.thing, name, node, scope, function)
        known = next((METHODS[one] for one in names(owner) if one in METHODS), None)
        if known is not None and not at_once(owner, name, node):
            shown, methods, kind = known
            every = methods == "*" and not name.startswith("_") and name not in MAKING
            if every or name in methods.split():
                self.reader.block(f"{shown}.{name}", kind, node, scope)
        for one in names(owner):
            if f"{one}.{name}" in RETURNS:
                return made(RETURNS[f"{one}.{name}"])
        found = returned(function)
        # What `with` enters is mostly the object itself, and a method may return it, too.
        same = name in ("connect", "begin", "options", "execution_options")
        return owner if found is PLAIN and same else found

    def class_method(self, kind: type, name: str, node: ast.Call, scope: Scope, function: Any) -> Value:
        """A class method of a library, such as `psycopg.Connection.connect`: mostly another constructor."""
        if not isinstance(function, FunctionType):
            return PLAIN
        self.stripe(function, node, scope)
        for one in (full(function), *(f"{above_it}.{name}" for above_it in names(Instance(kind)))):
            found = self.looked_up(one, node, scope)
            if found is not None:
                return found
        told = annotated(function).get("return")
        return Instance(kind) if told is Self or name in ("connect", "open") else returned(function)


def hands_on(node: ast.Call) -> bool:
    """Whether a call is that of an ASGI app, by middleware in front of it."""
    first = node.args[0] if node.args else None
    return isinstance(first, ast.Name) and first.id == "scope" and len(node.args) + len(node.keywords) == 3


def at_once(owner: Thing | Instance, name: str, node: ast.Call) -> bool:
    """Whether a call says that it does not wait, or has no need to: `acquire(blocking=False)`, or `put` into
    a queue without a limit."""
    said = [one.value for one in node.keywords if one.arg in ("block", "blocking")]
    said += node.args[:1] if name in ("acquire", "get") else []
    refused = any(isinstance(one, ast.Constant) and one.value is False for one in said)
    thing = owner.thing if isinstance(owner, Thing) else None
    return refused or (name == "put" and "queue.Queue" in names(owner) and getattr(thing, "maxsize", 1) == 0)


def placed(given: tuple[ast.expr, Value]) -> bool:
    """Whether it is known how many arguments one is, as of the items of a list that is written out."""
    node, value = given
    return not isinstance(node, ast.Starred) or (isinstance(value, Held) and bool(value.keys))


def taken(owner: Held | Thing, name: str, node: ast.Call, positional: list[Value]) -> Value:
    """What a method of a dict, or of a list that a function makes, takes out of it."""
    every: Value
    if isinstance(owner, Held):
        key = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        held, every = owner.at(key), Held(owner.values)
    else:
        held, every = one_held(owner.thing.values(), ast.unparse(node)), Thing([*owner.thing.values()])
    found: Value = PLAIN
    if name in ("get", "pop", "setdefault", "popleft"):
        found = one_of([held, *positional[1:]])
    elif name == "values":
        found = every
    elif name == "copy":
        found = owner
    elif name == "items":
        found = Held((listed([PLAIN, held]),))
    return found
