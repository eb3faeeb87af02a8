"""Request and response bodies, and the types of parameters."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from shared_models.tables import Post

# PostgreSQL's text holds any character but NUL.
TEXT = r"^[^\x00]*$"
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=80, pattern=TEXT)]
Email = Annotated[str, StringConstraints(max_length=120, pattern=r"^[^@\s\x00]+@[^@\s\x00]+\.[^@\s\x00]+$")]
Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120, pattern=TEXT)]
Body = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=TEXT)]

# Ids and numbers that SQLite's 64-bit integers can hold; anything else is a 422, not a 500.
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
PathId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Limit = Annotated[int, Query(ge=1, le=100)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
Seconds = Annotated[float, Query(ge=0, le=5)]


class Incoming(BaseModel):
    """A request body; unknown fields are rejected with 422."""

    model_config = ConfigDict(extra="forbid")


class UserIn(Incoming):
    name: Name
    email: Email


class UserChange(Incoming):
    """The fields that PATCH may change; those left out stay as they are."""

    name: Name = Field(default="")
    email: Email = Field(default="")


class PostIn(Incoming):
    title: Title
    body: Body
    author_id: Id
    published_on: date = Field(default_factory=date.today)


class PostChange(Incoming):
    """The fields that PATCH may change; those left out stay as they are."""

    title: Title = Field(default="")
    body: Body = Field(default="")
    published_on: date = Field(default_factory=date.today)


class CheckoutIn(Incoming):
    user_id: Id
    post_id: Id


class MailIn(Incoming):
    recipient: Email


class Outgoing(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class UserOut(Outgoing):
    id: int
    name: str
    email: str


class PostOut(Outgoing):
    id: int
    title: str
    body: str
    published_on: date
    author: UserOut


def post_json(post: Post) -> bytes:
    """A post as JSON, as PostOut writes it."""
    return PostOut.model_validate(post).model_dump_json().encode()


def plain_post(post: Post) -> dict[str, Any]:
    """What PostOut makes of a post, by hand."""
    author = post.author
    return {
        "id": post.id,
        "title": post.title,
        "body": post.body,
        "published_on": post.published_on.isoformat(),
        "author": {"id": author.id, "name": author.name, "email": author.email},
    }


class OrderOut(Outgoing):
    id: int
    user_id: int
    post_id: int
    receipt: str


class AuthorReport(Outgoing):
    """One row of the heavy report: count and length of an author's posts."""

    author_id: int
    name: str
    posts: int
    characters: int
    longest: int
    first_published: date
    last_published: date


class Answer(Outgoing):
    """The result of an endpoint that computes or waits."""

    result: str
