"""Three dependencies that only hold query parameters: classes, or coroutine functions that make them.

FastAPI calls a class in a thread, as it would any function that may block.
"""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI

classes, coroutines = FastAPI(), FastAPI()


@dataclass
class Search:
    text: str = ""


@dataclass
class Page:
    skip: int = 0
    limit: int = 100


@dataclass
class Order:
    by: str = "name"
    descending: bool = False


async def search(text: str = "") -> Search:
    return Search(text)


async def page(skip: int = 0, limit: int = 100) -> Page:
    return Page(skip, limit)


async def order(by: str = "name", descending: bool = False) -> Order:  # a query parameter
    return Order(by, descending)


def shown(search: Search, page: Page, order: Order) -> dict[str, str | int]:
    return {"text": search.text, "skip": page.skip, "limit": page.limit, "by": order.by}


@classes.get("/items")
async def items_by_classes(
    search: Annotated[Search, Depends()], page: Annotated[Page, Depends()], order: Annotated[Order, Depends()]
) -> dict[str, str | int]:
    return shown(search, page, order)


@coroutines.get("/items")
async def items_by_coroutines(
    search: Annotated[Search, Depends(search)],
    page: Annotated[Page, Depends(page)],
    order: Annotated[Order, Depends(order)],
) -> dict[str, str | int]:
    return shown(search, page, order)
