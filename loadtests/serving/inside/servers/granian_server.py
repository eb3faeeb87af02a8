"""Granian, by the server that its documentation offers for embedding: the code of its own worker processes
on a loop that exists already."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from granian.constants import Interfaces
from granian.errors import FatalError
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.embed import Server

from . import on_loop
from .running import ServedApp


def run(served: ServedApp) -> None:
    host, port = served.listener.getsockname()[:2]
    options = served.options

    async def granian(app: Any, stop: asyncio.Event) -> None:
        server = Server(
            app,
            address=host,
            port=port,
            interface=Interfaces.ASGI,
            backlog=options.backlog,
            # It ends idle connections, too; in milliseconds.
            http1_settings=HTTP1Settings(header_read_timeout=options.keep_alive * 1_000),
            # It warns that embedding is experimental.
            log_level=LogLevels.error,
        )
        ending = asyncio.ensure_future(stop.wait())
        ending.add_done_callback(lambda _: server.stop())  # type: ignore[no-untyped-call]  # as Granian has it
        # It has logged what is wrong with the app.
        with suppress(FatalError):
            await server.serve()

    on_loop.run(served, granian)
