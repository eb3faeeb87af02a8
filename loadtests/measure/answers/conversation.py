"""A question over a WebSocket: messages, each sent once the one before is answered."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from socket import create_connection as connected
from urllib.parse import urlsplit

from websocket import ABNF, WebSocketBadStatusException, create_connection


def converse(url: str, messages: Sequence[str], patience: float) -> tuple[int, bytes]:
    """The status of the handshake; then what answered each message, a frame a line, or the body of a refusal.
    Ends with a frame that closes the WebSocket. `patience`: seconds for each answer. Raises
    WebSocketException (WebSocketTimeoutException past the patience) and OSError."""
    server = urlsplit(url)
    # Connected here: the library would go through a proxy that the environment names.
    direct = connected((server.hostname or "", server.port or 80), patience)
    try:
        socket = create_connection(f"ws{url.removeprefix('http')}", timeout=patience, socket=direct)
    except WebSocketBadStatusException as refusal:
        return refusal.status_code, refusal.resp_body or b""
    answers = []
    with closing(socket):
        for message in messages:
            socket.send(message)
            kind, data = socket.recv_data()
            answers.append(f"{ABNF.OPCODE_MAP.get(kind, kind)} {bytes(data)!r}")
            if kind == ABNF.OPCODE_CLOSE:
                break
    return 101, "\n".join(answers).encode()
