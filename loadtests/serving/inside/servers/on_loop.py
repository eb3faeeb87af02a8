"""A server that is a coroutine: started, found to answer, and stopped on a loop of ours."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from .running import GRACE, ServedApp

POLL = 0.01
"""Seconds between two attempts to get an answer."""

FAILED = 3
"""The exit code where a server gives up by itself, as uvicorn's."""

ServerCoroutine = Callable[[Any, asyncio.Event], Coroutine[Any, Any, None]]
"""Serves an ASGI 3 app until the event is set, or it gives up."""


def run(served: ServedApp, server: ServerCoroutine) -> None:
    """Serve on the loop that is asked for."""
    with asyncio.Runner(loop_factory=loop_factory(served.options.loop)) as runner:
        failed = runner.run(serving(served, server))
    if failed:
        sys.exit(FAILED)


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "uvloop":
        import uvloop  # noqa: PLC0415  # where it is asked for only

        return uvloop.new_event_loop
    return asyncio.new_event_loop


async def serving(served: ServedApp, server: ServerCoroutine) -> bool:
    """Whether the server gave up without being asked to end. Raises what it raises."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    served.beginning.before()
    app = served.as_asgi3(served.app) if served.kind == "asgi2" else served.app
    host, port = served.listener.getsockname()[:2]
    path = f"{served.options.pulse or ''}/duel-process"
    running = loop.create_task(server(naming_process(app, path), stop))
    answered = loop.create_task(first_answer(host, port, path))
    await asyncio.wait({running, answered}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        answered.cancel()
    else:
        served.beginning.after()
        ending = loop.create_task(stop.wait())
        await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        # What is still out then is cut off as the loop closes.
        await asyncio.wait({running}, timeout=GRACE + 1.0)
    if running.done():
        running.result()
    return not stop.is_set()


def naming_process(app: Any, path: str) -> Any:
    """The app with requests for `path` answered by this process's number. Others pay for one comparison, as
    behind the pulse."""

    def whole(scope: Mapping[str, Any], receive: Any, send: Callable[[Any], Awaitable[None]]) -> Any:
        if scope.get("path") == path:
            return process_number(send)
        return app(scope, receive, send)

    return whole


async def process_number(send: Callable[[Any], Awaitable[None]]) -> None:
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def first_answer(host: str, port: int, path: str) -> None:
    """Returns once this process has answered a request: neither server says when it accepts them, and others
    may accept at the same address."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request)
                answer = await reader.read()
            finally:
                writer.close()
            if answer.endswith(f"\r\n\r\n{os.getpid()}".encode()):
                return
        await asyncio.sleep(POLL)
