"""What SQLite needs on every connection, the same under both styles."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from shared_models.settings import Settings


def prepare(engine: Engine, settings: Settings) -> None:
    """Set the pragmas on every connection, and take the write lock first where a transaction writes.

    For the engine underneath, in the async twin too: SQLAlchemy makes an asynchronous connection look
    like a blocking one to the listeners.
    """

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in settings.pragmas:
            cursor.execute(pragma)
        cursor.close()

    @event.listens_for(engine, "begin")
    def take_write_lock(connection: Connection) -> None:
        # A transaction that reads and then writes must queue for the lock before it reads;
        # upgraded half-way it fails at once with "database is locked".
        if connection.get_execution_options().get("writes"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
