"""Somebody's own scenarios, stock Locust users among them."""

from locust import FastHttpUser, HttpUser, SequentialTaskSet, constant, events, task

from loadtests.client import LeanUser

begun: list[int] = []
print("a locustfile may print")


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust has no types there
def note(**_: object) -> None:
    begun.append(1)


class Stock(HttpUser):
    """Locust's usual user, who logs in first."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self.token = self.client.get("/login").text

    @task
    def look(self) -> None:
        if not self.token or not begun:
            raise RuntimeError("not logged in, or no test has started")
        self.client.get("/ping", name="look")


class Fast(FastHttpUser):
    @task
    def look(self) -> None:
        self.client.get("/ping", name="look")


class Thinker(LeanUser):
    """Waits a while between two requests."""

    wait_time = constant(0.02)

    @task
    def look(self) -> None:
        self.client.get("/ping", name="look")


class Sequence(HttpUser):
    @task
    class Steps(SequentialTaskSet):
        @task
        def first(self) -> None:
            self.client.get("/ping")


class Reading(LeanUser):
    """Wants more of an answer than a server that does nothing gives."""

    @task
    def look(self) -> None:
        if not self.client.get("/count", name="look").json() >= 0:
            raise RuntimeError("no count")


class Wanderer(HttpUser):
    """Goes wherever it is sent."""

    @task
    def look(self) -> None:
        self.client.get("/away", name="away")


class Crashing(LeanUser):
    @task
    def look(self) -> None:
        raise RuntimeError("a fault of the scenario's")
