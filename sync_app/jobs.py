"""The queue of jobs, in Redis: routes hand jobs over; a worker beside the app does them, see worker.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request

from shared_models import jobs
from shared_models.errors import available
from shared_models.settings import Settings


class Queue:
    """Jobs that wait for the worker."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker

    def send_mail(self, recipient: str) -> None:
        """Hand over the job of sending a mail."""
        self.broker.send_task(jobs.SEND_MAIL, [recipient])


def broker_of(settings: Settings) -> Any:
    """What reaches the queue, for the app and for the worker."""
    from celery import Celery  # noqa: PLC0415  # an extra

    # Not as the current app: a process may have several, as the tests do.
    app = Celery(broker=settings.redis, set_as_current=False)
    app.conf.task_ignore_result = True  # no one asks for it
    app.conf.broker_pool_limit = settings.queue_connections
    app.conf.broker_connection_retry_on_startup = True
    app.conf.worker_redirect_stdouts = False
    return app


@contextmanager
def open_queue(settings: Settings) -> Iterator[Queue | None]:
    """The queue in the configured Redis; None without one."""
    if not settings.redis:
        yield None
        return
    with broker_of(settings) as broker:
        yield Queue(broker)


# `async def` in both apps: it never waits, and as `def` it would cost a thread hop.
async def get_queue(request: Request) -> Queue:
    """Raises NoRedis."""
    queue: Queue | None = request.state.queue
    return available(queue)


JobQueue = Annotated[Queue, Depends(get_queue)]
