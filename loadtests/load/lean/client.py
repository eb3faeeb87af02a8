"""A lean HTTP client for Locust users.

A slow generator flips verdicts: Locust's own clients spend 90 to 390 µs on a request, more than many
endpoints do. This one keeps one connection per user, and still fires Locust's `request` event, so that
Locust's UI, statistics and listeners work as usual.

It speaks plain HTTP/1.1 and WebSockets to one host, follows no redirects, keeps no cookies and decompresses
nothing: their cost is not in its figures. Where a scenario needs them, Locust's own users are there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import gevent
import httptools
from gevent.hub import sleep as uncounted_sleep

from loadtests.load.lean.connection import (
    Connection,
    RequestFailed,
    Response,
    TcpStream,
    Unfinished,
    watchdog,
)
from loadtests.load.lean.websocket import WebSocket

if TYPE_CHECKING:
    from locust.env import Environment

Opened = TypeVar("Opened", bound=TcpStream)

REPEATABLE = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""Methods that may be sent again when an idle connection turns out to be closed (RFC 9110, 9.2.2)."""


CONNECT = 1.5
"""Seconds that an idle server may take to accept a connection before the start, enough for one repeated SYN;
then the first request opens it, and reports what happens to it."""

PAUSE, LONGEST_PAUSE = 0.01, 1.0
"""Seconds before a request that was refused a connection is reported as failed: doubled each time until a
connection is opened. They belong to the request, since it is the server that keeps its user from asking: they
must not count as the user's own pauses, as `gevent.sleep` does (see pacing/sleepers). Without a pause a dead
server would cost the generator more than a busy one."""


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
        self.netloc = parts.netloc
        self.prefix = parts.path.rstrip("/")
        self.tail = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
        self.connection: Connection | None = None
        self.began: float | None = None
        """When it began to connect in vain, before the first request."""
        self.refusals = 0
        """Connections refused one after another."""
        self.resent = False
        """Whether the last request was sent twice."""
        self.waited = False
        """Whether the last request yielded to others; one that failed at once did not."""
        watchdog.start()

    def connect(self) -> None:
        """Open the connection before it is needed. Where that fails, the next request reports it, and the
        time since then is part of it."""
        if self.connection is None:
            began = perf_counter()
            try:
                self.connection = Connection(self.address, began + min(CONNECT, self.timeout))
                # The server may close it before its first request: then it is replaced, like an idle one.
                self.connection.used = True
            except OSError:
                self.began = began

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

    def websocket(
        self,
        path: str,
        *,
        name: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> WebSocket:
        """A WebSocket, whose handshake is reported as `name connect` and its messages as `name` (the path
        without one). `timeout` in seconds, of the handshake and of each message. Never raises for what the
        server does: where it refuses, the WebSocket is not `open`."""
        socket = WebSocket(self, path, name or path, self.timeout if timeout is None else timeout)
        socket.connect(headers or {})
        return socket

    def request(
        self,
        method: str,
        path: str,
        *,
        name: str | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        data: bytes | Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        catch_response: bool = False,
    ) -> Response:
        """One request, reported to Locust as `name` (the path without one).

        `json` is sent as JSON, `data` as it is, or as a form if it is a mapping; `timeout` in seconds, the
        user's own without one. Never raises for what the server does: a failure is a Response with its
        `error`, and with `status_code` 0 where there was no answer, as with Locust's own clients. Statuses of
        400 and above are failures.
        """
        if params:
            path += ("&" if "?" in path else "?") + urlencode(params)
        message = self._message(method, path, json, data, headers)
        wall = time.time()
        now = perf_counter()
        start = self.starting(now)
        deadline = now + (self.timeout if timeout is None else timeout)
        self.resent = False
        try:
            response = self._exchange(method, message, deadline)
            end = perf_counter()
            self.waited = True
            if response.status_code >= 400:
                response.error = RequestFailed(f"{response.status_code} for {name or path}")
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            end = perf_counter()
            self.waited = False
            self.close()
            response = Response()
            response.error = error
        except gevent.GreenletExit:
            self.close()
            # Without a stop timeout, Locust's default, requests in flight are not reported.
            if self.environment.stop_timeout:
                self.report(method, path, name, wall, perf_counter() - start, Response(), Unfinished())
            raise
        response.resent = self.resent
        if catch_response:
            response._report = lambda failure: self.report(
                method, path, name, wall, end - start, response, failure
            )
        else:
            self.report(method, path, name, wall, end - start, response, response.error)
        return response

    def starting(self, now: float) -> float:
        """When a request that is made `now` began: earlier, where connecting before it was in vain."""
        start, self.began = now if self.began is None else self.began, None
        return start

    def taken(self) -> Connection | None:
        """The connection that was opened ahead, for a WebSocket to keep; None where requests use it."""
        connection = self.connection
        if connection is None or connection.response.status_code:
            return None
        self.connection = None
        return connection

    def _exchange(self, method: str, message: bytes, deadline: float) -> Response:
        """The answer, on the existing connection or on a new one."""
        connection = self.connection
        bodiless = method == "HEAD"
        if connection is not None:
            try:
                return self._keep(connection, connection.exchange(message, deadline, bodiless))
            except OSError as error:
                closed_while_idle = connection.stale and not isinstance(error, TimeoutError)
                if not closed_while_idle or method not in REPEATABLE:
                    raise
                self.resent = True
                self.close()
        connection = self.connection = self.opened(Connection, deadline)
        return self._keep(connection, connection.exchange(message, deadline, bodiless))

    def opened(self, kind: type[Opened], deadline: float) -> Opened:
        """A new connection; waits before it raises OSError, the longer the more often it did."""
        try:
            connection = kind(self.address, deadline)
        except OSError:
            uncounted_sleep(min(PAUSE * 2.0**self.refusals, LONGEST_PAUSE))
            self.refusals += 1
            raise
        self.refusals = 0
        return connection

    def _keep(self, connection: Connection, response: Response) -> Response:
        if not connection.reusable:
            self.close()
        return response

    def _message(
        self,
        method: str,
        path: str,
        body: Any,
        data: bytes | Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> bytes:
        head = f"{method} {self.prefix}{path}{self.tail}"
        if headers:
            head += "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        if body is not None:
            data = json.dumps(body).encode()
            head += "Content-Type: application/json\r\n"
        if isinstance(data, Mapping):
            data = urlencode(data).encode()
            head += "Content-Type: application/x-www-form-urlencoded\r\n"
        if data is None:
            return f"{head}\r\n".encode("latin-1")
        return f"{head}Content-Length: {len(data)}\r\n\r\n".encode("latin-1") + data

    def report(
        self,
        method: str,
        path: str,
        name: str | None,
        wall: float,
        seconds: float | None,
        response: Response,
        failure: Exception | None,
    ) -> None:
        """Fire Locust's event. `seconds`: None for what was not asked for."""
        self.fire(
            request_type=method,
            name=name or path,
            response_time=None if seconds is None else seconds * 1000.0,
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
