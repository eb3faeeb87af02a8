"""Common mistakes and their fixes, labelled as such, so that they can be measured."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from time import sleep
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm import Session as BlockingSession

from shared_models import queries, work
from shared_models.errors import found
from shared_models.schemas import Answer, PathId, PostOut, Seconds
from shared_models.tables import Post
from sync_app.database import Reading
from sync_app.upstream import PlainSlowService

router = APIRouter(prefix="/pitfalls", tags=["pitfalls"])

Iterations = Annotated[int, Query(ge=1, le=5_000_000)]


# `async def` in both apps: they never wait, and as `def` each would cost a thread hop.
async def get_processes(request: Request) -> ProcessPoolExecutor:
    return request.state.processes  # type: ignore[no-any-return]  # lifespan state is untyped


async def get_threads(request: Request) -> ThreadPoolExecutor:
    return request.state.threads  # type: ignore[no-any-return]  # lifespan state is untyped


async def get_blocking(request: Request) -> sessionmaker[BlockingSession]:
    return request.state.blocking  # type: ignore[no-any-return]  # lifespan state is untyped


Processes = Annotated[ProcessPoolExecutor, Depends(get_processes)]
Threads = Annotated[ThreadPoolExecutor, Depends(get_threads)]
Blocking = Annotated[sessionmaker[BlockingSession], Depends(get_blocking)]


def get_session(sessions: Reading) -> Iterator[Session]:
    """The session as tutorials show it: open until the response has been sent."""
    with sessions() as session:
        yield session


@router.get("/blocking")
def block(seconds: Seconds = 0.02) -> Answer:
    """A blocking call in the route, as from a library without an async API. Expect no harm in `def`; in
    `async def` it stops the whole app."""
    sleep(seconds)
    return Answer(result="slept")


@router.get("/offloaded")
def offload(seconds: Seconds = 0.02) -> Answer:
    """`blocking`, fixed: the call runs on a pool thread. Expect a tie, since the 40 thread tokens limit both
    styles."""
    sleep(seconds)
    return Answer(result="slept")


@router.get("/process")
def compute_in_process(processes: Processes, iterations: Iterations = work.PYTHON_ITERATIONS) -> Answer:
    """`python`, fixed: another process computes, so neither the GIL nor the event loop is held here. Without
    a spare core, expect the hand-over between processes to cost more than it gains."""
    result = processes.submit(work.python, iterations).result()
    return Answer(result=str(result))


@router.get("/file-inline", response_class=Response)
def read_file_inline(request: Request) -> Response:
    """A blocking read in the route. Expect async ahead as long as the disk is fast: the read takes less time
    than a thread hop."""
    return Response(request.state.settings.document.read_bytes(), media_type="text/plain")


@router.get("/plain-client")
def call_upstream_plainly(upstream: PlainSlowService, seconds: Seconds = 0.02) -> Answer:
    """`upstream` through httpx's default transport. Expect async to fall behind as concurrent calls grow,
    since its connection pool slows down with them."""
    return Answer(result=upstream.call(seconds))


@router.get("/session-dependency/{post_id}", response_model=PostOut)
def read_post_textbook(post_id: PathId, session: Annotated[Session, Depends(get_session)]) -> Post:
    """`posts.read` with the session from a dependency. With more requests in flight than threads and
    connections together, expect the sync app to deadlock: finished requests hold connections while they
    wait for a second thread, and the requests that hold the threads wait for connections."""
    row = session.scalar(queries.post(post_id))
    return found(row, "Post")


@router.get("/session-blocking/{post_id}", response_model=PostOut)
def read_post_blocking(post_id: PathId, sessions: Blocking) -> Post:
    """`posts.read` with a blocking Session in the route, as in many async apps. Expect async ahead on SQLite,
    where a read is shorter than a thread hop, and everything else to wait for it; a slower database stops
    the whole app."""
    with sessions() as session:
        row = session.scalar(queries.post(post_id))
    return found(row, "Post")


@router.get("/executor")
def wait_in_own_pool(threads: Threads, seconds: Seconds = 0.02) -> Answer:
    """`offloaded`, in a thread pool of the app's own. Expect async ahead with more users than the 40 thread
    tokens, which do not limit this pool; in `def` each request holds a token and a thread."""
    threads.submit(sleep, seconds).result()
    return Answer(result="slept")
