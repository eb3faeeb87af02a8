"""What kind of thing a function or a call is."""

from __future__ import annotations

import ast
import functools
import inspect
from types import FunctionType

from .program import Body
from .values import BoundTo, Local, Thing, Value, function_below, own_code

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


def library(value: BoundTo | Local) -> bool:
    """Whether a method is a library's."""
    return isinstance(value, BoundTo) and not (
        isinstance(value.function, FunctionType) and own_code(value.function.__code__)
    )


def awaited(node: ast.Call, walk: Body) -> bool:
    """Whether a call is awaited in its own line."""
    return any(isinstance(one, ast.Await) and one.value is node for one in ast.walk(walk.scope.node))


def remembered(thing: object) -> bool:
    """Whether a cached function has been called, as by the app's modules for its settings: without arguments
    it does not run again."""
    return isinstance(thing, functools._lru_cache_wrapper) and bool(thing.cache_info().currsize)
