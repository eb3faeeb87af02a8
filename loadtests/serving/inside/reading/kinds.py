"""What kind of thing a function or a call is."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import FunctionType, MethodType
from typing import Any

from .program import Body
from .values import BoundTo, Instance, Local, Thing, Value, function_below, names, own_code
from .what_blocks import AWAITING, METHODS

MOST_DECORATORS = 20
"""Libraries' decorators around one function."""

TELL_COROUTINES = ("iscoroutinefunction", "is_async_callable", "is_coroutine_callable")
"""Functions of the standard library, Starlette and FastAPI that say whether a call is to be awaited."""


def has_yield(node: ast.AST) -> bool:
    """Whether a function is a generator: a `yield` of its own."""
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        one = waiting.pop()
        if isinstance(one, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting += ast.iter_child_nodes(one)
    return False


def is_coroutine(value: Thing | BoundTo | Local) -> bool:
    if isinstance(value, Local):
        return isinstance(value.node, ast.AsyncFunctionDef)
    thing = value.function if isinstance(value, BoundTo) else value.thing
    return inspect.iscoroutinefunction(function_below(thing))


def may_be(value: Value, coroutine: bool) -> bool:
    """Whether a value may be a coroutine function, or may be a plain one."""
    if isinstance(value, Thing) and not inspect.isroutine(function_below(value.thing)):
        return True  # an object that is called, which the tests answer differently
    return not isinstance(value, Thing | BoundTo | Local) or is_coroutine(value) == coroutine


def kind_asked_for(test: ast.expr) -> tuple[str, bool] | None:
    """Of a test such as `iscoroutinefunction(handler)`: the name, and whether the test holds for a coroutine
    function; None of any other test."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        asked = kind_asked_for(test.operand)
        return None if asked is None else (asked[0], not asked[1])
    if not isinstance(test, ast.Call) or len(test.args) != 1 or not isinstance(test.args[0], ast.Name):
        return None
    function = test.func.attr if isinstance(test.func, ast.Attribute) else getattr(test.func, "id", "")
    return (test.args[0].id, True) if function in TELL_COROUTINES else None


def leaves(branch: list[ast.stmt]) -> bool:
    """Whether what follows an `if` does not run after this branch of it."""
    return bool(branch) and isinstance(branch[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)


def apps_own(value: Value) -> bool:
    """Whether a function is the app's: its body says what it does with its arguments."""
    if isinstance(value, Local):
        return True
    thing = value.function if isinstance(value, BoundTo) else getattr(value, "thing", None)
    below = function_below(thing)
    below = below.__func__ if isinstance(below, MethodType) else below
    return isinstance(below, FunctionType) and own_code(below.__code__)


@dataclass(frozen=True)
class Decorated:
    """A function of the app below the decorators of libraries."""

    function: FunctionType
    owner: Any
    """The object that it is bound to; None of a function."""
    awaited_in_its_place: bool
    """A plain function, for which callers await a decorator's coroutine."""


def below_decorators(function: Any) -> Decorated | None:
    """The first function of the app that is wrapped in a library's; None where there is none."""
    coroutine, owner = inspect.iscoroutinefunction(function), None
    inner: Any = getattr(function, "__wrapped__", None)
    for _ in range(MOST_DECORATORS):
        if isinstance(inner, MethodType):
            inner, owner = inner.__func__, inner.__self__
        if isinstance(inner, FunctionType) and own_code(inner.__code__):
            return Decorated(inner, owner, coroutine and not asynchronous(inner))
        coroutine = coroutine or inspect.iscoroutinefunction(inner)
        inner = getattr(inner, "__wrapped__", None)
    return None


def asynchronous(function: FunctionType) -> bool:
    """Whether a function is a coroutine function or an asynchronous generator, below the app's decorators."""
    return any(
        inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one)
        for one in (function, inspect.unwrap(function))
    )


def awaited(node: ast.Call, walk: Body) -> bool:
    """Whether what a call returns is awaited where it is written, or given to what awaits it."""
    return node in handed_to_loop(walk.scope.node)


@cache
def handed_to_loop(body: ast.AST) -> frozenset[ast.AST]:
    """The expressions of a function that are awaited, entered or iterated asynchronously, or given to
    functions such as `wait_for` and `gather`."""
    return frozenset(one for node in ast.walk(body) for one in waited_for(node))


def waited_for(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Await):
        yield node.value
    elif isinstance(node, ast.AsyncWith):
        yield from (item.context_expr for item in node.items)
    elif isinstance(node, ast.AsyncFor) or (isinstance(node, ast.comprehension) and node.is_async):
        yield node.iter
    elif isinstance(node, ast.Call) and called_by(node) in AWAITING:
        for one in node.args:
            inner = one.value if isinstance(one, ast.Starred) else one
            yield from getattr(inner, "elts", [getattr(inner, "elt", inner)])


def called_by(node: ast.Call) -> str:
    """The last name by which a call calls; "" where it has none."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def never_awaitable(function: Value) -> bool:
    """Whether a function is a method of a library's synchronous class."""
    owner = function.owner if isinstance(function, BoundTo) else None
    return isinstance(owner, Thing | Instance) and any(name in METHODS for name in names(owner))


def remembered(thing: object) -> bool:
    """Whether a cached function has been called, as by the app's modules for its settings: without arguments
    it does not run again."""
    return isinstance(thing, functools._lru_cache_wrapper) and bool(thing.cache_info().currsize)
