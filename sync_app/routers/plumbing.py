"""What FastAPI itself costs: dependencies, streams, uploads, response models."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from time import sleep
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response, UploadFile, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from shared_models import queries, work
from shared_models.schemas import Answer, Limit, Offset, Seconds, plain_post
from sync_app.database import Reading

router = APIRouter(prefix="/plumbing", tags=["plumbing"])

Language = Annotated[str, Header(alias="accept-language", max_length=200)]


def get_locale(language: Language = "en") -> str:
    """The visitor's language."""
    return work.locale(language)


def get_currency(locale: Annotated[str, Depends(get_locale)]) -> str:
    """What prices are shown in."""
    return work.currency(locale)


def get_features(locale: Annotated[str, Depends(get_locale)]) -> frozenset[str]:
    """What is switched on for this visitor."""
    return work.features(locale)


def get_shop(
    currency: Annotated[str, Depends(get_currency)],
    features: Annotated[frozenset[str], Depends(get_features)],
) -> str:
    """What the route works with."""
    return work.shop(currency, features)


@router.get("/dependencies")
def depend(shop: Annotated[str, Depends(get_shop)]) -> Answer:
    """Four dependencies that compute next to nothing, as most do. Expect async ahead by far: each `def` one
    is a call on another thread, so one request makes six."""
    return Answer(result=shop)


@router.get("/stream", response_class=Response)
def stream() -> Response:
    """64 KB in 64 chunks, as an export or a chat answer. Expect async ahead by far: Starlette takes every
    chunk of a plain iterator from another thread."""

    def chunks() -> Iterator[bytes]:
        for number in range(work.CHUNKS):
            yield work.chunk(number)

    return StreamingResponse(chunks(), media_type="text/plain")


@router.get("/stream-lines", response_class=Response)
def stream_lines() -> Response:
    """A file in memory given to StreamingResponse, as many posts suggest: it is iterated line by line, each a
    message and a thread hop of its own. Expect a tie, far behind the same bytes in one Response."""
    return StreamingResponse(BytesIO(work.document()), media_type="text/csv")


@router.post("/upload")
def upload(file: UploadFile) -> Answer:
    """A picture of 256 KB in a form. The parser runs on the event loop in both styles: expect a tie, or async
    ahead, since `def` pays for two thread hops."""
    return Answer(result=work.checksum(file.file.read()))


@router.websocket("/websocket")
async def talk(socket: WebSocket, seconds: Seconds = 0.005) -> None:
    """Messages that each need a short wait, as a chat or a form that looks something up while its user types.
    FastAPI has no `def` WebSocket routes: code that blocks is handed to a thread by hand. Expect async ahead,
    by a thread hop per message, and the thread limit to bound the messages that wait at once."""
    await socket.accept()
    async for message in socket.iter_text():
        await run_in_threadpool(sleep, seconds)
        await socket.send_text(work.reply(message))


@router.get("/list-plain", response_model=None)
def list_posts_plainly(sessions: Reading, limit: Limit = 50, offset: Offset = 0) -> list[dict[str, Any]]:
    """`posts.list` without a response model: the route builds the same JSON itself. Expect both styles to
    gain what the validation of 50 posts takes."""
    with sessions() as session:
        rows = session.scalars(queries.posts(limit, offset))
        return [plain_post(row) for row in rows]
