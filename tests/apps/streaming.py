"""An API whose document lists answers that have no end, are huge, or never come."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

PATHS = ("/video", "/silent", "/archive", "/wait", "/snapshot")
DOCUMENT = json.dumps({"paths": {path: {"get": {}} for path in PATHS}}).encode()
PICTURE = b"0" * 2_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return None
    path = scope["path"]
    if path == "/wait":
        return await gone(receive)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"image/jpeg")]})

    async def piece(body: bytes, more: bool = True) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": more})

    if path == "/video":
        while not leaving(receive):
            # Never the same, as a camera's pictures.
            await piece(PICTURE + str(time.time()).encode())
            await asyncio.sleep(0.05)
    if path == "/silent":
        await piece(b"")
        return await gone(receive)
    if path == "/archive":
        for _ in range(20):
            await piece(PICTURE)
    return await piece(DOCUMENT if path == "/openapi.json" else b"", more=False)


async def gone(receive: Any) -> None:
    """Once the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def leaving(receive: Any) -> bool:
    """Whether the client has gone, as uvicorn has it: an app that does not ask writes for ever."""
    cycle = getattr(receive, "__self__", None)
    return bool(getattr(cycle, "disconnected", False))


async def other(scope: Any, receive: Any, send: Any) -> None:
    """The same with another type of stream."""

    async def changed(message: Any) -> None:
        if scope.get("path") == "/video" and "headers" in message:
            message = {**message, "headers": [(b"content-type", b"video/mp4")]}
        await send(message)

    await app(scope, receive, changed)
