"""Values that are carried to where they are used: through decorators, containers, annotations and generics. A
line that blocks names the functions that reach it, as in reaching.py."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar, cast

import httpx
from fastapi import Depends, Request
from typing_extensions import TypeAliasType

Kind = TypeVar("Kind")


def quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


def counting(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Service:
    def fetch(self) -> int:
        time.sleep(0.01)  # held by wrong_below_decorator
        return 1

    @counting
    def counted(self) -> int:
        return self.inner()

    def inner(self) -> int:
        time.sleep(0.01)  # held by wrong_decorated_self
        return 1

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        time.sleep(0.01)  # held by wrong_opened
        yield 1

    def fast(self) -> int:
        return 1

    def slow(self) -> int:
        time.sleep(0.01)  # held by wrong_second_method
        return 1


service = Service()


def get_service() -> Service:
    return service


# Decorators


@quietly
async def wrong_below_decorator(found: Service = Depends(Service)) -> int:  # noqa: B008  # as people write it
    return found.fetch()


async def wrong_decorated_self() -> Any:
    return service.counted()


async def wrong_opened() -> None:
    with service.opened():
        pass


def call(function: Callable[[], int]) -> int:
    return function()


async def wrong_second_method() -> int:
    return call(service.fast) + call(service.slow)


# Containers


def slow_csv() -> int:
    time.sleep(0.01)  # held by wrong_picked, wrong_items
    return 1


def fast_csv() -> int:
    return 1


CHECKS = {"a": slow_csv, "b": fast_csv}
hooks: list[Any] = []


async def wrong_picked(kind: str) -> int:
    return {"csv": slow_csv, "json": fast_csv}[kind]()


async def fine_picked() -> int:
    return {"csv": slow_csv, "json": fast_csv}["json"]()


async def wrong_items() -> None:
    for _, check in CHECKS.items():
        check()


async def wrong_looped() -> None:
    for one in (service, Service()):
        one.fetch()


async def wrong_unpacked() -> int:
    found, _ = Service(), 1
    return found.fetch()


async def fine_unpacked() -> int:
    fast, _ = fast_csv, slow_csv
    return fast()


async def wrong_comprehended() -> int:
    return sum(one.fetch() for one in [Service() for _ in range(3)])


async def unread_hooks() -> None:
    for hook in hooks:
        hook()


async def wrong_matched(found: object) -> int:
    match found:
        case Service() as one:
            return one.fetch()
        case _:
            return 0


# Annotations


def get_clients(request: Request) -> dict[str, httpx.Client]:
    return request.app.state.clients  # type: ignore[no-any-return]  # as people write it


async def fine_asked_for(clients: Annotated[dict[str, httpx.Client], Depends(get_clients)]) -> bool:
    return clients.get("a") is None


async def wrong_held(clients: Annotated[dict[str, httpx.Client], Depends(get_clients)]) -> None:
    clients["a"].get("http://x")  # held by wrong_held


async def fine_waiting_queue(waiting: asyncio.Queue[httpx.Client]) -> None:
    await waiting.get()


class Repository(Generic[Kind]):
    def find(self) -> Kind | None:
        time.sleep(0.01)  # held by wrong_generic
        return None


async def wrong_generic(found: Annotated[Repository[Service], Depends()]) -> None:
    found.find()


async def wrong_listed(found: list[Service]) -> int:
    return sum([one.fetch() for one in found])


ServiceDependency = TypeAliasType("ServiceDependency", Annotated[Any, Depends(get_service)])


async def wrong_aliased(found: ServiceDependency) -> None:
    found.fetch()


async def wrong_only_injected(found: Annotated[Any, Depends(get_service)]) -> None:
    found.fetch()


@dataclass
class Order:
    notify: Callable[[int], None]


async def unread_callable(order: Order) -> None:
    order.notify(1)


# What is filled while the app runs


class Registry:
    pass


class Notifier:
    def __init__(self, callback) -> None:  # type: ignore[no-untyped-def]  # as people write it
        self.callback = callback

    def notify(self) -> None:
        self.callback(1)


registry: Any = Registry()


def get_untyped(request: Request):  # type: ignore[no-untyped-def]  # as people write it
    return request.app.state.service


async def wrong_cast(request: Request) -> int:
    found = cast(Service, request.app.state.service)
    return found.fetch()


async def unread_request_state(request: Request) -> None:
    request.state.service.lookup()


async def unread_client_in_state(request: Request) -> None:
    request.app.state.http.get("http://x")


async def unread_untyped_dependency(found=Depends(get_untyped)) -> None:  # type: ignore[no-untyped-def]  # noqa: B008  # as people write it
    found.lookup()


async def unread_given(notifier: Annotated[Notifier, Depends()]) -> None:
    notifier.notify()


async def unread_holder() -> None:
    registry.db.fetch()


# Class methods of libraries


async def wrong_class_method() -> Any:
    import psycopg  # noqa: PLC0415  # an extra

    with psycopg.connect("") as connection:  # held by wrong_class_method
        return connection.execute("select 1").fetchone()  # held by wrong_class_method


async def wrong_archive() -> None:
    with tarfile.open("a.tar") as archive:  # held by wrong_archive
        archive.extract("a", "b")  # held by wrong_archive


# Methods that syntax calls


@dataclass
class Prepared:
    number: int

    def __post_init__(self) -> None:
        time.sleep(0.01)  # held by wrong_prepared


class Shelf:
    def __getitem__(self, key: str) -> int:
        time.sleep(0.01)  # held by wrong_subscript
        return 1

    def __contains__(self, key: str) -> bool:
        time.sleep(0.01)  # held by wrong_contained
        return True

    def __aiter__(self) -> Shelf:
        return self

    async def __anext__(self) -> int:
        time.sleep(0.01)  # held by wrong_async_items
        return 1


shelf = Shelf()


async def wrong_prepared() -> Prepared:
    return Prepared(1)


async def wrong_subscript() -> int:
    return shelf["a"]


async def wrong_contained() -> bool:
    return "a" in shelf


async def wrong_async_items() -> None:
    async for _ in shelf:
        pass
