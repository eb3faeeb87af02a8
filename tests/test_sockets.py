"""WebSockets on the server's side, and what reports say of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket

from loadtests.measure.answers.answering import Handler, finder
from loadtests.serving.inside import loading, middleware, serve, sockets
from loadtests.serving.inside.frameworks import routes
from loadtests.serving.inside.hybrid.app import HybridApp, JoinedApp
from loadtests.serving.inside.pending import Pending
from reports.analysis.readings import Readings
from reports.conclusions import conclude
from reports.wording.advice.cards import card_lines
from tests import scripted
from tests.asgi import conversed
from tests.conftest import InPatched
from tests.scripted import Scripted


def talking(name: str) -> FastAPI:
    app = FastAPI()

    @app.get("/talk")
    async def read() -> str:
        return name

    @app.websocket("/talk")
    @app.websocket("/rooms/{room}")
    async def talk(socket: WebSocket, room: str = "") -> None:
        await socket.accept()
        async for message in socket.iter_text():
            await socket.send_text(f"{name}{room}: {message}")

    return app


def joined(*table: str) -> HybridApp:
    """A hybrid whose second app has the routes of the table."""
    sides = ((talking("default"), ()), (talking("other"), table))
    return HybridApp(*(JoinedApp(app, loading.interface(app), routes.routes(app), of) for app, of in sides))


@pytest.mark.parametrize(
    ("table", "owners"),
    [
        ("/talk", ("other", "default")),
        ("WEBSOCKET /talk", ("other", "default")),
        ("WEBSOCKET /rooms/{id}", ("default", "other")),
        ("GET /talk", ("default", "default")),
    ],
)
def test_a_web_socket_belongs_to_the_app_of_a_hybrid_whose_table_names_its_route(
    table: str, owners: tuple[str, str]
) -> None:
    hybrid = joined(table)
    for path, room, owner in zip(("/talk", "/rooms/7"), ("", "7"), owners, strict=True):
        assert conversed(hybrid, path, ["hello"]) == ["websocket.accept", f"{owner}{room}: hello"]


def test_the_routes_of_web_sockets_are_told_from_those_of_requests_at_the_same_path() -> None:
    told = [(methods, path) for methods, path, *_ in routes.places(talking("app")) if path == "/talk"]
    assert told == [(["GET"], "/talk"), (["WEBSOCKET"], "/talk")]


NOTED = """
import json
from loadtests.load.inquiry import Notebook
from loadtests.load.lean.websocket import KIND, SocketAnswer, fill

answer = SocketAnswer()
fill(answer, b"hello")
book = Notebook("http://127.0.0.1:80")
book.note(KIND, "say", 5, answer, "http://127.0.0.1:80/talk?room=1")
print(json.dumps(book.answers))
"""


def test_what_users_are_told_over_web_sockets_is_compared_and_leads_to_its_route(
    in_patched: InPatched,
) -> None:
    (noted,) = json.loads(in_patched(NOTED))
    assert (noted["status"], noted["text"]) == (101, "hello")
    handlers = [Handler(*place) for place in routes.places(talking("app"))]
    found = finder(handlers)(noted["method"], noted["path"])
    assert found in handlers
    assert found is not None
    assert (found.methods, found.path) == (["WEBSOCKET"], "/talk")


def test_a_web_socket_passes_whatever_is_in_front_of_an_app() -> None:
    """Both kinds of middleware, a refusal of writes, the pulse."""
    hybrid: Any = joined("WEBSOCKET /talk")
    whole = middleware.behind(hybrid, "asgi3", 1, 1)
    fronted = serve.fronted(whole, "asgi3", serve.parsed(["a:b", "--reads-only", "--pulse", "/talk"]))
    assert conversed(fronted, "/talk", ["hello"]) == ["websocket.accept", "other: hello"]


def test_messages_that_an_app_has_not_received_are_not_counted_as_work_that_it_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    class Protocol(asyncio.Protocol):
        def __init__(self) -> None:
            self.queue: asyncio.Queue[str] = asyncio.Queue()
            self.queue.put_nowait("a message")

    pending = Pending()
    # Only the queues of this test: the class is not to be patched here.
    monkeypatch.setattr(sockets, "protocol_of", lambda _: noted(Protocol()))

    def noted(protocol: Protocol) -> Protocol:
        pending.queues.members.add(protocol.queue)
        return protocol

    own: asyncio.Queue[str] = asyncio.Queue()
    own.put_nowait("a mail")
    pending.queues.members.add(own)
    served = [sockets.protocols(pending.forget)() for _ in range(3)]
    assert pending.counts()[0] == 1
    monkeypatch.setattr(sockets, "protocol_of", lambda _: sockets.Refusing())
    assert isinstance(sockets.protocols(pending.forget)(), sockets.Refusing)
    assert len(served) == 3


def test_a_card_about_web_sockets_says_what_def_stands_for(tmp_path: Path) -> None:
    plan = scripted.plan(cells=[("websocket", 64), ("sleep", 64)])
    run, directory = scripted.run(
        tmp_path, plan, lambda arm, *_: Scripted(requests=1000 if arm == "sync" else 500)
    )
    cards = conclude(run, Readings(directory)).cards
    told = {
        card.scenario: any("takes a WebSocket route" in line for line in card_lines(card)) for card in cards
    }
    assert told == {"websocket": True, "sleep": False}
