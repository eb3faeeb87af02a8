"""Streams of twenty pieces: from plain iterators, from coroutines, and from what blocks."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Iterator

from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse

PIECES = 20

app = FastAPI()


def words() -> Iterator[str]:
    for number in range(PIECES):
        yield f"{number}\n"


def slow_words() -> Iterator[str]:
    for number in range(PIECES):
        time.sleep(0.0001)
        yield f"{number}\n"


def read_before() -> Iterator[str]:
    for number in range(PIECES):
        time.sleep(0.0001)
        yield f"{number}\n"


async def async_words() -> AsyncIterator[str]:
    for number in range(PIECES):
        yield f"{number}\n"


class Download(StreamingResponse):
    """A response of the app's own."""


@app.get("/needless/generator")
async def generator() -> Response:
    return StreamingResponse(words())


@app.get("/needless/own-response")
async def own_response() -> Response:
    return Download(content=words())


@app.get("/needless/expression")
async def expression() -> Response:
    return StreamingResponse(f"{number}\n" for number in range(PIECES))


@app.get("/needless/lines")
async def lines() -> Response:
    buffer = io.BytesIO("".join(words()).encode())
    buffer.seek(0)
    return StreamingResponse(buffer, media_type="text/csv")


@app.get("/fine/needed")
async def needed() -> Response:
    return StreamingResponse(slow_words())


@app.get("/fine/needed-again")
async def needed_again() -> Response:
    return StreamingResponse(slow_words())


@app.get("/fine/needed-after")
async def needed_after() -> Response:
    """What its generator does was read when it was iterated here."""
    assert len(list(read_before())) == PIECES
    return StreamingResponse(read_before())


@app.get("/fine/async")
async def asynchronous() -> Response:
    return StreamingResponse(async_words())


@app.get("/fine/async-expression")
async def asynchronous_expression() -> Response:
    return StreamingResponse(word async for word in async_words())


@app.get("/fine/whole")
async def whole() -> Response:
    return Response(io.BytesIO("".join(words()).encode()).getvalue())
