"""A route that does nothing, and one that computes: what the framework itself costs."""

from fastapi import FastAPI

sync, asynchronous = FastAPI(), FastAPI()


def computed() -> int:
    """About 20 ms of pure Python, which holds the GIL."""
    return sum(number * number % 97 for number in range(250_000))


@sync.get("/hello")
def hello_from_a_thread() -> dict[str, str]:
    return {"message": "hello"}


@asynchronous.get("/hello")
async def hello_from_the_loop() -> dict[str, str]:
    return {"message": "hello"}


@sync.get("/compute")
def compute_in_a_thread() -> dict[str, int]:
    return {"result": computed()}


@asynchronous.get("/compute")
async def compute_on_the_loop() -> dict[str, int]:
    return {"result": computed()}
