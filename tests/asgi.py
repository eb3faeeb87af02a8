"""Conversations with ASGI apps in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any


def conversed(app: Any, path: str, messages: Sequence[str] = (), query: str = "") -> list[str]:
    """What an app sends to a WebSocket that says these messages and then hangs up: texts, and the types of
    other messages."""
    come: list[dict[str, Any]] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": message} for message in messages),
        {"type": "websocket.disconnect", "code": 1000},
    ]
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return come.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("text", message["type"]))

    scope: dict[str, Any] = {
        "type": "websocket", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "root_path": "", "scheme": "ws", "headers": [], "subprotocols": [], "state": {},
        "http_version": "1.1", "client": None, "server": None, "asgi": {"version": "3.0"},
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    return sent
