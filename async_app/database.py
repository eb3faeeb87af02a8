"""The engine, and the session factories that routes open their sessions from.

A route closes its session before it returns, so that no connection is held while FastAPI
validates and sends the response. A session from a dependency stays open until then, which
deadlocks a sync app under load: see the `session-dependency` pitfall.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine as Engine
from sqlalchemy.ext.asyncio import AsyncSession as Session
from sqlalchemy.ext.asyncio import async_sessionmaker as sessionmaker
from sqlalchemy.ext.asyncio import create_async_engine as create_engine

from shared_models import sqlite
from shared_models.settings import ASYNCHRONOUS as DRIVERS
from shared_models.settings import Settings


def connect(settings: Settings) -> Engine:
    """An engine for the configured database."""
    engine = create_engine(settings.url(DRIVERS), **settings.engine_options())
    if engine.dialect.name == "sqlite":
        sqlite.prepare(engine.sync_engine, settings)
    return engine


def sessions(engine: Engine) -> sessionmaker[Session]:
    """Factory of sessions that only read."""
    return sessionmaker(engine, expire_on_commit=False)


def writing_sessions(engine: Engine) -> sessionmaker[Session]:
    """Factory of sessions that write: on SQLite their transactions take the write lock at the start."""
    return sessionmaker(engine.execution_options(writes=True), expire_on_commit=False)


# `async def` in both apps: they never wait, and as `def` each would cost a thread hop.
async def get_reading(request: Request) -> sessionmaker[Session]:
    return request.state.reading  # type: ignore[no-any-return]  # lifespan state is untyped


async def get_writing(request: Request) -> sessionmaker[Session]:
    return request.state.writing  # type: ignore[no-any-return]  # lifespan state is untyped


Reading = Annotated[sessionmaker[Session], Depends(get_reading)]
Writing = Annotated[sessionmaker[Session], Depends(get_writing)]
