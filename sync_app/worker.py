"""The worker that does the jobs of the queue: `python -m sync_app.worker`, with the app's environment.

It writes one line of JSON once it takes jobs, and works until SIGTERM.
"""

from __future__ import annotations

from time import sleep
from typing import Any

from shared_models import jobs
from shared_models.settings import Settings
from sync_app.jobs import broker_of


def send_mail(context: dict[str, Any], recipient: str) -> None:
    """Send a mail, which is a wait for its server, and count it."""
    sleep(jobs.SECONDS)
    context["redis"].hincrby(jobs.SENT, recipient, 1)


def ready(*_: Any, **__: Any) -> None:
    """Say that the worker takes jobs."""
    print('{"ready": true}', flush=True)


def main() -> None:
    """Work until SIGTERM."""
    from celery.signals import worker_ready  # noqa: PLC0415  # an extra
    from redis import Redis  # noqa: PLC0415  # as above

    settings = Settings.from_environment()
    app, context = broker_of(settings), {"redis": Redis.from_url(settings.redis)}

    def send(recipient: str) -> None:
        send_mail(context, recipient)

    app.task(send, name=jobs.SEND_MAIL)
    worker_ready.connect(ready)
    # Without what several workers tell each other: there is one.
    alone = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    app.worker_main(
        ["worker", "--pool=threads", f"--concurrency={jobs.AT_ONCE}", "--loglevel=WARNING", *alone]
    )


if __name__ == "__main__":
    main()
