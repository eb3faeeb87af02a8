"""The queue of jobs, in Redis: routes hand jobs over; a worker beside the app does them, see worker.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Request

from shared_models import jobs
from shared_models.errors import available
from shared_models.settings import Settings


class Queue:
    """Jobs that wait for the worker."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker

    async def send_mail(self, recipient: str) -> None:
        """Hand over the job of sending a mail."""
        await self.broker.enqueue_job(jobs.SEND_MAIL, recipient)


def broker_of(settings: Settings) -> Any:
    """What reaches the queue, for the app and for the worker."""
    from arq.connections import RedisSettings  # noqa: PLC0415  # an extra

    return RedisSettings.from_dsn(settings.redis)


@asynccontextmanager
async def open_queue(settings: Settings) -> AsyncIterator[Queue | None]:
    """The queue in the configured Redis; None without one."""
    if not settings.redis:
        yield None
        return
    from arq import create_pool  # noqa: PLC0415  # an extra

    async with await create_pool(broker_of(settings)) as broker:
        yield Queue(broker)


# `async def` in both apps: it never waits, and as `def` it would cost a thread hop.
async def get_queue(request: Request) -> Queue:
    """Raises NoRedis."""
    queue: Queue | None = request.state.queue
    return available(queue)


JobQueue = Annotated[Queue, Depends(get_queue)]
