"""Functions of an app that reach a blocking call, and functions that do not. A line with a call that blocks
names the functions that reach it, after `held by`."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import functools
import hashlib
import inspect
import queue
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import anyio
import httpx
import requests
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session, sessionmaker
from starlette._utils import is_async_callable
from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from sqlite3 import Connection

    from nowhere import Missing  # type: ignore[import-not-found]  # as of a package for type checkers

app = FastAPI()
engine = create_engine("sqlite://")
SessionLocal = sessionmaker(engine)
lock = threading.Lock()
jobs: queue.Queue[int] = queue.Queue()
pool = ThreadPoolExecutor(1)
registry: dict[str, Callable[[], None]] = {}
several: list[Callable[[], None]] = [functools.partial(print, number) for number in range(20)]


class Base:
    def ask(self) -> int:
        return self.fetch()

    def fetch(self) -> int:
        raise NotImplementedError


class Client(Base):
    """Its method is inherited, what it does is not."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.notes = sqlite3.connect(":memory:")  # held by wrong_constructed

    def fetch(self) -> int:
        return self.http.get("http://x").status_code  # held by wrong_inherited, wrong_constructed

    @property
    def size(self) -> int:
        return len(self.notes.execute("select 1").fetchall())  # held by wrong_property

    @staticmethod
    def pause() -> None:
        time.sleep(0.01)  # held by wrong_static

    @classmethod
    def started(cls) -> None:
        subprocess.run(["true"], check=False)  # held by wrong_class_method

    def __call__(self) -> None:
        time.sleep(0.01)  # held by wrong_callable_object

    def __enter__(self) -> Client:
        time.sleep(0.01)  # held by wrong_context_object
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Iterator[int]:
        time.sleep(0.01)  # held by wrong_iterated_object
        yield 1


client = Client(httpx.Client())


class Upper(Client):
    """Its methods call those above it."""

    def ask(self) -> int:
        return super().ask()

    @functools.cached_property
    def length(self) -> int:
        time.sleep(0.01)  # held by wrong_cached_property
        return 1

    @property
    def lazy(self) -> sqlite3.Connection:
        if self._lazy is None:
            self._lazy = sqlite3.connect(":memory:")  # held by wrong_filled_later
        return self._lazy

    _lazy: sqlite3.Connection | None = None


class Source(abc.ABC):
    """What a source does is written below it."""

    @abc.abstractmethod
    async def fetch(self) -> int:
        """A number."""

    @abc.abstractmethod
    async def check(self) -> None:
        time.sleep(0.01)  # held by wrong_abstract_with_body


class Waiting(Source):
    async def fetch(self) -> int:
        time.sleep(0.01)  # held by wrong_abstract
        return 1

    async def check(self) -> None:
        await super().check()


class Sink(Protocol):
    def put(self, number: int) -> None: ...


@dataclass
class Settings:
    path: Path = field(default_factory=Path)
    http: requests.Session = field(default_factory=requests.Session)


settings = Settings()


def slow_words() -> Iterator[str]:
    time.sleep(0.01)  # held by wrong_iterated, wrong_joined, wrong_yield_from, wrong_comprehension
    yield "word"


def get_db() -> Iterator[Session]:
    with SessionLocal() as session:
        yield session


def get_client() -> Client:
    return client


class View:
    """A class-based view: FastAPI's dependencies are its attributes."""

    db: Session = Depends(get_db)

    async def save(self) -> None:
        self.db.commit()  # held by wrong_view


class OpenAI:
    """As the package's client, which the tests do without: its resources are cached properties."""

    @functools.cached_property
    def chat(self) -> Chat:
        return Chat()


class AsyncOpenAI:
    @functools.cached_property
    def chat(self) -> AsyncChat:
        return AsyncChat()


class Chat: ...


class AsyncChat: ...


for kind in (OpenAI, AsyncOpenAI, Chat, AsyncChat):
    kind.__module__ = "openai"


@functools.lru_cache
def settled() -> bytes:
    return Path(__file__).read_bytes()


settled()


every_client = [client]
by_name = {"a": client}


class Several:
    def __init__(self, clients: list[Client] | None = None) -> None:
        if clients is None:
            clients = every_client
        self.clients = clients


made_at_start: sqlite3.Connection | None = None
unnamed_at_start: Any = None


def start() -> None:
    global made_at_start, unnamed_at_start  # noqa: PLW0603  # as people write it
    made_at_start = sqlite3.connect(":memory:")
    unnamed_at_start = Client(httpx.Client())


@functools.lru_cache
def remembered() -> int:
    time.sleep(0.01)  # held by wrong_cached
    return 1


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.01)  # held by wrong_decorated
        return await function(*args, **kwargs)

    return wrapper


def quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


@contextlib.contextmanager
def opened() -> Iterator[int]:
    time.sleep(0.01)  # held by wrong_context_manager
    yield 1


def applied(function: Callable[[], int]) -> int:
    return function()


def counted(number: int) -> int:
    if number:
        return counted(number - 1)
    time.sleep(0.01)  # held by wrong_recursive
    return 0


async def helper() -> int:
    time.sleep(0.01)  # held by wrong_gathered, wrong_task, wrong_task_group, wrong_background
    return 1


async def wrong_inherited() -> int:
    return client.ask()


async def wrong_super() -> int:
    return Upper(httpx.Client()).ask()


async def wrong_cached_property(upper: Annotated[Upper, Depends(Upper)]) -> int:
    return upper.length


async def wrong_filled_later(upper: Annotated[Upper, Depends(Upper)]) -> None:
    upper.lazy.commit()  # held by wrong_filled_later


async def wrong_abstract(source: Annotated[Source, Depends()]) -> int:
    return await source.fetch()


async def wrong_view(view: Annotated[View, Depends(View)]) -> None:
    await view.save()


async def wrong_abstract_with_body(source: Annotated[Waiting, Depends()]) -> None:
    await source.check()


async def wrong_global() -> None:
    if made_at_start is not None:
        made_at_start.commit()  # held by wrong_global


async def wrong_constructed() -> int:
    return Client(httpx.Client()).fetch()


async def wrong_property() -> int:
    return client.size


async def wrong_static() -> None:
    Client.pause()


async def wrong_class_method() -> None:
    Client.started()


async def wrong_callable_object() -> None:
    client()


async def wrong_context_object() -> None:
    with client:
        pass


async def wrong_iterated_object() -> list[int]:
    return [one + 1 for one in client]


async def wrong_iterated() -> None:
    for _ in slow_words():
        pass


async def wrong_joined() -> str:
    return " ".join(slow_words())


async def wrong_comprehension() -> list[str]:
    return [one.upper() for one in slow_words()]


async def wrong_yield_from() -> list[str]:
    def more() -> Iterator[str]:
        yield from slow_words()

    return list(more())


async def wrong_cached() -> int:
    return remembered()


@logged
async def wrong_decorated() -> int:
    return 1


@contextlib.asynccontextmanager
async def timed() -> AsyncIterator[None]:
    yield


@timed()
@timed()
async def wrong_library_decorators() -> None:
    time.sleep(0.01)  # held by wrong_library_decorators


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    yield


guarded_ask = guarded()(client.ask)


async def wrong_decorated_method() -> int:
    return guarded_ask()


@quietly
async def wrong_wrapped() -> None:
    time.sleep(0.01)  # held by wrong_wrapped


async def wrong_context_manager() -> int:
    with opened() as found:
        return found


async def wrong_callback() -> int:
    def inner() -> int:
        time.sleep(0.01)  # held by wrong_callback
        return 1

    return applied(inner)


async def wrong_lambda() -> int:
    return applied(lambda: subprocess.call(["true"]))  # held by wrong_lambda


async def wrong_partial() -> None:
    functools.partial(time.sleep, 0.01)()  # held by wrong_partial


async def wrong_recursive() -> int:
    return counted(3)


async def wrong_gathered() -> tuple[int, int]:
    return await asyncio.gather(helper(), helper())


async def wrong_task() -> int:
    return await asyncio.create_task(helper())


async def wrong_task_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(helper)


async def wrong_background(tasks: BackgroundTasks) -> None:
    tasks.add_task(helper)


async def wrong_query_that_is_iterated(db: Annotated[Session, Depends(get_db)]) -> int:
    numbers = db.query(int)  # held by wrong_query_that_is_iterated
    return sum(one + 1 for one in numbers)  # held by wrong_query_that_is_iterated


async def wrong_injected_session(db: Annotated[Session, Depends(get_db)]) -> int:
    return int(db.execute(text("select 1")).scalar_one())  # held by wrong_injected_session


async def wrong_injected_untyped(db=Depends(get_db)) -> int:  # type: ignore[no-untyped-def]  # noqa: B008  # as people write it
    return int(db.query(int).count())  # held by wrong_injected_untyped


async def wrong_untyped_session(db) -> None:  # type: ignore[no-untyped-def]  # as people write it
    db.commit()  # held by wrong_untyped_session


async def wrong_injected_client(found: Annotated[Client, Depends(get_client)]) -> None:
    found.pause()


async def wrong_session_made() -> None:
    with SessionLocal() as session:
        session.scalars(select(1)).all()  # held by wrong_session_made


async def wrong_engine() -> None:
    with engine.connect() as connection:  # held by wrong_engine
        connection.execute(text("select 1"))  # held by wrong_engine


async def wrong_field() -> int:
    return settings.http.get("http://x").status_code  # held by wrong_field


async def wrong_file() -> str:
    return settings.path.read_text()  # held by wrong_file


async def wrong_copied() -> None:
    shutil.copyfile("a", "b")  # held by wrong_copied


async def wrong_archive() -> None:
    with zipfile.ZipFile("a.zip", "w") as archive:
        archive.write("a")  # held by wrong_archive


async def wrong_sdk() -> None:
    OpenAI().chat.completions.create(model="x")  # type: ignore[attr-defined]  # held by wrong_sdk


async def wrong_path() -> bytes:
    with (settings.path / "a").joinpath("b").open("rb") as found:  # held by wrong_path
        return found.read()


async def wrong_registered(name: str) -> int:
    return by_name.get(name, client).ask()


async def wrong_every_registered() -> list[int]:
    return [one.ask() for one in by_name.values()]


async def wrong_chosen() -> list[int]:
    return [one.ask() for one in Several().clients]


async def wrong_hash() -> bytes:
    return hashlib.pbkdf2_hmac("sha256", b"a", b"b", 600_000)  # held by wrong_hash


async def wrong_process() -> tuple[bytes, bytes]:
    return subprocess.Popen(["true"]).communicate()  # held by wrong_process


async def wrong_future() -> int:
    waiting: Future[int] = pool.submit(remembered)
    return waiting.result()  # held by wrong_future


async def wrong_thread() -> None:
    thread = threading.Thread(target=remembered)
    thread.start()
    thread.join()  # held by wrong_thread


async def wrong_queue() -> int:
    return jobs.get()  # held by wrong_queue


async def wrong_lock() -> None:
    with lock:  # held by wrong_lock
        pass


async def wrong_socket() -> bytes:
    with socket.create_connection(("127.0.0.1", 9)) as connection:  # held by wrong_socket
        return connection.recv(1)


async def wrong_import() -> None:
    from time import sleep as pause  # noqa: PLC0415  # what is tested

    pause(0.01)  # held by wrong_import


async def wrong_branch(fast: bool = False) -> int:
    use = remembered if fast else client.ask
    return use()


async def wrong_stream() -> StreamingResponse:
    async def words() -> AsyncIterator[str]:
        for word in slow_words():
            yield word

    return StreamingResponse(words())


async def fine_thread() -> int:
    return await asyncio.to_thread(remembered)


async def fine_lambda() -> int:
    return await run_in_threadpool(lambda: remembered() + 1)


async def fine_partial() -> None:
    await anyio.to_thread.run_sync(functools.partial(time.sleep, 0.01))


async def fine_executor() -> int:
    return await asyncio.get_running_loop().run_in_executor(pool, client.ask)


async def fine_submitted() -> None:
    pool.submit(client.ask)


async def fine_stream() -> StreamingResponse:
    return StreamingResponse(slow_words())


async def fine_background(tasks: BackgroundTasks) -> None:
    tasks.add_task(remembered)


async def fine_only_made() -> object:
    return requests.Session(), httpx.Client(), requests.HTTPError("made"), slow_words()


async def fine_asynchronous(request: Request) -> Any:
    async with httpx.AsyncClient() as http:
        answer = await http.get("http://x")
    await asyncio.sleep(0)
    words = {**await request.json(), "status": answer.json()["status"]}
    return sorted(words, key=len)


async def fine_async_lock() -> None:
    async with asyncio.Lock():
        await asyncio.wait_for(asyncio.Event().wait(), 1.0)


async def fine_middleware(call_next, app, scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # as people write it
    await call_next(scope)
    await app(scope, receive, send)


async def fine_sdk() -> None:
    await AsyncOpenAI().chat.completions.create(model="x")  # type: ignore[attr-defined]  # as above


async def fine_settled() -> bytes:
    return settled()


async def fine_wrapper(self, scope, receive, send) -> None:  # type: ignore[no-untyped-def]  # as people write it
    async def sent(message: dict[str, Any]) -> None:
        await send(message)

    await self.app(scope, receive, sent)


async def fine_untyped_request(request) -> Any:  # type: ignore[no-untyped-def]  # as people write it
    return await request.form(), request.url.include_query_params(page=1), request.headers.keys()


async def wrong_half_typed(db: Connection, missing: Missing) -> None:
    db.commit()  # held by wrong_half_typed


async def listener() -> None:
    time.sleep(0.01)  # held by wrong_asked


def plain_listener() -> None:
    time.sleep(0.01)  # held by wrong_not_asked


listeners: dict[str, Callable[[], Any]] = {"a": listener, "b": plain_listener}


async def wrong_asked(name: str) -> None:
    heard = listeners[name]
    if inspect.iscoroutinefunction(heard):
        await heard()
    else:
        await asyncio.to_thread(heard)


async def wrong_not_asked(name: str) -> None:
    heard = listeners[name]
    if not is_async_callable(heard):
        heard = functools.partial(heard)
        heard()


async def fine_text() -> str:
    return ", ".join(str(one).strip() for one in range(3)).replace("a", "b")


async def unread_state(request: Request) -> int:
    return int(request.app.state.gateway.lookup())


async def unread_many(number: int) -> None:
    several[number]()


async def unread_registry(name: str) -> None:
    handler = registry[name]
    handler()
    getattr(client, name)()


async def unread_global() -> int:
    return int(unnamed_at_start.ask())


async def unread_protocol(sink: Annotated[Sink, Depends()]) -> None:
    sink.put(1)


async def unread_parameter(service) -> int:  # type: ignore[no-untyped-def]  # as people write it
    return int(service.lookup())
