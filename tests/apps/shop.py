"""A user's app before and after a change; one response contains the time, as in real apps."""

import time

from fastapi import FastAPI, HTTPException


def made(missing: str) -> FastAPI:
    app = FastAPI()

    @app.get("/items/{item_id}")
    def read_item(item_id: int) -> dict[str, int]:
        if item_id > 10:
            raise HTTPException(404, missing)
        return {"id": item_id}

    @app.get("/now")
    def now() -> float:
        return time.time()

    return app


def before() -> FastAPI:
    return made("no such item")


def after() -> FastAPI:
    return made("no such item!")
