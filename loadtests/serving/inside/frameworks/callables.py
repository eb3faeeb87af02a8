"""Callables as frameworks see them: style, place, and whose code they are. Nothing is called."""

from __future__ import annotations

import dis
import functools
import inspect
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

FRAMEWORKS = {
    "starlette", "fastapi", "litestar", "quart", "django", "asgiref", "uvicorn", "socketio", "engineio",
    "flask",
}  # fmt: skip
"""Packages whose own functions do not block the loop, as far as their authors know."""

LIBRARIES = ("site-packages", "dist-packages")

STANDARD = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))

AWAITING = {"GET_AWAITABLE", "GET_AITER", "BEFORE_ASYNC_WITH"}
"""Instructions of a coroutine that awaits something."""


def unpartial(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def callee(function: Any) -> Any:
    """What runs first: of a partial its function, of an object that is called its bound method."""
    function = unpartial(function)
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    method = inspect.getattr_static(type(function), "__call__", None)
    return MethodType(method, function) if isinstance(method, FunctionType) else function


def innermost(function: Any) -> Any:
    """The function that was written: below partials, objects and decorators."""
    found = inspect.unwrap(callee(function))
    return found.__func__ if isinstance(found, MethodType) else found


def style(function: Any) -> str:
    """`async def`, `def`, `async generator`, `generator` or `class`, as FastAPI distinguishes them."""
    outer = unpartial(function)
    if inspect.isclass(inspect.unwrap(outer)):
        return "class"
    candidates = (outer, inspect.unwrap(outer), callee(outer), innermost(outer))
    if any(map(inspect.isasyncgenfunction, candidates)):
        return "async generator"
    if any(map(inspect.isgeneratorfunction, candidates)):
        return "generator"
    return "async def" if any(map(inspect.iscoroutinefunction, candidates)) else "def"


def name(function: Any) -> str:
    """The qualified name without the scopes of functions around it."""
    plain = innermost(function)
    full = str(getattr(plain, "__qualname__", type(plain).__qualname__))
    return full.rpartition("<locals>.")[2]


def place(function: Any, home: Path) -> tuple[str | None, int | None]:
    """File, relative to the app's directory if it is inside, and line."""
    try:
        file = Path(inspect.getsourcefile(function) or "").resolve()
        line = inspect.getsourcelines(function)[1]
    except (OSError, TypeError):
        return None, None
    return (str(file.relative_to(home)) if file.is_relative_to(home) else str(file)), line


def awaits(function: Any) -> bool:
    """Whether a function awaits something, so that it cannot simply become a `def`."""
    code = getattr(innermost(function), "__code__", None)
    return code is not None and any(one.opname in AWAITING for one in dis.get_instructions(code))


def package(thing: Any) -> str:
    """The top-level package of a function, a class or an object."""
    known = inspect.isroutine(thing) or inspect.isclass(thing)
    module = getattr(thing if known else type(thing), "__module__", None)
    return str(module or "").partition(".")[0]


def packages(thing: Any) -> set[str]:
    """The top-level packages of a class, or an object's class, and its bases."""
    kind = thing if inspect.isclass(thing) else type(thing)
    return {package(one) for one in kind.__mro__}


def library(thing: Any) -> bool:
    """Whether a function, a class or an object's class is a library's, and not the app's."""
    plain = innermost(thing) if inspect.isroutine(unpartial(thing)) else thing
    code = getattr(plain, "__code__", None)
    try:
        file = code.co_filename if code else inspect.getfile(plain if inspect.isclass(plain) else type(plain))
    except (TypeError, OSError):
        return True
    path = Path(file).resolve()
    if any(part in LIBRARIES for part in path.parts):
        return True
    return any(path.is_relative_to(one) for one in STANDARD)


def frameworks_own(function: Any) -> bool:
    """Whether a function is a framework's, such as a page of its documentation or its static files."""
    return package(innermost(function)) in FRAMEWORKS


def own_methods(kind: type) -> Iterator[Callable[..., Any]]:
    """Coroutine functions that a class of the app defines, those of its bases included."""
    for attribute in dict.fromkeys(key for one in kind.__mro__ for key in vars(one)):
        method = inspect.getattr_static(kind, attribute)
        if isinstance(method, FunctionType) and inspect.iscoroutinefunction(method) and not library(method):
            yield method


def closures(function: Any, skipped: Any, depth: int = 4) -> Iterator[FunctionType]:
    """Functions that a function keeps in its closure, at any depth, but `skipped` and what that keeps."""
    if not isinstance(function, FunctionType) or function is skipped or depth == 0:
        return
    for held in cells(function):
        if isinstance(held, FunctionType) and held is not skipped:
            yield held
            yield from closures(held, skipped, depth - 1)


def written_in(factory: Any) -> Iterator[FunctionType]:
    """The coroutine functions that a function defines and may return. They can be read, and not called: their
    closures are empty."""
    plain = innermost(factory)
    for code in plain.__code__.co_consts if isinstance(plain, FunctionType) else ():
        if isinstance(code, CodeType) and code.co_flags & inspect.CO_COROUTINE:
            empty = tuple(CellType() for _ in code.co_freevars)
            yield FunctionType(code, plain.__globals__, closure=empty)


def cells(function: FunctionType) -> Iterator[Any]:
    """The values that a function closes over."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not assigned yet
            continue
