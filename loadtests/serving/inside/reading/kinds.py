"""What kind of thing a function or a call is."""

from __future__ import annotations

import ast
import functools
import inspect
from types import FunctionType

from .program import Body
from .values import BoundTo, Local, Thing, function_below, own_code


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
