"""One path in front of an app, answered by an `async def` on the app's own loop: beside a load, its response
time is what any light `async def` route would wait there.

Loaded by serve.py from its own directory, so it imports none of our packages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

HEAD = {"type": "http.response.start", "status": 200, "headers": ((b"content-length", b"0"),)}
BODY = {"type": "http.response.body", "body": b""}


def with_pulse(inner: Any, interface: str, path: str) -> Any:
    """The app with HTTP requests for `path` answered here. Others pay for one comparison: a plain function
    hands on what the app returns, where an `async def` would add a coroutine to every request."""

    def second(scope: Mapping[str, Any]) -> Any:
        # The path first: it settles nearly every request. Lifespan scopes have none.
        if scope.get("path") == path and scope["type"] == "http":
            return beat
        return inner(scope)

    def app(scope: Mapping[str, Any], receive: Any, send: Send) -> Any:
        if scope.get("path") == path and scope["type"] == "http":
            return beat(receive, send)
        return inner(scope, receive, send)

    return second if interface == "asgi2" else app


async def beat(receive: Any, send: Send) -> None:
    """The whole answer; nothing is read."""
    del receive
    await send({**HEAD})
    await send({**BODY})
