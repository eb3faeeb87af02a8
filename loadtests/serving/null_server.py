"""A server that does nothing as fast as it can: against it the generator shows its own best rate.

`python -m loadtests.serving.null_server [--cpus CPUS]` writes its port as one JSON line on stdout, and ends
when stdin does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys

import uvloop
from wsproto.utilities import generate_accept_token

from loadtests.cpus import bind

BODY = b'{"result":"pong","id":1}'

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)

END_OF_HEAD = b"\r\n\r\n"

SOCKET_KEY = re.compile(rb"\r\nSec-WebSocket-Key: (\S+)")

SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %s\r\n\r\n"
)

MESSAGE = bytes([0x81, len(BODY)]) + BODY
"""A text frame."""

CLOSING, OPCODE = 8, 0x0F
"""A close frame's opcode, and where a frame's first byte has it."""


class Null(asyncio.Protocol):
    """Answers every request head without parsing it, and whatever comes over a WebSocket with a message."""

    transport: asyncio.Transport
    talks = False
    """Whether it is a WebSocket's."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # of a connection

    def data_received(self, data: bytes) -> None:
        if self.talks:
            self.reply(data)
        elif heads := data.count(END_OF_HEAD):
            key = SOCKET_KEY.search(data)
            self.talks = key is not None
            self.transport.write(SWITCHING % generate_accept_token(key[1]) if key else ANSWER * heads)

    def reply(self, data: bytes) -> None:
        """Users ask one question at a time, in a frame that comes at once."""
        if data[0] & OPCODE == CLOSING:
            self.transport.close()
        else:
            self.transport.write(MESSAGE)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Null, "127.0.0.1", 0, backlog=4096)
    ready = {"ready": server.sockets[0].getsockname()[1]}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    over = asyncio.Event()
    loop.add_reader(0, over.set)
    await over.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cpus", help="comma-separated CPUs to run on")
    bind(parser.parse_args().cpus)
    uvloop.run(serve())


if __name__ == "__main__":
    main()
