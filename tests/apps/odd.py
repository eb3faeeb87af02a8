"""Apps that go wrong in a known way, or tell how they are served."""

import asyncio
import gc
import json
import os
from typing import Any


async def answer(send: Any, body: bytes, status: int = 200) -> None:
    head = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def failing(scope: Any, receive: Any, send: Any) -> None:
    """Answers everything with 503."""
    if scope["type"] == "http":
        await answer(send, b"", 503)


async def counting(scope: Any, receive: Any, send: Any) -> None:
    """Counts its requests; /count tells how many came before."""
    if scope["type"] != "http":
        return
    body = b"%d" % counting.seen  # type: ignore[attr-defined]  # a function may carry its count
    if scope["path"] != "/count":
        counting.seen += 1  # type: ignore[attr-defined]  # as above
    await answer(send, body)


async def talkative(scope: Any, receive: Any, send: Any) -> None:
    """Prints a kilobyte a request, as an app under debugging does, and JSON while it is imported."""
    print("x" * 1000)
    await counting(scope, receive, send)


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """Never gets ready."""
    print("still waiting for something")
    await asyncio.sleep(3600)


async def dying(scope: Any, receive: Any, send: Any) -> None:
    """Fails to start."""
    if scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.failed", "message": "no table called users"})


async def sending_away(scope: Any, receive: Any, send: Any) -> None:
    """Sends everybody to another machine; the address is one that nobody has (RFC 5737)."""
    if scope["type"] == "http":
        head = [(b"location", b"http://192.0.2.1/"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": head})
        await send({"type": "http.response.body", "body": b""})


async def knobs(scope: Any, receive: Any, send: Any) -> None:
    """Tells which process answers, and how its garbage collector is set."""
    if scope["type"] == "http":
        told = {"pid": os.getpid(), "thresholds": gc.get_threshold(), "frozen": gc.get_freeze_count() > 0}
        await answer(send, json.dumps(told).encode())


print('{"ready": "not at all"}')
counting.seen = 0  # type: ignore[attr-defined]  # as above
