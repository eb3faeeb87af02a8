"""What import strings may name: apps, factories, and what is neither."""

from __future__ import annotations

import asyncio
import functools
import os
import traceback
from pathlib import Path
from typing import Any

import anyio.to_thread
import uvicorn


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers everything."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


def plain(scope: Any, receive: Any, send: Any) -> Any:
    """An app that is a plain function."""
    return app(scope, receive, send)


def decorated(inner: Any) -> Any:
    async def around(*arguments: Any) -> None:
        await inner(*arguments)

    return around


wrapped = decorated(app)


class Second:
    """An app of ASGI 2."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await app(self.scope, receive, send)


class Whole:
    """An app whose class makes it without arguments."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)


def create_app() -> Any:
    return Whole()


def build_app(settings: dict[str, str]) -> Any:
    assert settings
    return Whole()


def build_with_keyword(*, settings: dict[str, str], debug: bool = False) -> Any:
    return build_app(settings)


bound = functools.partial(build_app, {"origins": "*"})


async def create_later() -> Any:
    return Whole()


async def build_later(settings: dict[str, str]) -> Any:
    return Whole()


def create_nothing() -> None:
    """A factory whose `return` was forgotten."""


class Flask:
    """A WSGI app."""

    def __call__(self, environ: Any, start_response: Any) -> Any: ...


wsgi = Flask()
settings = {"origins": "*"}


def needs_variable() -> Any:
    return build_app({"origins": os.environ["STARTING_ORIGINS"]})


async def needs_variable_late(scope: Any, receive: Any, send: Any) -> None:
    """Reads its environment in its lifespan, and fails there as Starlette's apps do."""
    if scope["type"] == "lifespan":
        await receive()
        try:
            assert os.getenv("STARTING_TOKEN"), "no token"
        except AssertionError:
            await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})


class OlderUvicorn:
    """An app that fails in its lifespan, and has uvicorn return from there, as versions before 0.53 do."""

    def __init__(self) -> None:
        async def startup(server: Any, sockets: Any = None) -> None:
            await server.lifespan.startup()
            server.should_exit = server.lifespan.should_exit

        uvicorn.Server.startup = startup  # type: ignore[assignment, method-assign]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await needs_variable_late(scope, receive, send)


async def limiting(scope: Any, receive: Any, send: Any) -> None:
    """Sets the thread limit itself, as it starts, and another one with the first request."""
    if scope["type"] == "lifespan":
        await receive()
        anyio.to_thread.current_default_thread_limiter().total_tokens = 12
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    anyio.to_thread.current_default_thread_limiter().total_tokens = 7
    await app(scope, receive, send)


async def echoing(scope: Any, receive: Any, send: Any) -> None:
    """Sends back what a WebSocket says."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (said := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": said["text"]})


async def lasting(scope: Any, receive: Any, send: Any) -> None:
    """Takes a second to end, and then writes to the file LASTING where its database is."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.sleep(1.0)
        Path(os.environ["LASTING"]).write_text(f"in {os.environ['DUEL_APP_DATABASE'] or 'a file'}")
        await send({"type": "lifespan.shutdown.complete"})
