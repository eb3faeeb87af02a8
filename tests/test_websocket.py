"""WebSockets of the lean client against real and hostile servers, and the users of a locustfile."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from wsproto import ConnectionType
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Event, Pong, TextMessage
from wsproto.utilities import generate_accept_token

from loadtests.measure.generator import GeneratorOptions, generator
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from loadtests.system.processes import OUR_PACKAGES, OWN_BOOT, Child
from tests.conftest import APPS, InPatched
from tests.serving import app, loaded, read_samples

ASK = """
import json, sys, time
from locust.env import Environment
from loadtests.load.lean import websocket
from loadtests.load.lean.client import Client

url, asked = sys.argv[1], json.loads(sys.argv[2])
rows = []
environment = Environment(stop_timeout=1)
environment.events.request.add_listener(
    lambda request_type, name, response, response_time, exception, **_: rows.append(
        [request_type, name, response.status_code, exception and f"{type(exception).__name__}: {exception}",
         response_time is not None]
    )
)
websocket.LARGEST = 100_000
client = Client(environment, url, timeout=asked["timeout"])
if asked["ahead"]:
    client.connect()
    time.sleep(0.05)
talk = client.websocket("/talk?room=1", name="talk", headers={"X-Token": "t"})
pushed = [talk.receive().text for _ in range(asked["pushed"])]
answers = [talk.ask(message) for message in asked["messages"]]
told = {"open": talk.open, "answers": [one.text for one in answers], "pushed": pushed, "rows": rows,
        "resent": any(one.resent for one in answers), "ok": [one.ok for one in answers]}
talk.close()
websocket.LARGEST = 2**24
print(json.dumps(told))
"""

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(kind: int, content: bytes = b"", final: bool = True, mask: bool = False) -> bytes:
    """A frame of a server, which masks none."""
    assert len(content) < 126
    head = bytes([kind | (0x80 if final else 0), len(content) | (0x80 if mask else 0)])
    return head + (b"\x00\x00\x00\x00" if mask else b"") + content


ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


@contextmanager
def talker(*replies: bytes, opening: Callable[[bytes], bytes] = lambda accept: accept) -> Iterator[Any]:
    """A server that accepts a WebSocket, or sends what `opening` makes of that, and then the next reply to
    whatever comes; it closes the connection where one ends with `CLOSE`. Its address, and by connection what
    came after the handshake."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytearray] = []

    def converse(connection: socket.socket) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += (data := connection.recv(65_536))
            if not data:
                return
        assert b"GET /talk?room=1 HTTP/1.1" in asked
        assert b"x-token: t" in asked.lower()
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", asked)
        assert key is not None
        accept = b"%sSec-WebSocket-Accept: %s\r\n\r\n" % (ACCEPTED, generate_accept_token(key[1]))
        heard.append(bytearray())
        pending = [opening(accept), *replies]
        while pending:
            for piece in (reply := pending.pop(0)).split(b"|PAUSE|"):
                connection.sendall(piece.removesuffix(b"CLOSE"))
                sleep(0.01)
            if reply.endswith(b"CLOSE"):
                return
            if not (data := connection.recv(65_536)):
                return
            heard[-1] += data
        while data := connection.recv(65_536):
            heard[-1] += data

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            # A client that has seen enough resets the connection.
            with connection, suppress(OSError):
                converse(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        assert not thread.is_alive()


def said(heard: bytearray) -> list[Event]:
    """What a client has sent."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(bytes(heard))
    return list(server.events())


def ask(
    in_patched: InPatched,
    url: str,
    *messages: str,
    timeout: float = 20.0,
    pushed: int = 0,
    ahead: bool = False,
) -> dict[str, Any]:
    """What one WebSocket got for these messages, and the rows that it made."""
    asked = {"messages": messages, "timeout": timeout, "pushed": pushed, "ahead": ahead}
    told: dict[str, Any] = json.loads(in_patched(ASK, url, json.dumps(asked)))
    assert {row[0] for row in told["rows"]} == {"WS"}
    told["rows"] = [row[1:] for row in told["rows"]]
    return told


CONNECTED = ["talk connect", 101, None, True]
RIGHT = ["talk", 101, None, True]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (frame(TEXT, b"hello"), "hello"),
        (frame(BINARY, b"hello"), "hello"),
        (frame(TEXT), ""),
        (frame(TEXT, b"he", final=False) + frame(0, b"ll", final=False) + frame(0, b"o"), "hello"),
        # A letter of two bytes in two fragments.
        (frame(TEXT, b"h\xc3", final=False) + b"|PAUSE|" + frame(0, b"\xa9"), "hé"),
        (frame(PONG, b"unasked") + frame(TEXT, b"hello"), "hello"),
        (frame(TEXT, b"he", final=False) + frame(PING, b"?") + frame(0, b"llo"), "hello"),
        (b"|PAUSE|".join(bytes([one]) for one in frame(TEXT, b"hello")), "hello"),
        (b"\x82\x7e" + (60_000).to_bytes(2, "big") + b"x" * 60_000, "x" * 60_000),
    ],
    ids=["text", "binary", "empty", "fragments", "a cut letter", "a pong", "a ping", "bytes", "large"],
)
def test_an_answer_is_one_right_row_however_it_comes(
    in_patched: InPatched, reply: bytes, answer: str
) -> None:
    with talker(reply, frame(TEXT, b"next")) as (url, heard):
        told = ask(in_patched, url, "one", "two")
    assert told["answers"] == [answer, "next"]
    assert told["rows"] == [CONNECTED, RIGHT, RIGHT]
    assert told["ok"] == [True, True]
    pings = [event.payload for event in said(heard[0]) if isinstance(event, Pong)]
    assert pings == ([b"?"] if frame(PING, b"?") in reply else [])


@pytest.mark.parametrize(
    ("reply", "why", "code"),
    [
        (frame(CLOSE, (1011).to_bytes(2, "big") + b"oops"), "server closed it with code 1011: oops", 1011),
        (frame(CLOSE, (4001).to_bytes(2, "big")), "the server closed it with code 4001", 4001),
        (frame(CLOSE), "the server closed it with code 1005", 1005),
        (frame(CLOSE, b"\x03"), "FramesInvalid: CLOSE with 1 byte payload", 1002),
        (frame(CLOSE, (5).to_bytes(2, "big")), "FramesInvalid: CLOSE with invalid code", 1002),
        (b"\xff\xff\xff\xff", "FramesInvalid: ", 1002),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "FramesInvalid: ", 1002),
        (frame(TEXT, b"masked", mask=True), "FramesInvalid: client received unexpected masked", 1002),
        (frame(TEXT, b"\xff\xfe"), "FramesInvalid: 'utf-8' codec", 1007),
        (frame(PING, final=False), "FramesInvalid: Invalid attempt to fragment", 1002),
        (frame(0, b"goes on"), "FramesInvalid: unexpected CONTINUATION", 1002),
        (frame(TEXT, final=False) + frame(TEXT), "FramesInvalid: expected CONTINUATION", 1002),
        (frame(0x41, b"reserved"), "FramesInvalid: Reserved bit", 1002),
        (b"\x82\x7f" + (2**40).to_bytes(8, "big") + b"x" * 150_000, "AnswerTooLarge: more than 100000", 1009),
        (frame(TEXT, final=False) + frame(0, final=False) * 60_000, "AnswerTooLarge: more than 100000", 1009),
        (frame(TEXT, b"half of it")[:6] + b"CLOSE", "ConnectionResetError: ", None),
        (frame(TEXT, b"half", final=False) + b"CLOSE", "ConnectionResetError: ", None),
        (b"CLOSE", "ConnectionResetError: ", None),
    ],
)  # fmt: skip
def test_whatever_else_a_server_does_is_one_failed_row_and_the_user_goes_on(
    in_patched: InPatched, reply: bytes, why: str, code: int | None
) -> None:
    """Asked again, a WebSocket that is closed answers at once, and makes no row."""
    with talker(reply) as (url, heard):
        told = ask(in_patched, url, "one", "two")
    connected, failed = told["rows"]
    assert connected == CONNECTED
    assert failed[:2] == ["talk", 0]
    assert why in failed[2]
    assert (told["open"], told["ok"], told["answers"]) == (False, [False, False], ["", ""])
    closing = [int(event.code) for event in said(heard[0]) if isinstance(event, CloseConnection)]
    # A connection that was reset may lose the last frame.
    assert closing in ([code], []) if code is not None else not closing


@pytest.mark.parametrize(
    ("handshake", "status", "why"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", 403, "RequestFailed: 403 for talk connect"),
        (
            b"HTTP/1.1 501 No\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\ninstall wsprotoCLOSE",
            501, "RequestFailed: 501 for talk connect: install wsproto",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine", 200, "RequestFailed: 200 for talk connect"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 99999\r\n\r\n" + b"x" * 9_999, 403, "RequestFailed: 403"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", 103, "RequestFailed: 103"),
        (ACCEPTED + b"Sec-WebSocket-Accept: wrong\r\n\r\n", 0, "RemoteProtocolError: Bad accept token"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", 0, "RemoteProtocolError: "),
        (ACCEPTED + b"Sec-WebSocket-Protocol: \xff\r\n\r\n", 0, "Error: "),
        (b"\x16\x03\x01 garbage\r\n\r\n", 0, "RemoteProtocolError: Bad HTTP message"),
        (ACCEPTED + b"CLOSE", 0, "ConnectionResetError: "),
        (b"CLOSE", 0, "ConnectionResetError: "),
    ],
)  # fmt: skip
def test_a_handshake_that_fails_is_one_failed_row(
    in_patched: InPatched, handshake: bytes, status: int, why: str
) -> None:
    with talker(opening=lambda _: handshake) as (url, _):
        told = ask(in_patched, url, "one")
    ((name, seen, error, timed),) = told["rows"]
    assert (name, seen, timed, told["open"]) == ("talk connect", status, True, False)
    assert why in error


@pytest.mark.parametrize(
    ("kept_back", "name"), [(2, "talk connect"), (0, "talk")], ids=["in its handshake", "in a message"]
)
def test_a_server_that_stalls_is_a_failed_row_in_time(
    in_patched: InPatched, kept_back: int, name: str
) -> None:
    half = frame(TEXT, b"half", final=False)
    with talker(half, opening=lambda accept: accept[: len(accept) - kept_back]) as (url, _):
        told = ask(in_patched, url, "one", timeout=0.2)
    assert told["rows"][-1][0] == name
    assert told["rows"][-1][2].startswith("TimeoutError: ")
    assert not told["open"]


def dribbled(accept: bytes) -> bytes:
    return b"|PAUSE|".join(accept[at : at + 10] for at in range(0, len(accept), 10))


def test_a_slow_handshake_is_a_right_one(in_patched: InPatched) -> None:
    with talker(frame(TEXT, b"hello"), opening=dribbled) as (url, heard):
        told = ask(in_patched, url, "one")
    assert told["rows"] == [CONNECTED, RIGHT]
    message, closing = said(heard[0])
    assert isinstance(message, TextMessage)
    assert message.data == "one"
    assert isinstance(closing, CloseConnection)
    assert closing.code == 1000


def test_what_was_sent_before_a_question_is_not_its_answer(in_patched: InPatched) -> None:
    """It is counted, and has no response time; so is the rest of a message that had started."""
    first = frame(TEXT, b"first") + frame(TEXT, b"news") + frame(TEXT, b"more ", final=False)
    with talker(first, frame(0, b"news") + frame(TEXT, b"second")) as (url, _):
        told = ask(in_patched, url, "one", "two")
    assert told["answers"] == ["first", "second"]
    pushed = ["talk pushed", 101, None, False]
    assert told["rows"] == [CONNECTED, RIGHT, pushed, pushed, RIGHT]


def test_a_greeting_can_be_waited_for(in_patched: InPatched) -> None:
    def opening(accept: bytes) -> bytes:
        return accept + b"|PAUSE|" + frame(TEXT, b"welcome")

    with talker(frame(TEXT, b"answer"), opening=opening) as (url, _):
        told = ask(in_patched, url, "one", pushed=1)
    assert (told["pushed"], told["answers"]) == (["welcome"], ["answer"])
    assert told["rows"] == [CONNECTED, ["talk pushed", 101, None, False], RIGHT]


def test_a_connection_that_was_opened_ahead_is_used_and_replaced_where_it_died(in_patched: InPatched) -> None:
    with talker(frame(TEXT, b"hello")) as (url, heard):
        told = ask(in_patched, url, "one", ahead=True)
    assert told["rows"] == [CONNECTED, RIGHT]
    assert len(heard) == 1

    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with listener, talker(frame(TEXT, b"hello")) as (url, _):

        def forward() -> None:
            """The first connection is closed, the second one is the talker's."""
            listener.accept()[0].close()
            here, _ = listener.accept()
            port = int(url.rpartition(":")[2])
            with here, socket.create_connection(("127.0.0.1", port)) as there:
                there.sendall(here.recv(65_536))
                here.sendall(there.recv(65_536))
                there.sendall(here.recv(65_536))
                here.sendall(there.recv(65_536))

        thread = threading.Thread(target=forward, daemon=True)
        thread.start()
        told = ask(in_patched, address, "one", ahead=True)
        thread.join(10)
    assert told["rows"] == [CONNECTED, RIGHT]


BRIEF = {"warmup": 0.05, "window": 0.3, "warmup_turns": 1, "window_turns": 1, "users": 4}

KILLED = """
import json, sys
import gevent
from locust.env import Environment
from loadtests.load.lean.client import Client

rows = []
environment = Environment(stop_timeout=1)
environment.events.request.add_listener(
    lambda name, exception, **_: rows.append([name, exception and type(exception).__name__])
)
client = Client(environment, sys.argv[1], timeout=20.0)

def user():
    talk = client.websocket("/talk?room=1", name="talk", headers={"X-Token": "t"})
    talk.ask("one")

greenlet = gevent.spawn(user)
while not rows:
    gevent.sleep(0.01)
gevent.sleep(0.05)
greenlet.kill()
print(json.dumps(rows))
"""


def test_a_message_in_flight_when_its_user_is_stopped_is_unfinished(in_patched: InPatched) -> None:
    with talker() as (url, _):
        rows = json.loads(in_patched(KILLED, url))
    assert rows == [["talk connect", None], ["talk", "Unfinished"]]


def test_the_scenario_talks_in_conversations_of_twenty_messages_to_a_server_that_does_nothing(
    locust: tuple[Child, dict[str, Any]], tmp_path: Path
) -> None:
    """So is the generator's maximum rate measured. First ones are shorter."""
    arguments = ["-m", "loadtests.serving.null_server"]
    with Child("the null server", arguments, tmp_path / "log", env=OUR_PACKAGES) as child:
        url = f"http://127.0.0.1:{child.receive(OWN_BOOT)['ready']}"
        facts = loaded(locust[0], url, tmp_path / "s.npz", scenario="websocket", **BRIEF)
    assert facts["errors"] == []
    samples = read_samples(tmp_path / "s.npz")
    counts = Counter(facts["endpoints"][number] for number in samples.endpoint.tolist())
    assert set(counts) == {"websocket connect", "websocket"}
    assert set(samples.status.tolist()) == {101}
    # Each of four users may be anywhere in its first and its last conversation.
    assert abs(counts["websocket"] - 20 * counts["websocket connect"]) <= 4 * 2 * 20
    assert counts["websocket"] > 8 * counts["websocket connect"]


def test_the_users_of_a_locustfile_talk_over_web_sockets(
    environment: ServingEnvironment, tmp_path: Path
) -> None:
    """Stock users on websocket-client that fire their own rows, and lean ones."""
    options = GeneratorOptions(locustfile=str(APPS / "socket_load.py"), canary=None)
    counts = {}
    echoing = app("echoing", "starting")
    with Server(echoing, environment, "ws.1") as server, generator(tmp_path, {}, options) as child:
        child.receive(OWN_BOOT)
        for scenario in ("Stock", "Lean"):
            facts = loaded(child, server.url, tmp_path / "s.npz", scenario=scenario, **BRIEF)
            assert facts["errors"] == []
            samples = read_samples(tmp_path / "s.npz")
            assert samples.ok.all()
            assert samples.service_time.min() > 0.0
            named = Counter(facts["endpoints"][number] for number in samples.endpoint.tolist())
            counts[scenario] = named
    assert set(counts["Stock"]) == {"say"}
    assert counts["Stock"]["say"] > 20
    assert set(counts["Lean"]) == {"say connect", "say"}
    # Each of four users may be anywhere in its last conversation.
    assert abs(counts["Lean"]["say"] - 3 * counts["Lean"]["say connect"]) <= 12
