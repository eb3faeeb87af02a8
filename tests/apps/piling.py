"""Apps that answer `/ping` and do the work of it later, each by another means, and some that only look so."""

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from fastapi import FastAPI

WORK = 0.002
"""CPU seconds of the work that a request causes: several times those of the request itself."""


def spin(seconds: float = WORK) -> None:
    """Compute for about `seconds` on any machine, by checking the clock repeatedly."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(200))


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def answering(hand_over: Callable[[], Awaitable[None]], lifespan: Lifespan | None = None) -> FastAPI:
    """An app whose `/ping` hands its work over."""
    app = FastAPI(lifespan=lifespan)

    @app.get("/ping")
    async def ping() -> None:
        await hand_over()

    return app


class Consumer:
    """Works off an asyncio.Queue that holds `size` items at most; 0: any number."""

    def __init__(self, size: int = 0) -> None:
        self.queue: asyncio.Queue[float] = asyncio.Queue(size)

    async def consume(self) -> None:
        while True:
            spin(await self.queue.get())
            await asyncio.sleep(0)

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        consuming = asyncio.create_task(self.consume())
        yield
        consuming.cancel()
        with suppress(asyncio.CancelledError):
            await consuming

    async def put(self) -> None:
        await self.queue.put(WORK)


def queue() -> FastAPI:
    """An asyncio.Queue with one consumer."""
    consumer = Consumer()
    return answering(consumer.put, consumer.lifespan)


def threads() -> FastAPI:
    """A thread pool, without waiting for it."""
    pool = ThreadPoolExecutor(1)

    async def submit() -> None:
        pool.submit(spin)

    return answering(submit)


def processes() -> FastAPI:
    """A process pool, without waiting for it."""
    pool = ProcessPoolExecutor(1)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        pool.shutdown(cancel_futures=True)

    async def submit() -> None:
        pool.submit(spin)

    return answering(submit, lifespan)


def worked_off(jobs: list[float]) -> None:
    """Do what is in a list, in a thread of the app's own."""
    while True:
        if jobs:
            spin(jobs.pop())
        else:
            time.sleep(0.001)


def listed() -> FastAPI:
    """A plain list, worked off by a thread."""
    jobs: list[float] = []
    threading.Thread(target=worked_off, args=(jobs,), daemon=True).start()

    async def append() -> None:
        jobs.append(WORK)

    return answering(append)


def waiting() -> FastAPI:
    """A plain list, worked off by a thread that waits for each piece, as for a mail server."""
    mails: list[dict[str, str]] = []

    def send() -> None:
        while True:
            time.sleep(0.02)
            if mails:
                mails.pop()

    threading.Thread(target=send, daemon=True).start()

    async def append() -> None:
        now = time.time()
        mails.append({"to": f"{now}@example.org", "subject": f"Order {now}", "text": f"It left at {now}."})

    return answering(append)


def bounded() -> FastAPI:
    """A cache of a limited size, which is full after the first requests."""

    @functools.lru_cache(100)
    def rendered(moment: float) -> str:
        return str(moment)

    async def remember() -> None:
        rendered(time.time())

    return answering(remember)


def kept() -> FastAPI:
    """Nothing piles up: a full queue makes requests wait, pools stay open whose jobs are awaited, and a cache
    grows."""
    consumer, threads, processes = Consumer(size=10), ThreadPoolExecutor(8), ProcessPoolExecutor(1)
    cache: dict[int, bytes] = {}

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(threads, spin, WORK / 4)
        await loop.run_in_executor(processes, spin, WORK / 4)
        cache[len(cache)] = bytes(1000)
        await consumer.put()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with consumer.lifespan(app):
            yield
        processes.shutdown(cancel_futures=True)

    return answering(serve, lifespan)
