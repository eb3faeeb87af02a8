"""The values of expressions, as far as they are known without running anything."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, get_args

LIBRARIES = ("site-packages", "dist-packages")

STANDARD = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


@dataclass(frozen=True, eq=False)
class Thing:
    """An object that is there: a module, a class, a function, an instance."""

    thing: Any


@dataclass(frozen=True, eq=False)
class Instance:
    """Some object of a class, which is only named where its package is not imported."""

    kind: type | str
    arguments: dict[str, Value] = field(default_factory=dict)
    """What its constructor was given, by parameter."""


@dataclass(frozen=True, eq=False)
class Above:
    """What `super()` gives: an object, whose attributes are looked for above one of its classes."""

    owner: Thing | Instance
    below: type


@dataclass(frozen=True, eq=False)
class Deep:
    """What the attributes of an SDK's client lead to."""

    client: str


@dataclass(frozen=True, eq=False)
class Local:
    """A function or a lambda that a function defines."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Any
    """The Scope that it is defined in."""


@dataclass(frozen=True, eq=False)
class BoundTo:
    """A function of the app with its `self`, or with the arguments of a partial."""

    function: Any
    """A function, or what has its name."""
    owner: Value


@dataclass(frozen=True, eq=False)
class Iterated:
    """A generator that was made and does not run before it is iterated."""

    function: FunctionType | Local
    arguments: dict[str, Value]


@dataclass(frozen=True, eq=False)
class Several:
    """One of several values."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Unknown:
    """Something that is made while the app runs."""

    text: str


@dataclass(frozen=True, eq=False)
class Plain:
    """A value whose methods do not matter: text, numbers, what libraries return."""


Value = Thing | Instance | Above | Deep | Local | BoundTo | Iterated | Several | Unknown | Plain

PLAIN = Plain()

ORDINARY = frozenset(
    name
    for kind in (str, bytes, bytearray, list, dict, set, frozenset, tuple, int, float, memoryview)
    for name in dir(kind)
)
"""Methods of built-in types, which anything may have."""

BUILDING = (
    "in_ not_in is_ is_not like not_like ilike any has desc asc label between nulls_first nulls_last "
    "model_dump model_dump_json model_copy model_validate dict json"
)

HARMLESS = ORDINARY | set(BUILDING.split(" "))
"""Those, and methods by which SQLAlchemy's columns build statements and pydantic's models turn into data."""


SIMPLE = (str, bytes, int, float, bool, type(None))

MOST = 16
"""Values that are followed where there may be one of several."""


def one_of(values: list[Value]) -> Value:
    """Several values as one, without those of which nothing is known."""
    told = [value for value in dict.fromkeys(values) if not isinstance(value, Plain)]
    return told[0] if len(told) == 1 else Several(tuple(told[: MOST + 1])) if told else PLAIN


def one_held(things: Iterable[Any], text: str) -> Value:
    """One of the objects that a container holds; what is not there yet is put there while the app runs."""
    every = list(things)
    kept = list({id(one): one for one in every if type(one) not in SIMPLE}.values())
    beyond = [Unknown(text)] if len(kept) > MOST or not every else []
    return one_of([*map(Thing, kept[:MOST]), *beyond])


def each(value: Value) -> Iterator[Value]:
    if isinstance(value, Several):
        for one in value.values:
            yield from each(one)
    else:
        yield value


MOVED = {"pathlib._local": "pathlib"}
"""Modules of one Python, here 3.13, by the names that the others have for them."""


def full(thing: Any) -> str:
    """Module and qualified name of a function or class."""
    module = getattr(thing, "__module__", None) or getattr(getattr(thing, "__self__", None), "__name__", "")
    name = getattr(thing, "__qualname__", getattr(thing, "__name__", ""))
    return f"{MOVED.get(str(module), module)}.{name}"


def names(value: Thing | Instance) -> list[str]:
    """The full names of a value's class and of those that it inherits from."""
    kind = type(value.thing) if isinstance(value, Thing) else value.kind
    return [kind] if isinstance(kind, str) else [full(one) for one in kind.__mro__]


def own_code(code: CodeType) -> bool:
    """Whether code is the app's, and not a library's."""
    return own_file(code.co_filename)


@cache
def own_file(file: str) -> bool:
    """Whether a file is the app's, even one that is not there, as of a module that is delivered compiled."""
    path = Path(file)
    generated = file.startswith("<") and not path.is_file()
    if not file or generated or any(part in LIBRARIES for part in path.parts):
        return False
    resolved = path.resolve()
    return not any(resolved.is_relative_to(one) for one in STANDARD) and not any(
        part in LIBRARIES for part in resolved.parts
    )


def own_class(kind: Any) -> bool:
    """Whether a class has methods that are the app's."""
    return inspect.isclass(kind) and any(
        own_code(member.__code__)
        for one in kind.__mro__
        for member in vars(one).values()
        if isinstance(member, FunctionType)
    )


def function_below(thing: Any) -> Any:
    """The function that a call of an object runs: below caches, and static and class methods."""
    while True:
        if isinstance(thing, staticmethod | classmethod):
            thing = thing.__func__
        elif isinstance(thing, functools._lru_cache_wrapper):
            thing = thing.__wrapped__
        else:
            return thing


def hinted(hint: Any) -> Value:
    """An object as an annotation describes it."""
    candidates = [hint, *get_args(hint)]
    kinds: list[Value] = [
        Instance(one) for one in candidates if inspect.isclass(one) and one not in (type(None), type, object)
    ]
    return one_of([one for one in kinds if isinstance(one, Instance) and not plain_kind(one.kind)])


def made(name: str) -> Instance:
    """An object of a class by its full name: of the class itself where its package is imported."""
    module, _, rest = name.rpartition(".")
    kind = getattr(sys.modules.get(module), rest, None)
    return Instance(kind if inspect.isclass(kind) else name)


def plain_kind(kind: type | str) -> bool:
    return isinstance(kind, type) and kind.__module__ in ("builtins", "typing", "collections.abc")
