"""I/O-bound endpoints: they wait for a timer, a service, a disk, a database."""

from __future__ import annotations

from asyncio import sleep
from http import HTTPStatus
from typing import Annotated, Any

from anyio import Path
from fastapi import APIRouter, BackgroundTasks, Query, Request, Response

from async_app.database import Reading, Writing
from async_app.upstream import SlowService
from shared_models import queries
from shared_models.schemas import Answer, AuthorReport, MailIn, Seconds
from shared_models.tables import Mail

router = APIRouter(tags=["waiting"])

Calls = Annotated[int, Query(ge=1, le=20)]


@router.get("/sleep")
async def wait_for_clock(seconds: Seconds = 0.02) -> Answer:
    """A plain wait, the textbook case. Expect sync to level off at 40 threads / `seconds`."""
    await sleep(seconds)
    return Answer(result="slept")


@router.get("/upstream")
async def call_upstream(upstream: SlowService, seconds: Seconds = 0.02) -> Answer:
    """One call to another service, the usual reason for async. Expect the HTTP client to matter as much as
    the style."""
    return Answer(result=await upstream.call(seconds))


@router.get("/fan-out")
async def call_many_upstreams(upstream: SlowService, calls: Calls = 5, seconds: Seconds = 0.02) -> Answer:
    """A page assembled from several services, called concurrently: `gather` in one style, a thread pool in
    the other. Expect the HTTP client's overhead to decide, as for `upstream`."""
    answers = await upstream.call_many(calls, seconds)
    return Answer(result=" ".join(answers))


@router.get("/file", response_class=Response)
async def read_file(request: Request) -> Response:
    """Reads 16 KB from the page cache. Expect the hand-over to a thread to cost more than the read itself."""
    path = Path(request.state.settings.document)
    return Response(await path.read_bytes(), media_type="text/plain")


@router.get("/report", response_model=list[AuthorReport])
async def report(sessions: Reading) -> Any:
    """A heavy aggregate query, as behind a dashboard: milliseconds inside the database, with the GIL
    released. Expect a tie on one core."""
    async with sessions() as session:
        rows = await session.execute(queries.report())
        return rows.all()


@router.post("/background", status_code=HTTPStatus.ACCEPTED)
async def send_mail_later(mail: MailIn, tasks: BackgroundTasks, sessions: Writing) -> Answer:
    """A sign-up that responds before its work is done: the mail is sent and logged after the response. Expect
    async to respond sooner but, with many users, background tasks to pile up; in the sync app they occupy
    the threads that serve requests."""

    async def send() -> None:
        await sleep(0.01)
        async with sessions() as session:
            session.add(Mail(recipient=mail.recipient))
            await session.commit()

    tasks.add_task(send)
    return Answer(result="accepted")
