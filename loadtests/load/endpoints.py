"""The endpoints of the twin apps as Locust tasks: a function each, which makes its request."""

from __future__ import annotations

import re
from itertools import count
from random import Random
from typing import ClassVar

from locust.env import Environment

from loadtests.load.lean.websocket import WebSocket
from loadtests.load.users import LeanUser

# What shared_models/seed.py puts into the database; a test keeps the two equal.
USERS = 200

POSTS = 4_000

FRONT_PAGE = 20
"""Posts that everyone reads, with `cached`."""

PICTURE = 256 * 1024
"""Bytes of the file that `upload` sends."""

FORM = (
    b'--duel\r\nContent-Disposition: form-data; name="file"; filename="picture.jpg"\r\n'
    b"Content-Type: image/jpeg\r\n\r\n" + bytes(range(256)) * (PICTURE // 256) + b"\r\n--duel--\r\n"
)
FORM_HEADERS = {"Content-Type": "multipart/form-data; boundary=duel"}

MESSAGES = 20
"""Of one connection of `websocket`."""


class Visitor(LeanUser):
    """A user of the twin apps, with its own random sequence, the same for every arm of a round."""

    abstract = True
    scenario: ClassVar[str]
    writes: ClassVar[bool] = False
    seed: ClassVar[int] = 0
    names: ClassVar[str] = "0"
    numbers: ClassVar[count[int]] = count()
    """Part of the users' names: differs between the processes that share a load."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.number = next(self.numbers)
        self.random = Random(f"{self.seed}/{self.number}")
        self.fresh = count()
        self.socket: WebSocket | None = None
        self.messages = 0
        """How many its WebSocket will still carry."""

    @classmethod
    def begin(cls, seed: int, names: str, part: int = 0, parts: int = 1) -> None:
        """Restart the users' random sequences, as every load does. `names`: what no other load of a server
        has, for what must not come twice; equal seeds may."""
        cls.seed = seed
        cls.names = re.sub(r"[^\w.]", "-", names)
        cls.numbers = count(part, parts)

    def on_stop(self) -> None:
        """A WebSocket is closed when its user stops, so at the end of every slice: an arm that is not loaded
        has no open connection, whose pings would be work beside the load of another arm."""
        if self.socket is not None:
            self.socket.close()
        super().on_stop()

    def email(self) -> str:
        """An address that no other user of this trial signs up with, nor one of another trial."""
        return f"visitor{self.names}.{self.number}.{next(self.fresh)}@example.org"


def users_read(user: Visitor) -> None:
    user.client.get(f"/users/{user.random.randint(1, USERS)}", name="users.read")


def users_list(user: Visitor) -> None:
    user.client.get("/users", name="users.list")


def users_create(user: Visitor) -> None:
    body = {"name": "A visitor", "email": user.email()}
    user.client.post("/users", name="users.create", json=body)


def users_update(user: Visitor) -> None:
    path = f"/users/{user.random.randint(1, USERS)}"
    user.client.patch(path, name="users.update", json={"name": "A renamed author"})


def posts_read(user: Visitor) -> None:
    user.client.get(f"/posts/{user.random.randint(1, POSTS)}", name="posts.read")


def posts_list(user: Visitor) -> None:
    user.client.get("/posts", name="posts.list")


def posts_create(user: Visitor) -> None:
    body = {
        "title": "A new post",
        "body": "It waits, or it computes. " * 10,
        "author_id": user.random.randint(1, USERS),
        "published_on": "2026-01-01",
    }
    user.client.post("/posts", name="posts.create", json=body)


def posts_replace(user: Visitor) -> None:
    body = {
        "title": "A better post",
        "body": "It computes, then it waits. " * 10,
        "author_id": user.random.randint(1, USERS),
        "published_on": "2026-01-01",
    }
    path = f"/posts/{user.random.randint(1, POSTS)}"
    user.client.put(path, name="posts.replace", json=body)


def posts_update(user: Visitor) -> None:
    path = f"/posts/{user.random.randint(1, POSTS)}"
    user.client.patch(path, name="posts.update", json={"title": "A better title"})


def pages_home(user: Visitor) -> None:
    user.client.get("/pages", name="pages.home")


def pages_post(user: Visitor) -> None:
    user.client.get(f"/pages/posts/{user.random.randint(1, POSTS)}", name="pages.post")


def ping(user: Visitor) -> None:
    user.client.get("/ping", name="ping")


def sleep(user: Visitor) -> None:
    user.client.get("/sleep", name="sleep")


def upstream(user: Visitor) -> None:
    user.client.get("/upstream", name="upstream")


def fan_out(user: Visitor) -> None:
    user.client.get("/fan-out", name="fan-out")


def file(user: Visitor) -> None:
    user.client.get("/file", name="file")


def report(user: Visitor) -> None:
    user.client.get("/report", name="report")


def background(user: Visitor) -> None:
    user.client.post("/background", name="background", json={"recipient": "reader@example.org"})


def python(user: Visitor) -> None:
    user.client.get("/python", name="python")


def hash(user: Visitor) -> None:
    user.client.get("/hash", name="hash")


def crunch(user: Visitor) -> None:
    user.client.get("/crunch", name="crunch")


def image(user: Visitor) -> None:
    user.client.get("/image", name="image")


def checkout(user: Visitor) -> None:
    body = {"user_id": user.random.randint(1, USERS), "post_id": user.random.randint(1, POSTS)}
    user.client.post("/checkout", name="checkout", json=body)


def blocking(user: Visitor) -> None:
    user.client.get("/pitfalls/blocking", name="blocking")


def offloaded(user: Visitor) -> None:
    user.client.get("/pitfalls/offloaded", name="offloaded")


def process(user: Visitor) -> None:
    user.client.get("/pitfalls/process", name="process")


def file_inline(user: Visitor) -> None:
    user.client.get("/pitfalls/file-inline", name="file-inline")


def plain_client(user: Visitor) -> None:
    user.client.get("/pitfalls/plain-client", name="plain-client")


def session_blocking(user: Visitor) -> None:
    path = f"/pitfalls/session-blocking/{user.random.randint(1, POSTS)}"
    user.client.get(path, name="session-blocking")


def executor(user: Visitor) -> None:
    user.client.get("/pitfalls/executor", name="executor")


def dependencies(user: Visitor) -> None:
    user.client.get("/plumbing/dependencies", name="dependencies")


def stream(user: Visitor) -> None:
    user.client.get("/plumbing/stream", name="stream")


def stream_lines(user: Visitor) -> None:
    user.client.get("/plumbing/stream-lines", name="stream-lines")


def upload(user: Visitor) -> None:
    user.client.post("/plumbing/upload", name="upload", data=FORM, headers=FORM_HEADERS)


def websocket(user: Visitor) -> None:
    """One message. A user's first connection is of any length: all users would connect again together."""
    if not user.messages or user.socket is None or not user.socket.open:
        user.messages = MESSAGES if user.socket is not None else user.random.randint(1, MESSAGES)
        if user.socket is not None:
            user.socket.close()
        user.socket = user.client.websocket("/plumbing/websocket", name="websocket")
    user.messages -= 1
    user.socket.ask("Is there a seat by the window?")


def posts_list_plain(user: Visitor) -> None:
    user.client.get("/plumbing/list-plain", name="posts.list-plain")


def session_dependency(user: Visitor) -> None:
    path = f"/pitfalls/session-dependency/{user.random.randint(1, POSTS)}"
    user.client.get(path, name="session-dependency")


def cached(user: Visitor) -> None:
    user.client.get(f"/services/cached/{user.random.randint(1, FRONT_PAGE)}", name="cached")


def enqueue(user: Visitor) -> None:
    user.client.post("/services/enqueue", name="enqueue", json={"recipient": "reader@example.org"})
