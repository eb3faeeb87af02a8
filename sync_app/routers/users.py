"""Users: create, read, list, replace, update, delete."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import APIRouter
from sqlalchemy.exc import IntegrityError

from shared_models import queries
from shared_models.errors import EmailTaken, found
from shared_models.schemas import Limit, Offset, PathId, PostOut, UserChange, UserIn, UserOut
from shared_models.tables import Post, User
from sync_app.database import Reading, Writing

router = APIRouter(prefix="/users", tags=["users"])


@router.post("", status_code=HTTPStatus.CREATED, response_model=UserOut)
def create_user(user: UserIn, sessions: Writing) -> User:
    """A sign-up: one insert. Expect sync ahead on SQLite, which allows one writer at a time."""
    row = User(**user.model_dump())
    with sessions() as session:
        session.add(row)
        try:
            session.commit()
        except IntegrityError:
            raise EmailTaken from None
    return row


@router.get("", response_model=list[UserOut])
def list_users(sessions: Reading, limit: Limit = 50, offset: Offset = 0) -> Sequence[User]:
    """A member list: one query, many rows. Building the objects dominates: expect a tie."""
    with sessions() as session:
        rows = session.scalars(queries.users(limit, offset))
        return rows.all()


@router.get("/{user_id}", response_model=UserOut)
def read_user(user_id: PathId, sessions: Reading) -> User:
    """One row by key: the smallest database read. Expect the driver's overhead to decide."""
    with sessions() as session:
        row = session.get(User, user_id)
    return found(row, "User")


@router.get("/{user_id}/posts", response_model=list[PostOut])
def list_posts_of_user(
    user_id: PathId, sessions: Reading, limit: Limit = 50, offset: Offset = 0
) -> Sequence[Post]:
    """A profile: checks that the author exists, then lists posts with their author. Expect a tie, as for any
    list whose objects cost more than its queries."""
    with sessions() as session:
        found(session.get(User, user_id), "User")
        rows = session.scalars(queries.posts_of(user_id, limit, offset))
        return rows.all()


@router.put("/{user_id}", response_model=UserOut)
def replace_user(user_id: PathId, user: UserIn, sessions: Writing) -> User:
    """A member saves the settings: read, then write, in one transaction that takes the lock first. Expect
    sync ahead on SQLite, a tie on PostgreSQL."""
    with sessions() as session:
        row = found(session.get(User, user_id, with_for_update=True), "User")
        row.name, row.email = user.name, user.email
        try:
            session.commit()
        except IntegrityError:
            raise EmailTaken from None
    return row


@router.patch("/{user_id}", response_model=UserOut)
def update_user(user_id: PathId, change: UserChange, sessions: Writing) -> User:
    """One setting changes: like replace, for the fields that were sent. Expect the same as for replace."""
    with sessions() as session:
        row = found(session.get(User, user_id, with_for_update=True), "User")
        for field, value in change.model_dump(exclude_unset=True).items():
            setattr(row, field, value)
        try:
            session.commit()
        except IntegrityError:
            raise EmailTaken from None
    return row


@router.delete("/{user_id}", status_code=HTTPStatus.NO_CONTENT)
def delete_user(user_id: PathId, sessions: Writing) -> None:
    """A member leaves, and the database deletes the posts too (cascade). Expect the same as for replace."""
    with sessions() as session:
        row = found(session.get(User, user_id, with_for_update=True), "User")
        session.delete(row)
        session.commit()
