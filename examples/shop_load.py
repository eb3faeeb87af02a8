"""Load for the shop: ordinary Locust users. The names of the classes are the scenarios."""

from random import randint

from locust import FastHttpUser, task

from loadtests.load.users import LeanUser


class Reader(LeanUser):
    """Reads articles. The lean client costs 13 µs per request, so it measures the shop rather than itself."""

    @task
    def read_article(self) -> None:
        self.client.get(f"/articles/{randint(1, 100)}", name="read_article")


class Buyer(FastHttpUser):
    """Reads articles and sometimes orders one, with Locust's own client, which costs 90 µs per request."""

    @task(3)
    def read_article(self) -> None:
        self.client.get(f"/articles/{randint(1, 100)}", name="read_article")

    @task(1)
    def create_order(self) -> None:
        self.client.post("/orders", json={"article": randint(1, 100), "count": 3}, name="create_order")
