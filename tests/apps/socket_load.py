"""Users of WebSockets: on websocket-client, as in many locustfiles, and on the lean client."""

from time import perf_counter

import websocket
from locust import User, task

from loadtests.load.users import LeanUser


class Stock(User):
    """One connection, whose messages it times itself."""

    def on_start(self) -> None:
        self.socket = websocket.create_connection(f"{self.host}/talk".replace("http", "ws", 1), timeout=20)

    def on_stop(self) -> None:
        self.socket.close()

    @task
    def say(self) -> None:
        began, failure, said = perf_counter(), None, ""
        try:
            self.socket.send("hello")
            said = str(self.socket.recv())
        except (OSError, websocket.WebSocketException) as error:
            failure = error
        self.environment.events.request.fire(
            request_type="WS", name="say", response_time=(perf_counter() - began) * 1000.0,
            response_length=len(said), exception=failure, context={},
        )  # fmt: skip


class Lean(LeanUser):
    """A connection for every three messages."""

    @task
    def say(self) -> None:
        with self.client.websocket("/talk", name="say") as socket:
            for _ in range(3):
                with socket.ask("hello", catch_response=True) as answer:
                    if answer.text != "hello":
                        answer.failure(f"not hello: {answer.text!r}")
