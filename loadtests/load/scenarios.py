# Long: every scenario, each a class of its own.
"""The Locust users: one class per scenario. `locust -f loadtests/load/scenarios.py PostsRead` runs one.

A scenario is a weighted mix of endpoints. No think time: users are a closed loop, which measures capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from locust import TaskSet, events

from loadtests.load.endpoints import (
    Visitor,
    background,
    blocking,
    cached,
    checkout,
    crunch,
    dependencies,
    enqueue,
    executor,
    fan_out,
    file,
    file_inline,
    hash,
    image,
    offloaded,
    pages_home,
    pages_post,
    ping,
    plain_client,
    posts_create,
    posts_list,
    posts_list_plain,
    posts_read,
    posts_replace,
    posts_update,
    process,
    python,
    report,
    session_blocking,
    session_dependency,
    sleep,
    stream,
    stream_lines,
    upload,
    upstream,
    users_create,
    users_list,
    users_read,
    users_update,
    websocket,
)

Task = TaskSet | Callable[..., Any]


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust's own
def refresh_clock(**_: Any) -> None:
    """For Locust's own command, which starts its run time next: gevent's timers count from the time that its
    loop last saw, which is that before the imports. A short run would end with its first request."""
    gevent.get_hub().loop.update_now()


def mix(weights: dict[Task, int]) -> list[Task]:
    """What Locust draws from: every task as often as its weight says."""
    return [task for task, weight in weights.items() for _ in range(weight)]


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
    """One user by its number."""

    scenario = "users.read"
    tasks = [users_read]


class UsersList(Visitor):
    """A page of users."""

    scenario = "users.list"
    tasks = [users_list]


class UsersCreate(Visitor):
    """A new user with a fresh address."""

    scenario = "users.create"
    writes = True
    tasks = [users_create]


class UsersUpdate(Visitor):
    """A part of a user is changed."""

    scenario = "users.update"
    writes = True
    tasks = [users_update]


class PostsRead(Visitor):
    """One post with its author, by its number."""

    scenario = "posts.read"
    tasks = [posts_read]


class PostsList(Visitor):
    """A page of posts."""

    scenario = "posts.list"
    tasks = [posts_list]


class PostsCreate(Visitor):
    """A new post."""

    scenario = "posts.create"
    writes = True
    tasks = [posts_create]


class PostsReplace(Visitor):
    """A whole post is replaced."""

    scenario = "posts.replace"
    writes = True
    tasks = [posts_replace]


class PostsUpdate(Visitor):
    """A part of a post is changed."""

    scenario = "posts.update"
    writes = True
    tasks = [posts_update]


class PagesHome(Visitor):
    """The home page, rendered from a template."""

    scenario = "pages.home"
    tasks = [pages_home]


class PagesPost(Visitor):
    """A post as a rendered page."""

    scenario = "pages.post"
    tasks = [pages_post]


class Ping(Visitor):
    """A light route that does nothing."""

    scenario = "ping"
    tasks = [ping]


class Sleep(Visitor):
    """A timer, as while waiting for a clock."""

    scenario = "sleep"
    tasks = [sleep]


class UpstreamCall(Visitor):
    """One call to a slow service."""

    scenario = "upstream"
    tasks = [upstream]


class FanOut(Visitor):
    """Several calls to a slow service at once."""

    scenario = "fan-out"
    tasks = [fan_out]


class File(Visitor):
    """A file that is read and sent."""

    scenario = "file"
    tasks = [file]


class Report(Visitor):
    """A heavy aggregate query."""

    scenario = "report"
    tasks = [report]


class Background(Visitor):
    """A mail after the response (BackgroundTasks)."""

    scenario = "background"
    writes = True
    tasks = [background]


class Python(Visitor):
    """Computing in pure Python, which holds the GIL."""

    scenario = "python"
    tasks = [python]


class Hash(Visitor):
    """A password hash, which releases the GIL."""

    scenario = "hash"
    tasks = [hash]


class Crunch(Visitor):
    """Rows are grouped and averaged; holds the GIL."""

    scenario = "crunch"
    tasks = [crunch]


class Image(Visitor):
    """A thumbnail is made; mostly releases the GIL."""

    scenario = "image"
    tasks = [image]


class CheckoutCall(Visitor):
    """An order: the database, a slow service, and the database again."""

    scenario = "checkout"
    writes = True
    tasks = [checkout]


class Blocking(Visitor):
    """Pitfall: a blocking call inside `async def`."""

    scenario = "blocking"
    tasks = [blocking]


class Offloaded(Visitor):
    """The same call handed to a thread."""

    scenario = "offloaded"
    tasks = [offloaded]


class Process(Visitor):
    """`python` handed to a process."""

    scenario = "process"
    tasks = [process]


class FileInline(Visitor):
    """A file read inline on the event loop."""

    scenario = "file-inline"
    tasks = [file_inline]


class PlainClient(Visitor):
    """Pitfall: a slow service called with plain httpx."""

    scenario = "plain-client"
    tasks = [plain_client]


class SessionDependency(Visitor):
    """Pitfall: a session held by a dependency."""

    scenario = "session-dependency"
    tasks = [session_dependency]


class SessionBlocking(Visitor):
    """Pitfall: a blocking database session inside `async def`."""

    scenario = "session-blocking"
    tasks = [session_blocking]


class Executor(Visitor):
    """A blocking call handed to a thread pool of the app's own."""

    scenario = "executor"
    tasks = [executor]


class Dependencies(Visitor):
    """Four dependencies that hardly do anything."""

    scenario = "dependencies"
    tasks = [dependencies]


class StreamChunks(Visitor):
    """An answer in 64 chunks."""

    scenario = "stream"
    tasks = [stream]


class StreamLines(Visitor):
    """Pitfall: a file in memory that is streamed line by line."""

    scenario = "stream-lines"
    tasks = [stream_lines]


class Upload(Visitor):
    """A file of 256 KB in a form."""

    scenario = "upload"
    tasks = [upload]


class SocketTalk(Visitor):
    """Messages over a WebSocket, each with a short wait; 20 per connection."""

    scenario = "websocket"
    tasks = [websocket]


class PostsListPlain(Visitor):
    """A page of posts without a response model."""

    scenario = "posts.list-plain"
    tasks = [posts_list_plain]


class Cached(Visitor):
    """Posts of a front page, from a cache in Redis; needs --redis."""

    scenario = "cached"
    tasks = [cached]


class Enqueue(Visitor):
    """A job handed to a queue in Redis, which a worker does; needs --redis."""

    scenario = "enqueue"
    writes = True
    tasks = [enqueue]


def scenarios() -> dict[str, type[Visitor]]:
    """Every scenario by its name."""
    return {user.scenario: user for user in Visitor.__subclasses__()}
