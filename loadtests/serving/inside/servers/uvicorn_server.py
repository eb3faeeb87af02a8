"""uvicorn."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn

from .beginning import Beginning
from .running import GRACE, ServedApp

STARTUP_FAILURE = 3
"""uvicorn's exit code where an app's lifespan fails."""


class AnnouncingServer(uvicorn.Server):
    """uvicorn's server, which sets the knobs of the running loop and then says it is ready."""

    def __init__(self, config: uvicorn.Config, beginning: Beginning) -> None:
        super().__init__(config)
        self.beginning = beginning

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.beginning.before()
        await super().startup(sockets=sockets)
        if not self.started:
            # Before 0.53 uvicorn returns where the lifespan has failed, and ends as if nothing had happened.
            sys.exit(STARTUP_FAILURE)
        self.beginning.after()


def run(served: ServedApp) -> None:
    options = served.options
    config = uvicorn.Config(
        served.app,
        interface=served.kind,
        loop=options.loop,
        http=options.http,
        ws=served.web_sockets,
        lifespan="auto",
        access_log=False,
        log_level="warning",
        backlog=options.backlog,
        timeout_keep_alive=options.keep_alive,
        timeout_graceful_shutdown=round(GRACE),
    )
    try:
        AnnouncingServer(config, served.beginning).run(sockets=[served.listener])
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    finally:
        served.listener.close()
