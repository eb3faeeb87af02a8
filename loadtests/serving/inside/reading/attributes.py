"""What the attributes and items of values are, without running properties or descriptors."""

from __future__ import annotations

import ast
import functools
import inspect
from functools import cache
from types import FunctionType, MemberDescriptorType, ModuleType, SimpleNamespace
from typing import Any

from .hints import annotated
from .program import Program
from .scope import Definition, Scope, definition, filled_later, parameters, rebound, returned
from .values import (
    PLAIN,
    Above,
    BoundTo,
    Deep,
    Held,
    Instance,
    Plain,
    Thing,
    Unknown,
    Value,
    each,
    full,
    function_below,
    hinted,
    marked,
    names,
    one_held,
    one_of,
    own_class,
    own_code,
    own_file,
)
from .what_blocks import DEEP, GIVES, METHODS

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
                found = self.attribute_of_known(thing, name, node, scope)
            case Instance():
                found = self.attribute_of_instance(base, name, scope)
            case Above():
                found = self.attribute_above(base, name)
            case Deep(client):
                found = Deep(client)
            case Unknown(text):
                found = Unknown(f"{text}.{name}")
            case Held():
                found = BoundTo(SimpleNamespace(__name__=name), base)
            case Plain():
                found = Unknown(f"….{name}") if name == "state" else PLAIN
            case _:
                found = PLAIN
        return found

    def attribute_of_known(self, thing: Any, name: str, node: ast.AST, scope: Scope) -> Value:
        if isinstance(thing, ModuleType):
            found = member(thing, name)
            file = getattr(thing, "__file__", None) or ""
            later = found is ABSENT or (found is None and rebound(file, name))
            return filled_later(thing, name, f"{thing.__name__}.{name}") if later else Thing(found)
        found = inspect.getattr_static(thing, name, ABSENT)
        return self.of_class(thing, found) if inspect.isclass(thing) else self.of_object(thing, name, found)

    @staticmethod
    def of_class(kind: type, found: Any) -> Value:
        """An attribute of a class, as it was found there."""
        below = function_below(found)
        if isinstance(found, classmethod) and isinstance(below, FunctionType):
            return BoundTo(below, Thing(kind))
        given = GIVES.get(full(type(found)))
        if given is not None:
            return Thing(vars(found)[given])
        return Thing(below) if found is not ABSENT else PLAIN

    def of_object(self, thing: Any, name: str, found: Any) -> Value:
        """An attribute of an object, as it was found there or in its class."""
        if found is ABSENT:
            return self.missing(Thing(thing), name)
        if found is None or injected(found):
            return self.later(Thing(thing), name, found)
        known = self.of_its_class(Thing(thing), found)
        # A slot, or a descriptor of a library: not read, since that would run it.
        return hinted(annotated_attribute(type(thing), name)) if known is None else known

    def attribute_of_instance(self, base: Instance, name: str, scope: Scope) -> Value:
        if isinstance(base.kind, str):
            return BoundTo(SimpleNamespace(__name__=name), base)
        found = inspect.getattr_static(base.kind, name, ABSENT)
        if deep(base) and (found is ABSENT or not callable(function_below(found))):
            return Deep(package_of(base))
        if found is None or injected(found):
            return self.later(base, name, found)
        written = self.of_its_class(base, found)
        return self.of_its_own(base, name, found) if written is None else written

    def of_its_class(self, base: Thing | Instance, found: Any) -> Value | None:
        """An attribute that a class has, if that says what an object of it has."""
        if getter(found) is not None:
            return self.property(found, base)
        if inspect.isroutine(found) or isinstance(function_below(found), FunctionType):
            return self.method(found, base)
        return None if found is ABSENT or hasattr(type(found), "__get__") else Thing(found)

    def of_its_own(self, base: Instance, name: str, found: Any) -> Value:
        """An attribute that an object is given: by its class's methods, or as its class annotates it."""
        assigned = self.assigned(base, name)
        told = hinted(annotated_attribute(base.kind, name))  # type: ignore[arg-type]  # a class, known here
        if assigned is None:
            return told if told is not PLAIN or is_column(found) else self.missing(base, name)
        return told if assigned is PLAIN else assigned

    def attribute_above(self, base: Above, name: str) -> Value:
        """An attribute that `super()` finds."""
        owner = base.owner
        kinds = kind_of(owner).__mro__ if isinstance(kind_of(owner), type) else ()
        kinds = kinds if base.below in kinds else base.below.__mro__
        for kind in kinds[kinds.index(base.below) + 1 :]:
            found = vars(kind).get(name, ABSENT)
            if getter(found) is not None:
                return self.property(found, owner)
            if found is not ABSENT:
                return self.method(found, owner) if callable(function_below(found)) else Thing(found)
        return PLAIN

    def later(self, base: Thing | Instance, name: str, found: Any) -> Value:
        """An attribute that is filled while the app runs: by FastAPI where its default is a `Depends`, by
        what the class assigns to it or as it is annotated where that is None."""
        hint = annotated_attribute(kind_of(base), name)
        if found is not None:
            return self.reader.injected(hint, found) or hinted(hint)
        as_instance = base if isinstance(base, Instance) else Instance(type(base.thing))
        told = [one for one in (self.assigned(as_instance, name), hinted(hint)) if one not in (None, PLAIN)]
        if told:
            return told[0] or PLAIN
        return Unknown(name) if own_class(kind_of(base)) else PLAIN

    def missing(self, base: Thing | Instance, name: str) -> Value:
        """An attribute that is not there yet."""
        if deep(base):
            return Deep(package_of(base))
        if blocking_class(base):  # its methods may be made by `__getattr__`
            return BoundTo(SimpleNamespace(__name__=name), base)
        kind = type(base.thing) if isinstance(base, Thing) else base.kind
        # `app.state` and `request.state` are filled while the app runs.
        if full(kind).endswith("datastructures.State"):
            return Unknown(f"state.{name}")
        return Unknown(name) if name == "state" or own_class(kind) else PLAIN

    def property(self, found: Any, owner: Value) -> Value:
        function = getter(found)
        if isinstance(function, FunctionType) and own_code(function.__code__):
            told = self.reader.run(function, self.with_self(function, owner, {}))
            return hinted(annotated(function).get("return")) if told is PLAIN else told
        told = returned(function)
        return Unknown("state") if told is PLAIN and getattr(function, "__name__", "") == "state" else told

    def method(self, found: Any, owner: Value) -> Value:
        """A method with its object; a library's is known by the class it belongs to."""
        below = function_below(found)
        return Thing(below) if isinstance(found, staticmethod) else BoundTo(below, owner)

    def assigned(self, base: Instance, name: str) -> Value | None:
        """What the methods of a class of the app give an attribute of `self`, the first that is known; None
        where they do not."""
        asked, memory = (base.kind, name), self.reader.memory
        if not isinstance(base.kind, type):
            return None
        if asked in self.reader.resolving:
            memory.cuts += 1
            return None
        known, cuts = (name, marked(base)), memory.cuts
        if known in memory.assigned:
            return memory.assigned[known][0]
        self.reader.resolving.add(asked)
        try:
            found = self.first_assigned(base, name)
        finally:
            self.reader.resolving.remove(asked)
        # What a cut made incomplete is no answer for another way to it.
        if memory.cuts == cuts:
            memory.assigned[known] = found, base
        return found

    def first_assigned(self, base: Instance, name: str) -> Value | None:
        found: list[Value] = []
        for method, node, value in assigning(base.kind, name):
            given = base.arguments if method.__name__ == "__init__" else {}
            arguments = self.reader.filled(method, {"self": base, **given})
            found.append(self.quietly(value, Scope(node, method, None, arguments)))
            if not isinstance(found[-1], Plain | Unknown):
                return found[-1]
        return one_of(found) if found else None

    def quietly(self, node: ast.AST, scope: Scope) -> Value:
        """An expression's value, without noting what it calls: it ran when the object was made."""
        aside = self.reader.aside()
        if len(aside.way) >= DEEPEST_ASIDE:
            self.reader.memory.cuts += 1
            return PLAIN
        for name, given in locals_of(scope.node, node):
            scope.put(name, aside.value(given, scope))
        return aside.value(node, scope)

    def item(self, base: Value, node: ast.Subscript) -> Value:
        """What a subscript is: of a known dict or list its item; of a client's, more of the client."""
        key = node.slice.value if isinstance(node.slice, ast.Constant) else ABSENT
        return one_of([self.item_of(one, key, node) for one in each(base)])

    def item_of(self, base: Value, key: Any, node: ast.Subscript) -> Value:
        found: Value = PLAIN
        if isinstance(base, Deep):
            found = base
        elif isinstance(base, Held):
            found = base if isinstance(node.slice, ast.Slice) else base.at(key)
        elif isinstance(base, Thing | Instance) and package_of(base) in DEEP:
            found = Deep(package_of(base)) if deep(base) else PLAIN
        elif isinstance(base, Thing) and type(base.thing) is dict:
            known = key in base.thing
            found = Thing(base.thing[key]) if known else one_held(base.thing.values(), ast.unparse(node))
        elif isinstance(base, Thing) and type(base.thing) in (list, tuple):
            found = one_held(base.thing, ast.unparse(node))
        elif isinstance(base, Thing) and inspect.isclass(base.thing):
            found = base
        elif isinstance(base, Thing | Instance):
            found = self.special(base, "__getitem__") or PLAIN
        return found

    def special(self, owner: Thing | Instance, name: str) -> Value | None:
        """What a method of the app's gives that syntax calls, as `in` does; None where there is none."""
        kind = type(owner.thing) if isinstance(owner, Thing) else owner.kind
        method = inspect.getattr_static(kind, name, None) if isinstance(kind, type) else None
        if isinstance(method, FunctionType) and own_code(method.__code__):
            return self.reader.run(method, self.with_self(method, owner, {}))
        return None

    def with_self(self, function: FunctionType, owner: Value, more: dict[str, Value]) -> dict[str, Value]:
        node = definition(function)
        first = parameters(node)[0].arg if node is not None and parameters(node) else "self"
        return {first: owner, **more}


def getter(found: Any) -> Any:
    """The function of a property, cached or not; None of anything else."""
    if isinstance(found, property):
        return found.fget
    return found.func if isinstance(found, functools.cached_property) else None


def injected(found: Any) -> bool:
    """Whether FastAPI replaces a default by what it injects."""
    return type(found).__name__ in ("Depends", "Security")


def is_column(found: Any) -> bool:
    """Whether a class has an attribute by a descriptor of a library, such as a column of a table: that gives
    data."""
    return found is not ABSENT and not isinstance(found, MemberDescriptorType) and not own_class(type(found))


def kind_of(value: Thing | Instance) -> Any:
    """The class of an object, or what a class method is called on; its name where it is not imported."""
    if isinstance(value, Instance):
        return value.kind
    return value.thing if inspect.isclass(value.thing) else type(value.thing)


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
        hints = annotated(one)
        if name in hints:
            return hints[name]
    return None


@cache
def assigning(kind: type, name: str) -> list[tuple[FunctionType, Definition, ast.expr]]:
    """Where the methods of a class and of those above it assign `self.name`: the method, constructors first,
    and the value."""
    found = []
    for one in kind.__mro__:
        members = [getter(member) or member for member in vars(one).values()]
        methods = [member for member in members if isinstance(member, FunctionType)]
        for method in sorted(methods, key=lambda member: member.__name__ != "__init__"):
            node = definition(method) if own_code(method.__code__) else None
            if node is not None:
                found += [(method, node, value) for value in assignments(node, name)]
    return found


@cache
def assignments(node: ast.AST, name: str) -> list[ast.expr]:
    """The values that a method assigns to `self.name`."""
    found = []
    for one in ast.walk(node):
        value = one.value if isinstance(one, ast.Assign | ast.AnnAssign) else None
        targets = one.targets if isinstance(one, ast.Assign) else [getattr(one, "target", None)]
        if value is not None and any(is_own(target, name) for target in targets):
            found.append(value)
    return found


@cache
def locals_of(method: ast.AST, used_in: ast.AST) -> list[tuple[str, ast.expr]]:
    """What a method assigns to the names that an expression uses, as a default for None."""
    used = {one.id for one in ast.walk(used_in) if isinstance(one, ast.Name)}
    return [
        (target.id, one.value)
        for one in ast.walk(method)
        if isinstance(one, ast.Assign)
        for target in one.targets
        if isinstance(target, ast.Name) and target.id in used
    ]


def is_own(target: ast.AST | None, name: str) -> bool:
    """Whether a target is `self.name`."""
    return (
        isinstance(target, ast.Attribute)
        and target.attr == name
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


def package_of(value: Thing | Instance) -> str:
    return names(value)[0].partition(".")[0]


def deep(value: Thing | Instance) -> bool:
    """Whether an object is an SDK's client, or what its attributes lead to, and not an asynchronous one."""
    kinds = names(value)
    return (
        package_of(value) in DEEP
        and "async" not in kinds[0].lower()
        and "builtins.BaseException" not in kinds
    )


def blocking_class(value: Thing | Instance) -> bool:
    return any(name in METHODS for name in names(value))
