"""A Quart app with routes of both styles, read by `duel advise`."""

import time

from quart import Quart

app = Quart(__name__)


@app.get("/waits")
def waits() -> str:
    time.sleep(0.01)  # asks
    return ""


@app.get("/plain")
def plain() -> str:
    return ""


@app.get("/sleeps")
async def sleeps() -> str:
    time.sleep(0.01)  # blocks
    return ""
