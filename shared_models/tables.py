"""The tables of the blog, for Session and AsyncSession alike.

Every relationship is `lazy="raise"`: what a route reads, its query loads. A forgotten
`selectinload` is then an error in either style, not a hidden query in one and
`MissingGreenlet` in the other.
"""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text
from sqlalchemy.dialects.mysql import MEDIUMTEXT
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The metadata of all tables."""

    # 64 bits everywhere, as for ids in the API; SQLite generates ids only for columns of type INTEGER.
    type_annotation_map = {int: BigInteger().with_variant(Integer(), "sqlite")}  # noqa: RUF012  # SQLAlchemy reads a plain dict


class User(Base):
    """An author of posts."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(String(120), unique=True)

    # The database cascades (passive_deletes), so deleting an author loads no posts.
    posts: Mapped[list[Post]] = relationship(
        back_populates="author", cascade="all, delete-orphan", passive_deletes=True, lazy="raise"
    )


class Post(Base):
    """A blog post; it is deleted with its author."""

    __tablename__ = "posts"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(120))
    # MySQL's TEXT ends at 64 KB, before 20,000 characters of four bytes.
    body: Mapped[str] = mapped_column(Text().with_variant(MEDIUMTEXT(), "mysql"))
    published_on: Mapped[date]
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)

    author: Mapped[User] = relationship(back_populates="posts", lazy="raise")


class Order(Base):
    """Written by `checkout`: a reader bought a printed post, and this is the receipt."""

    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id", ondelete="CASCADE"), index=True)
    receipt: Mapped[str] = mapped_column(String(64))


class Mail(Base):
    """Written by `background` after its response: a mail that was sent."""

    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    recipient: Mapped[str] = mapped_column(String(120))
