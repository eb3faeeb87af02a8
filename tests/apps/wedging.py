"""Sessions that dependencies keep, on a pool of one connection: some routes wedge, and others do not."""

from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import requests
from fastapi import Depends, FastAPI
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

engine = create_engine(
    "sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=1,
    connect_args={"check_same_thread": False},
)  # fmt: skip
SessionLocal = sessionmaker(engine)
app = FastAPI()


def get_db() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


def untyped():  # type: ignore[no-untyped-def]  # as many apps have it
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()


def connected() -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def web() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


async def unthreaded() -> AsyncIterator[int]:
    yield 1


def login(db: Annotated[Session, Depends(get_db)]) -> str:
    db.execute(text("select 1"))
    return "ada"


def brief_login() -> str:
    with Session(engine) as session:
        session.execute(text("select 1"))
    return "ada"


class Repository:
    """Keeps the session and does not use it yet."""

    def __init__(self, db: Annotated[Session, Depends(get_db)]) -> None:
        self.db = db

    def one(self) -> int:
        return int(self.db.scalar(text("select 1")) or 0)


@app.get("/login", response_model=None)
def after_login(user: Annotated[str, Depends(login)]) -> str:
    return user


@app.get("/login-async", response_model=None)
async def after_login_async(user: Annotated[str, Depends(login)]) -> str:
    return user


@app.get("/released", response_model=None)
def after_brief_login(user: Annotated[str, Depends(brief_login)]) -> str:
    return user


@app.get("/model")
def with_model(db: Annotated[Session, Depends(get_db)]) -> int:
    return int(db.scalar(text("select 1")) or 0)


@app.get("/no-model", response_model=None)
def without_model(db: Annotated[Session, Depends(get_db)]) -> int:
    return int(db.scalar(text("select 1")) or 0)


@app.get("/untyped")
def with_untyped(db: Annotated[Any, Depends(untyped)]) -> int:
    return int(db.scalar(text("select 1")) or 0)


@app.get("/connected", response_model=None)
def with_connection(db: Annotated[Connection, Depends(connected)]) -> int:
    return int(db.scalar(text("select 1")) or 0)


@app.get("/repository", response_model=None)
def with_repository(found: Annotated[Repository, Depends()]) -> int:
    return found.one()


@app.get("/web")
def with_web(session: Annotated[requests.Session, Depends(web)]) -> int:
    return len(session.headers)


@app.get("/unthreaded")
def with_unthreaded(one: Annotated[int, Depends(unthreaded)]) -> int:
    return one
