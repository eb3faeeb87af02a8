"""A Litestar app with routes of both styles, read by `duel advise`."""

import time

from litestar import Controller, Litestar, get


class Shelf(Controller):
    path = "/shelf"

    @get("/waits", sync_to_thread=True)
    def waits(self) -> str:
        time.sleep(0.01)  # asks
        return ""

    @get("/sleeps")
    async def sleeps(self) -> str:
        time.sleep(0.01)  # blocks
        return ""


@get("/plain", sync_to_thread=True)
def plain() -> str:
    return ""


@get("/inline", sync_to_thread=False)
def inline() -> str:
    time.sleep(0.01)  # blocks
    return ""


app = Litestar([Shelf, plain, inline])
