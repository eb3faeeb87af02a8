"""A user's own scenarios, including stock Locust users."""

from locust import FastHttpUser, HttpUser, SequentialTaskSet, constant, events, task

from loadtests.load.users import LeanUser

begun: list[int] = []
print("a locustfile may print")


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust has no types there
def note(**_: object) -> None:
    begun.append(1)


class Stock(HttpUser):
    """A standard Locust user that logs in first."""

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
    """Waits between requests."""

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
    """Expects more of a response than a server that does nothing sends."""

    @task
    def look(self) -> None:
        if not self.client.get("/count", name="look").json() >= 0:
            raise RuntimeError("no count")


class Wanderer(HttpUser):
    """Follows every redirect."""

    @task
    def look(self) -> None:
        self.client.get("/away", name="away")


class Weighted(FastHttpUser):
    """Requests one path three times as often as the other."""

    @task(3)
    def page(self) -> None:
        self.client.get("/")

    @task
    def people(self) -> None:
        self.client.get("/people")


class Crashing(LeanUser):
    @task
    def look(self) -> None:
        raise RuntimeError("a fault of the scenario's")
