"""What the shop sells; both versions of it share this."""

from pydantic import BaseModel

ARTICLES = {number: f"Article {number}" for number in range(1, 101)}


class Article(BaseModel):
    number: int
    name: str


class Order(BaseModel):
    article: int
    count: int


def price(order: Order) -> int:
    """In cents; it takes a while to work out, as such things do."""
    return sum(order.article * step % 97 for step in range(order.count * 1_000)) + 99
