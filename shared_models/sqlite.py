"""What SQLite needs on every connection, the same for both styles."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from shared_models.settings import Settings


def prepare(engine: Engine, settings: Settings) -> None:
    """Set the pragmas on every connection; take the write lock at the start of transactions that write.

    Takes the synchronous engine, in the async app too (`engine.sync_engine`): SQLAlchemy presents its
    connections to event listeners as blocking ones.
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
        # one that upgrades later fails at once with "database is locked".
        if connection.get_execution_options().get("writes"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
