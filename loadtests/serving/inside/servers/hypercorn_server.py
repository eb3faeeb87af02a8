"""Hypercorn."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.utils import LifespanFailureError

from . import on_loop
from .running import GRACE, ServedApp

UNLIMITED = 2**62


def run(served: ServedApp) -> None:
    config = Config()
    # Another descriptor of the same socket: Hypercorn closes the one that it gets.
    config.bind = [f"fd://{os.dup(served.listener.fileno())}"]
    config.backlog = served.options.backlog
    config.keep_alive_timeout = served.options.keep_alive
    # By default it closes a connection after 1,000 requests, which would measure how fast users reconnect.
    config.keep_alive_max_requests = UNLIMITED
    config.graceful_timeout = GRACE
    config.loglevel = "WARNING"

    async def hypercorn(app: Any, stop: asyncio.Event) -> None:
        try:
            await serve(app, config, shutdown_trigger=stop.wait, mode="asgi")
        except LifespanFailureError as failure:
            sys.stderr.write(f"{failure}\n")

    on_loop.run(served, hypercorn)
