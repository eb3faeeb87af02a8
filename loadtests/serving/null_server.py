"""A server that does nothing as fast as it can: against it the generator shows its own best rate.

`python -m loadtests.serving.null_server [--cpus CPUS]` writes its port as one JSON line on stdout, and ends
when stdin does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

import uvloop

from loadtests.cpus import bind

BODY = b'{"result":"pong","id":1}'

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)

END_OF_HEAD = b"\r\n\r\n"


class Null(asyncio.Protocol):
    """Answers every request head without parsing it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        heads = data.count(END_OF_HEAD)
        if heads:
            self.transport.write(ANSWER * heads)  # type: ignore[attr-defined]  # a stream's transport writes


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
