"""A route that waits, as for a database or another service, written in three ways.

`sync` waits in one of 40 threads, `asynchronous` on the event loop beside all other requests, and `blocking`
holds the loop up: one request at a time, whatever the number of users.
"""

import asyncio
import time

from fastapi import FastAPI

sync, asynchronous, blocking = FastAPI(), FastAPI(), FastAPI()


@sync.get("/wait/{milliseconds}")
def wait_in_a_thread(milliseconds: int) -> dict[str, int]:
    time.sleep(milliseconds / 1_000)
    return {"waited": milliseconds}


@asynchronous.get("/wait/{milliseconds}")
async def wait_on_the_loop(milliseconds: int) -> dict[str, int]:
    await asyncio.sleep(milliseconds / 1_000)
    return {"waited": milliseconds}


@blocking.get("/wait/{milliseconds}")
async def hold_the_loop_up(milliseconds: int) -> dict[str, int]:
    time.sleep(milliseconds / 1_000)  # the mistake that is measured
    return {"waited": milliseconds}
