"""The Locust users: one class per scenario. `locust -f loadtests/scenarios.py PostsRead` runs one.

An endpoint is a function that makes its request; a scenario is a weighted mix of endpoints.
No think time: users are a closed loop, which asks for capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, ClassVar

from locust import TaskSet
from locust.env import Environment

from loadtests.client import LeanUser

# What shared_models/seed.py puts into the database; a test holds the two equal.
USERS = 200
POSTS = 4_000


class Visitor(LeanUser):
    """A user of the twin apps, with a random sequence of its own that every arm sees alike."""

    abstract = True
    scenario: ClassVar[str]
    writes: ClassVar[bool] = False
    seed: ClassVar[int] = 0
    numbers: ClassVar[count[int]] = count()
    """Of the users, different in every process that makes a part of the load."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.number = next(self.numbers)
        self.random = Random(f"{self.seed}/{self.number}")
        self.fresh = count()

    @classmethod
    def begin(cls, seed: int, part: int = 0, parts: int = 1) -> None:
        """Start the users' random sequences anew, as at the start of every trial."""
        cls.seed = seed
        cls.numbers = count(part, parts)

    def email(self) -> str:
        """An address no other user of this trial signs up with."""
        return f"visitor{self.seed}.{self.number}.{next(self.fresh)}@example.org"


Endpoint = TaskSet | Callable[..., Any]


def mix(weights: dict[Endpoint, int]) -> list[Endpoint]:
    """What Locust draws from: every endpoint as often as its weight says."""
    return [endpoint for endpoint, weight in weights.items() for _ in range(weight)]


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


def session_dependency(user: Visitor) -> None:
    path = f"/pitfalls/session-dependency/{user.random.randint(1, POSTS)}"
    user.client.get(path, name="session-dependency")


class IoBound(Visitor):
    """A reading public: nine reads to one write, and now and then a call to another service."""

    scenario = "io_bound"
    writes = True
    tasks = mix(
        {
            posts_read: 40,
            posts_list: 10,
            users_read: 15,
            pages_post: 10,
            upstream: 15,
            posts_create: 5,
            users_update: 5,
        }
    )


class CpuBound(Visitor):
    """An app that computes: half of it holds the GIL, half releases it."""

    scenario = "cpu_bound"
    tasks = mix(
        {
            python: 30,
            crunch: 20,
            hash: 30,
            image: 20,
        }
    )


class Mixed(Visitor):
    """A whole site: mostly reading and waiting, with the computing that spoils the rest."""

    scenario = "mixed"
    writes = True
    tasks = mix(
        {
            ping: 10,
            posts_read: 35,
            posts_list: 8,
            users_read: 10,
            upstream: 15,
            posts_create: 5,
            checkout: 5,
            python: 7,
            hash: 5,
        }
    )


class UsersRead(Visitor):
    scenario = "users.read"
    tasks = [users_read]


class UsersList(Visitor):
    scenario = "users.list"
    tasks = [users_list]


class UsersCreate(Visitor):
    scenario = "users.create"
    writes = True
    tasks = [users_create]


class UsersUpdate(Visitor):
    scenario = "users.update"
    writes = True
    tasks = [users_update]


class PostsRead(Visitor):
    scenario = "posts.read"
    tasks = [posts_read]


class PostsList(Visitor):
    scenario = "posts.list"
    tasks = [posts_list]


class PostsCreate(Visitor):
    scenario = "posts.create"
    writes = True
    tasks = [posts_create]


class PostsReplace(Visitor):
    scenario = "posts.replace"
    writes = True
    tasks = [posts_replace]


class PostsUpdate(Visitor):
    scenario = "posts.update"
    writes = True
    tasks = [posts_update]


class PagesHome(Visitor):
    scenario = "pages.home"
    tasks = [pages_home]


class PagesPost(Visitor):
    scenario = "pages.post"
    tasks = [pages_post]


class Ping(Visitor):
    scenario = "ping"
    tasks = [ping]


class Sleep(Visitor):
    scenario = "sleep"
    tasks = [sleep]


class Upstream(Visitor):
    scenario = "upstream"
    tasks = [upstream]


class FanOut(Visitor):
    scenario = "fan-out"
    tasks = [fan_out]


class File(Visitor):
    scenario = "file"
    tasks = [file]


class Report(Visitor):
    scenario = "report"
    tasks = [report]


class Background(Visitor):
    scenario = "background"
    writes = True
    tasks = [background]


class Python(Visitor):
    scenario = "python"
    tasks = [python]


class Hash(Visitor):
    scenario = "hash"
    tasks = [hash]


class Crunch(Visitor):
    scenario = "crunch"
    tasks = [crunch]


class Image(Visitor):
    scenario = "image"
    tasks = [image]


class Checkout(Visitor):
    scenario = "checkout"
    writes = True
    tasks = [checkout]


class Blocking(Visitor):
    scenario = "blocking"
    tasks = [blocking]


class Offloaded(Visitor):
    scenario = "offloaded"
    tasks = [offloaded]


class Process(Visitor):
    scenario = "process"
    tasks = [process]


class FileInline(Visitor):
    scenario = "file-inline"
    tasks = [file_inline]


class PlainClient(Visitor):
    scenario = "plain-client"
    tasks = [plain_client]


class SessionDependency(Visitor):
    scenario = "session-dependency"
    tasks = [session_dependency]


def scenarios() -> dict[str, type[Visitor]]:
    """Every scenario by its name."""
    return {user.scenario: user for user in Visitor.__subclasses__()}
