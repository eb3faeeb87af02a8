"""An app to be driven: routes that hold its event loop, in ways that can be read and cannot, and others."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

app = FastAPI()


def found_at_run_time(name: str) -> None:
    """Wait in a way that is not in the source."""
    getattr(sys.modules["time"], name)(0.02)  # seen


@app.get("/light")
async def light() -> int:
    return 1


@app.get("/waits/{item_id}")
async def waits(item_id: int) -> int:
    time.sleep(0.02)  # read and seen
    return item_id


@app.get("/dark")
async def dark() -> int:
    found_at_run_time("sleep")
    return 1


@app.get("/threaded")
def threaded() -> int:
    time.sleep(0.02)
    return 1


@app.get("/labels")
def labels() -> int:
    return sum(number * number % 7 for number in range(400_000))


@app.get("/endless")
async def endless() -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        while True:
            time.sleep(0.02)  # seen in a stream
            yield "data: 1\n\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(events(), media_type="text/event-stream")


@app.get("/accounts/{account}")
async def account(account: int) -> int:
    if account != 7:
        raise HTTPException(404)
    time.sleep(0.02)
    return account


@app.post("/orders")
async def order() -> int:
    time.sleep(0.02)
    return 1


@app.get("/secrets/{name}")
async def secret(name: str) -> int:
    raise HTTPException(403)


@app.websocket("/talk")
async def talk(socket: WebSocket) -> None:
    await socket.accept()


async def thing(request: Request) -> PlainTextResponse:
    time.sleep(0.02)  # without OpenAPI
    return PlainTextResponse(str(request.path_params["number"]))


app.mount("/plain", Starlette(routes=[Route("/things/{number:int}", thing)]))
