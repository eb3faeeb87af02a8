"""The lean client against real and hostile servers, in a child process since Locust patches sockets."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.nginx import NGINX, nginx
from loadtests.plan.arms import Arm, Serving
from loadtests.serving.environment import ServingEnvironment
from loadtests.serving.server import Server
from tests.conftest import InPatched

TALK = """
import json, sys
from locust.env import Environment
from loadtests.load.lean.client import Client

environment = Environment(stop_timeout=1)
fired = []
environment.events.request.add_listener(
    lambda name, exception, response_time, **_: fired.append([name, exception and type(exception).__name__])
)
client = Client(environment, sys.argv[1], timeout=20.0)
answers = []
for method, path, options in json.loads(sys.argv[2]):
    check = options.pop("check", None)
    if check is None:
        response = client.request(method, path, **options)
    else:
        with client.request(method, path, catch_response=True, **options) as response:
            getattr(response, check)(*["wrong"] if check == "failure" else [])
    answers.append([response.status_code, response.text, response.headers, response.resent])
client.close()
print(json.dumps({"answers": answers, "fired": fired}))
"""

Ask = tuple[str, str, dict[str, Any]]
Talk = Callable[..., dict[str, Any]]


@pytest.fixture
def talk(in_patched: InPatched) -> Talk:
    """Makes requests of a server: the answers, and Locust's events."""

    def ask(url: str, *asks: Ask) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(in_patched(TALK, url, json.dumps(asks)))
        return result

    return ask


@contextmanager
def scripted_server(*replies: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends the next reply to any request, and closes the connection after `CLOSE`."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def answer() -> None:
        pending = list(replies)
        while pending:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                while pending:
                    try:
                        asked = connection.recv(65_536)
                    except OSError:
                        break
                    if not asked:
                        break
                    heard.append(asked)
                    reply = pending.pop(0)
                    for piece in reply.split(b"|PAUSE|"):
                        connection.sendall(piece.replace(b"CLOSE", b""))
                    if reply.endswith(b"CLOSE"):
                        break

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # wakes a thread blocked in accept(); close() would not
        listener.close()
        thread.join(10)
        assert not thread.is_alive()


def ok(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(body), body)


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_it_works_with_both_of_uvicorns_parsers(
    talk: Talk, environment: ServingEnvironment, http: Any
) -> None:
    arm = Arm(name=http, app="async_app.main:create_app", serving=Serving(http=http))
    new = {"name": "Ada", "email": "ada@example.org"}
    with Server(arm, environment, f"c.{http}") as server:
        said = talk(
            server.url,
            ("GET", "/users/1", {"name": "users.read"}),
            ("POST", "/users", {"json": new}),
            ("GET", "/posts?limit=100", {}),
            ("DELETE", "/users/1", {}),
            ("GET", "/users/1", {}),
        )
    statuses = [answer[0] for answer in said["answers"]]
    assert statuses == [200, 201, 200, 204, 404]
    assert json.loads(said["answers"][0][1])["name"] == "Author 1"
    assert json.loads(said["answers"][1][1])["email"] == "ada@example.org"
    assert len(json.loads(said["answers"][2][1])) == 100
    assert said["answers"][0][2]["content-type"] == "application/json"
    assert said["fired"][0] == ["users.read", None]
    assert said["fired"][4] == ["/users/1", "RequestFailed"]


def test_one_connection_serves_many_requests(talk: Talk) -> None:
    with scripted_server(ok(b"a"), ok(b"b"), ok(b"c")) as (url, heard):
        said = talk(url, ("GET", "/1", {}), ("GET", "/2", {}), ("GET", "/3", {}))
    assert [answer[1] for answer in said["answers"]] == ["a", "b", "c"]
    assert [line.split(b"\r\n")[0] for line in heard] == [b"GET /%d HTTP/1.1" % n for n in (1, 2, 3)]


def test_a_chunked_and_fragmented_response_is_reassembled(talk: Talk) -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Enc|PAUSE|oding: chunked\r\n\r\n"
        b"5\r\nhel|PAUSE|lo\r\n6\r\n world\r\n0\r\n\r\n"
    )
    with scripted_server(chunked, ok(b"next")) as (url, _):
        said = talk(url, ("GET", "/", {}), ("GET", "/", {}))
    assert [answer[1] for answer in said["answers"]] == ["hello world", "next"]


def test_an_interim_response_is_not_the_response(talk: Talk) -> None:
    with scripted_server(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b"real")) as (url, _):
        said = talk(url, ("GET", "/", {}))
    assert said["answers"] == [[200, "real", {"content-length": "4"}, False]]


def test_a_server_that_closes_gets_a_new_connection(talk: Talk) -> None:
    replies = ok(b"a", b"Connection: close\r\n") + b"CLOSE", ok(b"b")
    with scripted_server(*replies) as (url, _):
        said = talk(url, ("GET", "/", {}), ("GET", "/", {}))
    assert [answer[0] for answer in said["answers"]] == [200, 200]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"garbage\r\n\r\nCLOSE", "HttpParserInvalidStatusLineError|HttpParserError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshortCLOSE", "ConnectionResetError"),
        (b"CLOSE", "ConnectionResetError"),
    ],
)
def test_a_malformed_response_is_a_failure_and_the_user_continues(
    talk: Talk, reply: bytes, kind: str
) -> None:
    with scripted_server(reply, ok(b"fine")) as (url, _):
        said = talk(url, ("GET", "/bad", {}), ("GET", "/good", {}))
    assert said["fired"][0][0] == "/bad"
    assert said["fired"][0][1] in kind.split("|")
    assert said["fired"][1] == ["/good", None]


def test_an_answer_without_a_length_ends_with_its_stream(talk: Talk) -> None:
    with scripted_server(b"HTTP/1.1 200 OK\r\n\r\nall of itCLOSE", ok(b"next")) as (url, _):
        said = talk(url, ("GET", "/", {}), ("GET", "/", {}))
    assert [answer[1] for answer in said["answers"]] == ["all of it", "next"]


def test_a_server_that_goes_on_in_another_protocol_is_a_failure(talk: Talk) -> None:
    switching = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    with scripted_server(switching + b"CLOSE", ok(b"fine")) as (url, _):
        said = talk(url, ("GET", "/bad", {}), ("GET", "/good", {}))
    assert said["fired"] == [["/bad", "HttpParserUpgrade"], ["/good", None]]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_leaves_the_connection_in_use(talk: Talk, status: bytes) -> None:
    with scripted_server(b"HTTP/1.1 %s\r\n\r\n" % status, ok(b"next")) as (url, heard):
        said = talk(url, ("GET", "/", {}), ("GET", "/", {}))
    assert [answer[0] for answer in said["answers"]] == [int(status[:3]), 200]
    assert len(heard) == 2


def test_a_head_has_the_length_of_a_body_and_no_body(talk: Talk) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with scripted_server(head, ok(b"body"), head) as (url, _):
        said = talk(url, ("HEAD", "/", {}), ("GET", "/", {}), ("HEAD", "/", {}))
    assert [answer[:2] for answer in said["answers"]] == [[200, ""], [200, "body"], [200, ""]]
    assert said["answers"][0][2]["content-length"] == "1000"


def test_query_headers_and_bodies_are_sent_as_given(talk: Talk) -> None:
    with scripted_server(ok(b""), ok(b""), ok(b"")) as (url, heard):
        talk(
            url + "/base",
            ("GET", "/a?b=1", {"params": {"q": "x y", "n": 2}, "headers": {"X-Token": "t"}}),
            ("PUT", "/c", {"json": {"k": [1]}}),
            ("POST", "/d", {"data": {"name": "Ada L", "age": 36}}),
        )
    first, second, third = heard
    assert first.startswith(b"GET /base/a?b=1&q=x+y&n=2 HTTP/1.1\r\n")
    assert b"\r\nX-Token: t\r\n" in first
    assert second.startswith(b"PUT /base/c HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n" in second
    assert second.endswith(b'\r\n\r\n{"k": [1]}')
    assert b"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 17\r\n\r\n" in third
    assert third.endswith(b"\r\n\r\nname=Ada+L&age=36")


def test_a_large_body_arrives_complete(talk: Talk) -> None:
    body = bytes(range(65, 91)) * 200_000
    with scripted_server(ok(body)) as (url, _):
        said = talk(url, ("GET", "/", {}))
    assert said["answers"][0][1].encode() == body


def test_a_connection_that_died_while_idle_is_replaced_for_repeatable_requests(talk: Talk) -> None:
    """A GET is repeated, and says so, and a POST is not: it may already have taken effect."""
    with scripted_server(ok(b"a") + b"CLOSE", ok(b"b"), ok(b"c")) as (url, _):
        said = talk(url, ("GET", "/1", {}), ("GET", "/2", {}), ("GET", "/3", {}))
    assert [answer[1] for answer in said["answers"]] == ["a", "b", "c"]
    assert [answer[3] for answer in said["answers"]] == [False, True, False]
    with scripted_server(ok(b"a") + b"CLOSE", ok(b"b")) as (url, _):
        said = talk(url, ("GET", "/1", {}), ("POST", "/2", {"json": 1}))
    assert said["answers"][1][0] == 0
    assert said["fired"][1][1] in ("ConnectionResetError", "BrokenPipeError")


def test_a_stalled_server_times_out_and_the_user_continues(talk: Talk) -> None:
    with scripted_server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ok(b"fine")) as (url, _):
        said = talk(url, ("GET", "/stalls", {"timeout": 0.3}), ("GET", "/continues", {}))
    assert said["fired"][0] == ["/stalls", "TimeoutError"]
    assert said["fired"][1][1] is None


def test_a_scenario_may_judge_a_response_itself(talk: Talk) -> None:
    not_found = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    with scripted_server(ok(b"odd"), not_found) as (url, _):
        said = talk(url, ("GET", "/odd", {"check": "failure"}), ("GET", "/none", {"check": "success"}))
    assert said["fired"] == [["/odd", "RequestFailed"], ["/none", None]]


@pytest.mark.skipif(not NGINX and "CI" not in os.environ, reason="nginx is not installed")
def test_it_works_with_nginx(talk: Talk, tmp_path: Path) -> None:
    """Keep-alive, HEAD, a file of a megabyte, errors."""
    (tmp_path / "big").write_bytes(b"n" * 2**20)
    with nginx(tmp_path, keepalive_requests=2) as url:
        said = talk(
            url,
            ("GET", "/ping", {}),
            ("HEAD", "/big", {}),
            ("GET", "/big", {}),
            ("GET", "/none", {}),
            ("POST", "/ping", {"json": {}}),
        )
    assert [answer[0] for answer in said["answers"]] == [200, 200, 200, 404, 200]
    assert len(said["answers"][2][1]) == 2**20
    assert said["answers"][1][2]["content-length"] == str(2**20)


BARRIER = """
import json, sys
import gevent
from time import perf_counter
from loadtests.load.users import StartBarrier

barrier, passed = StartBarrier("http://127.0.0.1:9"), []

def user(late):
    gevent.sleep(late)
    barrier.wait()
    passed.append(perf_counter())

users = [gevent.spawn(user, late) for late in json.loads(sys.argv[1])]
began = perf_counter()
barrier.open(int(sys.argv[2]))
opened = perf_counter()
gevent.joinall(users)
before = sum(moment < opened for moment in passed)
print(json.dumps({"took": opened - began, "before": before, "all": len(passed)}))
"""


@pytest.mark.parametrize(
    ("late", "users", "least"),
    [([0.0, 0.3, 0.6], 3, 0.6), ([0.0, 0.0], 3, 1.0), ([0.0, 0.9, 1.8], 3, 1.8)],
    ids=["all have come", "one never comes", "each within a second of the one before"],
)
def test_users_start_once_all_are_ready_or_no_more_arrive(
    in_patched: InPatched, late: list[float], users: int, least: float
) -> None:
    told = json.loads(in_patched(BARRIER, json.dumps(late), str(users)))
    assert told["took"] >= least
    assert told["before"] == 0
    assert told["all"] == len(late)


KNOCK = """
import json, sys
from time import perf_counter
from loadtests.load.lean.knock import ACCEPTED, ACCEPTED_EACH, wait_until_accepted

connections = int(sys.argv[2])
began = perf_counter()
wait_until_accepted(sys.argv[1], connections, sys.argv[3] or None)
waited, patience = perf_counter() - began, ACCEPTED + connections * ACCEPTED_EACH
print(json.dumps({"waited": waited, "patience": patience}))
"""


def test_the_load_begins_once_a_server_has_accepted_all_connections(in_patched: InPatched) -> None:
    """It accepts them in their order: when it answers on the last one, it has accepted the others."""
    accepted = 0
    with ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = listener.getsockname()
        for _ in range(5):
            open_sockets.enter_context(socket.create_connection(address))

        def answer() -> None:
            nonlocal accepted
            while accepted < 6:
                connection = open_sockets.enter_context(listener.accept()[0])
                accepted += 1
                time.sleep(0.05)
            connection.recv(65_536)
            connection.sendall(ok(b"come in"))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        told = json.loads(in_patched(KNOCK, f"http://127.0.0.1:{address[1]}", "50000", "/pulse"))
        thread.join(timeout=5.0)
    assert accepted == 6
    assert told["waited"] < told["patience"] / 2


@pytest.mark.parametrize("path", ["", "/pulse"], ids=["which has no such path", "which does not answer"])
def test_the_load_begins_after_a_time_on_a_server(in_patched: InPatched, path: str) -> None:
    """It may serve one connection after another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = json.loads(in_patched(KNOCK, f"http://127.0.0.1:{listener.getsockname()[1]}", "100", path))
    assert told["waited"] >= told["patience"]


def test_a_connection_that_died_before_it_was_used_is_replaced(in_patched: InPatched) -> None:
    """Opened ahead of the load and closed by the server: not a failure of the app."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        listener.accept()[0].close()
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(ok(b"second"))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    code = (
        "import sys, time\n"
        "from locust.env import Environment\n"
        "from loadtests.load.lean.client import Client\n"
        "client = Client(Environment(), sys.argv[1], timeout=10.0)\n"
        "client.connect()\n"
        "time.sleep(0.2)\n"
        "print(client.get('/').text)\n"
    )
    printed = in_patched(code, f"http://127.0.0.1:{listener.getsockname()[1]}")
    thread.join(10)
    listener.close()
    assert printed == "second\n"


@contextmanager
def answering(reply: bytes, keeps: bool) -> Iterator[str]:
    """A server with the same response for every request, with or without keep-alive."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self.request.recv(65_536):
                self.request.sendall(reply)
                if not keeps:
                    break

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(("keeps", "connected"), [(True, 20), (False, 0)])
def test_a_canary_connects_ahead_only_where_connections_are_kept(
    in_patched: InPatched, keeps: bool, connected: int
) -> None:
    """Idle connections would block a worker that serves one at a time."""
    code = (
        "import sys\n"
        "from loadtests.load.canary import LightRequests\n"
        "from loadtests.load.user_files import light_user\n"
        "canary = LightRequests(sys.argv[1], light_user('/health', 'canary'), 60.0, 2.0)\n"
        "canary.arrivals.connect(20)\n"
        "print(sum(user.client.connection is not None for user in canary.arrivals.idle))\n"
    )
    with answering(ok(b"fine", b"" if keeps else b"Connection: close\r\n"), keeps) as url:
        printed = in_patched(code, url)
    assert printed == f"{connected}\n"
