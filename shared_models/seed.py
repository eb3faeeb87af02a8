"""Builds the deterministic data of both apps, once per run; every trial then gets its own copy.

`python -m shared_models.seed DIRECTORY` writes it; with `DUEL_APP_DATABASE` in the environment it
fills that database as well. The same version writes the same content.
"""

from __future__ import annotations

import os
import sys
from datetime import date, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import Engine, column, create_engine, func, insert, select, text

from shared_models.settings import DOCUMENT, SQLITE_FILE, Settings
from shared_models.tables import Base, Post, User

USERS = 200
POSTS = 4_000
FIRST_DAY = date(2024, 1, 1)
WORDS = (
    "await", "loop", "thread", "token", "queue", "route", "socket", "latency", "tail", "pool", "cursor",
    "commit", "rollback", "cache", "session", "worker", "request", "response", "stream", "buffer", "signal",
    "future", "task", "lock", "event", "schedule",
)  # fmt: skip


def users() -> list[dict[str, object]]:
    """Rows of the `users` table, ids 1 to USERS."""
    return [
        {"id": key, "name": f"Author {key}", "email": f"author{key}@example.org"}
        for key in range(1, USERS + 1)
    ]


def posts() -> list[dict[str, object]]:
    """Rows of the `posts` table, ids 1 to POSTS, spread evenly over the authors."""
    random = Random(20_240_101)
    return [
        {
            "id": key,
            "title": " ".join(random.choices(WORDS, k=5)).capitalize(),
            "body": " ".join(random.choices(WORDS, k=random.randint(30, 90))),
            "published_on": FIRST_DAY + timedelta(days=key // 6),
            "author_id": 1 + (key - 1) % USERS,
        }
        for key in range(1, POSTS + 1)
    ]


def document() -> str:
    """The text that `file` serves: 200 lines, about 16 KB."""
    random = Random(16_384)
    return "".join(" ".join(random.choices(WORDS, k=12)).capitalize() + ".\n" for _ in range(200))


def build(directory: Path) -> None:
    """Write the seeded SQLite database, as one file without -wal or -shm beside it, and the document."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / SQLITE_FILE
    path.unlink(missing_ok=True)
    fill(create_engine(f"sqlite:///{path}"))
    (directory / DOCUMENT).write_text(document(), encoding="utf-8")


def fill(engine: Engine) -> None:
    """Create the tables in an empty database and fill them; closes the engine."""
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        connection.execute(insert(User), users())
        connection.execute(insert(Post), posts())
        if engine.dialect.name == "postgresql":
            # Inserting explicit ids does not advance the sequences.
            for table in ("users", "posts"):
                connection.execute(
                    select(
                        func.setval(func.pg_get_serial_sequence(table, "id"), func.max(column("id")))
                    ).select_from(text(table))
                )
        tables = " TABLE users, posts" if engine.dialect.name == "mysql" else ""
        connection.execute(text(f"ANALYZE{tables}"))
    engine.dispose()


if __name__ == "__main__":
    build(Path(sys.argv[1]))
    if "DUEL_APP_DATABASE" in os.environ:
        # From the environment, since every user of the machine can read a command line and its password.
        fill(create_engine(Settings.from_environment().blocking_url()))
