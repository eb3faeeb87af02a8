"""WebSockets: which of uvicorn's protocols serves them, or an answer that says why none does. The same rule
for every arm: wsproto, and websockets only where an arm's Python has no wsproto.

Loaded by serve.py from its own directory, so it imports none of our packages.
"""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from typing import Any

NONE = "WebSockets are not served: install wsproto where this arm's Python looks for packages"


def protocols(forget: Callable[[Any], None]) -> Callable[..., asyncio.Protocol]:
    """What makes the protocol of a new WebSocket. `forget` gets its queue: messages that the app has not
    received yet are requests in flight, no work that it has accepted and left undone."""

    def made(**options: Any) -> asyncio.Protocol:
        protocol = protocol_of(options)
        forget(getattr(protocol, "queue", None))
        return protocol

    return made


def protocol_of(options: dict[str, Any]) -> asyncio.Protocol:
    """A protocol, imported with the first connection: most apps have none, and every server would start 25 ms
    later."""
    if importlib.util.find_spec("wsproto") is not None:
        from uvicorn.protocols.websockets.wsproto_impl import WSProtocol  # noqa: PLC0415  # see above

        return WSProtocol(**options)
    if importlib.util.find_spec("websockets") is not None:
        from uvicorn.protocols.websockets.websockets_sansio_impl import (  # noqa: PLC0415  # see above
            WebSocketsSansIOProtocol,
        )

        return WebSocketsSansIOProtocol(**options)
    return Refusing()


class Refusing(asyncio.Protocol):
    """Refuses a handshake in words: as an app's 404, it would seem to be the app's doing."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a connection

    def data_received(self, data: bytes) -> None:
        body = NONE.encode()
        head = f"HTTP/1.1 501 {NONE}\r\ncontent-type: text/plain\r\ncontent-length: {len(body)}\r\n"
        self.transport.write(head.encode() + b"connection: close\r\n\r\n" + body)
        self.transport.close()
