"""Posts: create, read, list, replace, update, delete."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter

from async_app.database import Reading, Writing
from shared_models import queries
from shared_models.errors import found
from shared_models.schemas import Limit, Offset, PathId, PostChange, PostIn, PostOut
from shared_models.tables import Post, User

router = APIRouter(prefix="/posts", tags=["posts"])


@router.post("", status_code=HTTPStatus.CREATED, response_model=PostOut)
async def create_post(post: PostIn, sessions: Writing) -> Post:
    """An author publishes: check the author, insert, load the author for the response. Expect sync ahead on
    SQLite, where four awaited statements are four trips to another thread; on PostgreSQL a tie."""
    row = Post(**post.model_dump())
    async with sessions() as session:
        found(await session.get(User, post.author_id), "Author")
        session.add(row)
        await session.commit()
        await session.refresh(row, attribute_names=["author"])
    return row


@router.get("", response_model=list[PostOut])
async def list_posts(sessions: Reading, limit: Limit = 50, offset: Offset = 0) -> Sequence[Post]:
    """The front page as JSON: 50 posts with authors. Building the objects dominates: expect a tie."""
    async with sessions() as session:
        rows = await session.scalars(queries.posts(limit, offset))
        return rows.all()


@router.get("/{post_id}", response_model=PostOut)
async def read_post(post_id: PathId, sessions: Reading) -> Post:
    """One post with its author, a blog's most frequent read. Expect sync ahead on SQLite: aiosqlite uses a
    thread and a queue per connection."""
    async with sessions() as session:
        row = await session.scalar(queries.post(post_id))
    return found(row, "Post")


@router.put("/{post_id}", response_model=PostOut)
async def replace_post(post_id: PathId, post: PostIn, sessions: Writing) -> Post:
    """An editor saves the whole post: read, then write, in one transaction that takes the lock first. Expect
    the same as for create: SQLite's single writer limits both styles."""
    async with sessions() as session:
        row = found(await session.get(Post, post_id, with_for_update=True), "Post")
        found(await session.get(User, post.author_id), "Author")
        for field, value in post.model_dump().items():
            setattr(row, field, value)
        await session.commit()
        await session.refresh(row, attribute_names=["author"])
    return row


@router.patch("/{post_id}", response_model=PostOut)
async def update_post(post_id: PathId, change: PostChange, sessions: Writing) -> Post:
    """Autosave: like replace, for the fields that were sent. Expect the same as for replace."""
    async with sessions() as session:
        row = found(await session.scalar(queries.post(post_id).with_for_update()), "Post")
        for field, value in change.model_dump(exclude_unset=True).items():
            setattr(row, field, value)
        await session.commit()
    return row


@router.delete("/{post_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_post(post_id: PathId, sessions: Writing) -> None:
    """Moderation: read by key, then delete, in one transaction. Expect the same as for replace."""
    async with sessions() as session:
        row = found(await session.get(Post, post_id, with_for_update=True), "Post")
        await session.delete(row)
        await session.commit()
