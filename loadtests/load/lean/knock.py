"""Waits until a server has accepted the connections that were opened before the load."""

from __future__ import annotations

from contextlib import suppress
from time import perf_counter
from urllib.parse import urlsplit

import gevent
import httptools

from loadtests.load.lean.connection import Connection

ACCEPTED, ACCEPTED_EACH = 0.05, 0.0005
"""Seconds that an idle server may need to accept new connections, and per connection."""


def wait_until_accepted(server: str, connections: int, path: str | None) -> None:
    """Return once the idle server at a URL has accepted these new connections: it takes them in their order,
    so all are accepted when a request on one more is answered. `path`: what to request; None: wait for the
    time that it may need, as for a server that does not answer sooner."""
    end = perf_counter() + ACCEPTED + connections * ACCEPTED_EACH
    if path is None or not answered(server, path, end):
        gevent.sleep(max(0.0, end - perf_counter()))


def answered(server: str, path: str, end: float) -> bool:
    """Whether the server responds to a request before `end`, on perf_counter's clock."""
    parts = urlsplit(server)
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode("latin-1")
    connection = None
    with gevent.Timeout(end - perf_counter(), False), suppress(OSError, httptools.HttpParserError):
        try:
            connection = Connection((parts.hostname or "", parts.port or 80), end)
            return connection.exchange(request, end, False).ok
        finally:
            if connection is not None:
                connection.close()
    return False
