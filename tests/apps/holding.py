"""An app with routes that hold its event loop, and one that does not."""

import time

from fastapi import FastAPI


def look_up() -> None:
    """Wait for 10 ms without giving the loop back."""
    time.sleep(0.01)  # that is the point


def price() -> int:
    """Compute for about 10 ms of CPU time."""
    end, found = time.thread_time() + 0.01, 0
    while time.thread_time() < end:
        found += sum(range(200))
    return found


def create_app() -> FastAPI:
    app = FastAPI()

    @app.get("/light")
    async def light() -> None:
        """Nothing that takes long."""

    @app.get("/waits/{item_id}")
    async def waits(item_id: int) -> int:
        look_up()
        return item_id

    @app.get("/computes")
    async def computes() -> int:
        return price()

    return app
