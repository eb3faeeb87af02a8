"""Shapes that people bring, each below a prefix of its own: in most of them something holds the event loop
that is not in a route's own body, in the last two a connection is kept for a whole request."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import socketio  # type: ignore[import-untyped]  # it ships no types
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import QueuePool
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

engine = create_engine(
    "sqlite://", poolclass=QueuePool, pool_size=2, max_overflow=0, pool_timeout=10,
    connect_args={"check_same_thread": False},
)  # fmt: skip


# FastAPI below wrappers.

shop = FastAPI()


@shop.get("/shops/{name}/price")
async def price(name: str) -> str:
    time.sleep(0.01)  # held in price
    return name


class Tenants:
    """Chooses an app by the tenant."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._apps["acme"](scope, receive, send)


def traced(app: ASGIApp) -> ASGIApp:
    """Counts what is sent."""
    sent = 0

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            nonlocal sent
            sent += 1
            await send(message)

        await app(scope, receive, counted)

    return asgi


sockets = socketio.ASGIApp(socketio.AsyncServer(async_mode="asgi"), traced(shop))


# A framework of the app's own.


class Tiny:
    """Calls coroutines on the loop and plain functions in threads of its own."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[], Any]] = {}
        self.pool = ThreadPoolExecutor(2)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self.handlers[scope["path"].rpartition("/")[2]]
        if asyncio.iscoroutinefunction(handler):
            found = await handler()
        else:
            found = await asyncio.get_running_loop().run_in_executor(self.pool, handler)
        await Response(json.dumps(found))(scope, receive, send)


async def blocking() -> int:
    time.sleep(0.01)  # held in blocking
    return 1


def threaded() -> int:
    time.sleep(0.01)
    return 1


tiny = Tiny()
tiny.handlers |= {"blocking": blocking, "threaded": threaded}


# What is around routes.

logged, signed = FastAPI(), FastAPI()


def write_log() -> None:
    time.sleep(0.01)  # held in write_log


@logged.middleware("http")
async def log_afterwards(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    write_log()
    return response


@logged.get("/items")
async def items() -> list[int]:
    return [1]


def verify() -> None:
    time.sleep(0.01)  # held in verify


class Signed(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Any]:
        inner = super().get_route_handler()

        async def checked(request: Request) -> Response:
            verify()
            return await inner(request)

        return checked


router = APIRouter(route_class=Signed)
router.add_api_route("/items", items)
signed.include_router(router)


# Streams.

exports = FastAPI()
LINES = 40


class Cursor:
    """Three parts of a result, each fetched with a wait."""

    left = 3

    def fetch(self) -> bytes:
        self.left -= 1
        time.sleep(0.01)  # held in fetch
        return b"1,2\n" * self.left


@exports.get("/rows")
async def rows() -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        cursor = Cursor()
        while part := cursor.fetch():
            yield part

    return StreamingResponse(parts(), media_type="text/csv")


@exports.get("/file")
async def file() -> StreamingResponse:
    return StreamingResponse(io.BytesIO(b"1,2\n" * LINES), media_type="text/csv")


# A connection for the whole request.

shelf, kept = FastAPI(), FastAPI()


class Unit:
    """A unit of work."""

    def __init__(self) -> None:
        self.connection: Connection = engine.connect()
        self.connection.execute(text("select 1"))


def unit_of_work() -> Iterator[Unit]:
    unit = Unit()
    yield unit
    unit.connection.close()


async def customer(unit: Annotated[Unit, Depends(unit_of_work)]) -> str:
    return "ada"


@shelf.get("/orders")
async def orders(name: Annotated[str, Depends(customer)]) -> int:
    await asyncio.sleep(0.02)
    return 1


@kept.middleware("http")
async def connected(request: Request, call_next: Any) -> Response:
    connection = await asyncio.to_thread(engine.connect)
    try:
        response: Response = await call_next(request)
        return response
    finally:
        connection.close()


@kept.get("/orders")
async def kept_orders() -> int:
    await asyncio.sleep(0.02)
    return 1


app = Starlette(
    routes=[
        Mount("/tenants", Tenants({"acme": shop})),
        Mount("/traced", traced(sockets)),
        Mount("/tiny", tiny),
        Mount("/logged", logged),
        Mount("/signed", signed),
        Mount("/exports", exports),
        Mount("/shelf", shelf),
        Mount("/kept", kept),
    ]
)
