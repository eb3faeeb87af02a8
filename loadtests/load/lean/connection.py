"""Connections that wait on gevent's hub directly; those for HTTP parse with llhttp (httptools)."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

import gevent
import httptools
from gevent import monkey
from greenlet import getcurrent

# Locust patches socket.socket; waiting on the hub ourselves needs the real one.
RealSocket: type[socket.socket] = monkey.get_original("socket", "socket")

READ, WRITE = 1, 2

CHUNK = 65_536

WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS)

POLL = 0.25
"""Seconds between two checks of deadlines: a timer per request would cost more than the request."""


class RequestFailed(Exception):
    """The response was an HTTP error, or failed the scenario's own check."""


class Unfinished(Exception):
    """The request was unanswered when its user's stop timeout ended: its latency is censored."""

    def __init__(self) -> None:
        super().__init__("cut off, since it was not answered by the end of the trial")


class Response:
    """One answer; also what the parser fills, so that nothing is copied twice.

    With `catch_response=True` it is a context manager, as in Locust: `failure("why")` or `success()`
    decide what is reported when the block ends.
    """

    __slots__ = ("_report", "chunks", "complete", "error", "raw_headers", "resent", "status_code")

    def __init__(self) -> None:
        self.status_code = 0
        """0 where there was no answer."""
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.chunks: list[bytes] = []
        self.complete = False
        self.error: Exception | None = None
        """Why the request failed; None when it did not."""
        self.resent = False
        """Whether the request was sent twice, since the connection in use was closed before an answer."""
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


class TcpStream:
    """A TCP connection of one user."""

    def __init__(self, address: tuple[str, int], deadline: float) -> None:
        self.hub = gevent.get_hub()
        self.waiting: Any = None
        self.deadline = deadline
        """When waiting ends, on perf_counter's clock."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = RealSocket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = self.hub.loop.io(self.socket.fileno(), READ)
        self.writer = self.hub.loop.io(self.socket.fileno(), WRITE)
        watchdog.streams.add(self)
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

    def send(self, data: bytes) -> None:
        """Send all of it. Raises OSError, TimeoutError past the deadline."""
        sent = 0
        while sent < len(data):
            try:
                sent += self.socket.send(data[sent:] if sent else data)
            except BlockingIOError:
                self._wait(self.writer)

    def receive(self) -> bytes:
        """Wait for bytes; b"" at the end of the stream. Raises OSError, TimeoutError past the deadline."""
        while True:
            self._wait(self.reader)
            try:
                return self.socket.recv(CHUNK)
            except BlockingIOError:
                continue

    def arrived(self) -> bytes | None:
        """The bytes that are there, b"" at the end of the stream; None where none are. Raises OSError."""
        try:
            return self.socket.recv(CHUNK)
        except BlockingIOError:
            return None

    def close(self) -> None:
        watchdog.streams.discard(self)
        self.reader.stop()
        self.writer.stop()
        self.reader.close()
        self.writer.close()
        self.socket.close()


class Connection(TcpStream):
    """One keep-alive connection: bytes out, one Response in."""

    def __init__(self, address: tuple[str, int], deadline: float) -> None:
        self.used = False
        self.reusable = True
        self.bodiless = False
        self.response = Response()
        self.parser = httptools.HttpResponseParser(self)
        super().__init__(address, deadline)

    def exchange(self, request: bytes, deadline: float, bodiless: bool) -> Response:
        """Send `request`, wait for the whole answer, `bodiless` for HEAD.

        Raises OSError (TimeoutError past the deadline), httptools.HttpParserError, and HttpParserUpgrade
        where the server switches to another protocol.
        """
        self.deadline = deadline
        self.bodiless = bodiless
        response = self.response = Response()
        self.send(request)
        while not response.complete:
            data = self.receive()
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
        """Whether it had served a request before and closed before the first byte of this answer."""
        return self.used and not self.response.status_code and not self.response.raw_headers

    # httptools calls these while it parses.
    def on_header(self, name: bytes, value: bytes) -> None:
        self.response.raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        # 1xx answers precede the final one.
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
            # Read here: after the end of the message, llhttp no longer knows.
            self.reusable = self.parser.should_keep_alive()


class Watchdog:
    """Ends waits whose deadline is past, at its next check."""

    def __init__(self) -> None:
        self.streams: WeakSet[TcpStream] = WeakSet()
        self.greenlet: Any = None

    def start(self) -> None:
        if self.greenlet is None or self.greenlet.dead:
            self.greenlet = gevent.spawn(self.look)

    def look(self) -> None:
        while True:
            gevent.sleep(POLL)
            now = perf_counter()
            for stream in list(self.streams):
                if stream.waiting is not None and stream.deadline < now:
                    late = TimeoutError(errno.ETIMEDOUT, "no response in time")
                    # From the hub, so that this greenlet continues with the other streams.
                    stream.hub.loop.run_callback(stream.waiting.throw, late)


watchdog = Watchdog()
