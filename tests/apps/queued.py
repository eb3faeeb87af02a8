"""Functions that hold the event loop by Redis and Celery, whose packages come with an extra."""

from __future__ import annotations

from celery import Celery
from redis import Redis

cache = Redis()
queue = Celery(set_as_current=False)


async def read_cached(key: str) -> object:
    return cache.get(key)


async def hand_over(recipient: str) -> None:
    queue.send_task("send_mail", [recipient])
