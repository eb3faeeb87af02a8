"""Layers of middleware that pass on what they get: what a layer costs, whatever it does.

Loaded by serve.py from its own directory, so it imports none of our packages.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class NoBaseMiddleware(Exception):
    """BaseHTTPMiddleware cannot be had."""

    def lines(self) -> str:
        """The error as the last lines of a log."""
        return (
            f"NoBaseMiddleware: middleware= needs Starlette, which cannot be imported by {sys.executable}: "
            f"{self}\nhint: sweep pure-middleware= instead, which any ASGI app takes, or leave it out"
        )


class PureLayer:
    """As people write it in pure ASGI: it sees the request and the status of the answer."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sending(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                seen(message["status"])
            await send(message)

        await self.app(scope, receive, sending)


def base_layer() -> Any:
    """A BaseHTTPMiddleware, of the app's own Starlette, that sees the same. Raises NoBaseMiddleware."""
    try:
        from starlette.middleware.base import (  # noqa: PLC0415  # where it is asked for only
            BaseHTTPMiddleware,
        )
    except ImportError as error:
        raise NoBaseMiddleware(error) from error

    class BaseLayer(BaseHTTPMiddleware):
        async def dispatch(self, request: Any, call_next: Any) -> Any:
            response = await call_next(request)
            seen(response.status_code)
            return response

    return BaseLayer


def seen(status: int) -> None:
    """Where a real layer would count, log or time; nothing here, since that is not what is measured."""


def behind(app: Any, interface: str, base: int, pure: int) -> Any:
    """The app behind that many layers of each kind; the app itself behind none. Raises NoBaseMiddleware."""
    kinds = [base_layer()] * base if base else []
    kinds += [PureLayer] * pure
    for kind in kinds:
        app, interface = in_front(kind, app, interface), "asgi3"
    return app


def in_front(kind: Any, app: Any, interface: str) -> Any:
    """The app behind one layer: where the app itself would put it, if it is a Starlette, else around it."""
    applications = sys.modules.get("starlette.applications")
    if applications is not None and isinstance(app, applications.Starlette):
        app.add_middleware(kind)
        return app
    return kind(as_asgi3(app) if interface == "asgi2" else app)


def as_asgi3(app: Any) -> Any:
    """An app of the older interface, called as those of the newer one are."""

    async def called(scope: dict[str, Any], receive: Any, send: Send) -> None:
        await app(scope)(receive, send)

    return called
