"""Runs a server by its name."""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from .beginning import Beginning

GRACE = 2.0
"""Seconds for requests in flight when the server stops."""


@dataclass(frozen=True)
class ServedApp:
    """An app and how it is served."""

    app: Any
    kind: Literal["asgi2", "asgi3"]
    as_asgi3: Callable[[Any], Any]
    """Makes an app of the older interface one of the newer, for servers that know only that."""
    options: argparse.Namespace
    """Those of serve.py."""
    listener: socket.socket
    """It listens already, except for Granian, which listens by itself on the address that this one holds."""
    web_sockets: Any
    """The protocol for uvicorn's WebSockets; the other servers have their own."""
    beginning: Beginning


def server(name: str) -> Callable[[ServedApp], None]:
    """What serves until SIGTERM, SIGINT, or until the server gives up, which ends the process with an exit
    code that is not 0. Raises ImportError where its packages are missing."""
    run: Callable[[ServedApp], None] = import_module(f".{name}_server", __package__).run
    return run
