"""What an app is made of, read from the app itself without any load: one JSON document on stdout.

Runs as a file (`python -P describe_app.py shop.main:app …`) in the app's own environment, like serve.py, and
imports only the file beside it from our code. Only facts: `reports.advice` judges them.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import functools
import gc
import importlib.util
import inspect
import json
import math
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_args

BLOCKS = {
    "time.sleep": "time.sleep",
    "os.system": "os.system", "os.popen": "os.popen", "posix.system": "os.system",
    "io.open": "open", "_io.open": "open",
    "urllib.request.urlopen": "urllib.request.urlopen",
    "socket.create_connection": "socket.create_connection",
    "sqlite3.connect": "sqlite3.connect", "_sqlite3.connect": "sqlite3.connect",
    "hashlib.scrypt": "hashlib.scrypt", "_hashlib.scrypt": "hashlib.scrypt",
}  # fmt: skip
"""Functions that block their thread while they wait, by their own module and qualified name."""

BLOCKING_PACKAGES = {"requests", "psycopg2", "pymysql", "MySQLdb", "pymongo", "smtplib", "ftplib", "paramiko"}
"""Packages all of whose calls block."""

BLOCKING_MEMBERS = {
    "subprocess": {"run", "call", "check_call", "check_output", "getoutput"},
    "httpx": {"get", "post", "put", "patch", "delete", "head", "options", "request", "stream", "Client"},
    "redis": {"Redis", "StrictRedis", "from_url"},
    "psycopg": {"connect", "Connection"},
    "shutil": {"copy", "copyfile", "copytree", "move", "rmtree"},
}
"""Calls of these packages that block, by top-level package."""

FILE_METHODS = {"read_text", "read_bytes", "write_text", "write_bytes"}
"""Methods of any object that read or write a file."""

SESSION_METHODS = {
    "execute",
    "scalars",
    "scalar",
    "get",
    "get_one",
    "commit",
    "flush",
    "refresh",
    "rollback",
    "merge",
}

DEPTH = 4
"""How far calls into the app's own functions are followed."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Describe what an app is made of.")
    parser.add_argument("app", help="module:attribute of an ASGI app or of a factory")
    parser.add_argument("--app-dir", default=".", help="directory to import the app from")
    parser.add_argument("--start", action="store_true", help="run its lifespan, too")
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.path.insert(0, options.app_dir)
    loading = beside("loading.py")
    try:
        app = unwrapped(loading.load(options.app))
    except loading.UnusableApp as error:
        sys.exit(error.lines())
    if app is None:
        sys.exit(f"UnusableApp: {options.app} has no routes: it is neither FastAPI's nor Starlette's")
    home = Path(options.app_dir).resolve()
    found = asyncio.run(started(app)) if options.start else {"pools": pools()}
    json.dump({"routes": list(routes(app, home)), **found}, out)
    out.close()


async def started(app: Any) -> dict[str, Any]:
    """The pools and the thread limit that there are once the app's lifespan has started."""
    from anyio.to_thread import current_default_thread_limiter  # noqa: PLC0415  # a bare app may do without

    async with app.router.lifespan_context(app):
        threads = current_default_thread_limiter().total_tokens
        return {"pools": pools(), **({"threads": threads} if threads < math.inf else {})}


def beside(name: str) -> ModuleType:
    """The module from the file next to this one."""
    path = Path(__file__).with_name(name)
    spec = importlib.util.spec_from_file_location(f"duel_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def unwrapped(app: Any) -> Any:
    """The app that has routes, below whatever middleware is wrapped around it; None where there is none."""
    for _ in range(20):
        if isinstance(getattr(app, "routes", None), list):
            return app
        app = getattr(app, "app", None)
    return None


def routes(app: Any, home: Path, prefix: str = "") -> Iterator[dict[str, Any]]:
    """Every route with an endpoint function, those of mounted apps with their prefix."""
    for route in contexts(app):
        endpoint = getattr(route, "endpoint", None)
        original = getattr(route, "original_route", route)
        mounted = unwrapped(getattr(original, "app", None)) if endpoint is None else None
        if mounted is not None:
            yield from routes(mounted, home, prefix + str(getattr(original, "path", "")))
        if not callable(endpoint) or not getattr(route, "include_in_schema", True):
            continue
        field = getattr(route, "response_field", None)
        dependant = getattr(route, "dependant", None)
        yield {
            "path": prefix + str(getattr(route, "path", "")),
            "methods": sorted(getattr(route, "methods", None) or ()),
            **called(endpoint, home),
            "response_model": shown(getattr(route, "response_model", None)) if field is not None else None,
            "dependencies": list(dependencies(dependant, home, set())) if dependant is not None else [],
        }


def contexts(app: Any) -> Sequence[Any]:
    """An app's routes with their prefixes: since FastAPI 0.137 they are a tree."""
    try:
        from fastapi.routing import iter_route_contexts  # noqa: PLC0415  # the app may do without FastAPI
    except ImportError:
        return list(app.routes)
    return list(iter_route_contexts(app.routes))


def dependencies(dependant: Any, home: Path, seen: set[Any]) -> Iterator[dict[str, Any]]:
    """What is called before a route, each once where its result is used again."""
    for one in dependant.dependencies:
        yield from dependencies(one, home, seen)
        key = (one.call, getattr(one, "scope", None))
        if one.call is None or (getattr(one, "use_cache", True) and key in seen):
            continue
        seen.add(key)
        yield called(one.call, home)


def called(function: Any, home: Path) -> dict[str, Any]:
    """A function that FastAPI calls: its style, its place, and which of its calls block their thread."""
    plain = unwrapped_call(function)
    file, line = place(plain, home)
    return {
        "name": getattr(plain, "__qualname__", type(function).__qualname__),
        "style": style(function),
        "file": file,
        "line": line,
        "session": holds_session(plain),
        "blocks": blocking(plain, home, DEPTH, set()) if isinstance(plain, FunctionType) else [],
    }


def unwrapped_call(function: Any) -> Any:
    """The function below partials and decorators; of an object that is called, its method."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = type(function).__call__
    return inspect.unwrap(function)


def style(function: Any) -> str:
    """`async def`, `def`, `async generator`, `generator` or `class`, as FastAPI distinguishes them."""
    if inspect.isclass(function):
        return "class"
    plain = unwrapped_call(function)
    if inspect.isasyncgenfunction(plain):
        return "async generator"
    if inspect.isgeneratorfunction(plain):
        return "generator"
    return "async def" if inspect.iscoroutinefunction(plain) else "def"


def place(function: Any, home: Path) -> tuple[str | None, int | None]:
    """File, relative to the app's directory if it is inside, and line."""
    try:
        file = Path(inspect.getsourcefile(function) or "").resolve()
        line = inspect.getsourcelines(function)[1]
    except (OSError, TypeError):
        return None, None
    return (str(file.relative_to(home)) if file.is_relative_to(home) else str(file)), line


def holds_session(function: Any) -> bool:
    """Whether a generator hands out a database session or connection, by what it says it yields or does."""
    if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
        return False
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        return False
    return any(word in text for word in ("Session", "session", ".connect(", "Connection"))


def blocking(function: FunctionType, home: Path, depth: int, seen: set[Any]) -> list[dict[str, Any]]:
    """The calls in a function that keep its thread while they wait, those in the app's own functions that it
    calls directly among them."""
    seen.add(function)
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return []
    file, _ = place(function, home)
    sessions = session_parameters(function)
    found = []
    for call in calls(tree.body[0]):
        target = resolved(call.func, function)
        what = name_of_blocking(target) or method_that_blocks(call.func, sessions)
        if what is not None:
            found.append({"what": what, "file": file, "line": first + call.lineno - 1})
        elif isinstance(target, FunctionType) and depth and target not in seen and own(target, home):
            found += blocking(target, home, depth - 1, seen)
    return found


def calls(function: ast.AST) -> Iterator[ast.Call]:
    """The calls that a function makes itself and does not await; not those of functions defined in it, which
    may be run elsewhere."""
    waiting: list[ast.AST] = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Await) and isinstance(node.value, ast.Call):
            waiting += [*node.value.args, *(word.value for word in node.value.keywords), node.value.func]
            continue
        if isinstance(node, ast.AsyncWith):
            # `async with client.stream(…)` does not block: what enters is awaited.
            waiting += node.body
            continue
        if isinstance(node, ast.Call):
            yield node
        waiting += ast.iter_child_nodes(node)


def resolved(node: ast.AST, function: FunctionType) -> Any:
    """What a dotted name stands for in a function, looked up in modules and classes only, where that has
    no side effect; None where it is not known."""
    if isinstance(node, ast.Name):
        if node.id in function.__code__.co_varnames:
            return None
        builtins = function.__globals__.get("__builtins__", {})
        known = builtins if isinstance(builtins, dict) else vars(builtins)
        return function.__globals__.get(node.id, known.get(node.id))
    if isinstance(node, ast.Attribute):
        base = resolved(node.value, function)
        if isinstance(base, ModuleType) or inspect.isclass(base):
            return inspect.getattr_static(base, node.attr, None)
    return None


def name_of_blocking(target: Any) -> str | None:
    """The name under which a callable is known to block."""
    if target is None or inspect.iscoroutinefunction(target):
        return None
    module, name = getattr(target, "__module__", None) or "", getattr(target, "__qualname__", "")
    package = module.partition(".")[0]
    if f"{module}.{name}" in BLOCKS:
        return BLOCKS[f"{module}.{name}"]
    if package in BLOCKING_PACKAGES or name in BLOCKING_MEMBERS.get(package, ()):
        return f"{package}.{name}"
    return None


def method_that_blocks(func: ast.AST, sessions: set[str]) -> str | None:
    """A method of a synchronous session among the parameters, or one that reads or writes a file."""
    if not isinstance(func, ast.Attribute):
        return None
    if func.attr in FILE_METHODS:
        return func.attr
    if isinstance(func.value, ast.Name) and func.value.id in sessions and func.attr in SESSION_METHODS:
        return f"{func.value.id}.{func.attr} of a synchronous Session"
    return None


def session_parameters(function: FunctionType) -> set[str]:
    """Parameters that are sessions of SQLAlchemy's synchronous kind."""
    try:
        from sqlalchemy.orm import Session  # noqa: PLC0415  # and without SQLAlchemy
    except ImportError:
        return set()
    found = set()
    try:
        hints = inspect.get_annotations(function, eval_str=True)
    except Exception:  # evaluating an app's annotations may raise anything
        return set()
    for name, hint in hints.items():
        kinds = [hint, *get_args(hint)]
        if any(inspect.isclass(kind) and issubclass(kind, Session) for kind in kinds):
            found.add(name)
    return found


def own(function: FunctionType, home: Path) -> bool:
    """Whether a function is the app's, and not a library's."""
    path = Path(function.__code__.co_filename)
    return path.is_relative_to(home) and "site-packages" not in path.parts


def shown(model: Any) -> str:
    return getattr(model, "__name__", None) or str(model)


def pools() -> list[dict[str, Any]]:
    """The connection pools of SQLAlchemy that importing the app has made."""
    try:
        from sqlalchemy.pool import Pool, QueuePool  # noqa: PLC0415  # as above
    except ImportError:
        return []
    found = [one for one in gc.get_objects() if isinstance(one, Pool)]
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


if __name__ == "__main__":
    main()
