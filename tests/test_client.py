"""The lean client against real and hostile servers; in a child process, since Locust patches sockets."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.nginx import NGINX, nginx
from loadtests.plan import Arm, Serving
from loadtests.processes import OUR_PACKAGES
from loadtests.servers import Server, Surroundings

TALK = """
import json, sys
from locust.env import Environment
from loadtests.client import Client

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
    answers.append([response.status_code, response.text, response.headers])
print(json.dumps({"answers": answers, "fired": fired}))
"""

Ask = tuple[str, str, dict[str, Any]]


def talk(url: str, *asks: Ask) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", TALK, url, json.dumps(asks)],
        env={**os.environ, **OUR_PACKAGES},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@contextmanager
def scripted_server(*replies: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that sends the next reply, whatever it is asked, and closes after `CLOSE`."""
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
        listener.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept(); close() would not
        listener.close()
        thread.join(10)
        assert not thread.is_alive()


def ok(body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(body), body)


@pytest.mark.parametrize("http", ["httptools", "h11"])
def test_it_speaks_with_both_of_uvicorns_parsers(around: Surroundings, http: Any) -> None:
    arm = Arm(name=http, app="async_app.main:create_app", serving=Serving(http=http))
    new = {"name": "Ada", "email": "ada@example.org"}
    with Server(arm, around, f"c.{http}") as server:
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


def test_one_connection_serves_many_requests() -> None:
    with scripted_server(ok(b"a"), ok(b"b"), ok(b"c")) as (url, heard):
        said = talk(url, ("GET", "/1", {}), ("GET", "/2", {}), ("GET", "/3", {}))
    assert [answer[1] for answer in said["answers"]] == ["a", "b", "c"]
    assert [line.split(b"\r\n")[0] for line in heard] == [b"GET /%d HTTP/1.1" % n for n in (1, 2, 3)]


def test_an_answer_in_chunks_and_pieces_is_put_together() -> None:
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Enc|PAUSE|oding: chunked\r\n\r\n"
        b"5\r\nhel|PAUSE|lo\r\n6\r\n world\r\n0\r\n\r\n"
    )
    with scripted_server(chunked, ok(b"next")) as (url, _):
        said = talk(url, ("GET", "/", {}), ("GET", "/", {}))
    assert [answer[1] for answer in said["answers"]] == ["hello world", "next"]


def test_an_interim_answer_is_not_the_answer() -> None:
    with scripted_server(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b"real")) as (url, _):
        said = talk(url, ("GET", "/", {}))
    assert said["answers"] == [[200, "real", {"content-length": "4"}]]


def test_a_server_that_closes_gets_a_new_connection() -> None:
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
def test_a_malformed_answer_is_a_failure_and_the_user_goes_on(reply: bytes, kind: str) -> None:
    with scripted_server(reply, ok(b"fine")) as (url, _):
        said = talk(url, ("GET", "/bad", {}), ("GET", "/good", {}))
    assert said["fired"][0][0] == "/bad"
    assert said["fired"][0][1] in kind.split("|")
    assert said["fired"][1] == ["/good", None]


def test_an_answer_without_a_length_ends_with_its_stream() -> None:
    with scripted_server(b"HTTP/1.1 200 OK\r\n\r\nall of itCLOSE", ok(b"next")) as (url, _):
        said = talk(url, ("GET", "/", {}), ("GET", "/", {}))
    assert [answer[1] for answer in said["answers"]] == ["all of it", "next"]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_an_answer_without_a_body_leaves_the_connection_in_use(status: bytes) -> None:
    with scripted_server(b"HTTP/1.1 %s\r\n\r\n" % status, ok(b"next")) as (url, heard):
        said = talk(url, ("GET", "/", {}), ("GET", "/", {}))
    assert [answer[0] for answer in said["answers"]] == [int(status[:3]), 200]
    assert len(heard) == 2


def test_a_head_has_the_length_of_a_body_and_no_body() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with scripted_server(head, ok(b"body"), head) as (url, _):
        said = talk(url, ("HEAD", "/", {}), ("GET", "/", {}), ("HEAD", "/", {}))
    assert [answer[:2] for answer in said["answers"]] == [[200, ""], [200, "body"], [200, ""]]
    assert said["answers"][0][2]["content-length"] == "1000"


def test_query_headers_and_bodies_are_sent_as_given() -> None:
    with scripted_server(ok(b""), ok(b"")) as (url, heard):
        talk(
            url + "/base",
            ("GET", "/a?b=1", {"params": {"q": "x y", "n": 2}, "headers": {"X-Token": "t"}}),
            ("PUT", "/c", {"json": {"k": [1]}}),
        )
    first, second = heard
    assert first.startswith(b"GET /base/a?b=1&q=x+y&n=2 HTTP/1.1\r\n")
    assert b"\r\nX-Token: t\r\n" in first
    assert second.startswith(b"PUT /base/c HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n" in second
    assert second.endswith(b'\r\n\r\n{"k": [1]}')


def test_a_large_body_arrives_whole() -> None:
    body = bytes(range(65, 91)) * 200_000
    with scripted_server(ok(body)) as (url, _):
        said = talk(url, ("GET", "/", {}))
    assert said["answers"][0][1].encode() == body


def test_a_connection_that_died_while_idle_is_replaced_for_what_may_be_repeated() -> None:
    """A GET is sent again and a POST is not: it may have been carried out."""
    with scripted_server(ok(b"a") + b"CLOSE", ok(b"b")) as (url, _):
        said = talk(url, ("GET", "/1", {}), ("GET", "/2", {}))
    assert [answer[1] for answer in said["answers"]] == ["a", "b"]
    with scripted_server(ok(b"a") + b"CLOSE", ok(b"b")) as (url, _):
        said = talk(url, ("GET", "/1", {}), ("POST", "/2", {"json": 1}))
    assert said["answers"][1][0] == 0
    assert said["fired"][1][1] in ("ConnectionResetError", "BrokenPipeError")


def test_a_server_that_stalls_is_given_up_at_the_time_limit_and_the_user_goes_on() -> None:
    with scripted_server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", ok(b"fine")) as (url, _):
        said = talk(url, ("GET", "/stalls", {"timeout": 0.3}), ("GET", "/goes on", {}))
    assert said["fired"][0] == ["/stalls", "TimeoutError"]
    assert said["fired"][1][1] is None


def test_a_scenario_may_judge_an_answer_itself() -> None:
    not_found = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    with scripted_server(ok(b"odd"), not_found) as (url, _):
        said = talk(url, ("GET", "/odd", {"check": "failure"}), ("GET", "/none", {"check": "success"}))
    assert said["fired"] == [["/odd", "RequestFailed"], ["/none", None]]


@pytest.mark.skipif(not NGINX and "CI" not in os.environ, reason="nginx is not installed")
def test_it_speaks_with_nginx(tmp_path: Path) -> None:
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


GATE = """
import json, sys
import gevent
from time import perf_counter
from loadtests.client import Gate

gate, passed = Gate(), []

def user(late):
    gevent.sleep(late)
    gate.wait()
    passed.append(perf_counter())

users = [gevent.spawn(user, late) for late in json.loads(sys.argv[1])]
began = perf_counter()
gate.open(int(sys.argv[2]))
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
def test_users_begin_once_all_are_there_or_nobody_comes_any_more(
    late: list[float], users: int, least: float
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", GATE, json.dumps(late), str(users)],
        env={**os.environ, **OUR_PACKAGES}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["took"] >= least
    assert told["before"] == 0
    assert told["all"] == len(late)


def test_a_connection_that_died_before_it_was_used_is_replaced() -> None:
    """Opened ahead of the load, closed by the server: not a failure of the app."""
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
        "from loadtests.client import Client\n"
        "client = Client(Environment(), sys.argv[1], timeout=10.0)\n"
        "client.connect()\n"
        "time.sleep(0.2)\n"
        "print(client.get('/').text)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, f"http://127.0.0.1:{listener.getsockname()[1]}"],
        env={**os.environ, **OUR_PACKAGES}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    thread.join(10)
    listener.close()
    assert done.stdout == "second\n", done.stderr


@contextmanager
def answering(reply: bytes, keeps: bool) -> Iterator[str]:
    """A server that gives everybody the same answer, and keeps connections or does not."""

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
def test_a_canary_connects_ahead_only_where_connections_are_kept(keeps: bool, connected: int) -> None:
    """Idle connections would block a worker that serves one at a time."""
    code = (
        "import sys\n"
        "from loadtests.canary import Canary\n"
        "from loadtests.locustfiles import canary_user\n"
        "canary = Canary(sys.argv[1], canary_user('/health'))\n"
        "canary.arrivals.connect(20)\n"
        "print(sum(user.client.connection is not None for user in canary.arrivals.idle))\n"
    )
    with answering(ok(b"fine", b"" if keeps else b"Connection: close\r\n"), keeps) as url:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, url],
            env={**os.environ, **OUR_PACKAGES}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.stdout == f"{connected}\n", done.stderr
