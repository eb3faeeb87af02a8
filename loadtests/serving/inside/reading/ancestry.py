"""Methods that a class takes from others: above it with `super()`, below it where it leaves them out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType

from .scope import Scope, definition, parameters
from .values import PLAIN, Above, Instance, Thing, Value, each, one_of, own_code


def above(given: list[Value], scope: Scope) -> Value:
    """What `super()` gives in a method, with or without arguments."""
    kind = given[0] if len(given) > 1 else scope.look_up("__class__")
    if not isinstance(kind, Thing) or not isinstance(kind.thing, type):
        return PLAIN
    first = parameters(scope.node)[:1]
    owner = given[1] if len(given) > 1 else scope.look_up(first[0].arg) if first else PLAIN
    known = [one for one in each(owner) if isinstance(one, Thing | Instance)]
    return one_of([Above(one, kind.thing) for one in known or [Instance(kind.thing)]])


def unwritten(function: FunctionType) -> bool:
    """Whether a method has no body: it is left to the classes below."""
    node = definition(function)
    if node is None or isinstance(node, ast.Lambda):
        return False
    body = [one for one in node.body if not stated(one)]
    abstract = abstract_method(function) or ellipsis(node)
    return (not body and abstract) or (len(body) == 1 and refuses(body[0]))


def left_out(function: FunctionType) -> bool:
    """Whether the classes below write a method themselves, in place of its body if it has one."""
    return abstract_method(function) or unwritten(function)


def abstract_method(function: FunctionType) -> bool:
    return bool(getattr(function, "__isabstractmethod__", False))


def by_super(node: ast.Call) -> bool:
    """Whether a call is of the form `super().method()`."""
    base = node.func.value if isinstance(node.func, ast.Attribute) else None
    return isinstance(base, ast.Call) and isinstance(base.func, ast.Name) and base.func.id == "super"


def stated(node: ast.stmt) -> bool:
    """A docstring, an ellipsis or `pass`."""
    return isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def ellipsis(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(
        isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and one.value.value is ...
        for one in node.body
    )


def refuses(node: ast.stmt) -> bool:
    """`raise NotImplementedError`, with or without words."""
    if not isinstance(node, ast.Raise):
        return False
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def overrides(kind: type | str, name: str) -> Iterator[tuple[type, FunctionType]]:
    """The app's classes below one that write a method themselves."""
    waiting: list[type] = [kind] if isinstance(kind, type) else []
    seen: set[type] = set()
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        for one in below:
            if one in seen:
                continue
            seen.add(one)
            waiting.append(one)
            found = vars(one).get(name)
            if isinstance(found, FunctionType) and own_code(found.__code__) and not unwritten(found):
                yield one, found
