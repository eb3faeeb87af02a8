"""Endpoints that use Redis: a cache before the database, a queue of jobs."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response

from async_app.cache import PostCache
from async_app.database import Reading
from async_app.jobs import JobQueue
from shared_models import queries
from shared_models.errors import found
from shared_models.schemas import Answer, MailIn, PathId, PostOut, post_json

router = APIRouter(prefix="/services", tags=["services"])


@router.get("/cached/{post_id}", response_model=PostOut)
async def read_post_cached(post_id: PathId, cache: PostCache, sessions: Reading) -> Response:
    """`posts.read` behind a cache in Redis, whose entries expire, as for the posts of a front page: the
    database is asked only where the cache has nothing. Expect both styles to gain, and async to gain more on
    SQLite: Redis has an asynchronous client that is none of threads."""
    key = f"posts:{post_id}"
    kept = await cache.get(key)
    if kept is None:
        async with sessions() as session:
            row = found(await session.scalar(queries.post(post_id)), "Post")
        kept = post_json(row)
        await cache.put(key, kept)
    return Response(kept, media_type="application/json")


@router.post("/enqueue", status_code=HTTPStatus.ACCEPTED)
async def enqueue_mail(mail: MailIn, queue: JobQueue) -> Answer:
    """`background` with a queue: the mail is sent by a worker beside the app, Celery's in one style, ARQ's in
    the other, so that it survives the app. Expect the queue's library to decide, and jobs to pile up where
    one worker does fewer than are handed over."""
    await queue.send_mail(mail.recipient)
    return Answer(result="accepted")
