"""Articles and prices, shared by both versions of the shop."""

from pydantic import BaseModel

ARTICLES = {number: f"Article {number}" for number in range(1, 101)}


class Article(BaseModel):
    number: int
    name: str


class Order(BaseModel):
    article: int
    count: int


def price(order: Order) -> int:
    """The price in cents. Takes about a millisecond of CPU time, as pricing rules do."""
    return sum(order.article * step % 97 for step in range(order.count * 1_000)) + 99
