"""The values of expressions, as far as they are known without running anything."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import sys
import sysconfig
from collections import OrderedDict, abc, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, UnionType
from typing import Annotated, Any, ClassVar, Final, Union, get_args, get_origin

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
class Held:
    """A container that is not there yet, with what it will hold."""

    values: tuple[Value, ...]
    keys: tuple[Any, ...] = ()
    """The index of each value, or its key in a dict, where all are known."""
    mapping: bool = False

    def at(self, key: Any) -> Value:
        """What is under a key; one of its values where the key is not known."""
        return self.values[self.keys.index(key)] if key in self.keys else one_of(list(self.values))


@dataclass(frozen=True, eq=False)
class Several:
    """One of several values."""

    values: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Unknown:
    """Something that is made while the app runs."""

    text: str

    @property
    def filled(self) -> bool:
        """Whether it is found in a `state`, which holds clients and services as well as data."""
        return "state" in self.text.split(".")


@dataclass(frozen=True, eq=False)
class Plain:
    """A value whose methods do not matter: text, numbers, what libraries return."""


Value = Thing | Instance | Above | Deep | Local | BoundTo | Iterated | Held | Several | Unknown | Plain

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
    """Several values as one, each once, without those of which nothing is known."""
    told = [value for value in values if not isinstance(value, Plain)]
    if len(told) < 2:
        return told[0] if told else PLAIN
    found: dict[Any, Value] = {}
    for value in told:
        for one in each(value):
            found.setdefault(known_by(one), one)
    distinct = list(found.values())
    beyond = [Unknown("one of many")] if len(distinct) > MOST + 1 else []
    return distinct[0] if len(distinct) == 1 else Several((*distinct[: MOST + 1], *beyond))


def known_by(value: Value) -> Any:
    """What a value has in common with those that are as good as it."""
    match value:
        case Unknown(text):
            return text
        case Local(node, scope):
            return id(node), id(scope)
        case Iterated():
            return value
        case _:
            return marked(value)


def one_held(things: Iterable[Any], text: str) -> Value:
    """One of the objects that a container holds; what is not there yet is put there while the app runs."""
    every = list(things)
    kept = list({id(one): one for one in every if type(one) not in SIMPLE}.values())
    beyond = [Unknown(text)] if len(kept) > MOST or not every else []
    return one_of([*map(Thing, kept[:MOST]), *beyond])


def listed(values: list[Value]) -> Value:
    """A list or a tuple of values; Plain where nothing is known of any."""
    return PLAIN if one_of(values) is PLAIN else Held(tuple(values), tuple(range(len(values))))


def flattened(values: list[Value], unpacked: list[bool]) -> list[Value]:
    """The values of a container into which others are unpacked."""
    found: list[Value] = []
    for one, inner in zip(values, unpacked, strict=True):
        found += one.values if inner and isinstance(one, Held) else [one]
    return found


def each(value: Value) -> Iterator[Value]:
    if isinstance(value, Several):
        for one in value.values:
            yield from each(one)
    else:
        yield value


def marked(value: Value, depth: int = 2, inside: bool = False) -> Any:
    """What tells a value from others: an object or a function by its identity, a made object by its class and
    what it was made with. `inside` such an object, other values by their kind only: there would be as many
    readings of a function as there are ways to it."""
    found: Any = type(value).__name__
    match value:
        case Thing(thing):
            found = id(thing)
        case Instance(kind, arguments):
            given = arguments.items() if depth else ()
            found = (kind, *((name, marked(one, depth - 1, inside=True)) for name, one in given))
        case Local(node):
            found = node.lineno, node.col_offset
        case Iterated(function):
            found = id(function.node if isinstance(function, Local) else function)
        case Unknown():
            found = value.filled
        case BoundTo(function, owner) if not inside:
            # What only has the name of a library's method is made again whenever it is looked up.
            method = id(function) if isinstance(function, FunctionType) else getattr(function, "__name__", "")
            found = (method, marked(owner, 0, inside=True))
        case Above(owner, below) if not inside:
            found = (below, marked(owner, 0, inside=True))
        case Held(values, keys) if not inside:
            found = (keys, *(marked(one, 0, inside=True) for one in values))
        case Several(values) if not inside:
            found = frozenset(marked(one, 0) for one in values)
    return found


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
    """Whether a class, or one that it inherits from, is the app's."""
    return inspect.isclass(kind) and any(map(written_here, kind.__mro__))


def written_here(kind: type) -> bool:
    """Whether a class is the app's: by its module, or by its methods where that has no file."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
    methods = (one for one in vars(kind).values() if isinstance(one, FunctionType))
    return own_file(file) or any(own_code(one.__code__) for one in methods)


def function_below(thing: Any) -> Any:
    """The function that a call of an object runs: below caches, and static and class methods."""
    while True:
        if isinstance(thing, staticmethod | classmethod):
            thing = thing.__func__
        elif isinstance(thing, functools._lru_cache_wrapper):
            thing = thing.__wrapped__
        else:
            return thing


MAPPINGS = frozenset({dict, defaultdict, OrderedDict, abc.Mapping, abc.MutableMapping})

IN_TURN = frozenset({
    list, set, frozenset, deque, abc.Sequence, abc.MutableSequence, abc.Set, abc.MutableSet, abc.Collection,
    abc.Iterable, abc.Iterator, abc.Generator, abc.AsyncIterable, abc.AsyncIterator, abc.AsyncGenerator,
})  # fmt: skip
"""What holds or gives items of the type that is its first argument."""

EITHER = frozenset({
    Union, UnionType, ClassVar, Final, abc.Awaitable, abc.Coroutine, contextlib.AbstractContextManager,
    contextlib.AbstractAsyncContextManager,
})  # fmt: skip
"""Generics that describe one of their arguments: at once, or when it is awaited or entered."""


def hinted(hint: Any) -> Value:
    """An object as an annotation describes it: of a generic class that class, and not its arguments."""
    origin, given = get_origin(hint), get_args(hint)
    if type(hint).__name__ == "TypeAliasType":
        found = hinted(behind(hint))
    elif origin is Annotated:
        found = hinted(given[0])
    elif origin is abc.Callable or hint is abc.Callable:
        found = Unknown("a callable")
    elif origin in MAPPINGS or origin in IN_TURN or origin is tuple:
        found = container(origin, given)
    elif origin in EITHER or stands_for_another(origin):
        found = one_of([hinted(one) for one in given])
    elif origin is type:
        found = Thing(given[0]) if inspect.isclass(given[0]) else PLAIN
    else:
        found = described(hint if origin is None else origin)
    return found


def behind(alias: Any) -> Any:
    """What `type Name = …` stands for."""
    try:
        return alias.__value__
    except Exception:  # evaluating an app's annotations may raise anything
        return None


def described(kind: Any) -> Value:
    """An object of a class; Plain where its methods do not matter."""
    told = inspect.isclass(kind) and kind not in (type(None), type, object) and not plain_kind(kind)
    return Instance(kind) if told else PLAIN


def container(origin: Any, given: tuple[Any, ...]) -> Value:
    """A container of the types that it is annotated with."""
    types = given[-1:] if origin in MAPPINGS else given[:1] if origin in IN_TURN else given
    held = [hinted(one) for one in types]
    if origin is tuple and ... not in given:
        return listed(held)
    return PLAIN if one_of(held) is PLAIN else Held(tuple(held), mapping=origin in MAPPINGS)


def stands_for_another(origin: Any) -> bool:
    """Whether a generic describes an attribute by what reading it gives, as SQLAlchemy's `Mapped`."""
    if type(origin).__name__ == "TypeAliasType":
        return True
    return inspect.isclass(origin) and "sqlalchemy.orm.base.Mapped" in map(full, origin.__mro__)


def made(name: str) -> Instance:
    """An object of a class by its full name: of the class itself where its package is imported."""
    module, _, rest = name.rpartition(".")
    kind = getattr(sys.modules.get(module), rest, None)
    return Instance(kind if inspect.isclass(kind) else name)


def plain_kind(kind: type | str) -> bool:
    return isinstance(kind, type) and kind.__module__ in ("builtins", "typing", "collections.abc")
