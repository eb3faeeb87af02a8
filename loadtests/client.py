"""A lean HTTP client for Locust users.

A slow generator flips verdicts: Locust's own clients spend 90 to 390 µs on a request, more than many
endpoints do. This one keeps one connection per user, waits on gevent's hub directly and parses with
llhttp (httptools), and still fires Locust's `request` event, so that Locust's UI, statistics and
listeners work as ever.

It speaks plain HTTP/1.1 to one host and follows no redirects, keeps no cookies and unpacks nothing:
what those cost is not in its figures. Where a scenario needs them, Locust's own users are there.
"""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlencode, urlsplit
from weakref import WeakSet

import gevent
import httptools
from gevent import monkey
from gevent.event import Event
from greenlet import getcurrent
from locust import User

if TYPE_CHECKING:
    from locust.env import Environment

# Locust patches socket.socket; waiting on the hub ourselves needs the real one.
RealSocket: type[socket.socket] = monkey.get_original("socket", "socket")
READ, WRITE = 1, 2
CHUNK = 65_536
WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS)
REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""Methods that may be sent again when an idle connection turns out to be closed (RFC 9110, 9.2.2)."""
NOBODY_COMES = 1.0
"""Seconds after which no further user is waited for."""
LONGEST = 10.0
"""Seconds that the first user waits for the last one at most: some log in before they begin."""
TAKEN_UP, TAKEN_UP_EACH = 0.05, 0.0005
"""Seconds that an idle server needs to take up new connections, and for each of them."""
LOOK = 0.25
"""Seconds between two looks at who has waited too long: a timer per request would cost more than it."""


class RequestFailed(Exception):
    """The answer was an HTTP error, or the scenario's own check refused it."""


class Unfinished(Exception):
    """The request was still unanswered when its user's time to stop was over: its latency is censored."""


class Response:
    """One answer; also what the parser fills, so that nothing is copied twice.

    With `catch_response=True` it is a context manager, as in Locust: `failure("why")` or `success()`
    decide what is reported when the block ends.
    """

    __slots__ = ("_report", "chunks", "complete", "error", "raw_headers", "status_code")

    def __init__(self) -> None:
        self.status_code = 0
        """0 where there was no answer."""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.complete = False
        self.error: Exception | None = None
        """Why the request failed; None when it did not."""
        self._report: Callable[[Exception | None], None] | None = None

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
        """The body read as JSON; raises ValueError."""
        return json.loads(self.content)

    def failure(self, reason: str | Exception) -> None:
        """Report this request as failed, whatever its status."""
        self.error = reason if isinstance(reason, Exception) else RequestFailed(reason)

    def success(self) -> None:
        """Report this request as a success, whatever its status."""
        self.error = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.failure(error)
        if self._report is not None:
            self._report(self.error)
            self._report = None


class Connection:
    """One keep-alive connection: bytes out, one Response in."""

    def __init__(self, address: tuple[str, int], deadline: float) -> None:
        self.hub = gevent.get_hub()
        self.waiting: Any = None
        self.deadline = deadline
        self.used = False
        self.reusable = True
        self.bodiless = False
        self.response = Response()
        self.parser = httptools.HttpResponseParser(self)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = RealSocket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.hub.loop.io(self.socket.fileno(), READ)
        self.writer = self.hub.loop.io(self.socket.fileno(), WRITE)
        watchdog.connections.add(self)
        try:
            self._connect(address)
        except BaseException:
            self.close()
            raise

    def _connect(self, address: tuple[str, int]) -> None:
        code = self.socket.connect_ex(address)
        if code in WOULD_BLOCK:
            self._wait(self.writer)
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode.get(code, "unknown error"))

    def _wait(self, watcher: Any) -> None:
        self.waiting = current = getcurrent()
        watcher.start(current.switch)
        try:
            self.hub.switch()
        finally:
            watcher.stop()
            self.waiting = None

    def exchange(self, request: bytes, deadline: float, bodiless: bool) -> Response:
        """Send `request`, wait for the whole answer, `bodiless` for HEAD.

        Raises OSError (TimeoutError past the deadline) and httptools.HttpParserError.
        """
        self.deadline = deadline
        self.bodiless = bodiless
        response = self.response = Response()
        sent = 0
        while sent < len(request):
            try:
                sent += self.socket.send(request[sent:] if sent else request)
            except BlockingIOError:
                self._wait(self.writer)
        while not response.complete:
            self._wait(self.reader)
            try:
                data = self.socket.recv(CHUNK)
            except BlockingIOError:
                continue
            if not data:
                self._end_of_stream(response)
                break
            self.parser.feed_data(data)
        if bodiless:
            # llhttp still expects the body that a HEAD's answer announces and does not have.
            self.parser = httptools.HttpResponseParser(self)
        self.used = True
        return response

    def _end_of_stream(self, response: Response) -> None:
        """An answer of unstated length ends with the stream; any other was cut off."""
        self.reusable = False
        lengths = {name.lower() for name, _ in response.raw_headers}
        if not response.status_code or lengths & {b"content-length", b"transfer-encoding"}:
            raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection")
        response.complete = True

    @property
    def stale(self) -> bool:
        """Whether it had served before and died before the first byte of this answer."""
        return self.used and not self.response.status_code and not self.response.raw_headers

    def close(self) -> None:
        watchdog.connections.discard(self)
        self.reader.stop()
        self.writer.stop()
        self.reader.close()
        self.writer.close()
        self.socket.close()

    # httptools calls these while it parses.
    def on_header(self, name: bytes, value: bytes) -> None:
        self.response.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        # 1xx answers are news of the real one to come.
        if status < 200:
            self.response.raw_headers.clear()
            return
        self.response.status_code = status
        if self.bodiless:
            self.reusable = self.parser.should_keep_alive()
            self.response.complete = True

    def on_body(self, body: bytes) -> None:
        self.response.chunks.append(body)

    def on_message_complete(self) -> None:
        if self.response.status_code:
            self.response.complete = True
            # Only here: once the message is over, llhttp no longer knows.
            self.reusable = self.parser.should_keep_alive()


class Watchdog:
    """Ends the waits of those whose deadline is past, at the next look."""

    def __init__(self) -> None:
        self.connections: WeakSet[Connection] = WeakSet()
        self.greenlet: Any = None

    def start(self) -> None:
        if self.greenlet is None or self.greenlet.dead:
            self.greenlet = gevent.spawn(self.look)

    def look(self) -> None:
        while True:
            gevent.sleep(LOOK)
            now = perf_counter()
            for connection in list(self.connections):
                if connection.waiting is not None and connection.deadline < now:
                    late = TimeoutError(errno.ETIMEDOUT, "the server did not answer in time")
                    # From the hub, so that this greenlet goes on with the others.
                    connection.hub.loop.run_callback(connection.waiting.throw, late)


watchdog = Watchdog()


class Client:
    """What a user calls: `client.get("/posts/1", name="posts.read")`."""

    def __init__(self, environment: Environment, base_url: str, timeout: float) -> None:
        parts = urlsplit(base_url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"the lean client speaks http://host:port only, not {base_url!r}")
        self.address = (parts.hostname, parts.port or 80)
        self.environment = environment
        self.fire = environment.events.request.fire
        self.timeout = timeout
        self.base_url = base_url.rstrip("/")
        self.prefix = parts.path.rstrip("/")
        self.tail = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
        self.connection: Connection | None = None
        self.waited = False
        """Whether the last request gave others their turn, which one that failed at once did not."""
        watchdog.start()

    def connect(self) -> None:
        """Open the connection before it is needed. Where that fails, the next request tells."""
        if self.connection is None:
            with suppress(OSError):
                self.connection = Connection(self.address, perf_counter() + self.timeout)
                # What died before it was used may be replaced as what died while it was idle.
                self.connection.used = True

    def get(self, path: str, **options: Any) -> Response:
        return self.request("GET", path, **options)

    def head(self, path: str, **options: Any) -> Response:
        return self.request("HEAD", path, **options)

    def options(self, path: str, **options: Any) -> Response:
        return self.request("OPTIONS", path, **options)

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
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        catch_response: bool = False,
    ) -> Response:
        """One request, reported to Locust as `name` (the path without one).

        `json` is sent as JSON, `data` as it is; `timeout` in seconds, the user's own without one. Never
        raises for what the server does: a failure is a Response with its `error`, and with `status_code`
        0 where there was no answer, as with Locust's own clients. Statuses of 400 and above are failures.
        """
        if params:
            path += ("&" if "?" in path else "?") + urlencode(params)
        message = self._message(method, path, json, data, headers)
        wall = time.time()
        start = perf_counter()
        deadline = start + (self.timeout if timeout is None else timeout)
        try:
            response = self._exchange(method, message, deadline)
            end = perf_counter()
            self.waited = True
            if response.status_code >= 400:
                response.error = RequestFailed(f"{response.status_code} for {name or path}")
        except (OSError, httptools.HttpParserError) as error:
            end = perf_counter()
            self.waited = False
            self.close()
            response = Response()
            response.error = error
        except gevent.GreenletExit:
            self.close()
            # Who stops at once, as Locust does unless told otherwise, does not want to hear of it.
            if self.environment.stop_timeout:
                self._report(method, path, name, wall, perf_counter() - start, Response(), Unfinished())
            raise
        if catch_response:
            response._report = lambda failure: self._report(
                method, path, name, wall, end - start, response, failure
            )
        else:
            self._report(method, path, name, wall, end - start, response, response.error)
        return response

    def _exchange(self, method: str, message: bytes, deadline: float) -> Response:
        """The answer, on the connection at hand or on a new one."""
        connection = self.connection
        bodiless = method == "HEAD"
        if connection is not None:
            try:
                return self._keep(connection, connection.exchange(message, deadline, bodiless))
            except OSError as error:
                closed_while_idle = connection.stale and not isinstance(error, TimeoutError)
                if not closed_while_idle or method not in REPEATABLE:
                    raise
                self.close()
        connection = self.connection = Connection(self.address, deadline)
        return self._keep(connection, connection.exchange(message, deadline, bodiless))

    def _keep(self, connection: Connection, response: Response) -> Response:
        if not connection.reusable:
            self.close()
        return response

    def _message(
        self, method: str, path: str, body: Any, data: bytes | None, headers: Mapping[str, str] | None
    ) -> bytes:
        head = f"{method} {self.prefix}{path}{self.tail}"
        if headers:
            head += "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        if body is not None:
            data = json.dumps(body).encode()
            head += "Content-Type: application/json\r\n"
        if data is None:
            return f"{head}\r\n".encode("latin-1")
        return f"{head}Content-Length: {len(data)}\r\n\r\n".encode("latin-1") + data

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


class Gate:
    """Where users wait until all are connected.

    A server that is busy takes up new connections slowly: uvloop accepts one in every turn of its loop, and
    under 256 users who each compute for 4 ms a turn takes a second. Three in four of them would not be heard
    before the window is over.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.opened = Event()

    def wait(self) -> None:
        """Until it opens."""
        self.waiting += 1
        self.opened.wait()

    def open(self, users: int) -> None:
        """Let all go once so many wait, or nobody has come for a second: a user may have an `on_start` that
        does not lead here. They get as long as an idle server needs to take up their connections."""
        began = since = perf_counter()
        seen = self.waiting
        while self.waiting < users and perf_counter() < min(since + NOBODY_COMES, began + LONGEST):
            gevent.sleep(0.01)
            if self.waiting > seen:
                seen, since = self.waiting, perf_counter()
        gevent.sleep(TAKEN_UP + self.waiting * TAKEN_UP_EACH)
        self.opened.set()


class LeanUser(User):
    """A Locust user whose `self.client` is the lean client."""

    abstract = True
    timeout: float = 60.0
    """Seconds that a request may take."""
    gate: ClassVar[Gate | None] = None
    """Where users wait for one another, if they do."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        if not self.host:
            raise ValueError("no host: pass --host http://127.0.0.1:PORT")
        self.client = Client(environment, self.host, self.timeout)

    def on_start(self) -> None:
        """A subclass with an `on_start` of its own calls this one too, last: else its users do not begin
        together, each on a connection that is open, and pay 2 µs more a request."""
        self.client.connect()
        if self.gate is not None:
            self.gate.wait()
        # Of a closed loop; on a schedule there are no task sets, and nothing is slept between two tasks.
        if self._taskset_instance is not None:
            self._taskset_instance._sleep = self.pause  # type: ignore[method-assign]  # as meant

    def pause(self, seconds: float) -> None:
        """Wait between two tasks. Locust also yields for no time at all, so that others get their turn;
        a user that has just waited for an answer has given them theirs."""
        if seconds > 0 or not self.client.waited:
            gevent.sleep(seconds)

    def on_stop(self) -> None:
        self.client.close()
