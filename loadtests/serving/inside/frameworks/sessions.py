"""Database sessions that dependencies hand out, and the pools that their connections come from."""

from __future__ import annotations

import dis
import gc
import inspect
from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any, get_args

from .callables import cells, library, package

DATABASES = {
    "sqlalchemy", "sqlmodel", "psycopg", "psycopg_pool", "psycopg2", "sqlite3", "pymysql", "MySQLdb",
    "aiomysql", "asyncmy", "asyncpg", "aiosqlite", "peewee", "flask_sqlalchemy",
}  # fmt: skip
"""Packages with a database's sessions and connections."""

HANDLES = ("session", "connection", "engine", "pool")
"""Words in the names of their classes."""

CONNECTS = {"connect", "connection", "begin", "getconn", "acquire", "raw_connection"}
"""Methods that take a connection at once; a Session takes one for its first statement."""

ENTERING = {"BEFORE_WITH", "BEFORE_ASYNC_WITH", "SETUP_WITH", "SETUP_ASYNC_WITH", "LOAD_SPECIAL"}
"""Instructions at the head of a `with` block, in the Pythons that there are."""

FACTORIES = {"sessionmaker", "async_sessionmaker", "scoped_session", "async_scoped_session"}


def session(function: Any) -> tuple[bool, bool]:
    """Whether a generator hands out a database session or connection, and whether it takes its connection as
    soon as it is entered."""
    if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
        return False, False
    names = set(function.__code__.co_names)
    known = [*yielded(function), *mentioned(function)]
    # What is neither annotated nor found by name may still be a session: its names say so.
    alike = not any(map(sessionlike, known)) and any("session" in name.lower() for name in names)
    for made in keepers(known):
        names |= set(made.__code__.co_names)
        known += mentioned(made)
    holds = any(map(database, known)) or alike or bool(names & {"connect", "getconn"} and not known)
    return holds, holds and bool(names & CONNECTS) and not any(map(lazy, known))


def keepers(things: Sequence[Any]) -> Iterator[FunctionType]:
    """What makes objects of the app's own classes, such as a unit of work, without letting go of what it
    takes."""
    for kind in dict.fromkeys(one for one in things if inspect.isclass(one) and not library(one)):
        for name in ("__init__", "__enter__", "__aenter__"):
            made = inspect.getattr_static(kind, name, None)
            if isinstance(made, FunctionType) and "close" not in made.__code__.co_names and not enters(made):
                yield made


def enters(function: FunctionType) -> bool:
    """Whether a function has a `with` block."""
    return any(one.opname in ENTERING for one in dis.get_instructions(function.__code__))


def yielded(function: FunctionType) -> Iterator[Any]:
    """The classes that a generator says it yields."""
    try:
        hint = inspect.get_annotations(function, eval_str=True).get("return")
    except Exception:  # evaluating an app's annotations may raise anything
        return
    yield from (one for one in get_args(hint) if inspect.isclass(one))


def mentioned(function: FunctionType) -> Iterator[Any]:
    """The classes and objects of libraries that a function names, in its globals, closure or modules."""
    loaded = [one.argval for one in dis.get_instructions(function.__code__) if one.opname == "LOAD_GLOBAL"]
    values = [function.__globals__.get(name) for name in loaded]
    for value in (*values, *cells(function)):
        if inspect.ismodule(value):
            yield from (vars(value).get(name) for name in function.__code__.co_names if name in vars(value))
        elif value is not None:
            yield value


def database(thing: Any) -> bool:
    """Whether something is, or makes, a database's session, connection or engine."""
    kind = thing if inspect.isclass(thing) else type(thing)
    return any(
        package(one) in DATABASES and any(word in one.__name__.lower() for word in HANDLES)
        for one in kind.__mro__
    )


def sessionlike(thing: Any) -> bool:
    """Whether something known is called a session, a database's or not."""
    kind = thing if inspect.isclass(thing) else type(thing)
    return "session" in kind.__name__.lower()


def lazy(thing: Any) -> bool:
    """Whether something is, or makes, a Session, which connects with its first statement."""
    kind = thing if inspect.isclass(thing) else type(thing)
    return database(thing) and (kind.__name__ in FACTORIES or "Session" in kind.__name__)


def pools() -> list[dict[str, Any]]:
    """The connection pools of SQLAlchemy that importing the app has made."""
    try:
        from sqlalchemy.pool import Pool, QueuePool  # noqa: PLC0415  # the app may do without SQLAlchemy
    except ImportError:
        return []
    # Not `isinstance`: some libraries keep proxies that import something when they are asked for their class.
    found = [one for one in gc.get_objects() if issubclass(type(one), Pool)]
    return [
        {
            "kind": type(pool).__name__,
            "size": pool.size() if isinstance(pool, QueuePool) else None,
            "overflow": overflow(pool) if isinstance(pool, QueuePool) else None,
        }
        for pool in found
    ]


def overflow(pool: Any) -> int | None:
    """Connections beyond its size that a pool may open; None for any number."""
    most: int = getattr(pool, "_max_overflow", 0)
    return None if most < 0 else most
