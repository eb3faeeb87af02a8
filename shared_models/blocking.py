"""A blocking engine, the same in both apps: what the `session-blocking` pitfall uses inside `async def`."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session, sessionmaker

from shared_models import sqlite
from shared_models.settings import Settings


def engine(settings: Settings) -> Engine:
    """Of the configured database, through a driver that blocks; connects with the first session."""
    found = create_engine(settings.blocking_url(), **settings.engine_options())
    if found.dialect.name == "sqlite":
        sqlite.prepare(found, settings)
    return found


def sessions(engine: Engine) -> sessionmaker[Session]:
    """Factory of sessions that only read."""
    return sessionmaker(engine, expire_on_commit=False)
