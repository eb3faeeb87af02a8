"""What runs of the app's own code when something is called, iterated or entered."""

from __future__ import annotations

import ast
import functools
import inspect
from types import FunctionType, MethodType
from typing import Any

from .attributes import Attributes
from .hints import annotated
from .kinds import below_decorators, has_yield
from .scope import Scope, bound, definition, returned
from .values import (
    PLAIN,
    BoundTo,
    Held,
    Instance,
    Iterated,
    Local,
    Plain,
    Thing,
    Unknown,
    Value,
    each,
    function_below,
    hinted,
    names,
    one_of,
    own_code,
)
from .what_blocks import ENTERED, ITERATED


class Running(Attributes):
    """Reads the app's functions that a call, a loop or a `with` block leads to."""

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

    def wrapped(self, function: Any, owner: Value | None = None) -> Value | None:
        """A library's decorator around a function of the app: that is called, too. None of any other."""
        below = below_decorators(function)
        if below is None:
            return None
        if below.awaited_in_its_place:
            # The decorator alone knows where: fastapi-cache and Quart's run_sync call it in a thread.
            self.reader.miss_function(below.function, "decorated")
            return PLAIN
        bound_to = owner if below.owner is None else Thing(below.owner)
        return self.own(
            below.function, {} if bound_to is None else self.with_self(below.function, bound_to, {})
        )

    def iterating(self, value: Value, node: ast.expr, scope: Scope) -> Value:
        """What iterating an object runs: a method of the app, or a query of a library."""
        if isinstance(value, Held):
            return PLAIN if value.mapping else one_of(list(value.values))
        if isinstance(value, Thing | Instance):
            for asks in [ITERATED[one] for one in names(value) if one in ITERATED]:
                self.reader.block(asks, "waits", node, scope)
            items, following = self.special(value, "__iter__"), self.special(value, "__next__")
            return following or items or PLAIN
        return PLAIN

    def iterating_async(self, value: Value) -> Value:
        """The same of `async for`: what is known of its items, or what gives them."""
        if isinstance(value, Held):
            return one_of(list(value.values))
        if not isinstance(value, Thing | Instance):
            return value
        items, following = self.special(value, "__aiter__"), self.special(value, "__anext__")
        return following or items or value

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
            told = given_by(below)
            return told if isinstance(found, Plain | Unknown) and told is not PLAIN else found
        return returned(below)

    # With

    def enter(self, value: Value, node: ast.AST, scope: Scope) -> Value:
        """What `with` runs, and what it gives."""
        found: list[Value] = []
        for one in each(value):
            if isinstance(one, Iterated):
                found.append(self.start(one))
            elif isinstance(one, Held):  # what a library's generator yields to `with`
                found += one.values
            elif isinstance(one, Thing | Instance):
                waits = next((ENTERED[name] for name in names(one) if name in ENTERED), None)
                if waits is not None:
                    self.reader.block(waits, "waits", node, scope)
                found.append(self.entered(one, "__enter__"))
                self.entered(one, "__exit__")
            else:
                found.append(one)
        return one_of(found)

    def enter_async(self, value: Value) -> Value:
        found: list[Value] = []
        for one in each(value):
            if isinstance(one, Thing | Instance):
                found.append(self.entered(one, "__aenter__"))
                self.entered(one, "__aexit__")
            elif isinstance(one, Held):
                found += one.values
            else:
                found.append(one)
        return one_of(found)

    def entered(self, owner: Thing | Instance, name: str) -> Value:
        found = self.special(owner, name)
        return owner if found is None or found is PLAIN else found


def given_by(function: FunctionType) -> Value:
    """What a dependency gives, as it is annotated: of a generator what it yields."""
    told = hinted(annotated(function).get("return"))
    yields = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return one_of(list(told.values)) if yields and isinstance(told, Held) else told
