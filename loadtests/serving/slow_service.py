"""The slow service that both apps call: it answers after a seeded delay and logs the delay it gave.

`/STREAM/?delay=0.02` waits about 0.02 s: log-normal around the median asked for, from a generator
seeded by STREAM, so that every arm of a round meets the same sequence. `/STREAM/log` answers with
the delays really given to that stream, in seconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qs

SPREAD = 0.1
"""Standard deviation of the delay's logarithm: about 10%."""


@dataclass
class Stream:
    """One trial's seeded sequence of delays and its log."""

    random: Random
    given: list[float] = field(default_factory=list)


class SlowService:
    """An ASGI app, so that an established server can run it."""

    def __init__(self, median: float = 0.02) -> None:
        self.median = median
        """Seconds waited where the query names no delay."""
        self.streams: dict[str, Stream] = {}

    def stream(self, key: str) -> Stream:
        if key not in self.streams:
            self.streams[key] = Stream(Random(key.rsplit(".", 1)[0]))
        return self.streams[key]

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        key, _, action = scope["path"].strip("/").partition("/")
        stream = self.stream(key)
        if action == "log":
            body = json.dumps(self.streams.pop(key).given).encode()
        else:
            body = await self.wait(stream, scope["query_string"])
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def wait(self, stream: Stream, query: bytes) -> bytes:
        asked = parse_qs(query.decode("latin-1")).get("delay")
        median = float(asked[0]) if asked else self.median
        start = time.perf_counter()
        await asyncio.sleep(median * stream.random.lognormvariate(0, SPREAD))
        stream.given.append(time.perf_counter() - start)
        return b"a slow answer"


def create_app() -> SlowService:
    """Served like any arm: `loadtests/serving/inside/serve.py loadtests.serving.slow_service:create_app`."""
    return SlowService()
