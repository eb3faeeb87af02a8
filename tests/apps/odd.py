"""Apps that go wrong in a known way."""

from typing import Any


async def failing(scope: Any, receive: Any, send: Any) -> None:
    """Answers everything with 503."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})


async def counting(scope: Any, receive: Any, send: Any) -> None:
    """Counts its requests; /count tells how many came before."""
    if scope["type"] != "http":
        return
    body = str(counting.seen).encode()  # type: ignore[attr-defined]  # a function may carry its count
    if scope["path"] != "/count":
        counting.seen += 1  # type: ignore[attr-defined]  # as above
    head = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def talkative(scope: Any, receive: Any, send: Any) -> None:
    """Prints a kilobyte a request, as an app under debugging does, and JSON while it is imported."""
    print("x" * 1000)
    await counting(scope, receive, send)


print('{"ready": "not at all"}')
counting.seen = 0  # type: ignore[attr-defined]  # as above
