"""Routes with a known number of thread hops (TRAPS 2), and blocking calls where none belong."""

import functools
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

engine = create_engine(
    "sqlite://", poolclass=QueuePool, pool_size=3, max_overflow=2, connect_args={"check_same_thread": False}
)


class Answer(BaseModel):
    value: int


class Settings:
    def __init__(self, q: int = 1) -> None:
        self.q = q


def plain() -> int:
    return 1


def session() -> Iterator[Session]:
    with Session(engine) as opened:
        yield opened


def number() -> Iterator[int]:
    yield 1


async def quick() -> int:
    return 1


async def sleepy() -> int:
    time.sleep(0)
    return 1


async def numbers() -> AsyncIterator[int]:
    yield 1


class Gatekeeper:
    async def __call__(self) -> int:
        return 1


def nap() -> None:
    """Called by other functions of this app."""
    time.sleep(0)


router = APIRouter()


@router.get("/def", response_model=None)
def bare() -> dict[str, int]:
    return {"value": 1}


@router.get("/def-model")
def with_model() -> Answer:
    return Answer(value=1)


@router.get("/def-yield")
def with_yield(one: Annotated[int, Depends(number)]) -> Answer:
    return Answer(value=one)


@router.get("/def-yield-def")
def with_both(one: Annotated[int, Depends(number)], other: Annotated[int, Depends(plain)]) -> Answer:
    return Answer(value=one + other)


@router.get("/async-yield")
async def async_with_yield(one: Annotated[int, Depends(number)]) -> Answer:
    return Answer(value=one)


@router.get("/async-class")
async def async_with_class(one: Annotated[Settings, Depends()]) -> Answer:
    return Answer(value=one.q)


@router.get("/async")
async def all_async(
    one: Annotated[int, Depends(quick)],
    two: Annotated[int, Depends(numbers)],
    three: Annotated[int, Depends(Gatekeeper())],
    again: Annotated[int, Depends(quick)],
) -> Answer:
    return Answer(value=one + two + three + again)


@router.get("/wedge")
def wedge(opened: Annotated[Session, Depends(session)]) -> Answer:
    return Answer(value=opened.scalar(text("select 1")) or 0)


@router.get("/async-session")
async def async_session(opened: Annotated[Session, Depends(session)]) -> Answer:
    return Answer(value=opened.scalar(text("select 1")) or 0)


@router.get("/shell")
async def shell() -> Answer:
    return Answer(value=subprocess.run(["true"], check=False).returncode)


@router.get("/indirect")
async def indirect(one: Annotated[int, Depends(sleepy)]) -> Answer:
    nap()
    return Answer(value=one)


@router.get("/file")
async def file() -> Answer:
    return Answer(value=len(Path(__file__).read_text()))


@router.get("/given-away")
async def given_away() -> Answer:
    def later() -> None:
        time.sleep(0)

    return Answer(value=callable(later))


def wrapped(function):  # type: ignore[no-untyped-def]  # like decorators without type hints
    @functools.wraps(function)
    async def inner(*args, **kwargs):  # type: ignore[no-untyped-def]  # as above
        return await function(*args, **kwargs)

    return inner


@router.get("/decorated")
@wrapped  # type: ignore[untyped-decorator]  # as above
async def decorated() -> Answer:
    time.sleep(0)
    return Answer(value=1)


app = FastAPI()
app.include_router(router, prefix="/v1")
mounted = FastAPI()
mounted.include_router(router)
app.mount("/mounted", mounted)


async def middleware(scope, receive, send):  # type: ignore[no-untyped-def]  # as above
    await app(scope, receive, send)


middleware.app = app  # type: ignore[attr-defined]  # as middleware classes hold it
