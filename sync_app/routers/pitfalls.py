"""What people write by mistake, or to repair a mistake: labelled, so that it can be measured."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from time import sleep
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session

from shared_models import queries, work
from shared_models.errors import found
from shared_models.schemas import Answer, PathId, PostOut, Seconds
from shared_models.tables import Post
from sync_app.database import Reading
from sync_app.upstream import PlainSlowService

router = APIRouter(prefix="/pitfalls", tags=["pitfalls"])

Iterations = Annotated[int, Query(ge=1, le=5_000_000)]


# `async def` in both apps: it waits for nothing, and as `def` it would cost a thread hop.
async def get_processes(request: Request) -> ProcessPoolExecutor:
    return request.state.processes  # type: ignore[no-any-return]  # lifespan state is untyped


Processes = Annotated[ProcessPoolExecutor, Depends(get_processes)]


def get_session(sessions: Reading) -> Iterator[Session]:
    """The textbook session: open until the response is sent."""
    with sessions() as session:
        yield session


@router.get("/blocking")
def block(seconds: Seconds = 0.02) -> Answer:
    """A blocking call in the route, as from a library that has no asynchronous face. Expect no harm in
    `def`; in `async def` it stops the whole app."""
    sleep(seconds)
    return Answer(result="slept")


@router.get("/offloaded")
def offload(seconds: Seconds = 0.02) -> Answer:
    """`blocking`, repaired: the call runs on a pool thread. Expect a tie, since the 40 tokens bound it in
    either style."""
    sleep(seconds)
    return Answer(result="slept")


@router.get("/process")
def compute_in_process(processes: Processes, iterations: Iterations = work.PYTHON_ITERATIONS) -> Answer:
    """`python`, repaired: another process computes, so neither GIL nor loop is held here. Expect the hop
    between processes to cost more than it gains where there is no core to gain."""
    result = processes.submit(work.python, iterations).result()
    return Answer(result=str(result))


@router.get("/file-inline", response_class=Response)
def read_file_inline(request: Request) -> Response:
    """A blocking read in the route. Expect async ahead, as long as the disk is quick: the read is shorter
    than the way to a thread."""
    return Response(request.state.settings.document.read_bytes(), media_type="text/plain")


@router.get("/plain-client")
def call_upstream_plainly(upstream: PlainSlowService, seconds: Seconds = 0.02) -> Answer:
    """`upstream` through httpx as it comes. Expect async to fall behind as calls in flight grow, since
    its pool slows down with them."""
    return Answer(result=upstream.call(seconds))


@router.get("/session-dependency/{post_id}", response_model=PostOut)
def read_post_textbook(post_id: PathId, session: Annotated[Session, Depends(get_session)]) -> Post:
    """`posts.read` with the textbook session. With more requests in flight than threads and connections
    together expect the sync twin to wedge: finished requests hold connections while they wait for a second
    thread, the others hold the threads."""
    row = session.scalar(queries.post(post_id))
    return found(row, "Post")
