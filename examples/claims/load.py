"""The users of all claims. The names of the classes are the scenarios, chosen by `-s`."""

from locust import HttpUser, task

from loadtests.load.users import LeanUser


class Hello(LeanUser):
    """A route that does nothing. The lean client costs 13 µs per request."""

    @task
    def hello(self) -> None:
        self.client.get("/hello", name="hello")


class HelloByLocust(HttpUser):
    """The same with Locust's default client, which costs several times what the route does."""

    @task
    def hello(self) -> None:
        self.client.get("/hello", name="hello")


class Compute(LeanUser):
    """A route that computes for 20 ms."""

    @task
    def compute(self) -> None:
        self.client.get("/compute", name="compute")


class Wait50(LeanUser):
    """A route that waits for 50 ms."""

    @task
    def wait_50(self) -> None:
        self.client.get("/wait/50", name="wait 50 ms")


class Wait300(LeanUser):
    """A route that waits for 300 ms."""

    @task
    def wait_300(self) -> None:
        self.client.get("/wait/300", name="wait 300 ms")


class Workflows(LeanUser):
    """A list of 50 objects."""

    @task
    def workflows(self) -> None:
        self.client.get("/workflows", name="workflows")


class Items(LeanUser):
    """A route with three dependencies."""

    @task
    def items(self) -> None:
        self.client.get("/items", name="items")
