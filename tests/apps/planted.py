"""Apps with a planted bottleneck. All serve `/ping`, for the scenario `ping`."""

import asyncio
import sqlite3
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from sqlalchemy import create_engine, text


def spin(seconds: float) -> None:
    """Compute for about `seconds` on any machine, by checking the clock repeatedly."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(200))


def spinning_loop() -> FastAPI:
    """The handler computes on the event loop."""
    app = FastAPI()

    @app.get("/ping")
    async def ping() -> None:
        spin(0.005)

    return app


def spinning_threads() -> FastAPI:
    """The handler computes on the thread pool."""
    app = FastAPI()

    @app.get("/ping")
    def ping() -> None:
        spin(0.005)

    return app


def blocked_loop() -> FastAPI:
    """The handler waits on the event loop, without computing."""
    app = FastAPI()

    @app.get("/ping")
    async def ping() -> None:
        time.sleep(0.02)  # that is the point

    return app


def waiting_threads() -> FastAPI:
    """The handler waits on a thread."""
    app = FastAPI()

    @app.get("/ping")
    def ping() -> None:
        time.sleep(0.02)

    return app


def one_connection() -> FastAPI:
    """A pool of one connection, held for 5 ms."""
    directory = tempfile.mkdtemp(prefix="planted-")
    engine = create_engine(f"sqlite:///{directory}/planted.db", pool_size=1, max_overflow=0)
    app = FastAPI()

    @app.get("/ping")
    def ping() -> None:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            time.sleep(0.005)

    return app


def hopping() -> FastAPI:
    """A wait of 40 ms, with a thread hop before and after it: requests that meet once stay together."""
    app = FastAPI()

    @app.get("/ping")
    async def ping() -> None:
        spin(0.0002)
        await asyncio.to_thread(int)
        await asyncio.sleep(0.04)
        spin(0.0002)
        await asyncio.to_thread(int)

    return app


def locked() -> FastAPI:
    """A background task holds an exclusive SQLite lock for 20 of every 30 ms, and every request writes."""
    directory = tempfile.mkdtemp(prefix="planted-")
    path = Path(directory, "planted.db")
    first = sqlite3.connect(path)
    first.execute("PRAGMA journal_mode=WAL")
    first.execute("CREATE TABLE notes (body TEXT)")
    first.commit()
    first.close()
    engine = create_engine(f"sqlite:///{path}", pool_size=40, connect_args={"timeout": 30})
    leaving = threading.Event()

    def hold() -> None:
        holder = sqlite3.connect(path, timeout=30, isolation_level=None)
        while not leaving.is_set():
            holder.execute("BEGIN EXCLUSIVE")
            leaving.wait(0.02)
            holder.execute("ROLLBACK")
            time.sleep(0.01)
        holder.close()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        holder = threading.Thread(target=hold)
        holder.start()
        yield
        leaving.set()
        holder.join()

    app = FastAPI(lifespan=lifespan)

    @app.get("/ping")
    def ping() -> None:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO notes VALUES ('a note')"))

    return app
