"""Users who wait between requests, in every way that locustfiles have."""

import time
from typing import Any

from locust import HttpUser, TaskSet, between, constant, constant_pacing, constant_throughput, task

from loadtests.load.users import LeanUser


class Asking(LeanUser):
    abstract = True

    @task
    def home(self) -> None:
        self.client.get("/", name="home")


class Eager(Asking):
    """Does not wait."""


class Person(Asking):
    wait_time = between(1, 3)


class Paced(Asking):
    wait_time = constant_throughput(0.5)


class Steps(Asking):
    wait_time = constant_pacing(0.25)


class Short(Asking):
    wait_time = constant(0.1)


class Moody(Asking):
    """Its own function asks for what only a running user has."""

    def wait_time(self) -> float:
        return 0.1 if self.client.waited else 0.2


class Visit(LeanUser):
    """Its task set waits, the user itself does not."""

    @task
    class Pages(TaskSet):
        wait_time = constant(0.5)

        @task
        def page(self) -> None:
            self.client.get("/", name="page")


class Sleeper(HttpUser):
    """Sleeps inside its task, longer than its trial waits at the end."""

    @task
    def browse(self) -> None:
        self.client.get("/", name="browse")
        time.sleep(5.0)


class Napper(HttpUser):
    """Sleeps inside its task, for a moment."""

    @task
    def browse(self) -> Any:
        self.client.get("/", name="browse")
        time.sleep(0.05)
