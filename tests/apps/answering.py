"""One shop in several versions: some answer alike, some only seem to."""

import asyncio
import hashlib
import json
import os
import random
import time
import uuid
from typing import Any

Answer = tuple[int, str, bytes]

JSON = "application/json"

inside: list[str] = []
"""The requests of `planted` in flight that it may shed."""

BORN = uuid.uuid4().hex


async def send_answer(send: Any, answer: Answer, location: str = "") -> None:
    status, kind, body = answer
    head = [(b"content-length", b"%d" % len(body)), *([(b"content-type", kind.encode())] if kind else [])]
    head += [(b"location", location.encode())] if location else []
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def article(path: str) -> Answer:
    """The same fields and the same title each time, with an id, a time and a process of its own."""
    told = {
        "id": uuid.uuid4().hex, "at": time.time(), "process": os.getpid(), "born": BORN,
        "title": path, "tags": ["a", "b"], "author": {"name": "Ada"},
    }  # fmt: skip
    if random.random() < 0.5:
        told["note"] = "sometimes"
    return 200, JSON, json.dumps(told).encode()


def worked() -> None:
    """What an answer costs: about a millisecond."""
    hashlib.pbkdf2_hmac("sha256", b"a", b"b", 2_000)


async def honest(scope: Any, receive: Any, send: Any) -> None:
    """/page: HTML of random length; /gone: 204; /old: 304; other paths: an article."""
    if scope["type"] != "http":
        return
    worked()
    path = scope["path"]
    if path == "/page":
        length = int(10 ** random.uniform(2, 4.5))
        await send_answer(send, (200, "text/html; charset=utf-8", b"x" * length))
    elif path in ("/gone", "/old"):
        await send_answer(send, (204 if path == "/gone" else 304, "", b""))
    else:
        await send_answer(send, article(path))


async def planted(scope: Any, receive: Any, send: Any) -> None:
    """Like `honest`, except for the paths that are named after a kind of fault, and /old."""
    if scope["type"] != "http":
        return
    path = scope["path"]
    status, kind, body = article(path)
    match path.split("/")[1]:
        case "erring":
            await send_answer(send, (200, JSON, b'{"error": "the database is down"}'))
        case "redirecting":
            await send_answer(send, (307, "", b""), "/light")
        case "light":
            await send_answer(send, (200, JSON, b"{}"))
        case "renamed":
            await send_answer(send, (status, kind, body.replace(b'"title"', b'"label"')))
        case "relabelled":
            await send_answer(send, (status, kind, body.replace(b"/relabelled", b"/other-words")))
        case "shedding":
            inside.append(path)
            await asyncio.sleep(0.1)
            busy = len(inside) > 4
            inside.pop()
            # As long as an article, so that its size does not tell.
            error = json.dumps({"error": "busy" + " " * (len(body) - 17)}).encode()
            await send_answer(send, (200, JSON, error if busy else body))
        case "emptied" | "old":
            await send_answer(send, (204, "", b""))
        case _:
            await honest(scope, receive, send)


async def erring(scope: Any, receive: Any, send: Any) -> None:
    """Answers everything with 200 and an error."""
    if scope["type"] == "http":
        await send_answer(send, (200, JSON, b'{"error": "the database is down"}'))


async def endless(scope: Any, receive: Any, send: Any) -> None:
    """An answer that does not end."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
            await asyncio.sleep(0.001)
