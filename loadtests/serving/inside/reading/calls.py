"""What a call does: it blocks, it leads into the app's own code, or it does neither."""

from __future__ import annotations

import ast
import functools
import inspect
from types import FunctionType, MethodType, ModuleType
from typing import Any

from .ancestry import above, by_super, left_out, overrides, unwritten
from .attributes import Attributes
from .hints import annotated
from .kinds import awaited, has_yield, is_coroutine, library, remembered
from .program import Body
from .scope import Scope, bound, definition, returned
from .streams import in_pieces, streams
from .values import (
    HARMLESS,
    PLAIN,
    BoundTo,
    Deep,
    Instance,
    Iterated,
    Local,
    Plain,
    Thing,
    Unknown,
    Value,
    each,
    full,
    function_below,
    hinted,
    made,
    names,
    one_held,
    one_of,
    own_code,
)
from .what_blocks import (
    CALLED_AT_ONCE,
    CONSTRUCTORS,
    ENTERED,
    FILE_METHODS,
    FUNCTIONS,
    ITERATED,
    ITERATING,
    LATER_ON_LOOP,
    MAKING,
    METHODS,
    RETURNS,
    SESSION_CALLS,
    SESSION_NAMES,
)

MOST_DECORATORS = 20
"""Libraries' decorators around one function."""


class Calls(Attributes):
    """Decides on calls and `with` blocks."""

    def call(self, node: ast.Call, walk: Body) -> Value:
        """Judge a call, with those in its arguments."""
        scope = walk.scope
        base = None
        if isinstance(node.func, ast.Attribute):
            base = walk.value(node.func.value)
            function = self.attribute(base, node.func, scope)
        else:
            function = walk.value(node.func)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        later = name in LATER_ON_LOOP
        self.reader.tasks += later
        positional = [walk.value(one) for one in node.args]
        keywords = {one.arg or "**": walk.value(one.value) for one in node.keywords}
        self.reader.judge(node, scope)
        given = [*positional, *keywords.values()]
        if name in ITERATING:
            for one in given:
                walk.iterate(one, node)
        found: list[Value] = []
        if base is None or not self.by_name(node, walk, base):
            found = [self.call_one(one, node, positional, keywords, walk) for one in each(function)]
            self.callbacks(name, function, given)
        self.reader.tasks -= later
        return one_of(found)

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
            case Deep(client) if not awaited(node, walk):
                self.reader.block(f"{client} client", "waits", node, scope)
            case Unknown(text):
                self.unknown(text, node, scope)
        return PLAIN

    def unknown(self, text: str, node: ast.Call, scope: Scope) -> None:
        last = text.rpartition(".")[2]
        if "." not in text and not isinstance(node.func, ast.Name | ast.Call | ast.Subscript):
            return
        given = [one.id for one in node.args if isinstance(one, ast.Name)]
        # Middleware hands on: what it calls is read by itself.
        if last not in HARMLESS and last != "call_next" and given[:2] != ["scope", "receive"]:
            self.reader.miss(ast.unparse(node.func)[:80], "run-time", node, scope)

    def by_name(self, node: ast.Call, walk: Body, base: Value) -> bool:
        """Whether a method blocks whose object is not known, by its name: it reads a file, or belongs to a
        session whose type is not said."""
        func = node.func
        if not isinstance(func, ast.Attribute) or not all(
            isinstance(one, Unknown | Plain) for one in each(base)
        ):
            return False
        if func.attr in FILE_METHODS:
            self.reader.block(func.attr, "file", node, walk.scope)
            return True
        named = isinstance(func.value, ast.Name) and func.value.id in SESSION_NAMES
        if not named or func.attr not in SESSION_CALLS or awaited(node, walk):
            return False
        self.reader.block(ast.unparse(func), "waits", node, walk.scope)
        return True

    def callbacks(self, name: str, function: Value, given: list[Value]) -> None:
        """Functions of the app that are called by what they are given to: at once, or by the event loop."""
        own = any(isinstance(one, BoundTo | Local) and not library(one) for one in each(function))
        if own or name not in LATER_ON_LOOP | CALLED_AT_ONCE | {"add_task"}:
            return
        for value in given:
            for one in each(value):
                coroutine = isinstance(one, Thing | BoundTo | Local) and is_coroutine(one)
                if coroutine or (name != "add_task" and isinstance(one, Thing | BoundTo | Local)):
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
        if name in FUNCTIONS:
            self.reader.block(*FUNCTIONS[name], node, scope)
        if name in RETURNS:
            return made(RETURNS[name])
        owner = getattr(function, "__self__", None)
        if owner is not None and not isinstance(owner, ModuleType) and not inspect.isclass(owner):
            return self.library_method(Thing(owner), function.__name__, node, scope)
        if name in ("builtins.getattr",):
            return Unknown("getattr") if len(positional) > 1 else PLAIN
        self.stripe(function, node, scope)
        found = self.wrapped(Thing(function))
        return found if found is not PLAIN else returned(function)

    def stripe(self, function: Any, node: ast.Call, scope: Scope) -> None:
        """Class methods of stripe's resources ask its server."""
        asks = function.__name__ in ("create", "retrieve", "list", "modify")
        if asks and full(function).startswith("stripe."):
            self.reader.block(f"stripe.{function.__name__}", "waits", node, scope)

    def wrapped(self, value: Thing) -> Value:
        """A library's decorator around a function of the app: that is called, too."""
        inner: Any = getattr(value.thing, "__wrapped__", None)
        owner: Any = None
        for _ in range(MOST_DECORATORS):
            if isinstance(inner, MethodType):
                inner, owner = inner.__func__, inner.__self__
            if isinstance(inner, FunctionType) and own_code(inner.__code__):
                return self.own(inner, {} if owner is None else self.with_self(inner, Thing(owner), {}))
            inner = getattr(inner, "__wrapped__", None)
        return PLAIN

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
        return Instance(kind, keywords)

    def call_method(
        self, function: Any, owner: Value, node: ast.Call, positional: list[Value],
        keywords: dict[str, Value], scope: Scope,
    ) -> Value:  # fmt: skip
        if isinstance(function, FunctionType) and own_code(function.__code__):
            found: Value = PLAIN
            if isinstance(owner, Instance) and not by_super(node) and left_out(function):
                found = self.call_overrides(function, owner, node, positional, keywords, scope)
            if unwritten(function):
                return found
            arguments = self.arguments(function, [owner, *positional], keywords)
            return one_of([self.own(function, arguments), found])
        name = getattr(function, "__name__", "")
        if isinstance(owner, Thing) and type(owner.thing) is dict and name in ("get", "pop", "values"):
            held = one_held(owner.thing.values(), ast.unparse(node))
            return one_of([held, *positional[1:]]) if name != "values" else Thing([*owner.thing.values()])
        if isinstance(owner, Thing | Instance):
            return self.library_method(owner, name, node, scope, function)
        return PLAIN

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
        """A method of a library's object."""
        for one in names(owner):
            if one in METHODS:
                shown, methods, kind = METHODS[one]
                every = methods == "*" and not name.startswith("_") and name not in MAKING
                if every or name in methods.split():
                    self.reader.block(f"{shown}.{name}", kind, node, scope)
                break
        for one in names(owner):
            if f"{one}.{name}" in RETURNS:
                return made(RETURNS[f"{one}.{name}"])
        found = returned(function)
        # What `with` enters is mostly the object itself, and a method may return it, too.
        same = name in ("connect", "begin", "options", "execution_options")
        return owner if found is PLAIN and same else found

    # The app's own code

    def own(self, function: FunctionType, arguments: dict[str, Value]) -> Value:
        """A function of the app is called: read now, unless it is a generator that nothing iterates yet."""
        if inspect.isgeneratorfunction(function):
            return Iterated(function, arguments)
        return self.reader.run(function, arguments)

    def call_local(self, local: Local, arguments: dict[str, Value]) -> Value:
        node = local.node
        generator = not isinstance(node, ast.AsyncFunctionDef) and has_yield(node)
        return Iterated(local, arguments) if generator else self.reader.run_local(local, arguments)

    def start(self, one: Iterated) -> Value:
        """A generator is iterated: its body runs."""
        if isinstance(one.function, Local):
            return self.reader.run_local(one.function, one.arguments)
        return self.reader.run(one.function, one.arguments)

    def iterating(self, value: Value, node: ast.expr, scope: Scope) -> Value:
        """What iterating an object runs: a method of the app, or a query of a library."""
        if isinstance(value, Thing | Instance):
            for asks in [ITERATED[one] for one in names(value) if one in ITERATED]:
                self.reader.block(asks, "waits", node, scope)
            kind = type(value.thing) if isinstance(value, Thing) else value.kind
            maker = inspect.getattr_static(kind, "__iter__", None) if isinstance(kind, type) else None
            if isinstance(maker, FunctionType) and own_code(maker.__code__):
                return self.reader.run(maker, self.with_self(maker, value, {}))
        return PLAIN

    def arguments(
        self, function: FunctionType, positional: list[Value], keywords: dict[str, Value]
    ) -> dict[str, Value]:
        node = definition(function)
        return (
            {} if node is None else bound(node, positional, {k: v for k, v in keywords.items() if k != "**"})
        )

    def follow(self, value: Value) -> None:
        """Read a function of the app that something else calls."""
        if isinstance(value, Local):
            self.call_local(value, {})
        elif isinstance(value, BoundTo):
            self.result_alone(value)
        elif isinstance(value, Thing):
            below = function_below(value.thing)
            if isinstance(below, FunctionType) and own_code(below.__code__):
                self.own(below, {})

    def result_alone(self, value: Value) -> Value:
        """What a callable returns or yields that its framework, or the loop, calls without arguments."""
        match value:
            case Local():
                return self.reader.run_local(value, {})
            case BoundTo(function, owner) if isinstance(function, FunctionType) and own_code(
                function.__code__
            ):
                return self.reader.run(function, self.with_self(function, owner, {}))
            case Thing(thing):
                return self.result_of_known(thing)
            case _:
                return PLAIN

    def result_of_known(self, thing: Any) -> Value:
        below = function_below(thing)
        if isinstance(below, functools.partial):
            return self.result_of_known(below.func)
        if inspect.isclass(below):
            return Instance(below)
        if isinstance(below, MethodType):
            return self.result_alone(BoundTo(below.__func__, Thing(below.__self__)))
        if isinstance(below, FunctionType) and own_code(below.__code__):
            # What a dependency does is a finding of its own.
            found = self.reader.aside().run(below, {})
            hint = hinted(annotated(below).get("return"))
            return found if not isinstance(found, Plain | Unknown) else hint
        return returned(below)

    # With

    def enter(self, value: Value, node: ast.AST, scope: Scope) -> Value:
        """What `with` runs, and what it gives."""
        found = []
        for one in each(value):
            if isinstance(one, Iterated):
                found.append(self.start(one))
            elif isinstance(one, Thing | Instance):
                waits = next((ENTERED[name] for name in names(one) if name in ENTERED), None)
                if waits is not None:
                    self.reader.block(waits, "waits", node, scope)
                found.append(self.entered(one, "__enter__"))
                self.entered(one, "__exit__")
            else:
                found.append(one)
        return one_of(found)

    def enter_async(self, value: Value, scope: Scope) -> Value:
        found = []
        for one in each(value):
            if isinstance(one, Thing | Instance):
                found.append(self.entered(one, "__aenter__"))
                self.entered(one, "__aexit__")
            else:
                found.append(one)
        return one_of(found)

    def entered(self, owner: Thing | Instance, name: str) -> Value:
        kind = type(owner.thing) if isinstance(owner, Thing) else owner.kind
        method = inspect.getattr_static(kind, name, None) if isinstance(kind, type) else None
        if isinstance(method, FunctionType) and own_code(method.__code__):
            found = self.reader.run(method, self.with_self(method, owner, {}))
            return found if found is not PLAIN else owner
        return owner
