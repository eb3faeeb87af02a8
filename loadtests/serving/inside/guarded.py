"""An app that gets no request that writes, but to log in: for inquiries that must change nothing.

Loaded by serve.py from its own directory, so it imports none of our packages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

READS = ("GET", "HEAD", "OPTIONS", "TRACE")

Send = Callable[[dict[str, Any]], Awaitable[None]]


def reads_only(app: Any, interface: str, login: str | None = None) -> Any:
    """The app in front of which requests that write are answered with 405, but those to the path `login`."""
    if interface == "asgi2":
        return lambda scope: refuse if writes(scope, login) else app(scope)

    async def guarded(scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        await (refuse(receive, send) if writes(scope, login) else app(scope, receive, send))

    return guarded


def writes(scope: Mapping[str, Any], login: str | None) -> bool:
    return scope["type"] == "http" and scope["method"] not in READS and scope["path"] != login


async def refuse(receive: Any, send: Send) -> None:
    """The whole answer; the request's body is left unread."""
    del receive
    headers = [(b"content-length", b"0"), (b"allow", ", ".join(READS).encode())]
    await send({"type": "http.response.start", "status": 405, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
