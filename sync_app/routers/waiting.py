"""I/O-bound endpoints: they wait for a timer, a service, a disk, a database."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from time import sleep
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response

from shared_models import queries
from shared_models.schemas import Answer, AuthorReport, MailIn, Seconds
from shared_models.tables import Mail
from sync_app.database import Reading, Writing
from sync_app.upstream import SlowService

router = APIRouter(tags=["waiting"])

Calls = Annotated[int, Query(ge=1, le=20)]


@router.get("/sleep")
def wait_for_clock(seconds: Seconds = 0.02) -> Answer:
    """A plain wait, the textbook case. Expect sync to level off at 40 threads / `seconds`."""
    sleep(seconds)
    return Answer(result="slept")


@router.get("/upstream")
def call_upstream(upstream: SlowService, seconds: Seconds = 0.02) -> Answer:
    """One call to another service, the usual reason for async. Expect the HTTP client to matter as much as
    the style."""
    return Answer(result=upstream.call(seconds))


@router.get("/fan-out")
def call_many_upstreams(upstream: SlowService, calls: Calls = 5, seconds: Seconds = 0.02) -> Answer:
    """A page assembled from several services, called concurrently: `gather` in one style, a thread pool in
    the other. Expect the HTTP client's overhead to decide, as for `upstream`."""
    answers = upstream.call_many(calls, seconds)
    return Answer(result=" ".join(answers))


@router.get("/file", response_class=Response)
def read_file(request: Request) -> Response:
    """Reads 16 KB from the page cache. Expect the hand-over to a thread to cost more than the read itself."""
    path = Path(request.state.settings.document)
    return Response(path.read_bytes(), media_type="text/plain")


@router.get("/report", response_model=list[AuthorReport])
def report(sessions: Reading) -> Any:
    """A heavy aggregate query, as behind a dashboard: milliseconds inside the database, with the GIL
    released. Expect a tie on one core."""
    with sessions() as session:
        rows = session.execute(queries.report())
        return rows.all()


@router.post("/background", status_code=HTTPStatus.ACCEPTED)
def send_mail_later(mail: MailIn, tasks: BackgroundTasks, sessions: Writing) -> Answer:
    """A sign-up that responds before its work is done: the mail is sent and logged after the response. Expect
    async to respond sooner but, with many users, background tasks to pile up; in the sync app they occupy
    the threads that serve requests."""

    def send() -> None:
        sleep(0.01)
        with sessions() as session:
            session.add(Mail(recipient=mail.recipient))
            session.commit()

    tasks.add_task(send)
    return Answer(result="accepted")
