"""The SQL of both apps, as functions that return statements: written once, hence identical.

Every relationship that is read has its `selectinload`, since tables.py forbids lazy loading.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, Select, func, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import selectinload
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from shared_models.tables import Post, User


class Characters(FunctionElement[int]):
    """The number of characters of a text: `length`, which counts bytes on MySQL."""

    inherit_cache = True
    type = Integer()


@compiles(Characters)
def length(element: Characters, compiler: SQLCompiler, **options: Any) -> str:
    return f"length({compiler.process(element.clauses, **options)})"


@compiles(Characters, "mysql")
def char_length(element: Characters, compiler: SQLCompiler, **options: Any) -> str:
    return f"char_length({compiler.process(element.clauses, **options)})"


def user(user_id: int) -> Select[User]:
    """One user by key."""
    return select(User).where(User.id == user_id)


def users(limit: int, offset: int) -> Select[User]:
    """A page of users, oldest first."""
    return select(User).order_by(User.id).limit(limit).offset(offset)


def post(post_id: int) -> Select[Post]:
    """One post by key, with its author."""
    return select(Post).where(Post.id == post_id).options(selectinload(Post.author))


def posts(limit: int, offset: int) -> Select[Post]:
    """A page of posts, newest first, with their authors."""
    return (
        select(Post).order_by(Post.id.desc()).limit(limit).offset(offset).options(selectinload(Post.author))
    )


def posts_of(user_id: int, limit: int, offset: int) -> Select[Post]:
    """A page of one author's posts, newest first, with the author."""
    return posts(limit, offset).where(Post.author_id == user_id)


def report() -> Select[*tuple[Any, ...]]:
    """Count and length of every author's posts: reads the whole table, and the database does the work."""
    return (
        select(
            User.id.label("author_id"),
            User.name,
            func.count(Post.id).label("posts"),
            func.sum(Characters(Post.body)).label("characters"),
            func.max(Characters(Post.body)).label("longest"),
            func.min(Post.published_on).label("first_published"),
            func.max(Post.published_on).label("last_published"),
        )
        .join(Post, Post.author_id == User.id)
        .group_by(User.id, User.name)
        .order_by(func.sum(Characters(Post.body)).desc(), User.id)
        .limit(10)
    )
