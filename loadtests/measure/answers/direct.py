"""Connections of our own questions to a server: to itself, whatever proxy the environment names, as those of
the load are."""

from __future__ import annotations

import httpx


def client_of(url: str, patience: float, *, keep_alive: bool = True) -> httpx.Client:
    """A client of the server at `url` that waits `patience` seconds for a response."""
    limits = httpx.Limits(max_keepalive_connections=None if keep_alive else 0)
    # With a transport that it is given, a client takes no proxies from the environment.
    return httpx.Client(base_url=url, timeout=patience, transport=httpx.HTTPTransport(limits=limits))
