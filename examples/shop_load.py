"""Load for the shop: Locust users like any others. The names of the classes are the scenarios."""

from random import randint

from locust import FastHttpUser, task

from loadtests.client import LeanUser


class Reader(LeanUser):
    """Looks at articles. The lean client takes 13 µs a request, so that it measures the shop, not itself."""

    @task
    def read_article(self) -> None:
        self.client.get(f"/articles/{randint(1, 100)}", name="read_article")


class Buyer(FastHttpUser):
    """Orders now and then, with Locust's own client: it takes 90 µs a request, and is told apart by that."""

    @task(3)
    def read_article(self) -> None:
        self.client.get(f"/articles/{randint(1, 100)}", name="read_article")

    @task(1)
    def create_order(self) -> None:
        self.client.post("/orders", json={"article": randint(1, 100), "count": 3}, name="create_order")
