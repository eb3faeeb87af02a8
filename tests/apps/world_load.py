"""A locustfile with a state, options and listeners of its own, and rows that are no HTTP requests."""

from itertools import count
from random import random
from time import perf_counter, time
from types import SimpleNamespace
from typing import Any

from gevent import sleep
from gevent.pool import Group
from locust import FastHttpUser, LoadTestShape, User, events, task
from locust.exception import StopUser

ACCOUNTS = ["ada", "grace"]
NUMBERS = count()
DRAWN: list[float] = []


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust has no types there
def options(parser: Any) -> None:
    parser.add_argument("--journal", default="")
    parser.add_argument("--tenant", default="none", env_var="WORLD_TENANT")


def journal(environment: Any, line: str) -> None:
    with open(environment.parsed_options.journal, "a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def listen(name: str) -> None:
    @getattr(events, name).add_listener  # type: ignore[untyped-decorator]  # as above
    def note(environment: Any, **_: Any) -> None:
        seen = {"init": environment.runner is not None, "quitting": DRAWN[:1]}
        journal(environment, f"{name} {environment.parsed_options.tenant} {seen.get(name, '')}")


for event in ("quitting", "init", "test_start", "test_stop"):
    listen(event)


class Account(FastHttpUser):
    """Two users need all accounts that there are."""

    weight = 3

    def on_start(self) -> None:
        DRAWN.append(random())
        self.account = ACCOUNTS.pop()

    @task
    def look(self) -> None:
        self.client.get(f"/{self.account}", name="look")


class Ending(FastHttpUser):
    """Ends once its data is used up."""

    fixed_count = 1

    @task
    def look(self) -> None:
        if next(NUMBERS) >= 20:
            raise StopUser
        self.client.get("/", name="look")


class Firing(FastHttpUser):
    """Fires rows of its own."""

    abstract = True

    def fire(
        self, name: str, took: float | None, length: Any = None, exception: Exception | None = None
    ) -> None:
        """In milliseconds."""
        self.environment.events.request.fire(
            request_type="ROW",
            name=name,
            response_time=took,
            response_length=length,
            exception=exception,
            context={},
        )


class Rows(Firing):
    """A transaction over two requests, and a pushed message."""

    @task
    def steps(self) -> None:
        began = perf_counter()
        self.client.get("/", name="step")
        self.client.get("/", name="step")
        self.fire("transaction", (perf_counter() - began) * 1000)
        self.fire("pushed", None)


class OddRows(Firing):
    """A transaction in a transaction, and rows with values that no request has."""

    @task
    def steps(self) -> None:
        outer = perf_counter()
        self.client.get("/", name="step")
        inner = perf_counter()
        self.client.get("/", name="step")
        self.client.get("/", name="step")
        self.fire("inner", (perf_counter() - inner) * 1000)
        self.fire("outer", (perf_counter() - outer) * 1000)
        self.fire("negative", -3.0, length=-1)
        self.fire("worded", 0.0, length="many")
        self.fire("broken", None, exception=ValueError("no time"))


class Browser(FastHttpUser):
    """Requests parts of a page at once."""

    @task
    def page(self) -> None:
        parts = Group()
        for _ in range(3):
            parts.spawn(self.client.get, "/", name="part")
        parts.join()


class Watcher(User):
    """Reads each response for 5 ms after its head came in 1 ms; `requests` reports the time of the head."""

    abstract = True

    def read(self, before: float = 0.0, after: float = 0.005) -> None:
        """In seconds, what is read before the row comes and after it."""
        began = time()
        sleep(0.001 + before)
        self.environment.events.request.fire(
            request_type="GET", name="stream", response_time=1.0, response_length=0, exception=None,
            response=SimpleNamespace(status_code=200, _content=False), start_time=began,
        )  # fmt: skip
        sleep(after)


class Streaming(Watcher):
    """Its row comes at the head."""

    @task
    def watch(self) -> None:
        self.read()


class StreamingWithin(Watcher):
    """In a `with` block, whose row comes at its end and still has the head's time."""

    @task
    def watch(self) -> None:
        self.read(before=0.005, after=0.0)


class Stages(LoadTestShape):
    def tick(self) -> None: ...
