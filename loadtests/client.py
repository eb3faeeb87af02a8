"""A lean HTTP client for Locust users.

A slow generator flips verdicts: Locust's own clients spend 90 to 390 µs on a request, more than many
endpoints do. This one keeps one connection per user, waits on gevent's hub directly and parses with
llhttp (httptools), and still fires Locust's `request` event, so that Locust's UI, statistics and
listeners work as ever.
"""

from __future__ import annotations

import errno
import json
import socket
import time
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import gevent
import httptools
from gevent import monkey
from greenlet import getcurrent
from locust import User

if TYPE_CHECKING:
    from locust.env import Environment

# Locust patches socket.socket; waiting on the hub ourselves needs the real one.
RealSocket: type[socket.socket] = monkey.get_original("socket", "socket")
READ, WRITE = 1, 2
CHUNK = 65_536
WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS)


class RequestFailed(Exception):
    """The answer was an HTTP error."""


class Unfinished(Exception):
    """The request was still unanswered when its user's time to stop was over: its latency is censored."""


class Response:
    """One answer; also the parser's callbacks, so that nothing is copied twice."""

    __slots__ = ("chunks", "complete", "raw_headers", "status_code")

    def __init__(self) -> None:
        self.status_code = 0
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.complete = False

    @property
    def content(self) -> bytes:
        """The body."""
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case."""
        return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self.raw_headers}

    @property
    def ok(self) -> bool:
        return 200 <= self.status_code < 400

    def json(self) -> Any:
        return json.loads(self.content)


class Connection:
    """One keep-alive connection: bytes out, one Response in."""

    def __init__(self, host: str, port: int) -> None:
        self.hub = gevent.get_hub()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = RealSocket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.hub.loop.io(self.socket.fileno(), READ)
        self.writer = self.hub.loop.io(self.socket.fileno(), WRITE)
        try:
            self._connect((host, port))
        except BaseException:
            self.close()
            raise
        self.parser = httptools.HttpResponseParser(self)
        self.response = Response()
        self.reusable = True

    def _connect(self, address: tuple[str, int]) -> None:
        code = self.socket.connect_ex(address)
        if code in WOULD_BLOCK:
            self._wait(self.writer)
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode.get(code, "unknown error"))

    def _wait(self, watcher: Any) -> None:
        watcher.start(getcurrent().switch)
        try:
            self.hub.switch()
        finally:
            watcher.stop()

    def exchange(self, request: bytes) -> Response:
        """Send `request`, wait for the whole answer. Raises OSError, httptools.HttpParserError."""
        response = self.response = Response()
        sent = 0
        while True:
            try:
                sent += self.socket.send(request[sent:] if sent else request)
            except BlockingIOError:
                self._wait(self.writer)
            if sent == len(request):
                break
        while not response.complete:
            self._wait(self.reader)
            try:
                data = self.socket.recv(CHUNK)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection")
            self.parser.feed_data(data)
        return response

    def close(self) -> None:
        self.reader.stop()
        self.writer.stop()
        self.reader.close()
        self.writer.close()
        self.socket.close()

    # httptools calls these while it parses.
    def on_header(self, name: bytes, value: bytes) -> None:
        self.response.raw_headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.response.chunks.append(body)

    def on_message_complete(self) -> None:
        self.response.status_code = self.parser.get_status_code()
        # 1xx answers are news of the real one to come.
        if self.response.status_code >= 200:
            self.response.complete = True
            # Only here: once the message is over, llhttp no longer knows.
            self.reusable = self.parser.should_keep_alive()
        else:
            self.response.raw_headers.clear()


class Client:
    """What a user calls: `client.get("/posts/1", name="posts.read")`."""

    def __init__(self, environment: Environment, base_url: str) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"the lean client speaks http://host:port only, not {base_url!r}")
        self.address = (parts.hostname, parts.port or 80)
        self.environment = environment
        self.fire = environment.events.request.fire
        self.base_url = base_url.rstrip("/")
        self.prefix = parts.path.rstrip("/")
        self.tail = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
        self.connection: Connection | None = None

    def get(self, path: str, **options: Any) -> Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        return self.request("POST", path, **options)

    def put(self, path: str, **options: Any) -> Response:
        return self.request("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Response:
        return self.request("DELETE", path, **options)

    def request(
        self,
        method: str,
        path: str,
        *,
        name: str | None = None,
        json: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """One request, reported to Locust as `name` (the path without one).

        Never raises for what the server does: a failure is a Response with `status_code` 0 or the
        error's own, and an exception in the request event, as with Locust's own clients.
        """
        message = self._message(method, path, json, headers)
        response = Response()
        failure: Exception | None = None
        wall = time.time()
        start = perf_counter()
        try:
            connection = self.connection
            if connection is None:
                connection = self.connection = Connection(*self.address)
            response = connection.exchange(message)
            end = perf_counter()
            if not connection.reusable:
                self.close()
            if response.status_code >= 400:
                failure = RequestFailed(f"{response.status_code} for {name or path}")
        except (OSError, httptools.HttpParserError) as error:
            end = perf_counter()
            failure = error
            self.close()
        except gevent.GreenletExit:
            self.close()
            # Who stops at once, as Locust does unless told otherwise, does not want to hear of it.
            if self.environment.stop_timeout:
                self._report(method, path, name, wall, perf_counter() - start, response, Unfinished())
            raise
        self._report(method, path, name, wall, end - start, response, failure)
        return response

    def _message(self, method: str, path: str, body: Any, headers: dict[str, str] | None) -> bytes:
        head = f"{method} {self.prefix}{path}{self.tail}"
        if headers:
            head += "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        if body is None:
            return f"{head}\r\n".encode("latin-1")
        content = json.dumps(body).encode()
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        return head.encode("latin-1") + content

    def _report(
        self,
        method: str,
        path: str,
        name: str | None,
        wall: float,
        seconds: float,
        response: Response,
        failure: Exception | None,
    ) -> None:
        self.fire(
            request_type=method,
            name=name or path,
            response_time=seconds * 1000.0,
            response_length=sum(map(len, response.chunks)),
            response=response,
            context={},
            exception=failure,
            start_time=wall,
            url=self.base_url + path,
        )

    def close(self) -> None:
        """Drop the connection; the next request opens a new one."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class LeanUser(User):
    """A Locust user whose `self.client` is the lean client."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if not self.host:
            raise ValueError("no host: pass --host http://127.0.0.1:PORT")
        self.client = Client(environment, self.host)

    def on_stop(self) -> None:
        self.client.close()
