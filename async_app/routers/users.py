"""Users: create, read, list, replace, update, delete."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter
from sqlalchemy.exc import IntegrityError

from async_app.database import Reading, Writing
from shared_models import queries
from shared_models.errors import EmailTaken, found
from shared_models.schemas import Limit, Offset, PathId, PostOut, UserChange, UserIn, UserOut
from shared_models.tables import Post, User

router = APIRouter(prefix="/users", tags=["users"])


@router.post("", status_code=HTTPStatus.CREATED, response_model=UserOut)
async def create_user(user: UserIn, sessions: Writing) -> User:
    """A sign-up: one insert. Expect sync ahead on SQLite, which allows one writer at a time."""
    row = User(**user.model_dump())
    async with sessions() as session:
        session.add(row)
        try:
            await session.commit()
        except IntegrityError:
            raise EmailTaken from None
    return row


@router.get("", response_model=list[UserOut])
async def list_users(sessions: Reading, limit: Limit = 50, offset: Offset = 0) -> Sequence[User]:
    """A member list: one query, many rows. Building the objects dominates: expect a tie."""
    async with sessions() as session:
        rows = await session.scalars(queries.users(limit, offset))
        return rows.all()


@router.get("/{user_id}", response_model=UserOut)
async def read_user(user_id: PathId, sessions: Reading) -> User:
    """One row by key: the smallest database read. Expect the driver's overhead to decide."""
    async with sessions() as session:
        row = await session.get(User, user_id)
    return found(row, "User")


@router.get("/{user_id}/posts", response_model=list[PostOut])
async def list_posts_of_user(
    user_id: PathId, sessions: Reading, limit: Limit = 50, offset: Offset = 0
) -> Sequence[Post]:
    """A profile: checks that the author exists, then lists posts with their author. Expect a tie, as for any
    list whose objects cost more than its queries."""
    async with sessions() as session:
        found(await session.get(User, user_id), "User")
        rows = await session.scalars(queries.posts_of(user_id, limit, offset))
        return rows.all()


@router.put("/{user_id}", response_model=UserOut)
async def replace_user(user_id: PathId, user: UserIn, sessions: Writing) -> User:
    """A member saves the settings: read, then write, in one transaction that takes the lock first. Expect
    sync ahead on SQLite, a tie on PostgreSQL."""
    async with sessions() as session:
        row = found(await session.get(User, user_id, with_for_update=True), "User")
        row.name, row.email = user.name, user.email
        try:
            await session.commit()
        except IntegrityError:
            raise EmailTaken from None
    return row


@router.patch("/{user_id}", response_model=UserOut)
async def update_user(user_id: PathId, change: UserChange, sessions: Writing) -> User:
    """One setting changes: like replace, for the fields that were sent. Expect the same as for replace."""
    async with sessions() as session:
        row = found(await session.get(User, user_id, with_for_update=True), "User")
        for field, value in change.model_dump(exclude_unset=True).items():
            setattr(row, field, value)
        try:
            await session.commit()
        except IntegrityError:
            raise EmailTaken from None
    return row


@router.delete("/{user_id}", status_code=HTTPStatus.NO_CONTENT)
async def delete_user(user_id: PathId, sessions: Writing) -> None:
    """A member leaves, and the database deletes the posts too (cascade). Expect the same as for replace."""
    async with sessions() as session:
        row = found(await session.get(User, user_id, with_for_update=True), "User")
        await session.delete(row)
        await session.commit()
