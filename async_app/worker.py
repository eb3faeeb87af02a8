"""The worker that does the jobs of the queue: `python -m async_app.worker`, with the app's environment.

It writes one line of JSON once it takes jobs, and works until SIGTERM.
"""

from __future__ import annotations

from asyncio import sleep
from typing import Any

from async_app.jobs import broker_of
from shared_models import jobs
from shared_models.settings import Settings


async def send_mail(context: dict[str, Any], recipient: str) -> None:
    """Send a mail, which is a wait for its server, and count it."""
    await sleep(jobs.SECONDS)
    await context["redis"].hincrby(jobs.SENT, recipient, 1)


async def ready(*_: Any, **__: Any) -> None:
    """Say that the worker takes jobs."""
    print('{"ready": true}', flush=True)


def main() -> None:
    """Work until SIGTERM."""
    from arq.worker import Worker, func  # noqa: PLC0415  # an extra

    settings = Settings.from_environment()
    Worker(
        [func(send_mail, name=jobs.SEND_MAIL)],
        redis_settings=broker_of(settings),
        on_startup=ready,
        max_jobs=jobs.AT_ONCE,
        poll_delay=jobs.POLL,
        keep_result=0,
    ).run()


if __name__ == "__main__":
    main()
