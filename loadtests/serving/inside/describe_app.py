"""What an app is made of, read from the app itself without any load: one JSON document on stdout.

Runs as a file (`python -P describe_app.py shop.main:app …`) in the app's own environment, like serve.py, and
imports only the file beside it from our code. Only facts: `reports.advice` judges them.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import importlib.util
import inspect
import json
import math
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
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
    loading, frameworks = beside("loading.py"), beside("frameworks")
    try:
        app = loading.load(options.app)
    except loading.UnusableApp as error:
        sys.exit(error.lines())
    home = Path(options.app_dir).resolve()
    found = asyncio.run(started(app, loading.interface(app), frameworks.pools)) if options.start else {}
    # Pools last: reading imports what an app has named, not used.
    described = frameworks.describe(app, home, read)
    if not any(described[part] for part in ("frameworks", "routes", "middleware")):
        sys.exit(unknown(options.app, described["unread"]))
    json.dump({**described, "pools": frameworks.pools(), **found}, out)
    out.close()


def beside(name: str) -> ModuleType:
    """The module, or the package, next to this file."""
    path = Path(__file__).with_name(name)
    package = path / "__init__.py"
    spec = importlib.util.spec_from_file_location(
        f"duel_{path.stem}",
        package if path.is_dir() else path,
        submodule_search_locations=[str(path)] if path.is_dir() else None,
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def started(app: Any, interface: str, pools: Callable[[], list[dict[str, Any]]]) -> dict[str, Any]:
    """The pools and the thread limit that there are once the app has started, in whatever it is wrapped; an
    app without a lifespan has started already. Raises whatever its start raises."""
    events: asyncio.Queue[str] = asyncio.Queue()
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def receive() -> dict[str, Any]:
        return {"type": await events.get()}

    async def send(message: dict[str, Any]) -> None:
        await told.put(message)

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    life = asyncio.ensure_future(
        app(scope)(receive, send) if interface == "asgi2" else app(scope, receive, send)
    )
    await events.put("lifespan.startup")
    answer = asyncio.ensure_future(told.get())
    await asyncio.wait({life, answer}, return_when=asyncio.FIRST_COMPLETED)
    if not answer.done():
        answer.cancel()
        life.exception()  # it is retrieved: an app may refuse what it does not know
        return threads()
    if answer.result()["type"] == "lifespan.startup.failed":
        await asyncio.wait({life}, timeout=1)
        reason = answer.result().get("message") or (life.done() and life.exception()) or "it does not say why"
        sys.exit(f"UnusableApp: the app's startup failed: {str(reason).splitlines()[-1]}")
    found = {"pools": pools(), **threads()}
    await events.put("lifespan.shutdown")
    await asyncio.wait({life})
    return found


def threads() -> dict[str, int]:
    """Tokens of AnyIO's limiter, if it has a limit."""
    try:
        from anyio.to_thread import current_default_thread_limiter  # noqa: PLC0415  # a bare app may do without
    except ImportError:
        return {}
    tokens = current_default_thread_limiter().total_tokens
    return {"threads": int(tokens)} if tokens < math.inf else {}


def unknown(target: str, unread: list[dict[str, Any]]) -> str:
    """The error for an app of which nothing was read."""
    named = unread[0]["name"] if unread else "nothing that has routes"
    return (
        f"UnusableApp: {target} is {named}, which duel advise does not look into\n"
        "hint: it reads apps of FastAPI, Starlette, Litestar, Quart and Django, also below wrappers"
    )


def read(function: Any, home: Path) -> dict[str, Any]:
    """What a function does that blocks its thread."""
    plain = inspect.unwrap(getattr(function, "__func__", function))
    found = blocking(plain, home, DEPTH, set()) if isinstance(plain, FunctionType) else []
    return {"blocks": found, "unread": [], "looked_into": 1}


def place(function: Any, home: Path) -> tuple[str | None, int | None]:
    """File, relative to the app's directory if it is inside, and line."""
    try:
        file = Path(inspect.getsourcefile(function) or "").resolve()
        line = inspect.getsourcelines(function)[1]
    except (OSError, TypeError):
        return None, None
    return (str(file.relative_to(home)) if file.is_relative_to(home) else str(file)), line


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


if __name__ == "__main__":
    main()
