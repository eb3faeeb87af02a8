"""What the attributes and items of values are, without running properties or descriptors."""

from __future__ import annotations

import ast
import inspect
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any

from .program import Program
from .scope import Scope, definition, parameters, returned
from .values import (
    PLAIN,
    BoundTo,
    Deep,
    Instance,
    Plain,
    Thing,
    Unknown,
    Value,
    each,
    full,
    function_below,
    hinted,
    names,
    one_of,
    own_class,
    own_code,
    own_file,
)
from .what_blocks import DEEP, METHODS

ABSENT = object()

DEEPEST_ASIDE = 40
"""Functions on the way to an attribute that a class gives itself."""


class Attributes:
    """Looks attributes up."""

    def __init__(self, reader: Program) -> None:
        self.reader = reader

    def attribute(self, base: Value, node: ast.Attribute, scope: Scope) -> Value:
        """What an attribute is; properties of the app are read, and never run."""
        return one_of([self.attribute_of(one, node.attr, node, scope) for one in each(base)])

    def attribute_of(self, base: Value, name: str, node: ast.AST, scope: Scope) -> Value:
        match base:
            case Thing(thing):
                return self.attribute_of_known(thing, name, node, scope)
            case Instance():
                return self.attribute_of_instance(base, name, scope)
            case Deep(client):
                return Deep(client)
            case Unknown(text):
                return Unknown(f"{text}.{name}")
            case Plain():
                return Unknown(f"….{name}") if name == "state" else PLAIN
            case _:
                return PLAIN

    def attribute_of_known(self, thing: Any, name: str, node: ast.AST, scope: Scope) -> Value:
        if isinstance(thing, ModuleType):
            found = member(thing, name)
            return Unknown(f"{thing.__name__}.{name}") if found is ABSENT else Thing(found)
        found = inspect.getattr_static(thing, name, ABSENT)
        return self.of_class(thing, found) if inspect.isclass(thing) else self.of_object(thing, name, found)

    @staticmethod
    def of_class(kind: type, found: Any) -> Value:
        """An attribute of a class, as it was found there."""
        below = function_below(found)
        if isinstance(found, classmethod) and isinstance(below, FunctionType):
            return BoundTo(below, Thing(kind))
        return Thing(below) if found is not ABSENT else PLAIN

    def of_object(self, thing: Any, name: str, found: Any) -> Value:
        """An attribute of an object, as it was found there or in its class."""
        if found is ABSENT:
            return self.missing(Thing(thing), name)
        if isinstance(found, property):
            return self.property(found, Thing(thing))
        if inspect.isroutine(found) or isinstance(function_below(found), FunctionType):
            return self.method(found, Thing(thing))
        if hasattr(type(found), "__get__"):
            # A slot, or a descriptor of a library: not read, since that would run it.
            return hinted(annotated_attribute(type(thing), name))
        return Thing(found)

    def attribute_of_instance(self, base: Instance, name: str, scope: Scope) -> Value:
        if isinstance(base.kind, str):
            return BoundTo(SimpleNamespace(__name__=name), base)
        found = inspect.getattr_static(base.kind, name, ABSENT)
        if isinstance(found, property):
            return self.property(found, base)
        if inspect.isroutine(found) or isinstance(function_below(found), FunctionType):
            return self.method(found, base)
        if found is not ABSENT and not hasattr(type(found), "__get__"):
            return Thing(found)
        assigned = self.assigned(base, name)
        if assigned is not None:
            return assigned
        told = hinted(annotated_attribute(base.kind, name))
        return told if told is not PLAIN else self.missing(base, name)

    def missing(self, base: Thing | Instance, name: str) -> Value:
        """An attribute that is not there yet."""
        package = names(base)[0].partition(".")[0]
        if package in DEEP:
            return Deep(package)
        kind = type(base.thing) if isinstance(base, Thing) else base.kind
        # `app.state` and `request.state` are filled while the app runs.
        filled = name == "state" or full(kind).endswith("datastructures.State")
        return Unknown(name) if filled or own_class(kind) else PLAIN

    def property(self, found: property, owner: Value) -> Value:
        getter = found.fget
        if isinstance(getter, FunctionType) and own_code(getter.__code__):
            return self.reader.run(getter, self.with_self(getter, owner, {}))
        return returned(getter)

    def method(self, found: Any, owner: Value) -> Value:
        """A method with its object; a library's is known by the class it belongs to."""
        below = function_below(found)
        return Thing(below) if isinstance(found, staticmethod) else BoundTo(below, owner)

    def assigned(self, base: Instance, name: str) -> Value | None:
        """What the methods of a class of the app give an attribute of `self`; None where they do not."""
        if not isinstance(base.kind, type):
            return None
        for one in base.kind.__mro__:
            methods = [member for member in vars(one).values() if isinstance(member, FunctionType)]
            for method in sorted(methods, key=lambda member: member.__name__ != "__init__"):
                node = definition(method) if own_code(method.__code__) else None
                for value in assignments(node, name) if node is not None else ():
                    given = base.arguments if method.__name__ == "__init__" else {}
                    arguments = self.reader.filled(method, {"self": base, **given})
                    quiet = Scope(node, method, None, arguments)  # type: ignore[arg-type]  # checked above
                    return self.quietly(value, quiet)
        return None

    def quietly(self, node: ast.AST, scope: Scope) -> Value:
        """An expression's value, without noting what it calls: it ran when the object was made."""
        aside = self.reader.aside()
        return aside.value(node, scope) if len(aside.way) < DEEPEST_ASIDE else PLAIN

    def item(self, base: Value, node: ast.Subscript) -> Value:
        """What a subscript is: of a known dict or list its item; of a client's, more of the client."""
        for one in each(base):
            if isinstance(one, Deep):
                return one
            if isinstance(one, Thing | Instance) and names(one)[0].partition(".")[0] in DEEP:
                return Deep(names(one)[0].partition(".")[0]) if blocking_class(one) else PLAIN
            if isinstance(one, Thing) and type(one.thing) in (dict, list, tuple):
                things = list(one.thing.values()) if type(one.thing) is dict else list(one.thing)
                key = node.slice.value if isinstance(node.slice, ast.Constant) else ABSENT
                if type(one.thing) is dict and key in one.thing:
                    return Thing(one.thing[key])
                # What is not there yet is put there while the app runs.
                return (
                    one_of([Thing(thing) for thing in things[:6]]) if things else Unknown(ast.unparse(node))
                )
            if isinstance(one, Thing) and inspect.isclass(one.thing):
                return one
        return PLAIN

    def with_self(self, function: FunctionType, owner: Value, more: dict[str, Value]) -> dict[str, Value]:
        node = definition(function)
        first = parameters(node)[0].arg if node is not None and parameters(node) else "self"
        return {first: owner, **more}


def member(module: ModuleType, name: str) -> Any:
    """What a module has under a name; libraries may load it when it is asked for."""
    found = vars(module).get(name, ABSENT)
    file = getattr(module, "__file__", None)
    if found is ABSENT and "__getattr__" in vars(module) and file and not own_file(file):
        try:
            return getattr(module, name)
        except Exception:  # what a library imports then may raise anything
            return ABSENT
    return found


def annotated_attribute(kind: type, name: str) -> Any:
    """How a class, or one that it inherits from, annotates an attribute; None where it does not."""
    for one in kind.__mro__:
        try:
            hints = inspect.get_annotations(one, eval_str=True)
        except Exception:  # evaluating an app's annotations may raise anything
            hints = {}
        if name in hints:
            return hints[name]
    return None


def assignments(node: ast.AST, name: str) -> list[ast.expr]:
    """The values that a method assigns to `self.name`."""
    found = []
    for one in ast.walk(node):
        value = one.value if isinstance(one, ast.Assign | ast.AnnAssign) else None
        targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
        if value is not None and any(is_own(target, name) for target in targets):
            found.append(value)
    return found


def is_own(target: ast.AST | None, name: str) -> bool:
    """Whether a target is `self.name`."""
    return (
        isinstance(target, ast.Attribute)
        and target.attr == name
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


def blocking_class(value: Thing | Instance) -> bool:
    return any(name in METHODS for name in names(value))
