"""Calls that run elsewhere than they are written, or are awaited: in threads, behind tests of what a function
is, below decorators of libraries. A line that blocks names the functions that reach it, as in reaching.py."""

from __future__ import annotations

import asyncio
import inspect
import queue
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import httpx
from fastapi import Request
from quart.utils import run_sync
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import async_sessionmaker
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse

AsyncSessions = async_sessionmaker()
lock = threading.Lock()
unbounded: queue.Queue[int] = queue.Queue()
bounded: queue.Queue[int] = queue.Queue(1)


def blocking() -> int:
    time.sleep(0.01)  # held by wrong_after_guard, wrong_handed_to_a_library
    return 1


async def slow() -> int:
    time.sleep(0.01)  # held by wrong_guarded
    return 1


@run_sync
def in_a_thread() -> int:
    time.sleep(0.01)
    return 1


async def unread_decorated() -> Any:
    return await in_a_thread()


# Tests of what a function is, whose branch returns


async def called(function: Callable[[], Any]) -> Any:
    if not inspect.iscoroutinefunction(function):
        return await asyncio.to_thread(function)
    return await function()


async def called_at_last(function: Callable[[], Any]) -> Any:
    try:
        if inspect.iscoroutinefunction(function):
            return await function()
        return function()
    finally:
        await asyncio.sleep(0)


async def fine_guarded() -> Any:
    return await called(blocking)


async def wrong_guarded() -> Any:
    return await called(slow)


async def wrong_after_guard() -> Any:
    return await called_at_last(blocking)


# Functions of the app that are called as those of libraries which call their arguments


async def run(function: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(function)


async def fine_own_run() -> Any:
    return await run(blocking)


async def wrong_handed_to_a_library() -> list[int]:
    return [*map(lambda _: blocking(), "a")]  # noqa: C417  # what is tested


class Worker:
    async def start(self) -> None:
        time.sleep(0.01)  # held by wrong_started


async def wrong_started() -> None:
    await Worker().start()


# What is awaited, though not by the call itself


async def fine_joined_path(name: str) -> str:
    return await (anyio.Path("x") / name).read_text()


async def fine_waited_for(names: list[str]) -> Any:
    async with AsyncSessions() as session:
        one = await asyncio.wait_for(session.scalar(text("select 1")), 2)
        return one, await asyncio.gather(*(session.scalar(select(text(name))) for name in names))


async def fine_either(http: httpx.Client | httpx.AsyncClient) -> None:
    await http.get("http://x")  # type: ignore[misc]  # as people write it


async def unread_entered(request: Request) -> None:
    db = request.app.state.db
    async with db.execute("select 1") as cursor:
        await cursor.fetchone()


# What does not wait


async def fine_unbounded() -> None:
    unbounded.put(1)


async def wrong_bounded() -> None:
    bounded.put(1)  # held by wrong_bounded


async def fine_try_lock() -> bool:
    return lock.acquire(blocking=False)


# Calls that are written over several lines, and imports inside a function


async def wrong_chain(http: httpx.Client) -> bytes:
    # fmt: off
    return (
        http
        .get("http://x")  # held by wrong_chain
        .content
    )
    # fmt: on


async def unread_import() -> None:
    from . import nowhere  # type: ignore[attr-defined]  # noqa: PLC0415  # what is tested

    nowhere.ask()


async def slow_afterwards() -> None:
    time.sleep(0.01)  # held by wrong_background_task


async def wrong_background_task() -> PlainTextResponse:
    return PlainTextResponse("", background=BackgroundTask(slow_afterwards))
