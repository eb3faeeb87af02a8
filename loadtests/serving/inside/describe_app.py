"""What an app is made of, read from the app itself without any load: one JSON document on stdout.

Runs as a file (`python -P describe_app.py shop.main:app …`) in the app's own environment, like serve.py, and
imports only the file beside it from our code. Only facts: `reports.advice` judges them.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(description="Describe what an app is made of.")
    parser.add_argument("app", help="module:attribute of an ASGI app or of a factory")
    parser.add_argument("--app-dir", default=".", help="directory to import the app from")
    parser.add_argument("--start", action="store_true", help="run its lifespan, too")
    options = parser.parse_args()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    beside("importing.py").import_from(options.app_dir)
    loading, frameworks, reading = map(beside, ("loading.py", "frameworks", "reading"))
    try:
        app = loading.load(options.app)
    except loading.UnusableApp as error:
        sys.exit(error.lines())
    home = Path(options.app_dir).resolve()
    found = asyncio.run(started(app, loading.interface(app), frameworks.pools)) if options.start else {}
    # Pools last: reading imports what an app has named, not used.
    described = frameworks.describe(app, home, reading.read)
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


if __name__ == "__main__":
    main()
