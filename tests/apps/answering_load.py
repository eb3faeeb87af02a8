"""What users of tests/apps/answering.py ask, with each of the clients."""

from typing import Any

from locust import FastHttpUser, HttpUser, SequentialTaskSet, User, constant, task

from loadtests.load.users import LeanUser

PLANTS = ("shedding", "items", "erring", "redirecting", "renamed", "relabelled", "emptied")
"""A crowd asks the first one together; later requests drift apart, or come too late on a slow machine."""


def look(user: Any) -> None:
    """Each path once."""
    for plant in PLANTS:
        user.client.get(f"/{plant}/7", name=plant)


def buy(user: Any) -> None:
    user.client.post("/items", name="buy", json={"name": "a pen"})


class Lean(LeanUser):
    tasks = [*[look] * 20, buy]  # noqa: RUF012  # as Locust has it


class Fast(FastHttpUser):
    wait_time = constant(5)
    tasks = [look]  # noqa: RUF012  # as above


class Stock(HttpUser):
    wait_time = constant(5)
    tasks = [look]  # noqa: RUF012  # as above


class Steps(HttpUser):
    @task
    class Both(SequentialTaskSet):
        tasks = [look, buy]  # noqa: RUF012  # as above


class Pages(LeanUser):
    @task
    def page(self) -> None:
        self.client.get("/page")


class Bodiless(LeanUser):
    @task
    def gone(self) -> None:
        self.client.get("/gone", name="gone")

    @task
    def old(self) -> None:
        self.client.get("/old", name="old")


class Foreign(User):
    """Speaks a protocol of its own."""

    @task
    def call(self) -> None:
        self.environment.events.request.fire(
            request_type="rpc", name="call", response_time=1.0, response_length=3, response=None, context={},
            exception=None,
        )  # fmt: skip
