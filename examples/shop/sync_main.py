"""The shop today: every route runs on a thread."""

import time

from fastapi import FastAPI, HTTPException

from shop.stock import ARTICLES, Article, Order, price

app = FastAPI(title="Shop")


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/articles/{number}")
def read_article(number: int) -> Article:
    time.sleep(0.005)  # the warehouse answers
    if number not in ARTICLES:
        raise HTTPException(404, "no such article")
    return Article(number=number, name=ARTICLES[number])


@app.post("/orders")
def create_order(order: Order) -> dict[str, int]:
    return {"cents": price(order)}
